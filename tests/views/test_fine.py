"""Takes at full size against a world whose every pixel is known: a wall with a board before it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from rap import metrics
from rap.bench.take import flicker, sharpness
from rap.geometry import Trajectory, filmed
from rap.views import fine
from rap.views.fine import Coarse, Content, FineSources, fine_frame, fine_frames, to_size, with_content
from rap.views.warp import Warp, warp

SMALL, LARGE = (48, 64), (144, 192)


def cameras(xs, size):
    """Cameras side by side, and their intrinsics in pixels of a size."""
    Ts = np.tile(np.eye(4), (len(xs), 1, 1))
    Ts[:, 0, 3] = xs
    return Ts, np.tile([0.9 * size[1], 0.9 * size[1], size[1] / 2, size[0] / 2], (len(xs), 1))


def look(xs, size):
    """Frames (T,H,W,3) in [0, 1] and inverse depth: waves on a wall at depth 2, others on a board at depth 1."""
    Ts, intrinsics = cameras(xs, (size[0] * 3, size[1] * 3))
    y, x = np.indices((size[0] * 3, size[1] * 3)) + 0.5
    frames, depths = [], []
    for T, (fx, fy, cx, cy) in zip(Ts, intrinsics, strict=True):
        ray_x, ray_y = (x - cx) / fx, (y - cy) / fy
        board = (abs(ray_x + T[0, 3]) < 0.2) & (abs(ray_y) < 0.15)
        depth = np.where(board, 1.0, 2.0)
        X, Y = ray_x * depth + T[0, 3], ray_y * depth
        waves = [np.sin(70 * X) * np.cos(60 * Y), np.cos(50 * X + 30 * Y), np.sin(40 * Y)]
        colour = 0.5 + 0.2 * np.stack(waves, axis=-1) + np.where(board, 0.2, -0.2)[..., None] * [1, 0.5, -1]
        frames.append(cv2.resize(np.clip(colour, 0, 1).astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA))
        depths.append((1 / depth)[1::3, 1::3])
    return np.stack(frames), np.stack(depths).astype(np.float32)


def u8(frames):
    return np.round(frames * 255).astype(np.uint8)


SOURCES_AT = [-0.1, 0.0, 0.1, 0.2]


def made(targets_at, network=None):
    """The coarse warp and what it becomes at full size."""
    small, depth = look(SOURCES_AT, SMALL)
    large, _ = look(SOURCES_AT, LARGE)
    Ts, intrinsics = cameras(SOURCES_AT, SMALL)
    to, lens = cameras(targets_at, SMALL)
    frames = torch.from_numpy(small).permute(0, 3, 1, 2)
    seen = warp(frames, torch.from_numpy(depth), Ts, intrinsics, to, lens, SMALL, network=network, with_mix=True)
    sources = FineSources.of(list(u8(large)), torch.from_numpy(depth), Ts, intrinsics)
    return seen, sources


def shown(targets_at, seen=None, sources=None):
    if seen is None:
        seen, sources = made(targets_at)
    return np.stack(list(fine_frames(Coarse.of(seen), sources, cameras(targets_at, LARGE), LARGE)))


def test_a_take_has_the_detail_of_the_large_frames():
    at = [0.03, 0.05, 0.14]
    seen, sources = made(at)
    truth = u8(look(at, LARGE)[0])
    found = shown(at, seen, sources)
    small = u8(seen.filled.permute(0, 2, 3, 1).numpy())
    enlarged = np.stack([cv2.resize(frame, LARGE[::-1], interpolation=cv2.INTER_CUBIC) for frame in small])
    assert metrics.psnr(found, truth) > metrics.psnr(enlarged, truth) + 3
    assert (sharpness(found) / sharpness(truth)).min() > 0.7 > (sharpness(enlarged) / sharpness(truth)).max()


def test_a_take_reduced_is_what_was_decided_small():
    at = [0.03, 0.14]
    seen, sources = made(at)
    reduced = np.stack([cv2.resize(f, SMALL[::-1], interpolation=cv2.INTER_AREA) for f in shown(at, seen, sources)])
    assert metrics.psnr(reduced, u8(seen.filled.permute(0, 2, 3, 1).numpy())) > 27


def test_beside_an_edge_a_pixel_is_of_one_surface_or_the_other(monkeypatch):
    at = [0.05]
    seen, sources = made(at)
    truth, depth = look(at, LARGE)
    rim = cv2.dilate(cv2.Canny(u8(depth[0]), 10, 20), np.ones((7, 7), np.uint8)) > 0

    def error(found):
        return np.abs(found[0].astype(float) - u8(truth[0]))[rim].mean()

    sharp = error(shown(at, seen, sources))
    monkeypatch.setattr(fine, "EDGE", np.inf)
    assert sharp < 0.9 * error(shown(at, seen, sources))


def test_sharpness_does_not_jump_and_nothing_flickers():
    at = np.linspace(-0.1, 0.2, 13)
    found, truth = shown(list(at)), u8(look(list(at), LARGE)[0])
    share = sharpness(found) / sharpness(truth)
    assert share.max() - share.min() < 0.2 * share.mean()
    assert abs(share[1] / share[0] - 1) < 0.1
    assert flicker(found) < 1.2 * flicker(truth)


def test_shares_of_detail_have_the_same_sum_and_are_continuous():
    rng = np.random.default_rng(0)
    shares = [part.astype(np.float32) for part in rng.dirichlet([1, 1, 1], size=(5, 6)).transpose(2, 0, 1)]
    detail = fine._detail_shares(shares)
    np.testing.assert_allclose(sum(detail), sum(shares), rtol=1e-5)
    largest = np.argmax(shares, axis=0)
    assert (np.take_along_axis(np.stack(detail), largest[None], 0) >= np.max(shares, axis=0) - 1e-6).all()
    moved = fine._detail_shares([shares[0] + 1e-4, shares[1] - 1e-4, shares[2]])
    assert max(np.abs(a - b).max() for a, b in zip(moved, detail, strict=True)) < 1e-2


def test_holes_take_what_the_model_shows_and_nothing_else_does():
    at = [0.9]
    seen, sources = made(at)
    coarse = Coarse.of(seen)
    hole = ~seen.mask[0].numpy()
    assert 0.1 < hole.mean() < 0.9
    given = np.full((1, 24, 32, 3), 100, np.uint8)
    content = Content(given + np.array([50, 0, 0], np.uint8), given, (0.0, 0.0, 1.0, 1.0))
    change = coarse.showing(content).rest - coarse.rest
    np.testing.assert_allclose(change[0][hole], np.tile([50 / 255, 0, 0], (hole.sum(), 1)), atol=1e-4)
    assert np.abs(change[0][~hole]).max() < 1e-2
    target = cameras(at, LARGE)
    before, after = (
        fine_frame(one, 0, sources, (target[0][0], target[1][0]), LARGE) for one in (coarse, coarse.showing(content))
    )
    deep = cv2.erode(cv2.resize(hole.astype(np.uint8), LARGE[::-1], interpolation=cv2.INTER_NEAREST), np.ones((9, 9)))
    assert (after.astype(int) - before)[deep > 0, 0].mean() > 30


def test_holes_get_the_low_frequencies_of_what_the_model_made():
    rng = np.random.default_rng(0)
    shown = rng.integers(80, 120, (2, 32, 48, 3), dtype=np.uint8)
    holes = np.zeros(shown.shape[:3])
    holes[:, :, 24:] = 1
    made = np.full_like(shown, 150)
    found = with_content(shown, holes, made)
    assert np.array_equal(found[:, :, :24], shown[:, :, :24])
    invented = found[:, :, 24:].astype(float)
    assert abs(invented.mean() - 150) < 3 and invented.std() == pytest.approx(shown[:, :, 24:].std(), rel=0.1)


def test_content_is_placed_where_the_models_frames_lie_and_goes_on_in_time():
    given = np.zeros((2, 16, 16, 3), np.uint8)
    content = Content(given + np.array([0, 120], np.uint8)[:, None, None, None], given, (0.0, 0.25, 1.0, 0.5))
    changes = content.changes(5, (20, 40))
    assert changes.shape == (5, 20, 40, 3)
    np.testing.assert_allclose(changes[:, 10, 20, 0], np.linspace(0, 120 / 255, 5), atol=1e-4)


def test_a_warp_tells_its_mix_only_where_that_is_asked_for():
    seen, _ = made([0.05])
    mix = seen.mix
    assert mix is not None and mix.index.shape == (1, 3)
    total = mix.shares.sum(dim=1)
    assert (total[seen.mask] > 0.5).all() and (total[~seen.mask] == 0).all()
    bare = Warp(*(getattr(seen, name) for name in Warp.__dataclass_fields__ if name != "mix"))
    with pytest.raises(ValueError, match="with_mix=True"):
        Coarse.of(bare)


def test_frames_come_in_order_and_can_be_left_early():
    seen, sources = made([0.0, 0.1, 0.15])
    frames = fine_frames(Coarse.of(seen), sources, cameras([0.0, 0.1, 0.15], LARGE), LARGE)
    first = next(frames)
    np.testing.assert_array_equal(first, shown([0.0])[0])
    frames.close()


def test_frames_finer_than_a_take_are_smoothed_and_not_kept_finer_than_they_serve():
    frame = (np.indices((120, 240)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=-1)
    assert to_size(frame, (30, 60)).shape == (45, 90, 3)
    between = to_size(frame, (90, 180))
    assert between.shape == frame.shape and between.std() < 0.6 * frame.std(), "a pattern of single pixels is too fine"
    assert to_size(frame, (120, 240)) is frame and to_size(frame, (300, 600)) is frame


def test_a_path_in_more_frames_lasts_as_long():
    Ts, intrinsics = cameras(np.linspace(0, 1, 17), SMALL)
    path = Trajectory(Ts, intrinsics, SMALL, fps=8.0, source=4)
    longer = filmed(path, 49)
    assert len(longer) == 49 and longer.fps == pytest.approx(24) and longer.source == 12
    np.testing.assert_allclose(longer.centres[:, 0], np.linspace(0, 1, 49), atol=1e-9)
    assert filmed(path, 33, 30.0).fps == 30 and filmed(path) == path
    assert filmed(path, fps=12.0) == replace(path, fps=12.0)
