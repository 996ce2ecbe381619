"""A full disk: a sentence, and nothing half-written, whoever writes."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from app_process import ROOT, environment
from PIL import Image

from rap import formats, sandbox
from rap.cli.results import RESULT, ResultFolder
from rap.data import Clip, write_frames, write_video
from rap.errors import InputError
from rap.formats import FORMATS, writable
from rap.geometry import preset
from rap.writing import NO_ROOM, NoRoom, room_for, whole_file, write_text
from ui.document.document import Document, Settings, Take, with_clip, with_prediction, with_take
from ui.document.state import Basis, BuiltScene, DepthMap
from ui.session import exports, session_file

ROOM = 6000  # bytes: of every file's size, as a disk that is nearly full
NOISE = np.random.default_rng(0).integers(0, 255, (17, 96, 128, 3), dtype=np.uint8)
PATH = preset("arc-left", num_frames=17, image_size=(96, 128))


@contextmanager
def little_room(size: int = ROOM):
    """No file of this process grows beyond `size`: the system's own refusal, as of a full disk (EFBIG, not ENOSPC)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def files(folder: Path) -> dict[str, int]:
    return {str(entry.relative_to(folder)): entry.stat().st_size for entry in folder.rglob("*") if entry.is_file()}


def take(folder: Path) -> Take:
    video, cameras = exports.take_files(folder / "takes" / "take-1.mp4", NOISE, PATH, 8.0)
    return Take(1, "regenerated", video, cameras, "0" * 16, PATH, Settings(0, 1), 1.0, b"")


def document(folder: Path) -> Document:
    made = with_prediction(with_clip(Document(), Clip(NOISE, fps=8.0, name="noise")), PATH)
    return with_take(made, take(folder))


def with_depth() -> BuiltScene:
    path = preset("static", num_frames=1, image_size=(96, 128))
    basis = Basis(Clip(NOISE[:1], fps=8.0, name="noise"), path, "one image")
    depth = DepthMap(1 / (1 + NOISE[0, :, :, 0].astype(np.float32)), 0.9, b"")
    return BuiltScene(basis, None, depth_map=depth)


def gif(folder: Path) -> None:
    exports.take_file(folder / "exports", take(folder), "gif", "clip")


WRITERS = {
    "video": lambda folder: write_video(folder / "a.mp4", NOISE, 8.0),
    "gif": lambda folder: write_video(folder / "a.gif", NOISE, 8.0),
    "frames": lambda folder: write_frames(folder / "frames", NOISE),
    "take": lambda folder: exports.take_files(folder / "takes" / "take-1.mp4", NOISE, PATH, 8.0),
    "text": lambda folder: write_text(folder / "a.txt", "x" * 2 * ROOM),
    **{
        name: lambda folder, name=name: formats.write(
            folder / FORMATS[name].default_name,
            preset("arc-left", num_frames=257, image_size=(96, 128)),
            format_name=name,
        )
        for name in writable()
    },
}


@pytest.mark.parametrize("name", WRITERS)
def test_writers_leave_nothing_on_a_full_disk(tmp_path, name):
    with little_room(), pytest.raises(NoRoom, match=r"there is no room to write it \(File too large\)") as refusal:
        WRITERS[name](tmp_path)
    assert isinstance(refusal.value, InputError) and str(tmp_path) not in str(refusal.value)
    assert files(tmp_path) == {}
    WRITERS[name](tmp_path)
    assert files(tmp_path)


@pytest.mark.parametrize("name", ["video", "text", "npz"])
def test_what_was_there_before_stays(tmp_path, name):
    WRITERS[name](tmp_path)
    before = {entry: entry.read_bytes() for entry in tmp_path.rglob("*") if entry.is_file()}
    with little_room(), pytest.raises(NoRoom):
        WRITERS[name](tmp_path)
    assert {entry: entry.read_bytes() for entry in tmp_path.rglob("*") if entry.is_file()} == before


EXPORTS = {
    "saved session": lambda folder, made: exports.saved_session(folder, made, None),
    "gif": lambda folder, made: exports.take_file(folder, made.take, "gif", "clip"),
    "frames": lambda folder, made: exports.take_file(folder, made.take, "png", "clip"),
    "figure": lambda folder, made: exports.figure_file(folder, made, "mp4"),
    "picture": lambda folder, made: exports.figure_file(folder, made, "png"),
    "depth": lambda folder, made: exports.depth_file(folder, with_depth()),
    "side by side": lambda folder, made: exports.side_by_side_file(folder, made.take, made.take),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_exports_leave_nothing_on_a_full_disk(tmp_path, name):
    made = document(tmp_path)
    with little_room(), pytest.raises(NoRoom, match="there is no room to write it"):
        EXPORTS[name](tmp_path / "exports", made)
    assert files(tmp_path / "exports") == {}
    assert [entry for entry in (tmp_path / "exports").rglob("*")] == []
    assert EXPORTS[name](tmp_path / "exports", made).is_file()


def test_a_session_that_finds_no_room_to_be_unpacked_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    """Read here: the limit that stands for a full disk is one of this process."""
    monkeypatch.setattr(sandbox, "call", lambda function, name, **arguments: function(**arguments))
    saved, folder = exports.saved_session(tmp_path / "saved", document(tmp_path), None), tmp_path / "session"
    folder.mkdir()
    with little_room(), pytest.raises(NoRoom):
        session_file.open_session(saved, folder)
    assert list(folder.iterdir()) == []
    assert len(session_file.open_session(saved, folder).document.takes) == 1


@pytest.mark.parametrize("number", sorted(NO_ROOM))
def test_every_way_of_having_no_room_is_said(tmp_path, number):
    for error in (OSError(number, os.strerror(number)), av.error.FFmpegError(number, os.strerror(number), "a.mp4")):
        with pytest.raises(NoRoom, match="a.mp4: there is no room to write it"), room_for(tmp_path / "a.mp4"):
            raise error


def test_other_failures_are_not_taken_for_a_full_disk_and_leave_nothing(tmp_path):
    with pytest.raises(OSError, match="Input/output error"), whole_file(tmp_path / "a.bin") as partial:
        partial.write_bytes(b"half")
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    assert files(tmp_path) == {}


def test_a_long_name_is_written_all_the_same(tmp_path):
    name = "n" * 251 + ".txt"  # as long as the file system takes them
    write_text(tmp_path / name, "whole")
    assert (tmp_path / name).read_text() == "whole"


def test_a_command_that_found_the_disk_full_gives_its_room_back_and_can_be_run_again(tmp_path):
    out = tmp_path / "out"
    folder = ResultFolder(out, "generate", "clip", [])
    folder.write_cameras(PATH, [f"{i}.png" for i in range(17)])
    with little_room(), pytest.raises(NoRoom):
        folder.write_frames(NOISE)
    assert list(out.iterdir()) == []
    again = ResultFolder(out, "generate", "clip", [])  # not refused as somebody else's folder
    again.write_frames(NOISE)
    again.finish({"command": "generate"})
    assert json.loads((out / RESULT).read_text())["files"] == {"frames": "frames"}


def test_the_command_line_says_it_in_one_sentence(tmp_path):
    Image.fromarray(NOISE[0]).save(tmp_path / "noise.png")
    code = (
        "import resource, sys, rap.cli\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({ROOM}, {ROOM}))\n"
        "sys.exit(rap.cli.main('preview noise.png --flat --preset arc-left --frames 5 --out out'.split()))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert (run.returncode, run.stdout) == (2, ""), run.stderr
    assert "there is no room to write it" in run.stderr.splitlines()[-1] and "Traceback" not in run.stderr
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0 or not Path("/dev/full").exists(), reason="root mounts a small disk; Linux only")
def test_a_disk_that_is_really_full(tmp_path):
    """A file system of 64 kB in memory, where there are rights to mount one: ENOSPC from the kernel."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no rights to mount in this container")
    try:
        for name in ("video", "gif", "frames", "take"):
            with pytest.raises(NoRoom, match=r"\(No space left on device\)"):
                WRITERS[name](disk)
            assert files(disk) == {}
        with pytest.raises(NoRoom):
            exports.saved_session(disk / "exports", document(tmp_path), None)
        assert files(disk) == {}
    finally:
        subprocess.run(["umount", disk], check=True)
    assert ROOT.is_dir()
