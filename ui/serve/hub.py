"""One port: every session's viewport page, its WebSocket and its events, on Gradio's own port.

    demo.launch(app_kwargs={"routes": hub.routes()}, ssr_mode=False)

puts these routes before Gradio's. A session is reached under an unguessable `sid`; who does not know it is refused
(403), and so is a page of another origin. Paths are relative, so that a sub-path (`--root-path`), a tunnel or a hosted
Space in front changes nothing.

    GET  viewport/<sid>/   viser's own client page, with the few changes of `viewport_page`
    WS   viewport/<sid>    viser's WebSocket, forwarded byte for byte to the session's server, which has no port
    GET  events/<sid>      server-sent events: what `publish` says, as JSON
    GET  glimpses/<sid>    the picture that `show` was given last; a page that is slow asks for fewer of them

A session without an open connection for `grace_s` has expired: its tab was closed. `on_expired` is told and ends it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from rap.config import ASSETS
from rap.errors import InputError
from rap.limits import PAGES
from ui.serve.visitors import host_and_port

logger = logging.getLogger(__name__)

KEEP_ALIVE_S = 15.0  # proxies cut a silent stream after 30 to 60 s
MAX_QUEUED_EVENTS = 256  # a page that reads no more is cut off rather than buffered without end
SHARE_OF_ONE = 2  # a visitor may have half of the pages: a lecture hall is one, too
PROBE = "rap-probe"  # the subprotocol of a connection that only asks whether it may be made; see assets/viewport.js
REFUSED = "Unknown or expired session, or a page of another origin. Reload the app's page to get a new session."


class HubFull(InputError):
    """There are as many sessions as may be."""


class ViewportServer(Protocol):
    """What the hub needs of a viewport: a connection to its server, which nobody else can make, and how to end it."""

    def connect(self) -> socket.socket: ...

    def close(self) -> None: ...


@dataclass(eq=False)
class _Listener:
    """One open event stream; `queue` belongs to `loop` and is only touched there. None ends the stream."""

    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[dict[str, Any] | None] = field(default_factory=lambda: asyncio.Queue(MAX_QUEUED_EVENTS))

    def put(self, event: dict[str, Any] | None) -> None:
        """Hand over an event from any thread; None ends the stream."""
        try:
            self.loop.call_soon_threadsafe(self._put, event)
        except RuntimeError:  # the server's loop is closed: the app is going down and the stream with it
            logger.debug("event dropped, the server has stopped")

    def _put(self, event: dict[str, Any] | None) -> None:
        if event is None or self.queue.full():  # the page notices the end of the stream and connects again
            while not self.queue.empty():
                self.queue.get_nowait()
            event = None
        self.queue.put_nowait(event)


@dataclass(eq=False)
class _Closing:
    """One forwarded WebSocket's wish to end; the event belongs to `loop`."""

    loop: asyncio.AbstractEventLoop
    event: asyncio.Event = field(default_factory=asyncio.Event)

    def set(self) -> None:
        """Ask the connection to end, from any thread."""
        try:
            self.loop.call_soon_threadsafe(self.event.set)
        except RuntimeError:  # as in `_Listener.put`
            logger.debug("connection already gone, the server has stopped")


@dataclass(eq=False)
class _Entry:
    viewport: ViewportServer
    owner: object
    visitor: str | None
    last_active: float
    connections: int = 0
    listeners: set[_Listener] = field(default_factory=set)
    sockets: set[_Closing] = field(default_factory=set)
    glimpse: tuple[int, bytes] = (0, b"")  # how many there were, and the last


class Hub:
    """The sessions' meeting point with the web server; safe to call from any thread.

    Args:
        grace_s: seconds without any connection after which a session has expired. Long enough for a reload.
        on_expired: called with the `sid` on the hub's own thread; it should end the session (`close`). It is called
            again every `grace_s` until that has happened. Without it the hub closes the session itself.
        max_sessions: pages that are open at the same time.
    """

    def __init__(
        self, grace_s: float = 30.0, on_expired: Callable[[str], None] | None = None, max_sessions: int = PAGES.value
    ):
        if grace_s <= 0:
            raise ValueError(f"grace_s must be positive seconds, got {grace_s}")
        self.grace_s, self._max_sessions = grace_s, max_sessions
        self.on_expired = on_expired
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()
        self._reaper: threading.Thread | None = None
        self._wake = threading.Event()

    def routes(self) -> list[BaseRoute]:
        """The routes to put before Gradio's; viser's client dials its page's address without the trailing slash."""
        return [
            Route("/viewport/{sid}/", self._page),
            Route("/events/{sid}", self._events),
            Route("/glimpses/{sid}", self._glimpse),
            WebSocketRoute("/viewport/{sid}", self._forward),
            WebSocketRoute("/viewport/{sid}/", self._forward),
        ]

    def open(self, viewport: ViewportServer, owner: object, visitor: str | None = None, sid: str | None = None) -> str:
        """Register a session and return its `sid` (256 random bits). Hand it only to the page of that session.

        Args:
            viewport: closed together with the session.
            owner: whatever the caller wants to find again with `owner(sid)`.
            visitor: whose page it is of, as `ui.serve.visitors` names them; None: of a program, which is no page and
                does not count among those that may be.
            sid: of a session that has been open before, given out here then.

        Raises:
            HubFull: there are as many pages as may be, or as many of this visitor.
        """
        sid = sid or secrets.token_urlsafe(32)
        with self._lock:
            if visitor is not None:
                self._check_room(visitor)
            self._entries[sid] = _Entry(viewport, owner, visitor, time.monotonic())
            if self._reaper is None:
                self._wake.clear()
                self._reaper = threading.Thread(target=self._reap, name="hub-reaper", daemon=True)
                self._reaper.start()
        return sid

    def _check_room(self, visitor: str) -> None:
        visitors = [entry.visitor for entry in self._entries.values() if entry.visitor is not None]
        if len(visitors) >= self._max_sessions:
            raise HubFull(f"The app is full: {self._max_sessions} pages are open. Try again in a minute.")
        most = max(1, self._max_sessions // SHARE_OF_ONE)
        if visitors.count(visitor) >= most:
            raise HubFull(f"{most} pages are open from your address; close one, then reload this page in a minute.")

    def close(self, sid: str) -> None:
        """End a session: its connections, its viewport, its `sid`. Harmless when repeated or unknown."""
        with self._lock:
            entry = self._entries.pop(sid, None)
            if not self._entries:
                self._wake.set()
        if entry is None:
            return
        for listener in tuple(entry.listeners):
            listener.put(None)
        for closing in tuple(entry.sockets):
            closing.set()
        entry.viewport.close()

    def close_all(self) -> None:
        """End every session; call it before the web server stops (an open event stream would make it wait)."""
        for sid in self.sessions():
            self.close(sid)

    def sessions(self) -> tuple[str, ...]:
        """The open sessions."""
        with self._lock:
            return tuple(self._entries)

    def owner(self, sid: str) -> object | None:
        """What `open` was given for this session; None if it is not open."""
        entry = self._entries.get(sid)
        return None if entry is None else entry.owner

    def connections(self, sid: str) -> int:
        """Open WebSockets and event streams of a session; 0 if it is not open."""
        entry = self._entries.get(sid)
        return 0 if entry is None else entry.connections

    def touch(self, sid: str) -> None:
        """Count a session as active now, for instance while a job of it runs behind a closed tab."""
        entry = self._entries.get(sid)
        if entry is not None:
            entry.last_active = time.monotonic()

    def publish(self, sid: str, event: Mapping[str, Any]) -> None:
        """Send `event` (JSON values only) to every page of this session; pages that connect later do not get it.

        Raises:
            TypeError: the event is not JSON.
        """
        json.dumps(event)  # here, where the mistake is, not in the stream
        entry = self._entries.get(sid)
        if entry is not None:
            for listener in tuple(entry.listeners):
                listener.put(dict(event))

    def show(self, sid: str, told: Mapping[str, Any], jpeg: bytes) -> None:
        """Offer a picture to every page of this session, in the place of the last one; `told` goes with the event."""
        entry = self._entries.get(sid)
        if entry is not None:
            number = entry.glimpse[0] + 1
            entry.glimpse = (number, jpeg)
            self.publish(sid, {"glimpse": number, **told})

    def idle_sessions(self, older_than_s: float) -> tuple[str, ...]:
        """Sessions that have had no connection (and no `touch`) for `older_than_s` seconds."""
        now = time.monotonic()
        with self._lock:
            return tuple(
                sid
                for sid, entry in self._entries.items()
                if entry.connections == 0 and now - entry.last_active >= older_than_s
            )

    def _reap(self) -> None:
        """Tell `on_expired` of idle sessions; ends with the last session, `open` starts another."""
        while True:
            self._wake.wait(min(self.grace_s / 4.0, 5.0))
            with self._lock:
                if not self._entries:
                    self._reaper = None
                    return
            for sid in self.idle_sessions(self.grace_s):
                self.touch(sid)
                try:
                    (self.on_expired or self.close)(sid)
                except Exception:
                    # One session's failing end must not keep the others alive for ever.
                    logger.exception("ending an expired session failed; it is tried again in %g s", self.grace_s)

    @contextmanager
    def _connection(self, entry: _Entry):
        with self._lock:
            entry.connections += 1
        try:
            yield
        finally:
            with self._lock:
                entry.connections -= 1
                entry.last_active = time.monotonic()

    def _admit(self, connection: HTTPConnection, needs_origin: bool) -> _Entry | None:
        entry = self._entries.get(connection.path_params["sid"])
        return entry if same_origin(connection.headers, needs_origin) else None

    async def _page(self, request: Request) -> Response:
        if self._admit(request, needs_origin=False) is None:
            return PlainTextResponse(REFUSED, status_code=403)
        # The address is the key to the session: keep it out of Referer headers and shared caches.
        return HTMLResponse(viewport_page(), headers={"Referrer-Policy": "no-referrer", "Cache-Control": "private"})

    async def _events(self, request: Request) -> Response:
        entry = self._admit(request, needs_origin=False)
        if entry is None:
            return PlainTextResponse(REFUSED, status_code=403)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the latter: nginx must not collect it
        return StreamingResponse(self._stream(entry), media_type="text/event-stream", headers=headers)

    async def _glimpse(self, request: Request) -> Response:
        entry = self._admit(request, needs_origin=False)
        if entry is None or not entry.glimpse[1]:
            return PlainTextResponse(REFUSED, status_code=403)
        return Response(entry.glimpse[1], media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    async def _stream(self, entry: _Entry) -> AsyncIterator[str]:
        listener = _Listener(asyncio.get_running_loop())
        entry.listeners.add(listener)
        with self._connection(entry):
            try:
                yield "retry: 1000\n\n"
                while True:
                    try:
                        event = await asyncio.wait_for(listener.queue.get(), KEEP_ALIVE_S)
                    except TimeoutError:
                        yield ": still here\n\n"
                        continue
                    if event is None:
                        return
                    yield f"data: {json.dumps(event)}\n\n"
            finally:
                entry.listeners.discard(listener)

    async def _forward(self, websocket: WebSocket) -> None:
        entry = self._admit(websocket, needs_origin=True)
        if entry is None:
            await websocket.close(1008, REFUSED[:100])  # before accept: the server answers the handshake with 403
            return
        if PROBE in websocket.scope.get("subprotocols", ()):  # the page asks whether WebSockets get through at all
            await websocket.accept(subprotocol=PROBE)
            await websocket.close()
            return
        closing = _Closing(asyncio.get_running_loop())
        entry.sockets.add(closing)
        with self._connection(entry):
            try:
                await _forward(websocket, entry.viewport, closing.event)
            finally:
                entry.sockets.discard(closing)


def same_origin(headers: Mapping[str, str], needs_origin: bool) -> bool:
    """Whether the page that sent this request is the app's own.

    Browsers set Origin and let no page forge it or Host; a proxy in front may rename Host and says so in
    X-Forwarded-Host (which a page cannot send on a WebSocket either). Browsers always send Origin with a WebSocket
    and leave it out on a page's own GET, hence `needs_origin`.
    """
    origin = headers.get("origin")
    if origin is None:
        return not needs_origin
    page = host_and_port(origin)
    scheme = origin.partition("://")[0]
    hosts = [headers.get("host", ""), *headers.get("x-forwarded-host", "").split(",")]
    return page is not None and page in [host_and_port(f"{scheme}://{host.strip()}") for host in hosts]


@lru_cache(maxsize=1)
def viewport_page() -> str:
    """viser's self-contained client page with our changes at the end of its head.

    The changes hide viser's own panels and notices (the app has its own), let the page reconnect without focus and
    rest while nothing moves.

    Raises:
        RuntimeError: this viser has no client page, or one without a head.
    """
    import viser  # the page does not wait for it

    path = Path(viser.__file__).parent / "client" / "build" / "index.html"
    if not path.is_file():
        raise RuntimeError(f"viser {viser.__version__} has no client page at {path}; install the tested viser release")
    head, mark, rest = path.read_text(encoding="utf-8").partition("</head>")
    if not mark:
        raise RuntimeError(f"the client page of viser {viser.__version__} has no </head>; install the tested release")
    style = (ASSETS / "viewport_frame.css").read_text(encoding="utf-8")
    script = (ASSETS / "viewport_frame.js").read_text(encoding="utf-8")
    return f"{head}<style>{style}</style><script>{script}</script>{mark}{rest}"


async def _forward(websocket: WebSocket, viewport: ViewportServer, closing: asyncio.Event) -> None:
    """Join a browser's WebSocket with the viewport's viser server until a side closes or `closing` is set."""
    offered = [Subprotocol(name) for name in websocket.scope.get("subprotocols", ())]
    try:
        upstream_socket = await asyncio.to_thread(viewport.connect)  # the first connection starts the server
    except OSError as error:
        logger.warning("a viewport's server does not answer: %s", error)
        await websocket.close(1013, "The server is full; try again in a minute.")
        return
    # Our own socket: `connect` would take the proxy of the environment, which cannot reach this machine's inside.
    async with connect(
        "ws://viewport/", sock=upstream_socket, subprotocols=offered or None, compression=None, max_size=None
    ) as upstream:
        await websocket.accept(subprotocol=upstream.subprotocol)
        await _join(websocket, upstream, closing)


async def _join(websocket: WebSocket, upstream: ClientConnection, closing: asyncio.Event) -> None:
    tasks = [
        asyncio.create_task(_to_viser(websocket, upstream)),
        asyncio.create_task(_to_browser(websocket, upstream)),
        asyncio.create_task(_session_end(closing)),
    ]
    code, reason = 1001, ""
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        code, reason = done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _close(websocket, code, reason)


async def _session_end(closing: asyncio.Event) -> tuple[int, str]:
    await closing.wait()
    return 1001, "session closed"


async def _to_viser(websocket: WebSocket, upstream: ClientConnection) -> tuple[int, str]:
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return message.get("code") or 1005, message.get("reason") or ""
            data = message.get("bytes")
            await upstream.send(message["text"] if data is None else data)
    except ConnectionClosed as closed:
        return _close_frame(closed)


async def _to_browser(websocket: WebSocket, upstream: ClientConnection) -> tuple[int, str]:
    try:
        while True:  # not `async for`: it ends silently on a normal close and would lose the code
            data = await upstream.recv()
            await (websocket.send_text(data) if isinstance(data, str) else websocket.send_bytes(data))
    except ConnectionClosed as closed:
        return _close_frame(closed)
    except WebSocketDisconnect:  # the browser left while this was on its way
        return 1006, ""


def _close_frame(closed: ConnectionClosed) -> tuple[int, str]:
    return (1006, "") if closed.rcvd is None else (closed.rcvd.code, closed.rcvd.reason)


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    if code in (1005, 1006):  # reserved words for "none" and "lost"; they cannot be sent
        code = 1001
    try:
        await websocket.close(code, reason)
    except (RuntimeError, WebSocketDisconnect):  # the browser was the one that left
        logger.debug("browser already gone")
