"""A running app, and people at its door: HTTP and WebSockets from addresses of their own (127.0.0.0/8 is all loopback).

The app is the one `python app.py` starts, in the test's own process, with a pipeline that answers without a model.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import httpx
from PIL import Image

from rap import limits
from ui import app

sys.path.insert(0, str(Path(__file__).parents[1] / "ui"))
from fakes import FakePipeline, made_up_geometry, moving_frames

_buffer = BytesIO()
Image.fromarray(moving_frames(1)[0]).save(_buffer, "PNG")
PICTURE = _buffer.getvalue()  # that the app can read
CONFIGS: dict[httpx.URL, dict] = {}  # what the page does at which event is the same in every app
FILE = {"_type": "gradio.FileData"}


@contextmanager
def running_app(*arguments, pipeline=None):
    """The app, once its sessions can be opened; what model and geometry find is made up."""
    running = app.start(app.parse(list(arguments)), lambda: pipeline or FakePipeline())
    made_up_geometry(running)
    try:
        yield running
    finally:
        running.close()
        gc.collect()


def lowered(monkeypatch, name, value):
    """One entry of the table of limits has another value."""
    monkeypatch.setattr(limits, name, replace(getattr(limits, name), value=value))


class Stranger(httpx.Client):
    """Somebody with an address of their own.

    Args:
        running: the app, or its address.
        number: last part of the address.
        headers: of every request.
    """

    def __init__(self, running, number=2, **headers):
        url = running if isinstance(running, str) else running.url
        # No app here speaks TLS, and to load the certificates of the world takes longer than to connect.
        transport = httpx.HTTPTransport(verify=False, local_address=f"127.0.0.{number}")
        super().__init__(base_url=url, transport=transport, timeout=60.0, trust_env=False, headers=headers)
        self.session_hash = f"stranger{number}x{os.urandom(3).hex()}"

    def upload(self, name="picture.png", content=b"content", **options):
        return self.post("gradio_api/upload", files={"files": (name, content)}, **options)

    def stored(self, name="picture.png", content=b"content"):
        """An upload as an event names it."""
        (path,) = self.upload(name, content).raise_for_status().json()
        return {"path": path, "orig_name": name, "meta": FILE}

    def call(self, name, *data):
        return self.post(f"gradio_api/call/{name}", json={"data": data})

    def estimate(self, *files):
        """Ask the public endpoint for the path of these files."""
        return self.call("estimate_trajectory", list(files), False, None, 2, 0)

    def answer(self, name, response):
        """(event, data) that a call ends with."""
        event = None
        with self.stream("GET", f"gradio_api/call/{name}/{response.json()['event_id']}") as stream:
            for line in stream.iter_lines():
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: ") and event in ("complete", "error"):
                    return event, json.loads(line.removeprefix("data: "))
        raise AssertionError("the call was not answered")

    def listener(self, element, event):
        """fn_index of what the page does at an event of an element, or at its own (element None)."""
        config = CONFIGS.get(self.base_url) or CONFIGS.setdefault(self.base_url, self.get("config").json())
        ids = [c["id"] for c in config["components"] if c["props"].get("elem_id") == element] if element else None
        for dependency in config["dependencies"]:
            for target, name in dependency["targets"]:
                if name == event and (ids is None or target in ids):
                    return dependency["id"]
        raise AssertionError(f"nothing listens to {event} of {element}")

    def join(self, fn_index, data, **more):
        """Send an event as the page does."""
        return self.post(
            "gradio_api/queue/join",
            json={"data": data, "fn_index": fn_index, "session_hash": self.session_hash, **more},
        )

    def heard(self, event_id):
        """The last message of an event that was sent as the page does."""
        with self.stream("GET", "gradio_api/queue/data", params={"session_hash": self.session_hash}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if message.get("msg") == "process_completed" and message["event_id"] == event_id:
                    return message
        raise AssertionError("the event was not answered")

    def open_page(self, remembered=""):
        """Load the page, as far as a session goes: what the page is told, and the session's id where there is one.

        Args:
            remembered: the id that the browser's tab has kept.
        """
        response = self.join(self.listener(None, "load"), [remembered, False, ""]).raise_for_status()
        return self.heard(response.json()["event_id"])


def raw(running, request, then=lambda connection: None):
    """Send bytes as they are; the first bytes of the answer."""
    url = httpx.URL(running.url)
    with socket.create_connection((url.host, url.port), timeout=20) as connection:
        connection.sendall(request)
        then(connection)
        return connection.recv(4096)


def listening_sockets():
    """What this process listens on: TCP ports and Unix paths, from Linux's own tables."""
    own = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if target.startswith("socket:["):
            own.add(target[8:-1])
    ports = set()
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            columns = row.split()
            if columns[3] == "0A" and columns[9] in own:
                ports.add(int(columns[1].rpartition(":")[2], 16))
    paths = set()
    for row in Path("/proc/net/unix").read_text().splitlines()[1:]:
        columns = row.split()
        if int(columns[3], 16) & 0x10000 and columns[6] in own:  # SO_ACCEPTCON
            paths.add(columns[7] if len(columns) > 7 else "")
    return ports, paths


def all_at_once(count, work):
    """Run `work(i)` in as many threads, and give what they return."""
    results = [None] * count

    def one(index):
        results[index] = work(index)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    return results
