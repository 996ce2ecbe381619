"""SIGTERM ends the app within ten seconds whatever runs, the second signal at once: real processes, real signals."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import socket
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from app_process import App, running

from rap.config import ASSETS

pytestmark = pytest.mark.timeout(400)
FAKE = "tests/attacks/fake_model.py"
CLIP = ASSETS / "examples" / "arc_around_a_table.mp4"


def started(folder: Path, seconds: str, *arguments: str):
    """The app with a model whose steps take `seconds`."""
    return running(folder, *arguments, program=(FAKE, seconds))


def upload(app: App) -> str:
    """Give a file as the page does: its path at the server."""
    boundary = "----rap"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="clip.mp4"\r\n\r\n'
    body = head.encode() + CLIP.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    request = urllib.request.Request(f"{app.url}/gradio_api/upload", body)
    request.add_header("Content-Type", f"multipart/form-data; boundary={boundary}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)[0]


def estimate(app: App, path: str) -> str:
    """Ask for cameras: the event's id. The job runs behind it."""
    data = {"data": [[{"path": path, "meta": {"_type": "gradio.FileData"}}], False, None, 1, 0]}
    request = urllib.request.Request(f"{app.url}/gradio_api/call/estimate_trajectory", json.dumps(data).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["event_id"]


def read_to_the_end(url: str) -> threading.Thread:
    thread = threading.Thread(target=_read, args=(url,), daemon=True)
    thread.start()
    return thread


def _read(url: str) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException), urllib.request.urlopen(url, timeout=120) as answer:
        answer.read()


def at_work(app: App, jobs: int = 1) -> list[threading.Thread]:
    """A job that runs, `jobs - 1` that wait for it, and a client that listens to each."""
    path = upload(app)
    clients = [
        read_to_the_end(f"{app.url}/gradio_api/call/estimate_trajectory/{estimate(app, path)}") for _ in range(jobs)
    ]
    end = time.monotonic() + 120
    while "job begun" not in app.words():
        assert time.monotonic() < end and app.process.poll() is None, app.words()
        time.sleep(0.1)
    return clients


def half_an_upload(app: App) -> socket.socket:
    """A connection on which a megabyte of a hundred has come, and no more comes."""
    host, port = app.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    head = '--x\r\nContent-Disposition: form-data; name="files"; filename="film.mp4"\r\n\r\n'
    connection.sendall(
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 100000000\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\n\r\n{head}".encode()
        + bytes(1 << 20)
    )
    return connection


def left(folder: Path) -> list[str]:
    """Sessions' folders that were not taken along."""
    return [entry.name for entry in folder.rglob("rap-session-*")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])  # SIGTERM: in the last test
def test_an_idle_app_ends_soon(tmp_path, number):
    with started(tmp_path, "0.1") as app:
        status, seconds = app.ended(number)
        assert status == 128 + number and seconds < 10
        assert "Traceback" not in app.words() and left(tmp_path) == []


@pytest.mark.slow  # a job and clients of every kind are at work in an app of its own
def test_it_ends_in_time_while_jobs_run_and_clients_listen_and_wait_and_upload(tmp_path):
    with started(tmp_path, "600") as app:
        clients = at_work(app, jobs=20)
        uploads = [half_an_upload(app) for _ in range(5)]
        assert left(tmp_path), "the sessions that work have folders"
        status, seconds = app.ended()
        assert (status, left(tmp_path)) == (128 + signal.SIGTERM, [])
        assert seconds < 10
        for upload_ in uploads:
            upload_.close()
        for client in clients:
            client.join(10)
            assert not client.is_alive(), "its connection was closed"


@pytest.mark.slow  # an app of its own that is at work
def test_the_second_signal_ends_it_at_once(tmp_path):
    with started(tmp_path, "600") as app:
        at_work(app, jobs=5)
        app.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        status, seconds = app.ended()
        assert status in (-signal.SIGTERM, 128 + signal.SIGTERM) and seconds < 1.5


@pytest.mark.slow  # waits until the app ends itself
def test_a_job_that_holds_the_interpreter_does_not_hold_the_process(tmp_path):
    """Most of the time no thread of ours runs; the system's alarm ends what closing does not get done."""
    with started(tmp_path, "hold") as app:
        at_work(app)
        status, seconds = app.ended()
        assert status in (128 + signal.SIGTERM, -signal.SIGALRM) and seconds < 10


@pytest.mark.slow  # loads and runs the embedded model in an app of its own
def test_the_real_model_at_work_is_left_in_time(tmp_path):
    """As many steps as are allowed, at a clip that the embedded model takes minutes for."""
    with running(tmp_path) as app:
        path = upload(app)
        asked = {"path": path, "meta": {"_type": "gradio.FileData"}}
        request = urllib.request.Request(
            f"{app.url}/gradio_api/call/generate_joint", json.dumps({"data": [[asked], 200, 0]}).encode()
        )
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            client = read_to_the_end(f"{app.url}/gradio_api/call/generate_joint/{json.load(answer)['event_id']}")
        time.sleep(20)
        status, seconds = app.ended()
        assert status == 128 + signal.SIGTERM and seconds < 10
        client.join(10)


def test_an_idle_app_ends_soon_where_nobody_reads_what_it_says(tmp_path):
    """A full pipe for a log blocks whoever writes into it, and must not block the end."""
    import subprocess
    import sys

    from app_process import ROOT, answers, environment, free_port

    port = free_port()
    code = "import sys; sys.stderr.write('x' * 60000); sys.argv = ['app', *sys.argv[1:]]; import app; app.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "--port", str(port)],
        cwd=ROOT, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        end = time.monotonic() + 120
        while not answers(f"http://127.0.0.1:{port}"):
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM and left(tmp_path) == []
    finally:
        process.kill()
        process.communicate()
