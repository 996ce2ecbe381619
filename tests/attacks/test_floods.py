"""Floods and half requests: quotas, bodies without end, calls that wait, streams that stay, what is left over."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest
from fakes import FakePipeline, moving_frames, wait_until
from strangers import PICTURE, Stranger, all_at_once, lowered, raw, running_app

from rap.data import write_video
from ui.serve import descriptors, leftovers
from ui.serve.storage import PREFIX, Storage


@pytest.fixture(scope="module")
def running():
    with running_app(pipeline=FakePipeline(steps=1)) as running:
        yield running


@pytest.fixture(scope="module")
def root(running):
    return running.front.storage.root


@pytest.fixture
def stranger(running):
    with Stranger(running, 2) as stranger:
        yield stranger


@pytest.fixture
def victim(running):
    with Stranger(running, 3) as victim:
        yield victim


# --- floods and half requests -----------------------------------------------------------------------------------------


def test_one_visitor_fills_their_own_quota_alone(running, stranger, victim, root, monkeypatch):
    held = running.front.storage.held("127.0.0.7")
    lowered(monkeypatch, "UPLOADED_BYTES", held + 100_000)
    with Stranger(running, 7) as glutton:
        glutton.upload("a.bin", os.urandom(60_000)).raise_for_status()
        refused = glutton.upload("b.bin", os.urandom(60_000))
        assert refused.status_code == 413 and "upload less, or later" in refused.text
        assert running.front.storage.held("127.0.0.7") < 100_000
        victim.upload("c.bin", os.urandom(60_000)).raise_for_status()

        def drip():  # no length is announced
            for _ in range(40):
                yield multipart("drip.bin", b"")[0] if not _ else os.urandom(10_000)

        refused = glutton.post("gradio_api/upload", content=drip(), headers={"Content-Type": MULTIPART})
        assert refused.status_code == 413
    wait_until(lambda: no_pieces(root))


def test_all_together_fill_the_total_quota_and_no_more(running, monkeypatch):
    lowered(monkeypatch, "UPLOADED_BYTES_IN_ALL", sum(running.front.storage._bytes.values()) + 100_000)
    with Stranger(running, 8) as first, Stranger(running, 9) as second:
        first.upload("a.bin", os.urandom(80_000)).raise_for_status()
        refused = second.upload("b.bin", os.urandom(80_000))
    assert refused.status_code == 507 and "no room" in refused.text and refused.headers["retry-after"] == "600"


def test_a_thousand_little_files_are_counted(running, monkeypatch):
    lowered(monkeypatch, "UPLOADED_FILES", 20)
    with Stranger(running, 10) as stranger:
        many = [("files", (f"{i}.png", str(i).encode())) for i in range(30)]
        stranger.post("gradio_api/upload", files=many).raise_for_status()
        refused = stranger.upload("one-more.png", b"more")
    assert refused.status_code == 413 and "files" in refused.text


MULTIPART = "multipart/form-data; boundary=cut"


def multipart(name, content):
    head = f'--cut\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'.encode()
    return head + content, b"\r\n--cut--\r\n"


def no_pieces(root):
    return not [entry for entry in root.iterdir() if entry.is_file() and entry.name != ".in-use"]


def posted(running, headers, body=b""):
    url = httpx.URL(running.url)
    lines = [
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: {url.host}:{url.port}\r\n",
        *(f"{h}\r\n" for h in headers),
        "\r\n",
    ]
    return "".join(lines).encode() + body


def test_a_cut_upload_leaves_nothing(running, root):
    body = multipart("cut.bin", os.urandom(200_000))[0]
    request = posted(running, [f"Content-Type: {MULTIPART}", "Content-Length: 1000000"], body)
    seen = []

    def cut(connection):
        wait_until(lambda: not no_pieces(root), timeout_s=10)
        seen.append(True)
        connection.shutdown(socket.SHUT_RDWR)

    assert not raw(running, request, cut) and seen
    wait_until(lambda: no_pieces(root), timeout_s=10)


def test_an_event_leaves_no_file_beside_the_uploads_that_it_names(running, stranger, root):
    stored = stranger.stored("p.png", PICTURE)
    wait_until(lambda: no_pieces(root), timeout_s=10)
    stranger.answer("estimate_trajectory", stranger.estimate(stored))
    stranger.open_page()
    for element, given in (("rap-files", [stored]), ("rap-import", stored), ("rap-open", stored)):
        response = stranger.join(stranger.listener(element, "upload"), [None, given]).raise_for_status()
        assert stranger.heard(response.json()["event_id"])["success"]
        if element != "rap-files":  # the session has read it, and says in the panel what is wrong
            told = [session.state.notice for session in running.sessions.result()._sessions.values()]
            assert any(notice and notice.is_error and "p.png" in notice.text for notice in told)
    assert no_pieces(root)


def test_an_upload_that_stops_half_way_is_ended(running, root, monkeypatch):
    lowered(monkeypatch, "SILENCE_SECONDS", 0.3)
    body = multipart("slow.bin", os.urandom(1000))[0]
    answer = raw(running, posted(running, [f"Content-Type: {MULTIPART}", "Content-Length: 1000000"], body))
    assert answer.startswith(b"HTTP/1.1 408")
    wait_until(lambda: no_pieces(root), timeout_s=10)


def test_an_upload_by_drops_is_ended(running, monkeypatch):
    lowered(monkeypatch, "SILENCE_SECONDS", 0.5)

    def drip(connection):
        for _ in range(8):
            time.sleep(0.15)
            connection.sendall(b"x")

    body = multipart("drip.bin", b"x")[0]
    answer = raw(running, posted(running, [f"Content-Type: {MULTIPART}", "Content-Length: 1000000"], body), drip)
    assert answer.startswith(b"HTTP/1.1 408")


def test_an_event_that_stops_half_way_is_ended(running, monkeypatch):
    lowered(monkeypatch, "EVENT_SECONDS", 0.3)
    request = posted(running, ["Content-Length: 100"], b'{"data"').replace(b"/upload", b"/queue/join")
    assert raw(running, request).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"1", b'"x"', b"{", b"\xff\xfe", b'{"data": ' + b"[" * 60_000 + b"]" * 60_000 + b"}",
     b'{"data": ' + b"[" * 200 + b"]" * 200 + b"}", b'{"data": [NaN', b'{"a":' * 30_000,
     b'{"session_hash": 3, "data": []}', b'{"session_hash": "' + b"x" * 5000 + b'", "data": []}'],
)  # fmt: skip
def test_bodies_that_are_no_event(stranger, body):
    for route in ("gradio_api/queue/join", "gradio_api/call/estimate_trajectory"):
        answer = stranger.post(route, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400 and "must be" in answer.text


def test_a_body_without_end_is_cut(stranger):
    def endless():
        yield b'{"data": ["'
        for _ in range(40):
            yield b"x" * (1 << 20)

    answer = stranger.post("gradio_api/queue/join", content=endless())
    assert answer.status_code == 413 and "send less" in answer.json()["detail"]
    assert stranger.post("gradio_api/cancel", content=b"x" * 100_000).status_code == 413


@pytest.mark.parametrize(
    "name",
    ["../../../evil.png", "..", ".", "/etc/cron.d/x", "a/b/c.png", "x" * 300 + ".png", "a\\..\\b.png", "con.png",
     "<img src=x onerror=alert(1)>.png", "a\r\nSet-Cookie: x=1.png", ".in-use", "\u202egnp.exe",
     "%2e%2e%2fx.png", "-rf.png"],
)  # fmt: skip
def test_names_that_want_out_of_their_folder(stranger, root, name):
    quoted = name.replace("\r", "%0D").replace("\n", "%0A")
    body = b"".join(multipart(quoted, os.urandom(8)))
    answer = stranger.post("gradio_api/upload", content=body, headers={"Content-Type": MULTIPART})
    assert "set-cookie" not in answer.headers
    for path in answer.json() if answer.status_code == 200 else ():
        assert Path(path).parent.parent == root
    outside = {path for path in Path(root).rglob("*") if not path.resolve().is_relative_to(root)}
    assert not outside and (root / ".in-use").stat().st_size == 0


@pytest.mark.parametrize(
    "headers",
    [[], ["Content-Type: multipart/form-data"], ["Content-Type: multipart/form-data; boundary="],
     [f"Content-Type: multipart/form-data; boundary={'b' * 5000}"], ["Content-Type: text/plain"],
     [f"Content-Type: {MULTIPART}", "Content-Length: 99999999999999999999"],
     [f"Content-Type: {MULTIPART}", "Content-Length: -1"],
     [f"Content-Type: {MULTIPART}", "Content-Length: 5", "Transfer-Encoding: chunked"],
     [f"Content-Type: {MULTIPART}", "Content-Length: 5", "Content-Length: 50"]],
)  # fmt: skip
def test_uploads_that_are_none(running, stranger, headers):
    answer = raw(running, posted(running, [*headers, "Connection: close"]), lambda c: c.shutdown(socket.SHUT_WR))
    assert not answer.startswith(b"HTTP/1.1 200") or answer.endswith(b"\r\n\r\n[]"), "nothing was stored"
    assert stranger.get("theme.css").status_code == 200


# --- the line ---------------------------------------------------------------------------------------------------------


def test_the_page_answers_while_two_hundred_calls_wait(tmp_path):
    write_video(tmp_path / "slide.mp4", moving_frames(5), 8.0)
    pipeline = FakePipeline(steps=1, gate=threading.Semaphore(0))
    with running_app(pipeline=pipeline) as running:
        strangers = [Stranger(running, 20 + i) for i in range(10)]
        film = (tmp_path / "slide.mp4").read_bytes()
        files = [stranger.stored("slide.mp4", film) for stranger in strangers]
        calls = all_at_once(200, lambda i: strangers[i % 10].estimate(files[i % 10]))  # without a video to be written
        assert [call.status_code for call in calls] == [200] * 200
        more = [strangers[0].estimate(files[0]) for _ in range(5)][-1]
        assert more.status_code == 429 and "24 of your calls wait already, 20" in more.text
        seconds = []
        for _ in range(5):
            began = time.monotonic()
            assert strangers[3].get("").status_code == 200
            seconds.append(time.monotonic() - began)
        assert sorted(seconds)[2] < 2.0
        pipeline.gate.release(10_000)
        wait_until(lambda: not running.demo._queue.event_ids_to_events, timeout_s=200)
        assert strangers[0].call("export_cameras", {}, "x").status_code == 200, "who was refused may call again"
        for stranger in strangers:
            stranger.close()


def test_the_line_is_full_for_all(running, monkeypatch):
    lowered(monkeypatch, "CALLS_IN_ALL", 0)
    with Stranger(running, 12) as stranger:
        answer = stranger.call("export_cameras", {}, "x")
    assert answer.status_code == 503 and "0 calls wait before this one" in answer.text
    assert answer.headers["retry-after"] == "60"


def test_event_streams_of_others_are_not_pushed_out(running, monkeypatch):
    """Gradio keeps 2,000 of them, and drops the oldest for a new one."""
    lowered(monkeypatch, "NEW_STREAMS", 10)
    lowered(monkeypatch, "NEW_STREAMS_A_MINUTE", 0)
    with Stranger(running, 13) as flooder, Stranger(running, 14) as honest:
        codes = [flooder.call("export_cameras", {}, "x").status_code for _ in range(30)]
        assert codes == [200] * 10 + [429] * 20
        assert honest.call("export_cameras", {}, "x").status_code == 200


def test_what_the_page_framework_keeps_of_closed_pages_goes(running, monkeypatch):
    """About a megabyte each, for an hour and more, of as many names as anybody makes up."""
    monkeypatch.setattr(leftovers, "SWEEP_S", 0.1)
    lowered(monkeypatch, "ANSWER_SECONDS", 0)
    queue, states = running.demo._queue, running.demo.state_holder
    with Stranger(running, 17) as reader, Stranger(running, 18) as leaver:
        with reader.stream("GET", f"gradio_api/heartbeat/{reader.session_hash}"):
            reader.open_page()
            leaver.open_page()
            leaver.call("export_cameras", {}, "x").raise_for_status()  # nobody fetches what comes of it
            gone = lambda: leaver.session_hash not in {*states.session_data, *queue.pending_messages_per_session}  # noqa: E731
            wait_until(gone, timeout_s=60)
            assert reader.session_hash in states.session_data
            assert reader.session_hash in queue.pending_messages_per_session
        wait_until(lambda: reader.session_hash not in states.session_data, timeout_s=60)
        wait_until(lambda: not queue.pending_messages_per_session and not queue.pending_event_ids_session, timeout_s=60)
    assert not states.time_last_used


def test_open_streams_are_counted(running):
    streams = []
    with Stranger(running, 15) as hog, Stranger(running, 16) as honest:
        hog._transport._pool._max_connections = 1000
        most = descriptors.Room.of(descriptors.descriptors()).open_per_visitor
        try:
            for i in range(most + 5):
                stream = hog.stream("GET", f"gradio_api/heartbeat/hog{i}", timeout=60)
                streams.append((stream, stream.__enter__()))
            codes = [response.status_code for _, response in streams]
            assert codes == [200] * most + [429] * 5
            assert honest.get("theme.css").status_code == 200
        finally:
            for stream, _ in streams:
                stream.__exit__(None, None, None)
        wait_until(lambda: hog.get("theme.css").status_code == 200, timeout_s=30)


# --- what is left over ------------------------------------------------------------------------------------------------


def test_the_folders_of_dead_apps_are_removed_and_those_of_living_ones_kept(tmp_path):
    dead = Storage(tmp_path)
    os.close(dead._lock_file)  # as the system does for a killed process
    dead._lock_file = None
    (dead.root / "piece").write_bytes(b"x")
    (tmp_path / f"{PREFIX}link").symlink_to("/etc")
    (tmp_path / "somebody-else").mkdir()
    alive = Storage(tmp_path)
    assert not dead.root.exists() and alive.root.exists()
    again = Storage(tmp_path)
    assert alive.root.exists() and (tmp_path / "somebody-else").exists() and Path("/etc").exists()
    for one in (dead, alive, again):
        one.close()
    assert not again.root.exists()


def test_pieces_and_empty_folders_go_after_a_while(tmp_path, monkeypatch):
    store = Storage(tmp_path)
    folder, piece = store.root / ("0" * 64), store.root / "tmpx"
    folder.mkdir()
    piece.write_bytes(b"x")
    store.sweep()
    assert folder.exists() and piece.exists()
    lowered(monkeypatch, "UPLOAD_PIECE_SECONDS", -1)
    store.sweep()
    assert not folder.exists() and not piece.exists() and (store.root / ".in-use").exists()
    store.close()


def test_the_folder_of_uploads_goes_with_the_app(root):
    with running_app() as other, Stranger(other, 17) as stranger:
        folder = other.front.storage.root
        assert folder != root
        stranger.stored()
    assert not folder.exists() and root.exists()
