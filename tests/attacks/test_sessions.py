"""Many pages, few descriptors: opening one fails in a sentence, keeps nothing and holds nobody up."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
import viser
from fakes import FakePipeline, wait_until
from strangers import Stranger, running_app
from websockets.sync.client import connect

from ui.serve.descriptors import Room
from ui.session.state_folder import StateFolder

HERE = Path(__file__).parent
FEW = 128  # descriptors
APP = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[1])))
sys.path[:0] = sys.argv[2:]
from ui import app
from fakes import FakePipeline
running = app.start(app.parse([]), FakePipeline)
running.sessions.result(timeout=120)
print(running.url, flush=True)
sys.stdin.read()
running.close()
"""


@pytest.fixture(scope="module")
def small():
    """The app in a process of its own, with few descriptors; address, process and log."""
    folders = [str(HERE.parents[1]), str(HERE.parent / "ui")]
    process = subprocess.Popen(
        [sys.executable, "-c", APP, str(FEW), *folders],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    log: list[str] = []
    threading.Thread(target=lambda: log.extend(process.stderr), daemon=True).start()
    url = process.stdout.readline().strip()
    assert url.startswith("http"), "".join(log)
    yield url, process, log
    process.stdin.close()
    process.wait(timeout=30)
    process.stdout.close()


def descriptors(process):
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def opened(stranger):
    """(whether a session was opened, what the page is told otherwise)."""
    message = stranger.open_page()
    return message["success"], message["output"].get("error") or ""


def sids(message):
    """Every session's address in what a page is told."""
    return {word.split('"')[0] for word in json.dumps(message).split("viewport/")[1:]}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in Linux's /proc")
def test_thirty_pages_on_few_descriptors(small):
    url, process, log = small
    room = Room.of(FEW)
    before = descriptors(process)
    told = []
    for number in range(30):
        with Stranger(url, 40 + number) as stranger:
            began = time.monotonic()
            told.append(opened(stranger))
            assert time.monotonic() - began < 20
    assert [success for success, _ in told] == [True] * room.sessions + [False] * (30 - room.sessions)
    assert all("The app is full" in text and "Try again in a minute" in text for _, text in told[room.sessions :])
    with Stranger(url, 90) as stranger:
        assert stranger.get("").status_code == 200 and stranger.upload().status_code == 200
    wait_until(lambda: descriptors(process) <= before + 4, timeout_s=20)  # idle pages cost none
    assert "Traceback" not in "".join(log)


def test_one_address_does_not_take_all_pages():
    with running_app(pipeline=FakePipeline(steps=1)) as running:
        running.front.hub._max_sessions = 6
        with Stranger(running, 41) as greedy, Stranger(running, 42) as honest:
            told = [opened(greedy) for _ in range(5)]
            assert [success for success, _ in told] == [True] * 3 + [False] * 2
            assert "3 pages are open from your address" in told[-1][1]
            assert opened(honest)[0]
            for sid in running.front.hub.sessions():
                running.sessions.result().free(sid)
            assert opened(greedy)[0]


def test_an_idle_page_has_no_server_until_its_viewport_connects():
    with running_app(pipeline=FakePipeline(steps=1)) as running, Stranger(running, 43) as stranger:
        stranger.open_page()
        (sid,) = running.front.hub.sessions()
        session, threads = running.sessions.result().get(sid), threading.active_count()
        assert not session.viewport.is_started
        url = httpx.URL(running.url)
        with connect(f"ws://{url.host}:{url.port}/viewport/{sid}", origin=f"http://{url.host}:{url.port}",
                     subprotocols=[f"viser-v{viser.__version__}"], proxy=None) as page:  # fmt: skip
            assert page.recv(timeout=20) and session.viewport.is_started
            assert threading.active_count() > threads
        running.sessions.result().free(sid)
        with pytest.raises(ConnectionRefusedError):
            session.viewport.connect()


def test_a_viewport_that_finds_no_descriptors_says_so_and_holds_nothing(monkeypatch):
    import asyncio
    import errno

    from ui.viewport import inner_server

    def none_left():
        raise OSError(errno.EMFILE, "Too many open files")

    server = inner_server.InnerServer("127.0.0.1", 0)
    monkeypatch.setattr(asyncio, "new_event_loop", none_left)
    began = time.monotonic()
    with pytest.raises(OSError, match="Too many open files"):
        server.start()
    assert time.monotonic() - began < 5, "viser's own waits without end"


def test_a_session_without_room_for_its_folder_leaves_nothing(monkeypatch):
    with running_app(pipeline=FakePipeline(steps=1)) as running:

        def full(state, session_id):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(StateFolder, "folder", full)
        with pytest.raises(OSError, match="No space left"):
            running.sessions.result().open()
        assert running.front.hub.sessions() == ()
