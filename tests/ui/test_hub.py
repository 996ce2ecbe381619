"""The hub on a real Gradio server: who gets in, what is forwarded, what ends."""

from __future__ import annotations

import gc
import json
import threading
import time

import gradio as gr
import httpx
import pytest
import viser
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from ui.serve.hub import PROBE, Hub, same_origin, viewport_page
from ui.viewport.viewport import Viewport

# Gradio leaves event loops unclosed; pytest finds them whenever the garbage collector does.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PROTOCOL = f"viser-v{viser.__version__}"


def wait_until(condition, timeout_s=5.0):
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.01)


class App:
    """A Gradio page with a hub on its port, and viewports as they are asked for."""

    def __init__(self, hub: Hub, **launch):
        self.hub = hub
        with gr.Blocks() as self.demo:
            gr.Markdown("page")
        _, url, _ = self.demo.launch(
            app_kwargs={"routes": hub.routes()}, ssr_mode=False, prevent_thread_lock=True, quiet=True, **launch
        )
        self.url = url.rstrip("/")
        self.host = self.url.removeprefix("http://")

    def open(self, owner=None) -> tuple[str, Viewport]:
        viewport = Viewport(lambda message: None)
        return self.hub.open(viewport, owner), viewport

    def socket(self, sid, *, origin="same", path="viewport/{}", protocol=PROTOCOL, prefix=""):
        return connect(
            f"ws://{self.host}{prefix}/{path.format(sid)}",
            origin=self.url if origin == "same" else origin,
            subprotocols=[protocol],
            proxy=None,
        )

    def close(self):
        self.hub.close_all()
        self.demo.close()


@pytest.fixture(scope="module")
def app():
    app = App(Hub(grace_s=60.0))
    yield app
    app.close()
    gc.collect()  # while the filters above are in force


@pytest.fixture
def client():
    with httpx.Client(trust_env=False, verify=False, timeout=10.0) as client:
        yield client


def test_gradio_still_answers(app, client):
    assert client.get(app.url + "/").status_code == 200
    assert client.get(app.url + "/config").status_code == 200


def test_page_is_visers_with_our_changes(app, client):
    sid, _ = app.open()
    page = client.get(f"{app.url}/viewport/{sid}/")
    assert page.status_code == 200
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "document.hasFocus" in page.text.split("</head>")[0]
    assert "data-floating-window" in page.text.split("</head>")[0]
    assert page.text == viewport_page()
    app.hub.close(sid)


@pytest.mark.parametrize("path", ["viewport/{}", "viewport/{}/"])
def test_socket_speaks_viser(app, path):
    sid, viewport = app.open()
    with app.socket(sid, path=path) as connection:
        assert connection.subprotocol == PROTOCOL
        assert isinstance(connection.recv(timeout=5), bytes)
        assert app.hub.connections(sid) == 1
    wait_until(lambda: app.hub.connections(sid) == 0)
    app.hub.close(sid)


def test_close_code_and_reason_come_through(app):
    sid, _ = app.open()
    with app.socket(sid, protocol="viser-v0.0.1") as connection:
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(timeout=5)
        assert closed.value.rcvd.code == 1002
        assert "0.0.1" in closed.value.rcvd.reason
    app.hub.close(sid)


def test_probe_answers_without_touching_viser(app):
    sid, viewport = app.open()
    with app.socket(sid, protocol=PROBE) as connection:
        assert connection.subprotocol == PROBE
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=5)
    assert not viewport.server.get_clients()
    app.hub.close(sid)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", None])
def test_other_origins_are_refused(app, origin):
    sid, _ = app.open()
    with pytest.raises(InvalidStatus) as refused:
        app.socket(sid, origin=origin)
    assert refused.value.response.status_code == 403
    app.hub.close(sid)


def test_page_and_events_refuse_other_origins_and_unknown_sessions(app, client):
    sid, _ = app.open()
    for path in ("viewport/{}/", "events/{}"):
        assert client.get(f"{app.url}/{path.format('unknown')}").status_code == 403
        evil = client.get(f"{app.url}/{path.format(sid)}", headers={"Origin": "http://evil.example"})
        assert evil.status_code == 403
    with pytest.raises(InvalidStatus) as refused:
        app.socket("unknown")
    assert refused.value.response.status_code == 403
    app.hub.close(sid)


@pytest.mark.parametrize(
    ("origin", "headers", "same"),
    [
        ("https://a.example", {"host": "a.example"}, True),
        ("https://a.example", {"host": "a.example:443"}, True),
        ("http://a.example", {"host": "a.example:443"}, False),
        ("http://a.example:7860", {"host": "a.example:7861"}, False),
        ("https://a.example", {"host": "10.0.0.3:7860", "x-forwarded-host": "a.example"}, True),
        ("https://a.example", {"host": "10.0.0.3:7860", "x-forwarded-host": "b.example, a.example"}, True),
        ("https://a.example.evil", {"host": "a.example"}, False),
        ("null", {"host": "null"}, False),
        ("http://[::1]:7860", {"host": "[::1]:7860"}, True),
        ("http://a.example:port", {"host": "a.example"}, False),
    ],
)
def test_same_origin(origin, headers, same):
    assert same_origin({"origin": origin, **headers}, needs_origin=True) is same


class Listener:
    """Reads one event stream in a thread, as a page does."""

    def __init__(self, url):
        self.events, self.ended = [], threading.Event()
        self.opened = threading.Event()
        self._stop = False
        threading.Thread(target=self._read, args=(url,), daemon=True).start()
        assert self.opened.wait(5)

    def _read(self, url):
        with httpx.Client(trust_env=False, verify=False, timeout=10.0) as client, client.stream("GET", url) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            for line in response.iter_lines():
                self.opened.set()
                if line.startswith("data: "):
                    self.events.append(json.loads(line.removeprefix("data: ")))
                    if self.events[-1].get("type") == "leave":
                        return
        self.ended.set()


def test_events_reach_only_their_session(app):
    first, _ = app.open()
    second, _ = app.open()
    hears_first, hears_second = (Listener(f"{app.url}/events/{sid}") for sid in (first, second))
    app.hub.publish(first, {"type": "progress", "step": 3})
    app.hub.publish(second, {"type": "select", "index": 1})
    wait_until(lambda: hears_first.events and hears_second.events)
    assert hears_first.events == [{"type": "progress", "step": 3}]
    assert hears_second.events == [{"type": "select", "index": 1}]
    app.hub.close(first)
    app.hub.close(second)
    assert hears_first.ended.wait(5) and hears_second.ended.wait(5)


def test_the_last_glimpse_is_had_by_who_knows_the_session(app, client):
    sid, _ = app.open()
    listener = Listener(f"{app.url}/events/{sid}")
    assert client.get(f"{app.url}/glimpses/{sid}").status_code == 403, "there is none yet"
    for jpeg in (b"first", b"second"):
        app.hub.show(sid, {"frame": 3}, jpeg)
    wait_until(lambda: len(listener.events) == 2)
    assert listener.events == [{"glimpse": 1, "frame": 3}, {"glimpse": 2, "frame": 3}]
    answer = client.get(f"{app.url}/glimpses/{sid}?2")
    assert answer.content == b"second" and answer.headers["cache-control"] == "no-store"
    assert client.get(f"{app.url}/glimpses/{sid}", headers={"origin": "http://evil.test"}).status_code == 403
    app.hub.close(sid)
    assert client.get(f"{app.url}/glimpses/{sid}").status_code == 403


def test_events_are_prompt(app):
    sid, _ = app.open()
    listener = Listener(f"{app.url}/events/{sid}")
    start = time.monotonic()
    app.hub.publish(sid, {"n": 1})
    wait_until(lambda: listener.events)
    assert time.monotonic() - start < 0.5
    app.hub.close(sid)


def test_a_page_that_leaves_is_not_counted(app):
    sid, _ = app.open()
    Listener(f"{app.url}/events/{sid}")
    assert app.hub.connections(sid) == 1
    app.hub.publish(sid, {"type": "leave"})
    wait_until(lambda: app.hub.connections(sid) == 0)
    app.hub.close(sid)


def test_publish_refuses_what_is_not_json(app):
    with pytest.raises(TypeError):
        app.hub.publish("whoever", {"array": object()})


def test_two_sessions_do_not_see_each_other(app):
    first, first_viewport = app.open("one")
    second, second_viewport = app.open("two")
    assert (app.hub.owner(first), app.hub.owner(second)) == ("one", "two")
    assert first != second and len(first) >= 43
    assert first_viewport.server is not second_viewport.server
    with app.socket(first) as connection:
        connection.recv(timeout=5)
        assert (app.hub.connections(first), app.hub.connections(second)) == (1, 0)
        app.hub.close(second)
        first_viewport.server.scene.add_frame("/still_here")
        assert connection.recv(timeout=5)
    app.hub.close(first)


def test_close_frees_server_thread_and_connections(app):
    threads = threading.active_count()
    sid, viewport = app.open()
    with app.socket(sid) as connection:
        connection.recv(timeout=5)
        app.hub.close(sid)
        with pytest.raises(ConnectionClosed) as closed:
            for _ in range(100):
                connection.recv(timeout=5)
        assert closed.value.rcvd.code == 1001
    with pytest.raises(ConnectionRefusedError):
        viewport.connect()
    assert sid not in app.hub.sessions() and app.hub.owner(sid) is None
    wait_until(lambda: threading.active_count() <= threads + 1)  # the hub's own reaper stays while others are open
    app.hub.close(sid)  # again: harmless


def test_sub_path_with_and_without_a_stripping_proxy(client):
    app = App(Hub(), root_path="/deep/down")
    sid, _ = app.open()
    for prefix in ("", "/deep/down"):
        assert client.get(f"{app.url}{prefix}/viewport/{sid}/").status_code == 200
        with app.socket(sid, prefix=prefix) as connection:
            connection.recv(timeout=5)
    app.close()


class FakeViewport:
    def __init__(self):
        self.closed = 0

    def close(self):
        self.closed += 1


def test_expired_sessions_are_reported_until_they_are_closed():
    expired = []
    hub = Hub(grace_s=0.1, on_expired=expired.append)
    viewport = FakeViewport()
    sid = hub.open(viewport, None)
    assert hub.idle_sessions(0.0) == (sid,)
    assert hub.idle_sessions(60.0) == ()
    wait_until(lambda: len(expired) >= 2)
    assert set(expired) == {sid} and viewport.closed == 0
    hub.close(sid)
    assert viewport.closed == 1
    wait_until(lambda: hub._reaper is None)


def test_without_a_callback_the_hub_closes_and_a_connection_keeps_alive(app):
    hub = Hub(grace_s=0.2)
    kept, dropped = FakeViewport(), FakeViewport()
    sid = hub.open(kept, None)
    hub.open(dropped, None)
    with hub._connection(hub._entries[sid]):
        wait_until(lambda: dropped.closed == 1)
        assert hub.sessions() == (sid,)
    wait_until(lambda: kept.closed == 1)


def test_touch_keeps_alive_and_failing_callbacks_do_not_stop_the_reaper(caplog):
    calls = []

    def fail_once(sid):
        calls.append(sid)
        if len(calls) == 1:
            raise RuntimeError("no")
        hub.close(sid)

    hub = Hub(grace_s=0.2, on_expired=fail_once)
    sid = hub.open(FakeViewport(), None)
    for _ in range(5):
        time.sleep(0.05)
        hub.touch(sid)
    assert not calls
    wait_until(lambda: not hub.sessions())
    assert calls == [sid, sid]
    assert "tried again" in caplog.text


def test_grace_must_be_positive():
    with pytest.raises(ValueError, match="grace_s must be positive seconds, got 0"):
        Hub(grace_s=0)
