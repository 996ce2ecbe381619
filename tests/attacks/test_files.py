"""Files that are made to do harm, given as a visitor gives them: told before they are decoded, in one sentence."""

from __future__ import annotations

import json
import os
import signal
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import hostile_files as hostile
import numpy as np
import pytest
from measured import refusal
from PIL import Image

from rap import sandbox
from rap.errors import InputError
from rap.limits import READ_SECONDS, all_limits, table
from ui.document.importing import read_import
from ui.document.path_text import is_pose, read_path, read_pose
from ui.session.session_file import open_session
from ui.session.uploads import meant, read_clip

TOLD_MB = 250
"""What telling a file is too large may cost: a camera file in JSON is parsed as a whole, pictures are not decoded."""

CLIPS = {
    "gif of 9000 x 9000 x 200": (lambda p: hostile.gif(p / "a.gif", 9000, 200), "a.gif: 9000 x 9000 pixels are more"),
    "gif of 7900 x 7900 x 200": (
        lambda p: hostile.gif(p / "a.gif", 7900, 200),
        "a.gif: has 200 frames and so 12,482,000,000 pixels in all, at most 2,000,000,000 are taken; take out frames",
    ),
    "gif of a million frames": (
        lambda p: hostile.gif(p / "a.gif", 16, 1_000_000),
        "a.gif: has 20,001 frames, at most 20,000 are taken; take out frames",
    ),
    "film of 8192 x 8192": (lambda p: hostile.film(p / "a.mp4", 8192, 2), "a.mp4: 8192 x 8192 pixels are more than 36"),
    "film of 4K and two minutes": (
        lambda p: hostile.film(p / "a.mp4", 3840, 3500),
        "a.mp4: has to be decoded through 51,609,600,000 pixels in all, at most 50,000,000,000 are taken; make the",
    ),
    "film of 20,001 frames": (
        lambda p: hostile.film(p / "a.mp4", 16, 20_001),
        "a.mp4: has to be searched through 20,001 frames, at most 20,000 are taken; cut the video",
    ),
    "16-bit png of 9400 x 9400": (
        lambda p: hostile.png(p / "a.png", 9400, 9400, 16), "a.png: 9400 x 9400 pixels are more than 64 million",
    ),
    "jpeg of 65500 x 65500": (
        lambda p: hostile.jpeg(p / "a.jpg", 65500, 65500), "a.jpg: more than 64 million pixels",
    ),
    "png of 40000 x 16": (
        lambda p: hostile.png(p / "a.png", 40000, 16), "a.png: has 40,000 pixels on a side, at most 32,768 are taken",
    ),
    "playlist that names another file": (
        lambda p: written(p / "a.mp4", hostile.PLAYLIST), "a.mp4: neither a picture nor a video that can be read",
    ),
    "list that names another file": (
        lambda p: written(p / "a.mp4", hostile.CONCAT), "a.mp4: neither a picture nor a video that can be read",
    ),
    "sparse file of two gigabytes": (
        lambda p: sparse(p / "a.mp4", 2 << 30), "a.mp4: has 2,147,483,648 bytes, at most 1,073,741,824 are taken",
    ),
    "pipe that never answers": (lambda p: pipe(p / "a.mp4"), "a.mp4: not a file; give a picture or a video"),
}  # fmt: skip


def written(path: Path, data: bytes | str) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def sparse(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("name", CLIPS)
def test_a_clip_that_is_too_much_is_told_before_it_is_decoded(tmp_path: Path, name: str) -> None:
    build, said = CLIPS[name]
    sentence, grown_mb = refusal("clip", build(tmp_path))
    assert said in sentence and "\n" not in sentence
    assert grown_mb < TOLD_MB


def test_the_largest_picture_that_is_taken_stays_within_the_memory_for_reading(tmp_path: Path) -> None:
    """It took 34 bytes a pixel once, when 16 bits became 64 on their way to 8."""
    sentence, grown_mb = refusal("clip", hostile.png(tmp_path / "a.png", 8000, 8000, 16))
    assert sentence == "" and grown_mb < 1300


CAMERAS = {
    "750,000 frames": (
        lambda p: hostile.transforms(p / "a.json", 750_000),
        "a.json: has 750,002 lists and objects, at most 200,000 are taken; keep fewer frames",
    ),
    "25,000 frames": (lambda p: hostile.transforms(p / "a.json", 25_000), "a.json: has 25,000 cameras, at most 20,000"),
    "nested deeply": (
        lambda p: written(p / "a.json", '{"frames": ' + hostile.nested(90_000) + "}"), "a.json: is not JSON",
    ),
    "a number of 400 digits": (
        lambda p: written(p / "a.json", json.dumps(hostile.camera_document(fl_x=10**400))), "a.json: ",
    ),
    "infinite size": (
        lambda p: written(p / "a.json", json.dumps(hostile.camera_document(w=float("inf")))),
        "a.json: frame 0 ('0.png'): w is inf, expected a finite number",
    ),
    "size of 20000": (
        lambda p: written(p / "a.json", json.dumps(hostile.camera_document(w=20000, h=20000))),
        "expected a whole number of pixels from 1 to 16384",
    ),
    "name of a million letters": (
        lambda p: written(
            p / "a.json", json.dumps(hostile.camera_document(frames=[{"file_path": "1a" * 500_000}]))
        ),
        "a.json: the file_path of frame 0 has 1,000,000 characters, at most 1,024 are taken",
    ),
    "array of 3.3 gigabytes": (lambda p: hostile.zeros_npz(p / "a.npz", 64 << 20, "intrinsics"), "a.npz: unpacks to"),
    "array that claims 10**15 numbers": (
        lambda p: hostile.zipped(p / "a.npz", [("Ts_world_camera.npy", hostile.npy_header((10**15, 4, 4)))]),
        "a.npz: Ts_world_camera unpacks to more than",
    ),
    "array of 10**15 nothings": (
        lambda p: hostile.zipped(p / "a.npz", [("Ts_world_camera.npy", hostile.npy_header((10**15,), "|V0"))]),
        "a.npz: Ts_world_camera has type |V0 and shape",
    ),
    "array of a negative shape": (
        lambda p: hostile.zipped(p / "a.npz", [("Ts_world_camera.npy", hostile.npy_header((-4, 4)))]),
        "a.npz: Ts_world_camera has type float64 and shape (-4, 4)",
    ),
    "array with a header that is nested": (
        lambda p: hostile.zipped(p / "a.npz", [("Ts_world_camera.npy", hostile.npy_header("(" * 3000))]), "a.npz: ",
    ),
    "300,000 files in a zip": (
        lambda p: hostile.crowded_zip(p / "a.npz", 300_000), "a.npz: holds far more than 2000 files; pack fewer",
    ),
    "20,000 files in a zip": (
        lambda p: hostile.crowded_zip(p / "a.zip", 20_000), "a.zip: holds 20,000 files, at most 2,000 are taken",
    ),
    "the same gigabytes 400 times": (
        lambda p: hostile.overlapping_zip(p / "a.zip", [f"{i}.txt" for i in range(400)], 8 << 20),
        "a.zip: unpacks to 3,355,443,200 bytes",
    ),
    "a zip packed by another method": (
        lambda p: hostile.zipped(p / "a.zip", [("images.txt", b"x")], zipfile.ZIP_LZMA),
        "a.zip: 'images.txt' is packed in an unusual way",
    ),
    "a zip that names a file twice": (
        lambda p: twice(p / "a.zip"), "a.zip: 'images.txt' is in it twice, expected each file once",
    ),
    "a million lines": (
        lambda p: written(p / "a.tum", "\n" * 1_000_000 + "0 0 0 0 0 0 0 1"), "a.tum: has 1,000,000 lines, at most",
    ),
    "a line of points without end": (
        lambda p: hostile.zipped(
            p / "a.zip",
            [("cameras.txt", b"1 PINHOLE 9 9 9 9 4 4"), ("images.txt", b"1 1 0 0 0 0 0 0 1 a\n" + b"1 " * (8 << 20))],
        ),
        "images.txt line 2: has 16,777,216 characters, at most",
    ),
    "times that rise by nothing": (
        lambda p: written(p / "a.tum", "".join(f"{t!r} 0 0 0 0 0 0 1\n" for t in (0.0, 5e-324))), "a.tum: ",
    ),
}  # fmt: skip


def twice(path: Path) -> Path:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return hostile.zipped(path, [("images.txt", b""), ("images.txt", b"x")])


@pytest.mark.parametrize("name", CAMERAS)
def test_cameras_that_are_too_much_or_none_are_told(tmp_path: Path, name: str) -> None:
    build, said = CAMERAS[name]
    sentence, grown_mb = refusal("cameras", build(tmp_path))
    assert said in sentence and "\n" not in sentence
    assert grown_mb < TOLD_MB


def with_frames(path: Path, data: bytes) -> Path:
    """A session with nothing in it but the pictures of its clip."""
    return hostile.session(path, {"clip/frames.npz": data})


SESSIONS = {
    "inner array of 3.3 gigabytes": (
        lambda p: with_frames(p / "a.zip", hostile.npz(hostile.npy_header((17, 8000, 8000, 3), "|u1"))),
        "frames.npz: unpacks to 3,264,000,000 bytes, at most 536,870,912 are taken",
    ),
    "inner array that is whole": (
        lambda p: with_frames(p / "a.zip", hostile.zeros_npz(p / "b.npz", 530 << 20).read_bytes()),
        "frames.npz: unpacks to 555,",
    ),
    "video of 8192 x 8192": (
        lambda p: hostile.session(p / "a.zip", {"takes/take-1.mp4": hostile.film(p / "b.mp4", 8192, 1).read_bytes()}),
        "take-1.mp4: 8192 x 8192 pixels are more",
    ),
    "small picture of a megabyte": (
        lambda p: hostile.session(p / "a.zip", {"takes/take-1.jpg": bytes(1 << 20)}),
        "a.zip: take-1.jpg has 1,048,576 bytes, at most",
    ),
    "manifest that is nested deeply": (
        lambda p: hostile.zipped(p / "a.zip", [("manifest.json", hostile.nested(90_000).encode())]), "a.zip: is nested",
    ),
    "manifest of other letters": (
        lambda p: hostile.zipped(p / "a.zip", [("manifest.json", b'{"kind": "\xff"}')]), "a.zip: manifest.json is no",
    ),
    "size that is a word": (
        lambda p: hostile.zipped(p / "a.zip", [
            ("manifest.json", json.dumps({"kind": "rays-as-pixels session", "version": 1,
                                          "files": {"a.npz": {"bytes": "many"}}}).encode()), ("a.npz", b"")]),
        "the size of a.npz is 'many', expected a whole number",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SESSIONS)
def test_a_session_that_is_too_much_is_told_before_it_is_used(tmp_path: Path, name: str) -> None:
    build, said = SESSIONS[name]
    path, folder = build(tmp_path), tmp_path / "session"
    sentence, grown_mb = refusal("session", path)
    assert said in sentence and "\n" not in sentence
    assert grown_mb < TOLD_MB
    folder.mkdir()
    with pytest.raises(InputError):
        open_session(path, folder)
    assert list(folder.iterdir()) == [], "nothing is left"


def test_the_limits_stand_in_the_security_page() -> None:
    page = (Path(__file__).parents[2] / "SECURITY.md").read_text(encoding="utf-8")
    assert table() in page, "write what rap.limits.table() gives under Limits"
    assert all(limit.why and limit.value > 0 for limit in all_limits().values())


# --- what is damaged --------------------------------------------------------------------------------------------------


def animated(path: Path) -> bytes:
    pictures = [Image.new("RGB", (32, 32), (i, 0, 0)) for i in range(4)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".avif"])
def test_animations_that_are_cut_off_are_refused_by_name_or_read(tmp_path: Path, suffix: str) -> None:
    data = animated(tmp_path / f"whole{suffix}")
    refused = 0
    for keep in range(20, len(data), max(1, len(data) // 40)):
        path = written(tmp_path / f"cut{suffix}", data[:keep])
        try:
            assert len(read_clip([str(path)], 5)) in (1, 5)
        except InputError as error:
            refused += 1
            assert str(error).startswith("cut") and "\n" not in str(error)
    assert refused > 0


def test_a_film_whose_title_is_no_text_is_read(tmp_path: Path) -> None:
    path = hostile.film(tmp_path / "a.mp4", 32, 5, title="caf_titel_caf")
    path.write_bytes(path.read_bytes().replace(b"caf_titel_caf", b"caf\xe9titel\xffcaf"))
    assert len(read_clip([str(path)], 5)) == 5


def test_a_gif_whose_second_frame_is_larger_than_the_first_is_refused(tmp_path: Path) -> None:
    path = hostile.gif(tmp_path / "a.gif", 32, 4, frame_side=60_000)
    with pytest.raises(InputError, match=r"^a\.gif: "):
        read_clip([str(path)], 4)


def test_texts_in_a_picture_are_not_unpacked_without_end(tmp_path: Path) -> None:
    bombs = [hostile.text_bomb(1 << 20) for _ in range(200)]
    sentence, grown_mb = refusal("clip", hostile.png(tmp_path / "a.png", 64, 64, extra=bombs))
    assert grown_mb < TOLD_MB and (not sentence or sentence.startswith("a.png: "))


def test_a_directory_that_names_itself_ends(tmp_path: Path) -> None:
    began = time.monotonic()
    try:
        read_clip([str(hostile.endless_tiff(tmp_path / "a.tiff"))], 5)
    except InputError as error:
        assert str(error).startswith("a.tiff: ")
    assert time.monotonic() - began < 20


def test_names_with_strange_letters_are_written_plainly(tmp_path: Path) -> None:
    names = ["Bildschirmfoto 9.41\u202fPM.png", "\u202eevil\x1b[31m.png", os.fsdecode(b"caf\xe9.png")]
    for name in names:
        Image.new("RGB", (32, 32)).save(tmp_path / name, "PNG")
    clips = [read_clip([str(tmp_path / name)], 5) for name in names]
    assert [clip.name for clip in clips] == ["Bildschirmfoto 9.41 PM", "_evil_[31m", "caf_"]


# --- text that is pasted or posted ------------------------------------------------------------------------------------

POSE = {"rap": "pose", "T_world_camera": hostile.IDENTITY}
PATH = {
    "rap": "path", "image_size": [48, 64], "fps": 8.0, "source": 0,
    "intrinsics": [[50, 50, 32, 24]], "Ts_world_camera": [hostile.IDENTITY],
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"fps": 10**400}, {"fps": float("inf")}, {"image_size": [float("inf"), 64]}, {"image_size": [float("nan"), 64]},
        {"image_size": [20000, 20000]}, {"source": 10**30}, {"intrinsics": 3}, {"Ts_world_camera": 5},
        {"Ts_world_camera": [hostile.IDENTITY] * 2001, "intrinsics": [[50, 50, 32, 24]] * 2001},
    ],
)  # fmt: skip
def test_a_path_of_text_that_is_none_is_refused(change: dict) -> None:
    assert len(read_path(json.dumps(PATH), None)) == 1
    with pytest.raises(ValueError) as refused:
        read_path(json.dumps(PATH | change), None)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", [hostile.nested(90_000), '{"a": ' * 90_000, " " * 3_000_000, "1" * 5000])
def test_a_text_without_end_is_no_pose(text: str) -> None:
    assert is_pose(json.dumps(POSE)) and not is_pose(text)
    with pytest.raises(ValueError):
        read_pose(text)


# --- the process that reads -------------------------------------------------------------------------------------------


def test_a_read_that_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hostile.film(tmp_path / "a.mp4", 2048, 9000)
    monkeypatch.setattr(sandbox, "READ_SECONDS", replace(READ_SECONDS, value=1))
    began = time.monotonic()
    with pytest.raises(
        InputError, match=r"^a\.mp4: takes longer than 1 seconds to read; give a shorter or smaller one"
    ):
        read_clip([str(path)], 17)
    assert time.monotonic() - began < 8


def test_a_read_that_needs_too_much_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "READ_BYTES", replace(sandbox.READ_BYTES, value=64 << 20))
    with pytest.raises(InputError, match=r"^a\.png: "):
        read_clip([str(hostile.png(tmp_path / "a.png", 8000, 8000, 16))], 5)
    Image.new("RGB", (32, 32)).save(tmp_path / "b.png")
    assert len(read_clip([str(tmp_path / "b.png")], 5)) == 1, "and the next read is served"


def crash(number: int) -> sandbox.Packed:
    """As a decoder with a hole in it would."""
    os.kill(os.getpid(), number)
    return None, {}


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_decoder_that_crashes_takes_only_its_own_process_along(number: int) -> None:
    with pytest.raises(InputError, match=r"^a\.mp4: ends the program that reads it"):
        sandbox.call(crash, "a.mp4", number=int(number))


def test_the_template_is_started_again_when_it_was_killed(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "b.png")
    read_clip([str(tmp_path / "b.png")], 5)
    process = sandbox._template._process
    assert process is not None
    process.kill()
    process.wait()
    assert len(read_clip([str(tmp_path / "b.png")], 5)) == 1


def test_no_process_and_no_descriptor_is_left_of_a_hundred_reads(tmp_path: Path) -> None:
    path = written(tmp_path / "a.mp4", b"no film")
    with pytest.raises(InputError):
        read_clip([str(path)], 5)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(100):
        with pytest.raises(InputError):
            read_clip([str(path)], 5)
    assert len(os.listdir("/proc/self/fd")) == before
    process = sandbox._template._process
    assert process is not None
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 5
    while children.exists() and children.read_text().split() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not children.exists() or children.read_text().split() == []


def test_which_files_are_meant_is_asked_without_trust(tmp_path: Path) -> None:
    bomb = str(hostile.gif(tmp_path / "a.gif", 9000, 200))
    assert meant([], [bomb]) == (bomb,)
    Image.new("RGB", (32, 32)).save(tmp_path / "b.png")
    assert meant([bomb], [bomb, str(tmp_path / "b.png")]) == (bomb, str(tmp_path / "b.png"))


def test_cameras_of_an_honest_file_come_through(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", json.dumps(hostile.camera_document()))
    found = read_import(path, None)
    assert found.format == "nerfstudio transforms.json" and found.cameras.image_size == (48, 64)
    np.testing.assert_array_equal(found.cameras.Ts_world_camera[0], np.diag([1.0, -1.0, -1.0, 1.0]))
