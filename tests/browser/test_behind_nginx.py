"""The editor as deploy/ serves it, in a real browser: TLS, nginx, the sub-path, and the whole way through it."""

from __future__ import annotations

import gc
import socket
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from browser_harness import WAIT_MS
from editor_harness import Editor
from fakes import FakePipeline, moving_frames

from rap.data import write_video
from ui import app

sys.path.insert(0, str(Path(__file__).parents[1]))
from nginx_process import free_port, in_front

ODD = "Kino #1 100% süß.mp4"  # what has to be quoted in an address


@dataclass(frozen=True)
class Public:
    """The running app under the address that its visitors know."""

    url: str
    running: Any

    @property
    def sessions(self) -> Any:
        return self.running.sessions


@pytest.fixture
def public(tmp_path, monkeypatch):
    tls_port = free_port()
    options = ["--root-path", "/rays", "--allowed-host", "localhost", "--trusted-proxy", "127.0.0.1"]
    running = app.start(app.parse(options), lambda: FakePipeline())
    running.sessions.result(timeout=60)
    with in_front(tmp_path / "nginx", urlsplit(running.demo.local_url).port, tls_port) as url:
        yield Public(url, running)
    running.close()
    gc.collect()


def counts(message) -> bool:
    """The icon is looked for beside the sub-path, where this proxy has nothing."""
    return message.type == "error" and "favicon" not in str(message.location)


@pytest.fixture
def page(browser, console_errors):
    """As the other tests' page, and it takes the certificate that nobody has signed."""
    context = browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.on("response", lambda answer: console_errors.append(answer.url) if answer.status >= 400 else None)
    page.on("console", lambda message: console_errors.append(message.text) if counts(message) else None)
    page.on("pageerror", lambda error: console_errors.append(str(error)))
    page.set_default_timeout(WAIT_MS)
    yield page
    context.close()


@pytest.mark.slow  # a page of the app through nginx, from the upload to the saved session
def test_the_whole_way_under_a_sub_path_behind_tls(public, page, tmp_path):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    editor = Editor(page, public)
    video = tmp_path / ODD
    write_video(video, moving_frames(17), 8.0)
    editor.give(video)
    page.uncheck("#rap-auto-refine input")
    editor.press("rap-predict")
    page.wait_for_selector("#rap-path-line:has-text('17 cameras')")  # told by the event stream
    editor.client()  # the viewport's WebSocket has come through, and draws
    editor.press("rap-regenerate")
    page.wait_for_selector("#rap-caption:has-text('made along this path')")
    page.wait_for_function("document.querySelector('#rap-video video')?.readyState >= 2")
    page.click("button[role=tab]:has-text('Keep')")
    with page.expect_download() as download:
        editor.press("rap-save")
    download.value.save_as(tmp_path / "saved.rap.zip")
    assert (tmp_path / "saved.rap.zip").stat().st_size > 10_000

    place = urlsplit(public.url)
    elsewhere = [
        url
        for url in asked
        if not url.startswith(("data:", "blob:"))
        and (urlsplit(url).netloc != place.netloc or not urlsplit(url).path.startswith("/rays/"))
    ]
    assert elsewhere == [], "all that the page asks for lies under the public address"
    assert any(url.startswith("wss://") and "/rays/viewport/" in url for url in asked)
    assert any("/rays/events/" in url for url in asked) and any("/rays/gradio_api/upload" in url for url in asked)


def test_what_comes_by_another_way_is_refused(public):
    """The proxy's limits, names and redirects, without a browser."""
    with httpx.Client(verify=False, timeout=30) as client:
        assert client.get(public.url).status_code == 200
        assert client.get(public.url.removesuffix("/")).headers["location"].endswith("/rays/")
        assert client.get(public.url.replace("/rays/", "/")).status_code == 404
        assert client.get(public.url, headers={"Host": "evil.example"}).status_code == 403
        event = f"{public.url}gradio_api/queue/join"
        assert client.post(event, content=bytes(8 << 20 | 1)).status_code == 413
        assert "413 Request Entity Too Large" in announced(public.url, (2 << 30) + 1)
        answer = client.post(event, json={}, headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403
        assert client.get(public.url).headers["strict-transport-security"]


def announced(url: str, size: int) -> str:
    """The first line of the answer to an upload of which nothing has come but its size."""
    place = urlsplit(url)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection((place.hostname, place.port), timeout=30)
    with context.wrap_socket(plain, server_hostname=place.hostname) as connection:
        head = f"POST /rays/gradio_api/upload HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode())
        return connection.recv(1000).decode("latin-1").splitlines()[0]


def test_who_the_visitor_is_cannot_be_made_up(public):
    """X-Forwarded-For is replaced: thousands of invented visitors are one."""
    from ui.serve import visitors

    seen = []
    original = visitors.visitor
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ui.serve.gate.visitor", lambda scope: seen.append(original(scope)) or original(scope))
        with httpx.Client(verify=False, timeout=30) as client:
            for i in range(3):
                client.get(f"{public.url}robots.txt", headers={"X-Forwarded-For": f"203.0.113.{i}"})
    assert set(seen) == {"127.0.0.1"} and len(seen) == 3
