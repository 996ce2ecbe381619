"""Which requests the app answers: Gradio serves some seventy routes, the page and the programs that call it need these.

All else is 404 before Gradio sees it: recordings that are stored and echoed, the dashboard whose key is printed, its
proxy, its playlists, its code editor, the description of private endpoints.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["page", "viewport", "stream", "file", "upload", "event", "small", "socket", "tools"]
READ = ("GET", "HEAD")
EVENT_ID = r"[0-9a-f]{32}"
SESSION_HASH = r"[\w-]{1,64}"
STORED = "/gradio_api/file="  # what follows is the path of a file


@dataclass(frozen=True)
class Route:
    """Requests of one kind.

    Args:
        kind: what the gate does about them. page, viewport: short answers; stream: answers that last; file: what
            visitors gave and made; upload, event: with a body that is looked at; small: with one that is not; socket:
            a WebSocket; tools: calls of agents, where they are let in.
        pattern: of the whole path below the app's own.
    """

    kind: Kind
    methods: tuple[str, ...]
    pattern: re.Pattern[str]


def _route(kind: Kind, methods: tuple[str, ...], *patterns: str) -> Route:
    return Route(kind, methods, re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.DOTALL))


ROUTES = (
    _route("page", READ, "/", "/theme\\.css", "/favicon\\.ico", "/manifest\\.json", "/robots\\.txt"),
    _route("page", READ, r"/(?:assets|static)/[\w./-]+"),
    _route("page", ("GET",), "/config/?", "/gradio_api/info/?", "/gradio_api/startup-events"),
    _route("viewport", READ, r"/viewport/[\w-]{1,64}/", r"/glimpses/[\w-]{1,64}"),
    _route("stream", ("GET",), r"/events/[\w-]{1,64}"),
    _route("stream", ("GET",), f"/gradio_api/heartbeat/{SESSION_HASH}", "/gradio_api/queue/data"),
    _route("stream", ("GET",), "/gradio_api/upload_progress"),
    _route("stream", ("GET",), rf"/gradio_api/call/(?:v2/)?\w{{1,64}}/{EVENT_ID}"),
    _route("file", READ, f"{STORED}.+"),
    _route("upload", ("POST",), "/gradio_api/upload"),
    _route("event", ("POST",), "/gradio_api/queue/join", r"/gradio_api/call/(?:v2/)?\w{1,64}/?"),
    _route("small", ("POST",), "/gradio_api/cancel", "/gradio_api/reset/?"),
    _route("tools", ("POST", *READ, "DELETE"), "/gradio_api/mcp/?"),
    _route("socket", (), r"/viewport/[\w-]{1,64}/?"),
)


def find(scope_type: str, method: str | None, path: str, also: Sequence[str] = ()) -> Route | None:
    """The first route that fits; None: not answered.

    Args:
        also: further paths that are to be answered like pages, with all below them.
    """
    for route in ROUTES:
        is_kind = method in route.methods if scope_type == "http" else route.kind == "socket"
        if is_kind and route.pattern.fullmatch(path):
            return route
    if scope_type == "http" and method in READ and any(path == one or path.startswith(f"{one}/") for one in also):
        return Route("page", READ, re.compile(""))
    return None
