"""Session files with true hashes and false contents: refused in a sentence, nothing left; what is text stays plain."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import honest_files as honest
import hostile_files as hostile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rap import formats
from rap.errors import InputError
from rap.geometry import Trajectory
from rap.geometry.presets import preset
from ui.document.path_text import path_text, read_path
from ui.session.session_archive import MANIFEST
from ui.session.session_file import open_session

SCRIPT = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return honest.session(tmp_path_factory.mktemp("honest")).read_bytes()


def changed(
    data: bytes, change: Callable[[dict], Any] = lambda manifest: None, files: dict[str, bytes] | None = None
) -> bytes:
    """The session with a changed manifest and other files, whose hashes are right."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = {name: archive.read(name) for name in archive.namelist()} | (files or {})
    manifest = json.loads(found.pop(MANIFEST))
    told = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in found.items()}
    manifest["files"] = told
    change(manifest)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in [(MANIFEST, json.dumps(manifest).encode()), *found.items()]:
            archive.writestr(name, content)
    return buffer.getvalue()


def array_file(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def path_file(tmp: Path, path: Trajectory) -> bytes:
    formats.write(tmp / "path.npz", path)
    return (tmp / "path.npz").read_bytes()


VALUES: dict[str, tuple[Callable[[dict], Any], str]] = {
    "script as origin": (lambda m: m["takes"][0].update(origin=SCRIPT), "origin is .* expected one of regenerated, im"),
    "script as source of the focal length": (
        lambda m: m["report"].update(focal_source=SCRIPT), "focal_source is .* expected one of given, model, self-cal",
    ),
    "script as verdict": (lambda m: m["report"].update(verdict=SCRIPT), "verdict is .* expected one of good"),
    "script as outcome": (lambda m: m["report"].update(outcome=SCRIPT), "outcome is .* expected one of refined"),
    "script as start": (lambda m: m["report"].update(start=SCRIPT), "start is .* expected one of prediction, frames"),
    "script as easing": (lambda m: m["keys"].update(easing=SCRIPT), "easing is .* expected one of linear"),
    "script as hash": (lambda m: m["takes"][0].update(clip_hash=SCRIPT), "clip_hash is none"),
    "list as verdict": (lambda m: m["report"].update(verdict=["refined"]), r"verdict is \['refined'\]"),
    "name without end": (lambda m: m["takes"][0].update(name="a" * 256), "name has 256 characters, at most 255"),
    "reason without end": (lambda m: m["report"].update(reason="a" * 2001), "reason has 2,001 characters, at most"),
    "notes without end": (lambda m: m["clip"].update(notes=["a"] * 101), "a list has 101 notes, at most 100"),
    "clip's name as a list": (lambda m: m["clip"].update(name=["a"]), r"name is \['a'\], expected text"),
    "rate of 10**400": (lambda m: m["clip"].update(fps=10**400), "fps is 1000.* expected a number from 0.001 to"),
    "rate without end": (lambda m: m["clip"].update(fps=float("inf")), "fps is inf, expected a number from"),
    "rate that is none": (lambda m: m["clip"].update(fps=float("nan")), "fps is nan, expected a number from"),
    "size without end": (lambda m: m["clip"].update(upload_size=[1e400, 1]), "upload_size is inf, expected a whole"),
    "a point at infinity": (lambda m: m.update(target=[0, 0, float("-inf")]), "target is -inf, expected a number"),
    "a billion frames by keys": (lambda m: m["keys"].update(num_frames=10**9), "num_frames is 1000000000, expected"),
    "a billion steps": (lambda m: m["takes"][0]["settings"].update(steps=10**9), "steps is 1000000000, expected a"),
    "guidance without end": (lambda m: m["takes"][0]["settings"].update(guidance=1e308), "guidance is 1e.308"),
    "seconds of before": (lambda m: m["takes"][0].update(seconds=-1), "seconds is -1, expected a number from 0"),
    "take number 10**30": (lambda m: m["takes"][0].update(number=10**30), "number is 1000.*, expected a whole number"),
    "a take twice": (lambda m: m["takes"].append(m["takes"][0]), "take 1 is in it twice"),
    "501 takes": (lambda m: m.update(takes=m["takes"] * 501), "a list has 501 takes, at most 500"),
    "takes as an object": (lambda m: m.update(takes={"0": {}}), "stands where a list is expected"),
    "take as a number": (lambda m: m.update(takes=[7]), "is damaged, cut off, or not what it claims to be"),
    "report as a list": (lambda m: m.update(report=[1]), "is damaged, cut off, or not what it claims to be"),
    "a view of 180 degrees": (lambda m: m.update(known_fov_y_rad=3.2), "known_fov_y_rad is 3.2, expected a number"),
    "drag of no radius": (lambda m: m["soft_drag"].update(radius=0), "radius is 0, expected a number from 0.001"),
    "file that is a number": (lambda m: m.update(files={"a.npz": 3}), "files is .*, expected size and hash of each"),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_is_none_is_refused_by_name(whole: bytes, tmp_path: Path, name: str) -> None:
    change, said = VALUES[name]
    refused(changed(whole, change), tmp_path, said)


def refused(data: bytes, tmp_path: Path, said: str) -> None:
    folder, path = tmp_path / "session", tmp_path / "given.rap.zip"
    folder.mkdir()
    path.write_bytes(data)
    with pytest.raises(InputError, match=said) as error:
        open_session(path, folder)
    assert str(error.value).startswith("given.rap.zip: ") and "\n" not in str(error.value)
    assert list(folder.iterdir()) == [], "nothing is left"


def test_the_honest_session_opens(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "given.rap.zip").write_bytes(changed(whole))
    found = open_session(tmp_path / "given.rap.zip", tmp_path).document
    assert found.take is not None and found.take.name == "mine" and found.keys is not None


def test_text_stays_text_on_one_line(whole: bytes, tmp_path: Path) -> None:
    (tmp_path / "given.rap.zip").write_bytes(
        changed(whole, lambda m: (m["takes"][0].update(name="a\u202eb\x1b[31m\nc"), m["clip"].update(notes=["x\0y"])))
    )
    found = open_session(tmp_path / "given.rap.zip", tmp_path).document
    assert found.take is not None and found.clip is not None
    assert found.take.name == "a_b_[31m c" and found.clip.notes == ("x_y",)


def test_pictures_and_paths_beyond_the_limits_are_refused(whole: bytes, tmp_path: Path) -> None:
    frames = np.zeros((258, 8, 8, 3), dtype=np.uint8)
    large = preset("arc-left", num_frames=5, image_size=(16_000, 16_000))
    long = preset("arc-left", num_frames=258, image_size=(32, 48))
    others = {
        "the clip has 258 frames, at most 257": {"clip/frames.npz": array_file(frames_u8=frames)},
        "the clip has 4,000,000 pixels": {"clip/frames.npz": array_file(frames_u8=np.zeros((5, 2000, 2000, 3), "u1"))},
        "the clip has no frames": {"clip/frames.npz": array_file(other=frames)},
        "frames_u8 has type float64": {"clip/frames.npz": array_file(frames_u8=np.zeros((5, 8, 8, 3)))},
        "predicted.npz has 256,000,000 pixels": {"paths/predicted.npz": path_file(tmp_path, large)},
        "edited.npz has 258 frames": {"paths/edited.npz": path_file(tmp_path, long)},
        "take-1.mp4: .*neither a picture nor a video": {"takes/take-1.mp4": b"#EXTM3U\n"},
        "points.*unpacks|200,001 points": {"paths/points.npz": points(200_001)},
        "points: xyz has values that are not finite": {"paths/points.npz": points(3, np.inf)},
    }
    for i, (said, files) in enumerate(others.items()):
        folder = tmp_path / str(i)
        folder.mkdir()
        refused(changed(whole, files=files), folder, said)


def points(count: int, value: float = 0.0) -> bytes:
    return array_file(
        xyz=np.full((count, 3), value), colours_u8=np.zeros((count, 3), "u1"), error_px=np.zeros(count),
        angle_rad=np.zeros(count), point=np.zeros(count, int), span=np.zeros((count, 2), int),
    )  # fmt: skip


@pytest.mark.parametrize(
    "entry", ["../evil.npz", "/tmp/evil.npz", "a/../../evil.npz", "a\\..\\evil.npz", "takes/.x", "a"]
)
def test_names_that_lead_elsewhere_are_refused(whole: bytes, tmp_path: Path, entry: str) -> None:
    refused(changed(whole, files={entry: b"x"}), tmp_path, "is no name that a session has; nothing was unpacked")
    assert not (tmp_path / "evil.npz").exists() and not (tmp_path.parent / "evil.npz").exists()


def test_a_file_that_unpacks_to_more_than_its_header_says_is_refused(whole: bytes, tmp_path: Path) -> None:
    """The sizes in a zip are told by who made it: here the table says 3 bytes of a take of thousands."""
    data = bytearray(changed(whole))
    name = b"takes/take-1.mp4"
    at = data.rindex(b"PK\1\2", 0, data.rindex(name))
    data[at + 24 : at + 28] = (3).to_bytes(4, "little")
    refused(bytes(data), tmp_path, "is damaged, cut off|SHA-256 differs|not what was saved")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ("image_size", "fps", "source", "intrinsics", "Ts_world_camera")


@given(st.sampled_from(FIELDS), json_values)
@settings(max_examples=200)
def test_a_pasted_path_of_any_values_is_read_or_refused(field: str, value: Any) -> None:
    fields = json.loads(path_text(honest.PATH)) | {field: value}
    try:
        assert isinstance(read_path(json.dumps(fields), None), Trajectory)
    except ValueError as error:
        assert "\n" not in str(error)


@given(json_values)
@settings(max_examples=100)
def test_a_transforms_file_of_any_values_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, value: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(hostile.camera_document(frames=value, fl_x=value)))
    with pytest.raises(InputError, match=r"^any\.json: "):
        formats.read(path)
