"""What stands in front of Gradio in a running app, put together from the command line and the environment."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
from gradio import processing_utils
from starlette.middleware import Middleware

from ui.serve import descriptors
from ui.serve.gate import Gate, Rules
from ui.serve.hub import Hub
from ui.serve.leftovers import Leftovers
from ui.serve.storage import PREFIX, Storage
from ui.serve.visitors import Names

SPACE_ANCESTORS = ("https://huggingface.co", "https://*.hf.space")
SPACE_PROXIES = ("127.0.0.1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")  # inside the cluster
SHARE_HOST = "*.gradio.live"
THREADS = 41
"""For the page's listeners. At 40, its default, Gradio lets them share the threads that answer `GET /`."""


class Front:
    """The uploads, the gate and the hub of one app; made before its page, which keeps the folder of uploads.

    Args:
        options: as `ui.serve.startup` gives them.
        environment: `SPACE_HOST`, `GRADIO_ROOT_PATH` and `GRADIO_TEMP_DIR` count.
        grace_s: how long a session outlives its page.
    """

    def __init__(self, options: argparse.Namespace, environment: Mapping[str, str], grace_s: float) -> None:
        space = environment.get("SPACE_HOST")
        named = urlsplit(options.root_path or environment.get("GRADIO_ROOT_PATH", "")).hostname
        hosts = [*options.allowed_host, *filter(None, (space, named)), *([SHARE_HOST] if options.share else [])]
        proxies = options.trusted_proxy or (SPACE_PROXIES if space else ())
        self._names = Names(tuple(host.lower() for host in hosts))
        self._ancestors = (*options.frame_ancestor, *(SPACE_ANCESTORS if space else ()))
        self._also, self._has_tools = tuple(options.open_route), options.mcp
        self._room = descriptors.Room.of(descriptors.descriptors())
        self._parent = Path(environment.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
        if self._parent.name.startswith(PREFIX):  # of another app in this process
            self._parent = self._parent.parent
        self.storage = Storage(self._parent)
        self.hub = Hub(grace_s, max_sessions=self._room.sessions)
        os.environ["GRADIO_TEMP_DIR"] = str(self.storage.root)
        os.environ["FORWARDED_ALLOW_IPS"] = ",".join(proxies)  # uvicorn's name for it; without, it believes 127.0.0.1
        processing_utils.hash_seed = self.storage.secret  # Gradio's own lies in its package, for every user to read

    def launch_options(self, demo: gr.Blocks) -> dict[str, Any]:
        """For `demo.launch`, whose queue has been made."""
        waiting = demo._queue.event_ids_to_events
        limited = (self.storage, self._names, Leftovers(demo), waiting.__contains__, self._room)
        rules = Rules(*limited, self._ancestors, self._also, self._has_tools)
        return {
            "app_kwargs": {"routes": self.hub.routes(), "middleware": [Middleware(Gate, rules=rules)]},
            "enable_monitoring": False,
            "max_threads": THREADS,
        }

    def close(self) -> None:
        """End sessions and remove uploads; before the web server stops, for open event streams would make it wait."""
        self.hub.close_all()
        self.storage.close()
        os.environ["GRADIO_TEMP_DIR"] = str(self._parent)
