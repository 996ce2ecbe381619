"""The door of the app: every request passes here first, and what it may hold, send and name is decided here.

    demo.launch(app_kwargs={"middleware": [Middleware(Gate, rules=rules)]})

Plain ASGI. Of Gradio it knows the table in `routes`, that an uploaded file is named by an object with a `path`, and
that an event is answered with its `event_id`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect

from rap import limits
from ui.serve import descriptors, routes
from ui.serve.calls import Calls, Connections, NewLines
from ui.serve.headers import Dressed
from ui.serve.leftovers import Leftovers, stream_name
from ui.serve.refusals import Refused, send_refusal
from ui.serve.storage import Storage
from ui.serve.visitors import Names, visitor

NOT_THERE = "There is nothing here that this app answers to."
NOT_BY_THIS_NAME = "The app does not go by this name; start it with --allowed-host NAME to add it."
SLOWEST_BYTES_PER_S = 2_000  # of an upload that has had `SILENCE_SECONDS`
NOT_THIS_PAGE = "The request comes from a page of another site, and was not carried out."
ONLY_POST = "Calls of the Model Context Protocol are posted here; there is nothing to read."
STOPPED = "The request stopped half way; send it again."
ANSWER_BYTES = 1 << 20  # of the answer to an upload or an event, which is read on its way


@dataclass(frozen=True)
class Rules:
    """What is decided when the app starts.

    Args:
        storage: of the uploads.
        names: under which the app is reached.
        leftovers: of pages that are gone.
        is_waiting: whether the call of this number has not been answered yet.
        room: what the descriptors allow.
        frame_ancestors: origins that may put the page into a frame.
        also: further paths that are answered.
        has_tools: whether agents are let in.
    """

    storage: Storage
    names: Names
    leftovers: Leftovers
    is_waiting: Callable[[str], bool]
    room: descriptors.Room
    frame_ancestors: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    has_tools: bool = False


class Gate:
    """ASGI middleware around the whole app.

    Args:
        app: what is behind it.
        rules: of this app.
    """

    def __init__(self, app: Any, rules: Rules) -> None:
        self._app, self._rules = app, rules
        self._calls, self._lines = Calls(rules.is_waiting), NewLines()
        self._connections = Connections(rules.room)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        route = routes.find(scope["type"], scope.get("method"), _path(scope), self._rules.also)
        kind = None if route is None else route.kind
        dressed = send if kind == "socket" else Dressed(send, self._rules.frame_ancestors, kind)
        try:
            self._check_origin(scope)
            if kind is None or kind == "tools" and not self._rules.has_tools:
                raise Refused(404, NOT_THERE)
            who = visitor(scope)
            with self._connections.held(who, descriptors.PER_WEBSOCKET if kind == "socket" else 1):
                await self._let_in(kind, who, scope, receive, dressed)
        except Refused as refused:
            if not getattr(dressed, "started", False):
                await send_refusal(scope, dressed, refused)

    def _check_origin(self, scope: Any) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in (b"host", b"origin")}
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        if not self._rules.names.knows(host):
            raise Refused(403, NOT_BY_THIS_NAME)
        if origin is not None and not self._rules.names.is_own(origin, host):
            raise Refused(403, NOT_THIS_PAGE)

    async def _let_in(self, kind: routes.Kind, who: str, scope: Any, receive: Any, send: Any) -> None:
        if kind == "upload":
            await self._upload(who, scope, receive, send)
        elif kind == "event":
            await self._event(who, scope, receive, send)
        elif kind == "stream":
            with self._rules.leftovers.listening(stream_name(scope, _path(scope))):
                await self._app(scope, receive, send)
        elif kind == "tools":
            await self._tool(who, scope, receive, send)
        elif kind == "small":
            await self._app(scope, _replay(await _body(receive, limits.SMALL_BYTES.value), receive), send)
        else:
            if kind == "file":
                # as Gradio reads it, and not once more unquoted: the server has done that
                self._rules.storage.stored(_path(scope).partition(routes.STORED)[2])
            await self._app(scope, receive, send)

    async def _upload(self, who: str, scope: Any, receive: Any, send: Any) -> None:
        storage = self._rules.storage
        storage.begin(who, _announced(scope))
        metered, answer = _Metered(receive, storage, who), _Overheard(send)
        try:
            await self._app(scope, metered, answer)
        except ClientDisconnect:  # also when the meter has had enough
            pass
        finally:
            stored = answer.json() if answer.status == 200 else None
            storage.end(who, metered.came, [path for path in stored or () if isinstance(path, str)])
        if metered.refused is not None:
            await _drain(receive)
            raise metered.refused

    async def _event(self, who: str, scope: Any, receive: Any, send: Any) -> None:
        body = await _body(receive, limits.EVENT_BYTES.value)
        asked = _parsed(body)
        # what a click carries along (`event_data`) is no file to Gradio, and may name one that has been removed
        self._check_files({key: value for key, value in asked.items() if key != "event_data"})
        name = asked.get("session_hash")
        if not (name is None or isinstance(name, str) and len(name) <= limits.HASH_CHARACTERS.value):
            raise Refused(400, f"session_hash must be a text of at most {limits.HASH_CHARACTERS.value} characters.")
        with self._calls.one_more(who):
            self._lines.use(who, name)
            self._rules.leftovers.use(name)
            answer = _Overheard(send)
            await self._app(scope, _replay(body, receive), answer)
            given = answer.json()
            if answer.status == 200 and isinstance(given, dict) and isinstance(given.get("event_id"), str):
                self._calls.add(given["event_id"], who)

    async def _tool(self, who: str, scope: Any, receive: Any, send: Any) -> None:
        """A call is answered within its request, and counts for as long as that lasts."""
        if scope["method"] != "POST":  # of a stream that we would begin, and of sessions to be ended: there are none
            raise Refused(405, ONLY_POST)
        body = await _body(receive, limits.EVENT_BYTES.value)
        _parsed(body)
        with self._calls.one_more(who):
            await self._app(scope, _replay(body, receive), send)

    def _check_files(self, data: Any) -> None:
        for path in _named_files(data):
            self._rules.storage.stored(path)


def _path(scope: Any) -> str:
    """Of the request below the app's own, whether a proxy has taken that off or not."""
    path, root = scope["path"], scope.get("root_path", "").rstrip("/")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def _announced(scope: Any) -> int:
    text = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
    return int(text) if text.isdigit() and len(text) < 19 else 0


def _named_files(data: Any) -> Iterator[str]:
    """Every `path` of an object anywhere in an event."""
    rest = [data]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            if isinstance(value.get("path"), str):
                yield value["path"]
            rest += value.values()
        elif isinstance(value, list):
            rest += value


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refused(400, "The body must be JSON, of no more than some dozen levels.") from error
    if not isinstance(asked, dict):
        raise Refused(400, "The body must be a JSON object.")
    if _depth(asked) > limits.JSON_LEVELS.value:
        raise Refused(400, f"The body must be JSON of at most {limits.JSON_LEVELS.value} levels.")
    return asked


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level and depth <= limits.JSON_LEVELS.value:
        depth += 1
        below = (v.values() if isinstance(v, dict) else v for v in level)
        level = [one for values in below for one in values if isinstance(one, dict | list)]
    return depth


async def _body(receive: Any, most: int) -> bytes:
    """All of a short body.

    Raises:
        Refused: it is longer, comes too slowly, or breaks off.
    """
    body, until = b"", time.monotonic() + limits.EVENT_SECONDS.value
    while True:
        message = await _next(receive, min(limits.SILENCE_SECONDS.value, max(until - time.monotonic(), 0.0)))
        if message["type"] != "http.request":
            raise Refused(400, STOPPED)
        body += message.get("body", b"")
        if len(body) > most:
            await _drain(receive)
            raise Refused(413, f"The request has more than {most // 1024:,} kB; send less.")
        if not message.get("more_body", False):
            return body


async def _next(receive: Any, wait_s: float) -> Any:
    try:
        return await asyncio.wait_for(receive(), wait_s)
    except TimeoutError as error:
        raise Refused(408, STOPPED) from error


async def _drain(receive: Any) -> None:
    """Take what is still coming for a moment: a browser that is cut off while it sends does not read the answer."""
    until, left = time.monotonic() + 2.0, 64 << 20
    while left > 0 and time.monotonic() < until:
        try:
            message = await asyncio.wait_for(receive(), 0.5)
        except TimeoutError:
            return
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
        left -= len(message.get("body", b""))


def _replay(body: bytes, receive: Any) -> Callable[[], Any]:
    """`receive` for a body that has been read."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def once_more() -> Any:
        return messages.pop() if messages else await receive()

    return once_more


class _Metered:
    """`receive` of an upload: counts what comes, and ends it when it is too much or too slow."""

    def __init__(self, receive: Any, storage: Storage, who: str) -> None:
        self._receive, self._storage, self._who = receive, storage, who
        self._began, self._is_whole = time.monotonic(), False
        self.came = 0
        self.refused: Refused | None = None

    async def __call__(self) -> Any:
        if self._is_whole:
            return await self._receive()
        try:
            message = await _next(self._receive, limits.SILENCE_SECONDS.value)
            size = len(message.get("body", b""))
            self.came += size
            self._is_whole = not message.get("more_body", False)
            self._storage.take(self._who, size)
            self._check_speed()
        except Refused as refused:
            self.refused = refused
            return {"type": "http.disconnect"}
        return message

    def _check_speed(self) -> None:
        seconds = time.monotonic() - self._began
        if seconds > limits.SILENCE_SECONDS.value and self.came < SLOWEST_BYTES_PER_S * seconds:
            raise Refused(408, "The upload is too slow; try again over a better connection.")


class _Overheard:
    """`send` that keeps a short answer to be read when it has been given."""

    def __init__(self, send: Any) -> None:
        self._send, self._body = send, b""
        self.status = 0

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif len(self._body) <= ANSWER_BYTES:
            self._body += message.get("body", b"")
        await self._send(message)

    def json(self) -> Any:
        """The answer; None where it is no JSON, or longer than any of ours."""
        try:
            return json.loads(self._body)
        except ValueError:
            return None
