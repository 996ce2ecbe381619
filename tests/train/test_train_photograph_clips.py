"""Clips from photographs: their cameras are exact of their depth, they show what was photographed, and no materials."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from rap.errors import InputError
from rap.synthetic import SyntheticConfig
from rap.synthetic.clips import SyntheticBatch
from rap.train import photograph_clips
from rap.train.photograph_clips import FLIGHTS, LEAST_SEEN, lifted, photographs, plan_flight, render_photographs
from rap.views.warp import warp

SIZE = (32, 48)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photographs, of which smooth noise is enough, and a material."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for name in ("a.png", "b.png", "wood.png"):
        noise = cv2.resize(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8), (80, 60), interpolation=cv2.INTER_CUBIC)
        Image.fromarray(noise).save(folder / name)
    (folder / "manifest.csv").write_text("file,kind\na.png,photo\nwood.png,texture (of a shop)\n")
    return folder


@pytest.fixture(scope="module")
def config(folder: Path) -> SyntheticConfig:
    return SyntheticConfig(size=SIZE, num_frames=5, photographs=folder, photometric=False)


@pytest.fixture(scope="module")
def clips(config: SyntheticConfig) -> SyntheticBatch:
    return render_photographs(1, FLIGHTS + 1, config, with_depth=True)


def test_materials_are_no_photographs(folder: Path, tmp_path: Path) -> None:
    assert [path.name for path in photographs(folder)] == ["a.png", "b.png"]
    with pytest.raises(InputError, match="holds no photographs"):
        photographs(tmp_path)


def test_a_clip_depends_on_its_seed_and_number_alone(config: SyntheticConfig, clips: SyntheticBatch) -> None:
    last = render_photographs(1, 1, config, start=FLIGHTS)
    assert torch.equal(last.frames_u8[0], clips.frames_u8[-1]) and last.depth is None
    assert torch.equal(last.Ts_world_camera[0], clips.Ts_world_camera[-1])
    means = clips.frames_u8.float().mean(dim=(1, 2, 3))
    apart = (means[:, None] - means).abs().amax(-1)
    assert apart[-1, :-1].min() > apart[:-1, :-1].max(), "the next photograph comes after so many paths"
    assert all(kind.startswith("photograph/") for kind in clips.kinds)


def test_cameras_are_exact_of_the_depth(clips: SyntheticBatch) -> None:
    """A frame warped by its depth into the cameras of the others shows them, in the unit of frame 0's median."""
    assert clips.depth is not None and (clips.median_depth[:, 0] == 1).all()
    moved = 0
    for frames_u8, Ts, lens, depth in zip(
        clips.frames_u8, clips.Ts_world_camera, clips.intrinsics, clips.depth, strict=True
    ):
        frames, Ts, lens = frames_u8.permute(0, 3, 1, 2).float() / 255, Ts.numpy(), lens.numpy()
        seen = warp(frames[:1], 1 / depth[:1], Ts[:1], lens[:1], Ts, lens, SIZE)
        error = (seen.colour - frames).abs().mean(dim=1)[seen.mask]
        still = (frames[:1] - frames).abs().mean(dim=1)[seen.mask]
        assert error.median() < 0.02 and seen.mask.float().mean() > 0.3
        moved += int(still.mean() > 2 * error.mean())
    assert moved >= 3


def test_paths_are_shrunk_until_the_photograph_fills_their_frames(
    config: SyntheticConfig, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = lifted(folder / "a.png", 72, 0.85)
    for seed in range(4):
        views, _ = plan_flight(np.random.default_rng(seed), room, config)
        seen = room.layers.render(views.Ts_scene_camera, views.intrinsics, views.size)
        assert seen.mask.float().mean(dim=(1, 2)).min() > LEAST_SEEN - 0.06  # judged on fewer and smaller frames
    monkeypatch.setattr(photograph_clips, "LEAST_SEEN", 1.1)
    monkeypatch.setattr(photograph_clips, "ATTEMPTS", 2)
    with pytest.raises(RuntimeError, match="please report the seed"):
        plan_flight(np.random.default_rng(0), room, config)
