"""`--mcp`: what an agent meets through a real client of the protocol, and what a stranger tries at the same door."""

from __future__ import annotations

import json
import threading
import time

import anyio
import pytest
from fakes import FakePipeline, moving_frames, wait_until
from mcp.client import streamable_http
from mcp.client.session import ClientSession
from strangers import FILE, PICTURE, Stranger, lowered, running_app

from rap.data import write_video
from rap.errors import InputError
from rap.geometry import PRESETS
from rap.limits import CALLS, EVENT_BYTES
from ui import app
from ui.page.api import ENDPOINTS
from ui.serve import startup

ROUTE = "gradio_api/mcp/"
HEADERS = {"accept": "application/json, text/event-stream"}
# until 1.24 the client was spelled otherwise
connected = getattr(streamable_http, "streamable_http_client", None) or streamable_http.streamablehttp_client


@pytest.fixture(scope="module")
def pipeline():
    return FakePipeline(steps=1)


@pytest.fixture(scope="module")
def running(pipeline):
    with running_app("--mcp", pipeline=pipeline) as running:
        yield running


@pytest.fixture
def stranger(running):
    with Stranger(running, 2, **HEADERS) as stranger:
        yield stranger


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_video(path, moving_frames(9), 8.0)
    return path.read_bytes()


def asked(stranger, method, **params):
    """The answer to one message of the protocol."""
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    response = stranger.post(ROUTE, json=message).raise_for_status()
    (line,) = [line for line in response.text.splitlines() if line.startswith("data: {")]
    return json.loads(line.removeprefix("data: "))


def call(stranger, tool, **arguments):
    """(whether it was refused, the words) of a call."""
    result = asked(stranger, "tools/call", name=tool, arguments=arguments)["result"]
    return result["isError"], result["content"][0]["text"]


def test_an_agent_finds_the_public_endpoints_and_goes_from_a_film_to_a_file_of_cameras(running, stranger, film):
    address = f"{running.url}gradio_api/file={stranger.stored('film.mp4', film)['path']}"

    async def walk():
        async with connected(running.url + ROUTE) as (read, write, _), ClientSession(read, write) as session:
            began = await session.initialize()
            tools = (await session.list_tools()).tools
            told = {"files": [address], "refine": False}
            found = json.loads((await session.call_tool("estimate_trajectory", told)).content[0].text)
            path = {"trajectory": found["trajectory"], "format": "tum"}
            exported = json.loads((await session.call_tool("export_cameras", path)).content[0].text)
            return began, tools, found, exported

    began, tools, found, exported = anyio.run(walk)
    assert "gradio_api/upload" in began.instructions and not began.capabilities.prompts
    assert [tool.name for tool in tools] == list(ENDPOINTS), "no private ones"
    for tool in tools:
        assert tool.description and "upload_file_to_gradio" in tool.description or tool.name == "export_cameras"
        for name, schema in tool.inputSchema["properties"].items():
            assert isinstance(schema["type"], str) and schema["description"], f"{tool.name}: {name}"
    (preset,) = [t.inputSchema["properties"]["preset"] for t in tools if t.name == "generate_video"]
    assert set(preset["enum"]) == set(PRESETS)
    assert len(found["trajectory"]["Ts_world_camera"]) == 17 and found["report"]["clip"] == "film"
    assert "has no place for" in exported["notes"][0]
    assert len(stranger.get(exported["cameras"]).raise_for_status().text.splitlines()) >= 17


def test_no_file_is_read_for_an_agent_but_an_upload(running, stranger):
    root = running.front.storage.root
    own = stranger.stored("picture.png", PICTURE)["path"]
    before = sorted(root.rglob("*"))
    for name in (
        "/etc/passwd", f"{root}/../x.png", f"{running.url}gradio_api/file=/etc/passwd", "http://127.0.0.1:1/x.png",
        "data:image/png;base64,iVBORw0KGgo=", f"{own}/../picture.png", "",
    ):  # fmt: skip
        for file in (name, {"path": name, "meta": FILE}, {"path": name, "url": f"{running.url}x", "meta": FILE}):
            refused, words = call(stranger, "generate_joint", files=[file])
            assert refused and "has not stored" in words, (file, words)
    assert call(stranger, "generate_joint", files=[5]) == (True, "files must be addresses of uploaded files, got 5")
    assert sorted(root.rglob("*")) == before, "nothing was fetched or copied"
    for file in (own, {"path": own, "meta": FILE}):
        refused, words = call(stranger, "generate_joint", files=file, steps=None)
        assert not refused and json.loads(words)["video"].startswith(f"{running.url}gradio_api/file={root}")


@pytest.mark.parametrize(
    ("tool", "arguments", "words"),
    [
        ("refresh", {}, "the tool must be one of estimate_trajectory, "),
        ("estimate_trajectory", {}, "files is lacking"),
        ("estimate_trajectory", {"files": "x", "session": 1}, "there is no argument 'session'; there are files, "),
        ("export_cameras", {"trajectory": {"rap": "path"}}, "lacks image_size"),
        ("export_cameras", {"trajectory": {}, "format": ["tum"]}, "format must be a name, got ['tum']"),
        ("export_cameras", {"trajectory": "no path"}, "trajectory: the text must be"),
    ],
)
def test_what_is_wrong_with_a_call_is_told_in_a_sentence(stranger, tool, arguments, words):
    refused, said = call(stranger, tool, **arguments)
    assert refused and words in said


@pytest.mark.parametrize(
    "method", ["prompts/get", "resources/read", "prompts/list", "resources/list", "logging/setLevel"]
)
def test_nothing_but_tools_is_answered(stranger, method):
    """Gradio's own answer to a prompt that is not there would call the last endpoint, by way of this machine."""
    params = {"name": "x", "arguments": {}, "uri": "x://y", "level": "debug"}
    assert asked(stranger, method, **params)["error"]["code"] == -32601


def test_the_door_holds_for_agents_as_for_all(running, stranger, pipeline, monkeypatch):
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert stranger.post(ROUTE, json=message, headers={"Origin": "http://evil.example"}).status_code == 403
    assert stranger.post(ROUTE, json=message, headers={"Host": "evil.example"}).status_code == 403
    assert stranger.post(ROUTE, content=b" " * (EVENT_BYTES.value + 1)).status_code == 413
    assert stranger.post(ROUTE, json=[message] * 1000).status_code == 400
    for method in ("GET", "DELETE"):
        assert stranger.request(method, ROUTE).status_code == 405
    for path in ("gradio_api/mcp/schema", "gradio_api/mcp/sse", "gradio_api/mcp/messages/", "gradio_api/mcp/http/"):
        assert {stranger.get(path).status_code, stranger.post(path, json=message).status_code} == {404}

    lowered(monkeypatch, "CALLS", 1)
    file = stranger.stored("picture.png", PICTURE)["path"]
    pipeline.gate = threading.Semaphore(0)
    with Stranger(running, 3, **HEADERS) as other:
        closed, body = pipeline.closed, {"name": "generate_joint", "arguments": {"files": file, "steps": 2}}
        gone = threading.Thread(
            target=_asks_and_goes, args=(running, {**message, "method": "tools/call", "params": body})
        )
        gone.start()
        wait_until(lambda: pipeline.tasks and pipeline.tasks[-1].steps == 2)
        assert "of your calls wait already" in stranger.post(ROUTE, json=message).text
        assert asked(other, "tools/list")["result"], "that is nobody else's affair"
        gone.join(timeout=20)
        pipeline.gate.release(1)
        wait_until(lambda: pipeline.closed == closed + 1)  # between two steps: the job ended with who had asked
        wait_until(lambda: not running.sessions.result()._sessions)
        pipeline.gate = None
        assert asked(stranger, "ping")["result"] == {}
    assert CALLS.value > 1


def _asks_and_goes(running, message):
    with Stranger(running, 2, **HEADERS) as stranger, stranger.stream("POST", ROUTE, json=message):
        time.sleep(1.0)


def test_it_is_there_only_when_asked_for_and_says_what_it_lacks(monkeypatch):
    monkeypatch.setenv("GRADIO_MCP_SERVER", "true")
    assert not app.parse([]).mcp
    monkeypatch.setattr(startup, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"--mcp: needs mcp, which is not installed; install it with pip install"):
        startup.check(app.parse(["--mcp"]))
    monkeypatch.undo()
