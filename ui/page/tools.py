"""The public endpoints as tools of the Model Context Protocol, for agents: `rap app --mcp`.

Gradio lists them and has the transport (`mcp_server=True`). What it does with a call is not for strangers: it posts it
to its own port, as a visitor from this machine, and uploads on the way whatever file of this machine the call names.
Here a call is the endpoint's own coroutine, for whoever asks, with files that the app has stored and no others; it ends
when who asked has gone.
"""

from __future__ import annotations

import inspect
import json
import logging
import reprlib
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import quote, unquote

import gradio as gr
from gradio import route_utils
from gradio.context import LocalContext

from rap.errors import InputError
from rap.limits import LISTED_FILES
from ui.page.api_calls import TOLD, refusal
from ui.serve.refusals import Refused
from ui.serve.routes import STORED
from ui.serve.storage import Storage

ANSWERED = {"InitializeRequest", "PingRequest", "ListToolsRequest", "CallToolRequest"}
"""What is asked of the protocol; Gradio's answers about prompts and resources end in the calls described above."""
HOW_TO_GIVE_FILES = (
    "Files are given by address: upload each to /gradio_api/upload of this app (multipart, field files), or with "
    "Gradio's upload_file_to_gradio, and give what that answers. A path (trajectory) that one tool has answered goes "
    "into another as it is. A film takes some ten seconds."
)
OWN_FAULT = "The call has failed, and the fault is the app's; its log says more."


def lifespan(demo: gr.Blocks, storage: Storage) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """What Gradio's server begins with, before it answers anybody: calls are taken over.

    Args:
        demo: launched with `mcp_server=True`.
        storage: of the uploads.
    """
    return partial(_begun, demo, storage)


@asynccontextmanager
async def _begun(demo: gr.Blocks, storage: Storage, _: Any) -> AsyncIterator[None]:
    Tools(demo, storage).take_over()
    yield


class Tools:
    """Answers calls of agents.

    Args:
        demo: the page, whose public endpoints are the tools.
        storage: of the uploads.
    """

    def __init__(self, demo: gr.Blocks, storage: Storage) -> None:
        if demo.mcp_server_obj is None:
            raise RuntimeError(demo.mcp_error)  # the server does not start
        self._demo, self._gradio, self._storage = demo, demo.mcp_server_obj, storage

    def take_over(self) -> None:
        """Answer calls in Gradio's place, and nothing else beside the list of tools."""
        server = self._gradio.mcp_server
        server.instructions = HOW_TO_GIVE_FILES
        for kind in [kind for kind in server.request_handlers if kind.__name__ not in ANSWERED]:
            del server.request_handlers[kind]
        server.call_tool(validate_input=False)(self.call)  # its words would be those of a library
        logging.getLogger("mcp").setLevel(logging.ERROR)

    async def call(self, name: str, arguments: dict[str, Any]) -> list[Any]:
        """The answer to a call, as one text of JSON.

        Raises:
            ValueError: with the sentence that the agent reads.
        """
        from mcp.types import TextContent

        request = self._gradio.mcp_server.request_context.request
        LocalContext.request.set(gr.Request(request))
        TOLD.set(told := [])
        try:
            endpoint = self._endpoint(name)
            found = await endpoint.fn(**self._checked(endpoint.fn, arguments))
        except gr.Error as error:
            raise ValueError(error.message) from error
        except Refused as refused:
            raise ValueError(refused.sentence) from refused
        except InputError:
            raise
        except Exception as error:
            traceback.print_exc()
            raise ValueError(OWN_FAULT) from error
        values = found if isinstance(found, tuple) else (found,)
        answer = {
            component.label: self._address(value, request) if isinstance(value, str) else value
            for component, value in zip(endpoint.outputs, values, strict=True)
        }
        return [TextContent(type="text", text=json.dumps(answer | ({"notes": told} if told else {})))]

    def _endpoint(self, name: str) -> Any:
        endpoints = self._gradio.tool_to_endpoint
        if name not in endpoints:
            raise refusal(f"the tool must be one of {', '.join(endpoints)}, got {reprlib.repr(name)}")
        return self._gradio.get_block_fn_from_endpoint_name(endpoints[name])

    def _checked(self, function: Callable[..., Any], arguments: dict[str, Any]) -> dict[str, Any]:
        """What a function takes, its files as they are stored; null is what is not given."""
        taken = inspect.signature(function).parameters
        given = {name: value for name, value in arguments.items() if value is not None}
        for name in given:
            if name not in taken:
                raise refusal(f"there is no argument {reprlib.repr(name)}; there are {', '.join(taken)}")
        for name, parameter in taken.items():
            if parameter.default is inspect.Parameter.empty and name not in given:
                raise refusal(f"{name} is lacking")
        return given | ({"files": self._stored(given["files"])} if "files" in given else {})

    def _stored(self, files: Any) -> list[str]:
        listed = files if isinstance(files, list) else [files]
        LISTED_FILES.check(len(listed), "files has", "give fewer")
        return [str(self._storage.stored(_path(file))) for file in listed]

    def _address(self, path: str, request: Any) -> str:
        """Where the file of an answer is fetched; Gradio removes it as it does all others."""
        self._demo.upload_file_set.add(path)
        route = self._gradio.get_route_path(request)
        root = route_utils.get_root_url(request=request, route_path=route, root_path=self._gradio.root_path)
        return f"{root}{STORED}{quote(path)}"


def _path(file: Any) -> str:
    """Of a stored file, given as that, as its address, or as Gradio writes it in objects."""
    named = file.get("path") if isinstance(file, dict) else file
    if not isinstance(named, str):
        raise refusal(f"files must be addresses of uploaded files, got {reprlib.repr(file)}")
    address, is_address, path = named.partition(STORED)
    return unquote(path) if is_address else address
