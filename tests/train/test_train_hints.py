"""Hints for training: right where nothing is corrupted, wrong as meant where it is, and dealt to whom they belong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from rap.data.dataset import ClipStore, PosedClips, to_video
from rap.errors import InputError
from rap.geometry import se3
from rap.model import LatentCodec, PatchAutoencoder
from rap.reconstruction.optical_flow import FLOW_CHANNELS
from rap.synthetic import SyntheticConfig, build_shards, render_clips
from rap.train import hints as train_hints
from rap.train.batches import SMALL_BATCH, SMALL_SIDE, BatchMaker
from rap.train.hints import HintMaker, corrupted, shake, simulated_flow
from rap.train.settings import ModelTraining
from rap.views.warp import fill_holes

CPU = torch.device("cpu")
SIZE = (64, 96)


@pytest.fixture(scope="module")
def clips() -> PosedClips:
    batch = render_clips(3, 2, SyntheticConfig(size=SIZE, num_frames=9, texture_size=32), with_depth=True)
    arrays = (batch.frames_u8, batch.Ts_world_camera, batch.intrinsics, batch.median_depth, batch.depth)
    return PosedClips(*(np.asarray(a) for a in arrays))


def maker(seed: int = 0, **settings) -> HintMaker:
    chosen = ModelTraining(flow_hint=True, warp_hint="blend", **{"hint_dropout": 0.0, **settings})
    return HintMaker(chosen, np.random.default_rng(seed), CPU)


def without_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BEND", "SCALE", "SHAKE_ROTATION_RAD", "SHAKE_TRANSLATION"):
        monkeypatch.setattr(train_hints, name, 0.0)
    monkeypatch.setattr(train_hints, "EDGE_SIZES", (1,))


def test_a_warp_under_true_depth_shows_the_clip(clips: PosedClips, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any frame as the source: its own median depth is the unit, of poses and of depth alike."""
    without_errors(monkeypatch)
    video = to_video(clips.frames_u8)
    for row, source in ((0, 0), (1, 5)):
        found = maker(plane_rate=0.0).warp(clips, row, video[row], np.array([source]))
        assert found is not None
        seen = found.mask.numpy()
        shown = found.colour.permute(0, 2, 3, 1).numpy()[seen] * 255
        truth = clips.frames_u8[row][seen]
        assert seen.mean() > 0.3 and np.median(np.abs(shown - truth).mean(-1)) < 8
        unit = clips.median_depth[row, source]
        relative = found.inverse_depth.numpy()[seen] * clips.depth[row].astype(float)[seen] / unit
        assert np.median(np.abs(relative - 1)) < 0.02


def test_a_plane_knows_the_source_frame_alone(clips: PosedClips) -> None:
    video = to_video(clips.frames_u8)
    found = maker(plane_rate=1.0).warp(clips, 0, video[0], np.array([4]))
    assert found is not None and found.mask[4].float().mean() > 0.98
    own = found.colour[4].permute(1, 2, 0).numpy() * 255
    assert np.abs(own - clips.frames_u8[0, 4])[1:-1, 1:-1].mean() < 1
    assert not found.layer_masks[:, 1].any()  # one source has one layer


def test_a_picture_is_shown_by_its_own_depth_with_its_holes_open(clips: PosedClips) -> None:
    video = to_video(clips.frames_u8)
    found = maker(picture_rate=1.0).warp(clips, 0, video[0], np.array([4]))
    assert found is not None and found.mask[4].float().mean() > 0.98 and not found.mask.all()
    own = found.colour[4].permute(1, 2, 0).numpy() * 255
    assert np.abs(own - clips.frames_u8[0, 4])[2:-2, 2:-2].mean() < 2
    torch.testing.assert_close(found.filled, fill_holes(found.colour, found.mask))
    assert (found.inverse_depth[~found.mask] == 0).all()
    true = maker(plane_rate=0.0).warp(clips, 0, video[0], np.array([4]))
    assert true is not None and (found.inverse_depth[4] - true.inverse_depth[4]).abs().mean() > 0.02, "it errs"


def test_dropout_leaves_samples_without_hint(clips: PosedClips) -> None:
    none = maker(hint_dropout=1.0)
    assert none.warp(clips, 0, to_video(clips.frames_u8)[0], np.array([0])) is None
    flow = none.flow(clips, 0, 0)
    assert flow.shape == (FLOW_CHANNELS, 3, 8, 12) and flow.abs().max() == 0


def test_a_warp_needs_depth(clips: PosedClips) -> None:
    bare = PosedClips(clips.frames_u8, clips.Ts_world_camera, clips.intrinsics, clips.median_depth)
    with pytest.raises(InputError, match="clips with depth"):
        maker().warp(bare, 0, to_video(clips.frames_u8)[0], np.array([0]))


def test_corruption_is_wrong_by_some_percent_and_knows_a_part_of_it() -> None:
    rng = np.random.default_rng(0)
    errors, confidences = [], []
    step = torch.ones(2, *SIZE)
    step[:, :, 48:] = 2.0
    for _ in range(24):
        wrong, sure = corrupted(step, rng)
        assert torch.isfinite(wrong).all() and wrong.min() > 0 and sure.min() >= 0 and sure.max() <= 1
        errors.append((wrong / step).log().abs())
        confidences.append(sure)
    error, sure = torch.stack(errors), torch.stack(confidences)
    assert 0.02 < error.mean() < 0.12
    edge = slice(46, 48)  # near things grow over their outline
    assert error[..., edge].mean() > 1.5 * error[..., :40].mean()
    assert torch.corrcoef(torch.stack([error.flatten(), sure.flatten()]))[0, 1] < -0.2


@pytest.mark.parametrize("seed", range(4))
def test_what_is_infinitely_far_stays_there_and_its_hints_are_finite(clips: PosedClips, seed: int) -> None:
    """A sky has no depth: half floats write it as infinity."""
    assert clips.depth is not None
    depth = clips.depth.copy()
    depth[:, :, :20] = np.inf
    far = dataclasses.replace(clips, depth=depth)
    sky = torch.zeros(1, *SIZE)
    sky[:, 20:] = 1.0
    wrong, sure = corrupted(sky, np.random.default_rng(seed))
    assert (wrong[:, :16] == 0).all() and torch.isfinite(wrong).all() and torch.isfinite(sure).all()
    found = maker(plane_rate=0.0).warp(far, 0, to_video(far.frames_u8)[0], np.array([0]))
    assert found is not None
    for values in (found.colour, found.weight, found.inverse_depth):
        assert torch.isfinite(values).all()
    flow = simulated_flow(far, 0, 0, (8, 12), np.random.default_rng(seed), CPU)
    assert torch.isfinite(flow).all()


def test_shaken_poses_are_near_the_true_ones() -> None:
    rng = np.random.default_rng(0)
    Ts = se3.exp(rng.normal(0, 0.5, (200, 6)))
    turned = np.degrees(se3.rotation_angle(np.swapaxes(Ts[:, :3, :3], 1, 2) @ shake(Ts, rng)[:, :3, :3]))
    assert 0.01 < turned.mean() < 2


@pytest.mark.parametrize("source", [0, 6])
def test_simulated_flow_is_like_the_flow_that_is_found(clips: PosedClips, source: int) -> None:
    """Both tell the same motion where both are sure: to a tenth of a half frame height and mostly far better."""
    grid = (8, 12)
    found = maker(simulated_flow_rate=0.0).flow(clips, 0, source)
    made = simulated_flow(clips, 0, source, grid, np.random.default_rng(1), CPU)
    assert found.shape == made.shape == (FLOW_CHANNELS, 3, *grid)
    found, made = (f.unflatten(0, (4, 2, 3)) for f in (found, made))
    sure = (found[:, :, 2] > 0.7) & (made[:, :, 2] > 0.7)
    difference = (found[:, :, :2] - made[:, :, :2]).norm(dim=2)[sure]
    assert sure.sum() > 25 and difference.median() < 0.1


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    folder = tmp_path_factory.mktemp("shards")
    config = SyntheticConfig(size=SIZE, num_frames=9, texture_size=16)
    list(build_shards(folder, 6, 1, config, with_depth=True))
    return ClipStore(folder)


def batches(store: ClipStore, seed: int = 0, **settings) -> BatchMaker:
    torch.manual_seed(0)
    vae = PatchAutoencoder(z_dim=12, refiner_width=8, refiner_blocks=1)
    vae.fit_bases(torch.rand(2, 3, 5, 32, 32) * 2 - 1)
    chosen = ModelTraining(batch=8, flow_hint=True, warp_hint="layers", video_baseline="warp", **settings)
    return BatchMaker(store, LatentCodec(vae), chosen, np.random.default_rng(seed))


def test_hints_go_to_the_samples_whose_modality_is_given(store: ClipStore) -> None:
    drawer = batches(store, short_clip_rate=0.0, hint_dropout=0.1)
    counts = np.zeros(3, dtype=int)
    for _ in range(4):
        batch = drawer.draw()
        segment = batch.num_source_frames
        assert batch.flow_hint[:, :, :segment].abs().max() == 0 and batch.warp_hint[:, :, :segment].abs().max() == 0
        given_video = (batch.times.video == 0).all(1)
        given_rays = (batch.times.rays == 0).all(1)
        has_flow, has_warp = (h.flatten(1).abs().amax(1) > 0 for h in (batch.flow_hint, batch.warp_hint))
        assert not (has_flow & ~given_video).any() and not (has_warp & ~given_rays).any()
        baseline = batch.baseline[:, :, segment:]
        assert torch.equal(baseline[has_warp], batch.warp_hint[has_warp][:, :12, segment:])
        still = baseline[~has_warp]
        assert len(still) == 0 or still.abs().max() > 0
        counts += [int(has_flow.sum()), int(has_warp.sum()), int((given_rays & ~has_warp).sum())]
    assert counts[0] > 5 and counts[1] > 3


def test_batches_of_small_squares_are_four_times_as_many(store: ClipStore) -> None:
    batch = batches(store).draw(small=True)
    assert batch.clean.video.shape[0] == 8 * SMALL_BATCH and batch.clean.video.shape[-2:] == (SMALL_SIDE // 8,) * 2
    assert batch.clean.rays.shape[-2:] == (SMALL_SIDE // 16,) * 2


def test_a_batch_depends_on_its_generator_alone(store: ClipStore) -> None:
    a, b, other = (batches(store, seed).draw() for seed in (3, 3, 4))
    assert torch.equal(a.warp_hint, b.warp_hint) and torch.equal(a.flow_hint, b.flow_hint)
    assert torch.equal(a.clean.video, b.clean.video) and not torch.equal(a.times.video, other.times.video)
