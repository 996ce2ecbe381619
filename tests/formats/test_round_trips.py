"""Every pair of formats: what both hold of a path comes through, and what one does not hold is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from camera_files import made

from rap import formats
from rap.formats.table import FACTS
from rap.geometry import Trajectory, se3

FRAMES, SIZE = 4, (96, 128)
READ = [name for name, entry in formats.FORMATS.items() if entry.read is not None]
BOTH = [name for name in READ if formats.FORMATS[name].write is not None]
POSE_TOLERANCE = {"c2w": 3e-7, "after_effects": 1e-9}
LENS_TOLERANCE = {"c2w": 1e-6, "usd": 1e-6}
"""Of single precision; elsewhere files keep float64 but for its last digits."""


def example(facts: frozenset[str]) -> Trajectory:
    """A path that turns about all axes; besides its poses it has only these of `FACTS`."""
    i = np.arange(FRAMES)[:, None]
    poses = se3.exp(np.concatenate([i * [0.3, -0.1, 0.2], 0.1 + i * [0.05, 0.4, -0.7]], axis=1))
    focal = 100.0 + (3.0 * i[:, 0] if "zoom" in facts else 0.0 * i[:, 0])
    fy = focal * (1.25 if "pixel_shape" in facts else 1.0)
    cx, cy = (70.0, 40.0) if "centre" in facts else (64.0, 48.0)
    lenses = np.stack([focal, fy, np.full(FRAMES, cx), np.full(FRAMES, cy)], axis=1)
    fps = 24.0 if "rate" in facts else 8.0
    return Trajectory(poses, lenses, SIZE, fps=fps, source=2 if "source" in facts else 0)


def relative(path: Trajectory) -> np.ndarray:
    return se3.inverse(path.Ts_world_camera[:1]) @ path.Ts_world_camera


@pytest.mark.parametrize("into", BOTH)
@pytest.mark.parametrize("out", READ)
def test_a_path_comes_through_from_one_format_to_the_other(out: str, into: str, tmp_path: Path) -> None:
    a, b = formats.FORMATS[out], formats.FORMATS[into]
    path = example(a.holds & b.holds)
    names = [f"{i:03d}.png" for i in range(FRAMES)]
    given = {"image_size": SIZE}
    first = formats.load(made(tmp_path / "1" / a.default_name, path, out, names), **given)
    assert first.format is a
    told = formats.write(tmp_path / "2" / b.default_name, first.trajectory, first.names or None, format_name=into)
    second = formats.load(tmp_path / "2" / b.default_name, **given)
    assert second.format is b

    tolerance = POSE_TOLERANCE.get(into, 1e-12) + POSE_TOLERANCE.get(out, 1e-12)
    np.testing.assert_allclose(relative(second.trajectory), relative(path), atol=tolerance * 10)
    assert second.trajectory.image_size == SIZE
    if "lens" in a.holds & b.holds:
        rtol = LENS_TOLERANCE.get(into, 1e-12) + LENS_TOLERANCE.get(out, 1e-12)
        np.testing.assert_allclose(second.trajectory.intrinsics, path.intrinsics, rtol=rtol)
    if "rate" in a.holds & b.holds:
        assert second.trajectory.fps == pytest.approx(24.0, rel=1e-4)  # RealEstate10K counts microseconds
    if "names" in b.holds and first.names:
        assert [PurePosixPath(n).stem for n in second.names] == [PurePosixPath(n).stem for n in first.names]
    if "source" in a.holds & b.holds:
        assert second.trajectory.source == 2
    lost = [FACTS[fact] for fact in ("lens", "size", "rate") if fact not in b.holds]
    assert all(words in told[0] for words in lost) if lost else True


@pytest.mark.parametrize("name", [name for name, entry in formats.FORMATS.items() if entry.write is not None])
def test_what_is_lost_is_said_and_nothing_else(name: str, tmp_path: Path) -> None:
    entry = formats.FORMATS[name]
    full = example(frozenset(FACTS))
    told = formats.write(tmp_path / entry.default_name, full, list("abcd"), format_name=name)
    missing = [words for fact, words in FACTS.items() if fact not in entry.holds]
    assert told == ((f"{entry.default_name}: {entry.title} has no place for: {', '.join(missing)}",) if missing else ())
    plain = entry.lost(replace(example(frozenset()), fps=8.0))
    assert set(plain) == {FACTS[fact] for fact in ("lens", "size", "rate") if fact not in entry.holds}


@pytest.mark.parametrize("name", BOTH)
def test_the_world_stays(name: str, tmp_path: Path) -> None:
    """Not only what the poses are to each other: converted back and forth a path lies where it lay."""
    path = example(frozenset())
    for turn in "ab":
        formats.write(tmp_path / turn / formats.FORMATS[name].default_name, path, format_name=name)
        path = formats.read(tmp_path / turn / formats.FORMATS[name].default_name, image_size=SIZE)
    np.testing.assert_allclose(path.Ts_world_camera, example(frozenset()).Ts_world_camera, atol=1e-6)
