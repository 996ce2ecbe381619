"""Clients of a running app for `soak.py`: people at work, and people who mean harm, each from an address of their own.

An honest client does what a page and a program do and says what became of each job. A hostile one goes round through
the attacks that `tests/attacks` makes one by one; there it is tested what they are answered, here it is only counted.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import viser
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "attacks"))

import hostile_files
from strangers import FILE, PICTURE, Stranger

from rap.config import ASSETS
from rap.geometry import preset, resample
from ui.document.path_text import path_text

CLIPS = sorted((ASSETS / "examples").glob("*.mp4"))
PHOTOGRAPH = CLIPS[0].with_suffix(".jpg")
PRESETS = ("arc-left", "dolly-in", "pan-right", "orbit-left")
JOB_S = 600.0  # in which an honest job must have ended, whoever waits beside it on two processors
POLL_S = 0.3
STEPS = 2
PREDICTED = ("Refining", "Refine now", "Refine again")  # what the button says once there is a path
FAILURES = (httpx.HTTPError, OSError, AssertionError, LookupError, ValueError, WebSocketException)
HOSTS = ("evil.example", "localhost.evil.example:80", "127.0.0.1.nip.io")


@dataclass
class Client:
    """Somebody at the door.

    Args:
        url: of the app.
        number: last part of their address.
        rng: what they do differently from the others.
    """

    url: str
    number: int
    rng: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest_s: dict[str, float] = field(default_factory=dict)

    def stranger(self, **headers: str) -> Stranger:
        return Stranger(self.url, self.number, **headers)

    @contextmanager
    def page(self) -> Iterator[tuple[Stranger, str]]:
        """A page that is loaded, listens as a browser does, and is closed at the end; its session's id."""
        with ExitStack() as stack:
            stranger = stack.enter_context(self.stranger())
            message = stranger.open_page()
            assert message["success"], message
            session_id = re.findall(r'"([\w-]{43})"', json.dumps(message))[0]
            for stream in (f"gradio_api/heartbeat/{stranger.session_hash}", f"events/{session_id}"):
                stack.enter_context(stranger.stream("GET", stream)).raise_for_status()
            yield stranger, session_id

    def dial(self, session_id: str, **options: Any) -> Any:
        """The viewport's WebSocket."""
        base = httpx.URL(self.url)
        return connect(
            f"ws://{base.host}:{base.port}/viewport/{session_id}",
            **{"origin": self.url, "subprotocols": [f"viser-v{viser.__version__}"], "proxy": None, **options},
            source_address=(f"127.0.0.{self.number}", 0),
            open_timeout=30,
        )


class Honest(Client):
    """Works at the page and with the API in turns; every job is counted as done or failed."""

    def work(self, until: float) -> None:
        """Rounds until that time; the last one is finished."""
        while time.monotonic() < until:
            self.round()
            time.sleep(self.rng.uniform(0.1, 0.5))

    def round(self) -> None:
        for way in (self.at_the_page, self.at_the_api):
            try:
                way()
            except FAILURES as error:
                self.counts["failed"] += 1
                self.failures.append(f"{way.__name__}: {type(error).__name__}: {str(error)[:300]}")

    @contextmanager
    def job(self, name: str) -> Iterator[None]:
        """Counted when it has ended in time."""
        self.counts["begun"] += 1
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        assert took < JOB_S, f"{name} took {took:.0f} s"
        self.counts[name] += 1
        self.counts["done"] += 1
        self.slowest_s[name] = max(self.slowest_s.get(name, 0.0), round(took, 1))

    def at_the_page(self) -> None:
        with self.page() as (stranger, session_id):
            with self.job("view"), self.dial(session_id) as viewport:
                assert viewport.recv(timeout=60)
            clip = self.rng.choice(CLIPS)
            with self.job("upload"):
                _event(stranger, "rap-files", "upload", [stranger.stored(clip.name, clip.read_bytes())])
            with self.job("predict"):
                _until(stranger, _event(stranger, "rap-predict", "click", 0), _is_predicted)
            with self.job("preset"):
                _event(stranger, "rap-apply", "click", self.rng.choice(PRESETS), 1.0, 1.0, None)
            with self.job("regenerate"):
                begun = _event(
                    stranger, "rap-regenerate", "click", STEPS, self.rng.randrange(99), None, None, 320, None, None, ""
                )
                take = _until(stranger, begun, _take)
            with self.job("fetch"):
                assert b"ftyp" in stranger.get(f"gradio_api/file={take}").raise_for_status().content[:64]

    def at_the_api(self) -> None:
        with self.stranger() as stranger:
            clip = self.rng.choice(CLIPS)
            with self.job("api upload"):
                files = [stranger.stored(clip.name, clip.read_bytes())]
            with self.job("api estimate"):
                path, _ = _answer(stranger, "estimate_trajectory", files, False, None, STEPS, 0)
            with self.job("api generate"):
                video, _ = _answer(
                    stranger,
                    "generate_video",
                    files,
                    path,
                    "",
                    1.0,
                    False,
                    STEPS,
                    0,
                    None,
                    None,
                    None,
                    False,
                    None,
                    None,
                    None,
                )
                _fetched(stranger, video)
            with self.job("api imagine"):  # of a picture: depth, layers and filling are another half of it all
                picture = stranger.stored(PHOTOGRAPH.name, PHOTOGRAPH.read_bytes())
                video, _ = _answer(stranger, "generate_joint", [picture], STEPS, self.rng.randrange(99))
                _fetched(stranger, video)


def _event(stranger: Stranger, element: str, event: str, *values: object) -> str:
    """What the page is told in answer to an event."""
    response = stranger.join(stranger.listener(element, event), [None, *values]).raise_for_status()
    message = stranger.heard(response.json()["event_id"])
    assert message["success"], message
    return json.dumps(message)


def _until(stranger: Stranger, told: str, found: Callable[[str], Any]) -> Any:
    """Ask as the page does when it hears of news, until what it is told has what is wanted."""
    end = time.monotonic() + JOB_S
    while not (wanted := found(told)):
        assert time.monotonic() < end, f"not within {JOB_S:.0f} s"
        time.sleep(POLL_S)
        told = _event(stranger, "rap-viewport", "input", None)
    return wanted


def _is_predicted(told: str) -> bool:
    return any(words in told for words in PREDICTED)


def _take(told: str) -> str | None:
    return next((path for path in told.split('"') if "/take-" in path and path.endswith(".mp4")), None)


def _fetched(stranger: Stranger, video: dict[str, Any]) -> None:
    name = video.get("video", video)["path"]
    assert b"ftyp" in stranger.get(f"gradio_api/file={name}").raise_for_status().content[:64]


def _answer(stranger: Stranger, name: str, *data: object) -> Any:
    event, answer = stranger.answer(name, stranger.call(name, *data).raise_for_status())
    assert event == "complete", answer
    return answer


class Hostile(Client):
    """Goes round through all attacks, from another one than its neighbour.

    Args:
        bombs: files that do harm to who believes them, by the element of the page that takes them.
    """

    bombs: dict[str, list[tuple[str, bytes]]]

    def work(self, until: float) -> None:
        attacks = [self.foreign_paths, self.bomb, self.endless_work, self.flood, self.half_uploads, self.foreign_pages,
                   self.socket_garbage, self.abandoned_pages]  # fmt: skip
        turn = self.number
        while time.monotonic() < until:
            attack = attacks[turn % len(attacks)]
            turn += 1
            self.counts[attack.__name__] += 1
            try:
                attack()
            except FAILURES as error:
                self.counts[f"{attack.__name__} ended by {type(error).__name__}"] += 1
            time.sleep(self.rng.uniform(0.3, 0.8))

    def told(self, response: httpx.Response) -> None:
        self.counts[f"HTTP {response.status_code}"] += 1

    def foreign_paths(self) -> None:
        with self.stranger() as stranger:
            own = Path(stranger.stored("p.png", PICTURE)["path"])
            root = own.parent.parent
            for path in (root, own.parent, f"{own.parent}/../", f"{own}/", f"{own}\0", "/etc/passwd",
                         "/proc/self/environ", "https://example.invalid/x.png", "." * 5000):  # fmt: skip
                self.told(stranger.estimate({"path": str(path), "meta": FILE}))
            for path in (root, root.parent, "/etc/passwd", f"{root}/.in-use"):
                self.told(stranger.get(f"gradio_api/file={path}"))

    def bomb(self) -> None:
        """Through the page, where clips, cameras and sessions are taken, and clips through the API."""
        with self.page() as (stranger, _):
            for element, files in self.bombs.items():
                name, content = self.rng.choice(files)
                _event(stranger, element, "upload", _given(element, stranger.stored(name, content)))
        with self.stranger() as stranger:
            name, content = self.rng.choice(self.bombs["rap-files"])
            event, _ = stranger.answer("estimate_trajectory", stranger.estimate(stranger.stored(name, content)))
            self.counts[f"bomb {event}"] += 1

    def endless_work(self) -> None:
        path = json.loads(path_text(preset("arc-left", image_size=(96, 128))))
        long = json.loads(path_text(resample(preset("arc-left", image_size=(96, 128)), 2_001)))
        with self.stranger() as stranger:
            picture = [stranger.stored("p.png", PICTURE)]
            for name, data in (
                ("generate_joint", (picture, 1e308, 0)),
                ("generate_joint", (picture, 5_000, 0)),
                ("generate_video", (picture, long, "", 1, False, 2, 0, None, None, None, False, None, None, None)),
                ("export_cameras", ({**path, "image_size": [20_000, 20_000]}, "nerfstudio")),
                ("export_cameras", ({**path, "Ts_world_camera": [0] * 20_001}, "nerfstudio")),
            ):
                event, _ = stranger.answer(name, stranger.call(name, *data))
                self.counts[f"endless work {event}"] += 1

    def flood(self) -> None:
        """Many calls of the most steps that are taken, and away; some of them are never listened to."""
        with ExitStack() as streams, self.stranger() as stranger:
            picture = [stranger.stored("p.png", PICTURE)]
            for i in range(30):
                response = stranger.call("generate_joint", picture, 200 if i % 3 else 1, i)
                self.told(response)
                if response.status_code == 200 and i % 3:
                    number = response.json()["event_id"]
                    streams.enter_context(stranger.stream("GET", f"gradio_api/call/generate_joint/{number}"))
            time.sleep(self.rng.uniform(0.0, 2.0))

    def half_uploads(self) -> None:
        """Uploads that are cut, that come by drops, and that stop."""
        base = httpx.URL(self.url)
        head = (
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: {base.host}:{base.port}\r\nContent-Length: 1000000\r\n"
            "Content-Type: multipart/form-data; boundary=cut\r\n\r\n"
            '--cut\r\nContent-Disposition: form-data; name="files"; filename="cut.bin"\r\n\r\n'
        )
        with ExitStack() as stack:
            for size in (0, 1_000, 200_000):
                address = (f"127.0.0.{self.number}", 0)
                connection = stack.enter_context(
                    socket.create_connection((base.host, base.port or 80), timeout=20, source_address=address)
                )
                connection.sendall(head.encode() + os.urandom(size))
            for _ in range(10):
                time.sleep(0.2)
                connection.sendall(b"x")

    def foreign_pages(self) -> None:
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, *({"Host": host} for host in HOSTS)):
            with self.stranger(**headers) as stranger:
                self.told(stranger.upload())
                self.told(stranger.call("export_cameras", {}, "x"))
        with self.stranger() as stranger:
            for route in ("monitoring", "openapi.json", "gradio_api/process_recording", "gradio_api/proxy=http://a/",
                          "gradio_api/component_server", "login", "x" * 5_000, "%2e%2e/etc/passwd"):  # fmt: skip
                self.told(stranger.get(route))
                self.told(stranger.post(route, content=os.urandom(1_000)))

    def socket_garbage(self) -> None:
        with self.page() as (_, session_id):
            for garbage in (b"", b"\xc1", bytes(100_000), os.urandom(1_000), "text", b"\x81" * 5_000):
                with suppress(WebSocketException, OSError), self.dial(session_id) as viewport:
                    viewport.recv(timeout=20)
                    viewport.send(garbage)
            for wrong in (session_id[:-1], "A" * 43, "../viewport/x"):
                with suppress(WebSocketException, OSError), self.dial(wrong):
                    self.counts["got into a viewport by a wrong name"] += 1
            with suppress(WebSocketException, OSError), self.dial(session_id, origin="http://evil.example"):
                self.counts["got into a viewport from another site"] += 1

    def abandoned_pages(self) -> None:
        """Pages that nobody looks at any more, some with a clip and a prediction at work."""
        for _ in range(5):
            with self.stranger() as stranger:
                stranger.open_page()
        with self.page() as (stranger, session_id):
            clip = self.rng.choice(CLIPS)
            _event(stranger, "rap-files", "upload", [stranger.stored(clip.name, clip.read_bytes())])
            _event(stranger, "rap-predict", "click", 0)
            self.dial(session_id).socket.close()


def _given(element: str, stored: dict[str, Any]) -> Any:
    return [stored] if element == "rap-files" else stored


def bombs(folder: Path) -> dict[str, list[tuple[str, bytes]]]:
    """Files that are small on disk only, by the element of the page that takes them: name and content."""
    clips = (
        hostile_files.gif(folder / "bomb.gif", 9_000, 200), hostile_files.film(folder / "bomb.mp4", 8_192, 40),
        hostile_files.png(folder / "bomb.png", 9_400, 9_400, 16), hostile_files.endless_tiff(folder / "endless.tiff"),
        hostile_files.jpeg(folder / "claims.jpg", 60_000, 60_000),
    )  # fmt: skip
    (folder / "deep.json").write_text(hostile_files.nested(100_000))
    cameras = (hostile_files.transforms(folder / "transforms.json", 750_000), folder / "deep.json",
               hostile_files.zeros_npz(folder / "cameras.npz", 256 << 20))  # fmt: skip
    inner = hostile_files.zeros_npz(folder / "inner.npz", 1 << 30).read_bytes()
    sessions = (
        hostile_files.session(folder / "inflates.zip", {"clip/frames.npz": inner}),
        hostile_files.crowded_zip(folder / "crowded.zip", 100_000),
        hostile_files.overlapping_zip(folder / "overlaps.zip", [f"clip/{i}" for i in range(100)], 32 << 20),
    )
    elements = {"rap-files": clips, "rap-import": cameras, "rap-open": sessions}
    return {name: [(path.name, path.read_bytes()) for path in paths] for name, paths in elements.items()}
