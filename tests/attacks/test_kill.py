"""kill -9, closed tabs, and a state folder that somebody has been at: takes are found again, nobody reads another's."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from app_process import running
from editing import App, finish, give, made, predicted
from fakes import moving_frames, wait_until
from strangers import Stranger

from rap.config import ASSETS
from rap.data import write_video
from ui.document import messages as msg
from ui.session import kept_session, session_archive
from ui.session.session_archive import MANIFEST, PARTS
from ui.session.state_folder import KEPT, StateFolder, key

CLIP = ASSETS / "examples" / "arc_around_a_table.mp4"
PROGRAM = ("tests/attacks/fake_model.py", "done")


# --- as the browser meets it ------------------------------------------------------------------------------------------


def videos(message: dict) -> list[str]:
    """Paths of the takes' videos in what a page is told."""
    return [path for path in json.dumps(message).split('"') if "/take-" in path and path.endswith(".mp4")]


def opened(stranger: Stranger, remembered: str = "") -> tuple[str, dict]:
    """The id that the tab is told to remember, and all that its page is told."""
    message = stranger.open_page(remembered)
    assert message["success"], message
    return re.findall(r'"([\w-]{43})"', json.dumps(message))[0], message


def done(stranger: Stranger, element: str, event: str, *values: object) -> dict:
    response = stranger.join(stranger.listener(element, event), [None, *values]).raise_for_status()
    message = stranger.heard(response.json()["event_id"])
    assert message["success"], message
    return message


def a_take(stranger: Stranger) -> str:
    """Give a clip, take a preset, regenerate, all as the page does: the path of the video that is shown."""
    done(stranger, "rap-files", "upload", [stranger.stored("clip.mp4", CLIP.read_bytes())])
    done(stranger, "rap-apply", "click", "arc-left", 1.0, 1.0, None)
    done(stranger, "rap-regenerate", "click", 1, 0, None, None, 320, None, None, "")
    end = time.monotonic() + 120
    while time.monotonic() < end:
        found = videos(done(stranger, "rap-viewport", "input", None))
        if found:
            return found[0]
        time.sleep(0.1)
    raise AssertionError("no take was announced")


def content(stranger: Stranger, path: str) -> bytes:
    return stranger.get(f"gradio_api/file={path}").raise_for_status().content


@pytest.mark.slow  # starts the app in processes of its own
@pytest.mark.timeout(500)
def test_takes_that_were_announced_outlive_the_app(tmp_path: Path) -> None:
    """One that is killed, then one that is ended in order."""
    state = tmp_path / "somewhere" / "else"
    with (
        running(tmp_path, "--state", str(state), "--predict", "when-asked", program=PROGRAM) as app,
        Stranger(app.url, 60) as stranger,
    ):
        session_id, _ = opened(stranger)
        before = content(stranger, a_take(stranger))
        app.process.kill()
        app.process.wait(20)
        assert "Traceback" not in app.words()
    assert len(list(state.glob("rap-app-*"))) == 1
    assert session_id not in "".join(str(path) for path in state.rglob("*")), "the id itself is written nowhere"
    with running(tmp_path, "--state", str(state), "--predict", "when-asked", program=PROGRAM) as app:
        with Stranger(app.url, 61) as other:
            assert videos(opened(other)[1]) == [] == videos(opened(other, "A" * 43)[1])
            assert videos(opened(other, key(session_id))[1]) == [], "the folder's name opens nothing"
        with Stranger(app.url, 60) as stranger:
            found, message = opened(stranger, session_id)
            assert found == session_id, "the tab's id stays good"
            assert content(stranger, videos(message)[0]) == before
            assert stranger.get(f"gradio_api/file={state}/{KEPT}").status_code == 403
            assert [entry.stat().st_mode & 0o077 for entry in state.rglob("*") if entry.is_dir()].count(0) > 2
            assert a_take(stranger), "and work goes on"
        assert app.ended()[0] == 128 + signal.SIGTERM and "Traceback" not in app.words()
    assert [path.name for path in (state / KEPT).iterdir()] == [key(session_id)]
    assert list(state.glob("rap-app-*")) == []
    with running(tmp_path, "--state", str(state), "--predict", "when-asked", program=PROGRAM) as app:
        with Stranger(app.url, 60) as stranger:
            found, message = opened(stranger, session_id)
            assert found == session_id and content(stranger, videos(message)[0]) == before
        assert app.ended()[0] == 128 + signal.SIGTERM and "Traceback" not in app.words()


# --- the folder after somebody has been at it -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "slide.mp4"
    write_video(path, moving_frames(20), 20.0)
    return path


class Kept:
    """An app with a state folder, and a session in it that its tab has left."""

    def __init__(self, root: Path, clip: Path) -> None:
        self.root, self.app = root, App(StateFolder(root))
        session = self.app.sessions.open()
        predicted(session, clip)
        self.document = made(session, 2)
        self.id = session.id
        self.app.sessions.free(self.id)
        wait_until(lambda: not session.folder.exists())
        self.folder = root / KEPT / key(self.id)

    def rewritten(self, change: Callable[[dict], object]) -> None:
        manifest = json.loads((self.folder / MANIFEST).read_text())
        change(manifest)
        (self.folder / MANIFEST).write_text(json.dumps(manifest))

    def part(self, entry: str = "takes/take-1.mp4") -> Path:
        return self.folder / PARTS / json.loads((self.folder / MANIFEST).read_text())["files"][entry]["sha256"]


@pytest.fixture
def kept(tmp_path: Path, clip: Path):
    found = Kept(tmp_path / "state", clip)
    yield found
    found.app.close()


def replaced(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def renamed_entry(manifest: dict, name: str) -> None:
    manifest["files"][name] = manifest["files"].pop("takes/take-1.mp4")


DAMAGE: dict[str, tuple[Callable[[Kept], object], str]] = {
    "manifest cut": (lambda k: (k.folder / MANIFEST).write_bytes(b'{"kind": "rays'), "is no JSON"),
    "manifest of bytes": (lambda k: (k.folder / MANIFEST).write_bytes(os.urandom(99)), "is no JSON"),
    "manifest of lists": (lambda k: (k.folder / MANIFEST).write_text("[" * 90_000), "the session of before"),
    "manifest without end": (lambda k: os.truncate(k.folder / MANIFEST, 5 << 30), "larger than the 4194304 bytes"),
    "manifest of somebody else": (lambda k: k.rewritten(lambda m: m.update(kind="x")), "something else"),
    "manifest of tomorrow": (lambda k: k.rewritten(lambda m: m.update(version=2)), "version 2, this app reads 1"),
    "manifest as a pipe": (lambda k: replaced(k.folder / MANIFEST, os.mkfifo), "manifest.json is missing, or no file"),
    "take missing": (lambda k: k.part().unlink(), "takes/take-1.mp4 is missing"),
    "take of another": (lambda k: replaced(k.part(), lambda p: p.write_bytes(b"x")), "SHA-256 differs"),
    "take as a pipe": (lambda k: replaced(k.part(), os.mkfifo), "takes/take-1.mp4 is missing, or no file"),
    "take as a folder": (lambda k: replaced(k.part(), os.mkdir), "is missing, or no file"),
    "take as a link": (lambda k: replaced(k.part(), lambda p: p.symlink_to("/etc/passwd")), "is missing, or no file"),
    "take larger than said": (
        lambda k: k.rewritten(lambda m: m["files"]["takes/take-1.mp4"].update(bytes=3)), "larger than the 3 bytes",
    ),
    "hash that leads elsewhere": (
        lambda k: k.rewritten(lambda m: m["files"]["takes/take-1.mp4"].update(sha256="../manifest.json")), "no SHA-256",
    ),
    "name that leads elsewhere": (
        lambda k: k.rewritten(lambda m: renamed_entry(m, "../../evil.mp4")), "no name that a session has",
    ),
    "terabytes": (
        lambda k: k.rewritten(lambda m: [row.update(bytes=500 << 20) for row in m["files"].values()]), "its files have",
    ),
    "values of another kind": (lambda k: k.rewritten(lambda m: m.update(takes={"a": 1})), "a list is expected"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_session_is_refused_in_a_sentence_and_a_new_one_begun(kept: Kept, name: str) -> None:
    damage, said = DAMAGE[name]
    damage(kept)
    session = kept.app.sessions.open(kept.id)
    assert session.id != kept.id and session.state.document.clip is None
    notice = session.state.notice
    assert notice is not None and notice.is_error and notice.place == "input" and "\n" not in notice.text
    assert "the session of before" in notice.text and notice.text.endswith("A new session was begun.")
    assert re.search(said, notice.text), notice.text
    assert str(kept.root) not in notice.text
    assert not list(kept.root.rglob("opened-*")) and not (kept.root / "evil.mp4").exists()


def test_what_is_no_session_is_left_alone(tmp_path: Path, clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = Kept(tmp_path / "state", clip)
    found.app.close()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("mine")
    links = [found.root / KEPT / key("A" * 43), found.root / "rap-app-link"]
    for link in links:
        link.symlink_to(outside)
    foreign = found.root / KEPT / "photos"
    foreign.mkdir()
    (found.root / "notes.txt").write_text("notes")
    (found.root / KEPT / ("b" * 64)).write_text("a file where a session is expected")
    for path in (foreign, found.root / "notes.txt", found.root / KEPT / ("b" * 64)):
        os.utime(path, (0, 0))
    app = App(StateFolder(found.root))
    assert "3 entries" in caplog.text and "left alone" in caplog.text
    assert app.sessions.open("A" * 43).state.document.clip is None
    for odd in ("../" * 14 + "a", "\ud800" * 43, "\0" * 43, "a" * 10**6, "é" * 43):
        assert app.sessions.open(odd).state.document.clip is None
    app.close()
    assert (outside / "mine.txt").read_text() == "mine" and foreign.is_dir() and (found.root / "notes.txt").exists()
    assert all(link.is_symlink() for link in links) and (found.root / KEPT / ("b" * 64)).is_file()


def test_an_app_that_was_killed_in_the_middle_of_writing(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts without a manifest, half a part, half a manifest beside the whole one: the state of before is found."""
    session = kept.app.sessions.open(kept.id)

    def killed(*_: object) -> None:
        raise OSError("killed")

    monkeypatch.setattr(kept_session, "write_text", killed)
    session.dispatch(msg.RenameTake(1, "too late"))
    session.dispatch(msg.DeleteTake(2))
    session.dispatch(msg.DeleteTake(2))
    (session.folder / PARTS / "new.mp4").write_bytes(b"half")
    (session.folder / f".{MANIFEST}.part").write_bytes(b'{"kind')
    kept.app.sessions.free(kept.id)
    found = kept.app.sessions.open(kept.id).state.document
    assert [(take.number, take.name) for take in found.takes] == [(1, ""), (2, "")]
    assert all(take.video.is_file() for take in found.takes)


def test_two_apps_on_one_folder(kept: Kept) -> None:
    other = App(StateFolder(kept.root))
    try:
        mine = kept.app.sessions.open(kept.id)
        theirs = other.sessions.open(kept.id)
        assert mine.state.document.takes and theirs.id != kept.id and not theirs.state.document.takes
        assert "is open in another app" in theirs.state.notice.text
        kept.app.sessions.free(kept.id)
        assert other.sessions.open(kept.id).state.document.take is not None
    finally:
        other.close()


def test_a_full_state_folder_makes_no_take_and_says_so(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    session = kept.app.sessions.open(kept.id)
    before = sorted(session.folder.rglob("take-*"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_session.KeptSession, "_row", full)
    session.dispatch(msg.SetUseGeometry(False))
    session.dispatch(msg.Regenerate(steps=1, seed=9))
    state = finish(session)
    assert len(state.document.takes) == 2 and "No space left" in state.notice.text and state.notice.is_error
    assert sorted(session.folder.rglob("take-*")) == before


def test_the_reader_of_a_kept_session_is_the_one_that_can_be_killed(kept: Kept) -> None:
    assert session_archive.gathered.__module__ == "ui.session.session_archive"
    kept.part("clip/frames.npz").unlink()
    session = kept.app.sessions.open(kept.id)
    assert "clip/frames.npz is missing" in session.state.notice.text
    give(session, CLIP)
    wait_until(lambda: session.state.document.clip is not None)
