"""Attacks on the viewports: what listens, who gets in, what may be said there."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import httpx
import pytest
import viser
from fakes import FakePipeline, wait_until
from strangers import Stranger, listening_sockets, running_app
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from ui.serve import descriptors
from ui.serve.hub import PROBE

PROTOCOL = f"viser-v{viser.__version__}"
linux = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="asks Linux what listens")


@pytest.fixture(scope="module")
def running():
    with running_app(pipeline=FakePipeline(steps=1)) as running:
        yield running


@pytest.fixture
def sid(running):
    """A session whose page has been opened, by its address."""
    with Stranger(running) as owner:
        before = set(running.front.hub.sessions())
        owner.open_page()
        (sid,) = set(running.front.hub.sessions()) - before
        yield sid
    running.sessions.result().free(sid)


def dial(running, sid, origin="own", protocol=PROTOCOL, address=None, **options):
    url = httpx.URL(running.url)
    origin = f"http://{url.host}:{url.port}" if origin == "own" else origin
    source = None if address is None else (f"127.0.0.{address}", 0)
    return connect(f"ws://{url.host}:{url.port}/viewport/{sid}", origin=origin, subprotocols=[protocol], proxy=None,
                   source_address=source, **options)  # fmt: skip


@linux
def test_the_process_listens_on_the_apps_port_alone(running, sid):
    with dial(running, sid) as page:
        assert page.recv(timeout=10)
        ports, paths = listening_sockets()
    assert ports == {httpx.URL(running.url).port} and not paths


@pytest.mark.parametrize("origin", ["http://evil.example", "null", None, "http://127.0.0.1:1", "https://localhost"])
def test_pages_of_others_are_refused(running, sid, origin):
    with pytest.raises(InvalidStatus) as refused:
        dial(running, sid, origin)
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("name", ["", "x", "A" * 43, "../viewport/x", "%2e%2e", "x" * 5000, "\u00e4"])
def test_names_that_are_no_session(running, sid, name):
    for wrong in (name, sid[:-1], sid[:-1] + ("A" if sid[-1] != "A" else "B"), sid.swapcase()):
        with pytest.raises((InvalidStatus, ConnectionClosed)) as refused:
            dial(running, wrong)
        assert refused.value.response.status_code in (400, 403, 404)


def test_a_probe_gets_nothing_of_the_scene(running, sid):
    with dial(running, sid, protocol=PROBE) as probe, pytest.raises(ConnectionClosed):
        probe.recv(timeout=10)


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\xc1", b"\x00" * 100_000, random.Random(0).randbytes(1000), "text", b"\x81" * 5000],
    ids=["nothing", "no type", "zeros", "noise", "text", "maps in maps"],
)
def test_garbage_harms_nobody_else(running, sid, garbage, capfd, caplog):
    with dial(running, sid) as other:
        other.recv(timeout=10)
        with dial(running, sid) as attacker:
            attacker.recv(timeout=10)
            attacker.send(garbage)
        running.sessions.result().get(sid).viewport.started().server.scene.add_frame("/alive")
        assert other.recv(timeout=10)
    with dial(running, sid) as later:
        assert later.recv(timeout=10)
    assert "Traceback" not in "".join(capfd.readouterr())
    assert not [record for record in caplog.records if record.exc_info], "a log that is not caught would have it"


def test_a_visitor_who_opens_many_is_stopped(running, sid, monkeypatch):
    most = descriptors.Room.of(descriptors.descriptors()).open_per_visitor // descriptors.PER_WEBSOCKET
    opened = []
    try:
        with pytest.raises(InvalidStatus) as refused:
            for _ in range(most + 1):
                opened.append(dial(running, sid, address=30, open_timeout=60))
        assert refused.value.response.status_code == 403 and len(opened) == most
        with dial(running, sid, address=31) as honest:
            assert honest.recv(timeout=10)
    finally:
        for connection in opened:
            connection.close()
    wait_until(lambda: running.front.hub.connections(sid) == 0)


def test_a_page_that_reads_nothing_is_let_go(running, sid):
    """Its socket is full; the session ends all the same."""
    url = httpx.URL(running.url)
    with socket.create_connection((url.host, url.port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = (
            f"GET /viewport/{sid} HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nOrigin: http://{url.host}:{url.port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: {PROTOCOL}\r\n\r\n"
        )
        connection.sendall(request.encode())
        wait_until(lambda: running.front.hub.connections(sid) == 1)
        running.sessions.result().free(sid)
        assert sid not in running.front.hub.sessions()


@linux
def test_without_the_secret_way_in_a_viser_server_would_be_refused(monkeypatch):
    """Another release of viser may bind in another way: then it is not served at all."""
    from ui.viewport import inner_server

    async def binds(self, *_, **__):
        self._protocol = None
        return inner_server._NotListening(self._loop)

    monkeypatch.setattr(inner_server.InnerServer, "_take_protocol", binds)
    with pytest.raises(RuntimeError, match="would open a port of its own; install the tested release"):
        inner_server.inner_server()
