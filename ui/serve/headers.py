"""What every answer says about itself: which scripts may run in the page, who may put it into a frame; and the page's
first script, which Gradio would run after its own.

A page gets a nonce for its own scripts, so that markup which found its way into it (a name, a stored text) runs
nothing: no inline handler, no script element. `unsafe-eval` stays, for Gradio compiles the listeners it is given.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any

from rap.config import ASSETS
from ui.serve.routes import Kind

FIXED = {
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
}
REFERRER = ("referrer-policy", "same-origin")  # a viewport's address, which is a key, is stricter by itself
PAGE_POLICY = (
    "default-src 'self'; script-src 'self' {inline} 'unsafe-eval' 'wasm-unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; frame-src 'self'; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors {ancestors}"
)
FILE_POLICY = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"
SCRIPT = re.compile(rb"<script\b([^>]*)>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE)
FIRST = b"<script>{" + (ASSETS / "page_head.js").read_bytes() + b"}</script>"
PAGE_BYTES = 16 << 20  # viser's client has 4; what is larger is no page of ours


class Dressed:
    """`send` of an answer, with the headers added; a page is held back until it is whole, for its nonce.

    Args:
        send: ASGI's.
        ancestors: origins that may frame the app, beside its own.
        kind: of the request; None: it is refused.
    """

    def __init__(self, send: Any, ancestors: Sequence[str], kind: Kind | None) -> None:
        self._send, self._kind = send, kind
        self._ancestors = " ".join(["'self'", *ancestors])
        self._start: dict[str, Any] | None = None  # of a page, held back
        self._body = b""
        self.started = False

    async def __call__(self, message: dict[str, Any]) -> None:
        """One ASGI message."""
        if message["type"] == "http.response.start":
            self.started = True
            message = {**message, "headers": self._with_headers(message.get("headers", ()))}
            if _header(message, b"content-type").startswith(b"text/html") and self._kind in ("page", "viewport"):
                self._start = message
                return
        elif message["type"] == "http.response.body" and self._start is not None:
            await self._hold(message)
            return
        await self._send(message)

    def _with_headers(self, headers: Any) -> list[tuple[bytes, bytes]]:
        kept = [(name.lower(), value) for name, value in headers]
        there = {name for name, _ in kept}
        added = [*FIXED.items()] if REFERRER[0].encode() in there else [*FIXED.items(), REFERRER]
        if self._kind == "file":
            added.append(("content-security-policy", FILE_POLICY))
        return kept + [(name.encode(), value.encode()) for name, value in added if name.encode() not in there]

    async def _hold(self, message: dict[str, Any]) -> None:
        assert self._start is not None
        self._body += message.get("body", b"")
        if message.get("more_body", False) and len(self._body) < PAGE_BYTES:
            return
        start, self._start = self._start, None
        nonce, body = secrets.token_urlsafe(16), self._body
        if self._kind == "page":
            body = body.replace(b"<head>", b"<head>" + FIRST, 1)
            body = SCRIPT.sub(rb'<script nonce="' + nonce.encode() + rb'"\1>\2</script>', body)
        inline = f"'nonce-{nonce}'" if self._kind == "page" else "'unsafe-inline'"
        policy = PAGE_POLICY.format(inline=inline, ancestors=self._ancestors)
        is_head = not self._body  # of HEAD: the length stays that of the page
        headers = [
            (name, value) for name, value in start["headers"] if is_head or name not in (b"content-length", b"etag")
        ]
        headers.append((b"content-security-policy", policy.encode()))
        if not is_head and not message.get("more_body", False):
            headers.append((b"content-length", str(len(body)).encode()))
        await self._send({**start, "headers": headers})
        await self._send({**message, "body": body})


def _header(message: dict[str, Any], name: bytes) -> bytes:
    return next((value for key, value in message["headers"] if key == name), b"")
