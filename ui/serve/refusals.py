"""What the server says when it does not do what it is asked, and how that reaches a browser or a program."""

from __future__ import annotations

import json
from typing import Any

REFUSAL_HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class Refused(Exception):
    """A request that is not answered.

    Args:
        status: of HTTP.
        sentence: what is wrong and what to do; never what the visitor has sent, nor what lies on this machine.
        retry_s: seconds after which it may be answered.
    """

    def __init__(self, status: int, sentence: str, retry_s: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.retry_s = status, sentence, retry_s


async def send_refusal(scope: Any, send: Any, refused: Refused) -> None:
    """Answer with the sentence: of a WebSocket before it is accepted, so that its handshake ends with 403."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": refused.sentence[:100]})
        return
    # Gradio's page reads `detail` of a refused event, and shows all of a refused upload
    as_text = scope["path"].endswith("/upload")
    body = refused.sentence if as_text else json.dumps({"detail": refused.sentence})
    headers = [*REFUSAL_HEADERS, (b"content-type", b"text/plain; charset=utf-8" if as_text else b"application/json")]
    headers.append((b"content-length", str(len(body.encode())).encode()))
    if refused.retry_s is not None:
        headers.append((b"retry-after", str(refused.retry_s).encode()))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})
