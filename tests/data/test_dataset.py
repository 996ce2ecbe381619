"""Shards to batches: the laws of the augmentations, and what a store draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rap.data.dataset import (
    SHARD_KEYS,
    ClipStore,
    PosedClips,
    jitter_colours,
    mirror,
    read_shard,
    relative_cameras,
    reverse_time,
    small_squares,
    take_frames,
    to_video,
)
from rap.errors import InputError
from rap.geometry import project, se3
from rap.synthetic import SyntheticConfig, build_shards, render_clips

SIZE = (20, 28)


def random_clips(count: int = 3, frames: int = 5, size: tuple[int, int] = SIZE, seed: int = 0) -> PosedClips:
    rng = np.random.default_rng(seed)
    h, w = size
    return PosedClips(
        rng.integers(0, 256, (count, frames, h, w, 3), dtype=np.uint8),
        se3.exp(rng.normal(0, 0.4, (count, frames, 6))),
        rng.uniform([20, 20, w / 2 - 2, h / 2 - 2], [40, 40, w / 2 + 2, h / 2 + 2], (count, frames, 4)),
        rng.uniform(0.5, 3.0, (count, frames)),
        rng.uniform(0.5, 3.0, (count, frames, h, w)).astype(np.float16),
    )


def assert_same(a: PosedClips, b: PosedClips, atol: float = 0.0) -> None:
    for key in SHARD_KEYS:
        np.testing.assert_allclose(getattr(a, key), getattr(b, key), atol=atol, rtol=0, err_msg=key)


def write(path: Path, clips: PosedClips) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{key: getattr(clips, key) for key in SHARD_KEYS})


# --- augmentations ----------------------------------------------------------------------------------------------------


def pixels_of(clips: PosedClips, points: np.ndarray) -> np.ndarray:
    """(N, T, P, 2) where the cameras see points (P, 3) of the world."""
    T_camera_world = se3.inverse(clips.Ts_world_camera)
    inside = np.einsum("ntij,pj->ntpi", T_camera_world[..., :3, :3], points) + T_camera_world[..., None, :3, 3]
    return project(torch.from_numpy(inside), torch.from_numpy(clips.intrinsics.copy())).numpy()


def test_a_mirrored_camera_sees_mirrored_points_at_mirrored_pixels() -> None:
    clips = random_clips()
    points = np.random.default_rng(1).normal(0, 1, (7, 3)) + [0, 0, 6]
    before, after = pixels_of(clips, points), pixels_of(mirror(clips), points * [-1, 1, 1])
    np.testing.assert_allclose(after[..., 0], SIZE[1] - before[..., 0], atol=1e-9)
    np.testing.assert_allclose(after[..., 1], before[..., 1], atol=1e-9)
    assert np.array_equal(mirror(clips).frames_u8[:, :, :, 3], clips.frames_u8[:, :, :, SIZE[1] - 4])
    se3.check_rigid(mirror(clips).Ts_world_camera, "mirrored")


def test_a_mirrored_rendering_agrees_with_its_cameras() -> None:
    """Depth of frame 0 carries its pixels into frame 1 of the mirrored clip as well as in the clip itself."""
    batch = render_clips(
        5, 2, SyntheticConfig(size=(48, 48), num_frames=5, texture_size=32, photometric=False), with_depth=True
    )
    assert batch.depth is not None
    clips = PosedClips(*(getattr(batch, key).numpy() for key in SHARD_KEYS))
    depth = batch.depth.numpy()
    errors = [warp_error(clips, depth), warp_error(mirror(clips), depth[..., ::-1])]
    wrong = warp_error(
        PosedClips(mirror(clips).frames_u8, *(getattr(clips, k) for k in SHARD_KEYS[1:])), depth[..., ::-1]
    )
    assert errors[1] == pytest.approx(errors[0], rel=0.1) and errors[1] < 0.6 * wrong


def warp_error(clips: PosedClips, depth: np.ndarray) -> float:
    """Mean grey difference of the last frame, fetched at where the first frame's points are seen, to the first.

    Over the clips whose last frame sees anything of the first at all.
    """
    total = []
    h, w = clips.size
    rows, columns = np.mgrid[:h, :w]
    for k in range(len(clips)):
        fx, fy, cx, cy = clips.intrinsics[k, 0]
        rays = np.stack([(columns + 0.5 - cx) / fx, (rows + 0.5 - cy) / fy, np.ones((h, w))], -1)
        world = np.concatenate([rays * depth[k, 0][..., None], np.ones((h, w, 1))], -1) @ clips.Ts_world_camera[k, 0].T
        seen = world @ np.linalg.inv(clips.Ts_world_camera[k, -1]).T
        fx, fy, cx, cy = clips.intrinsics[k, -1]
        seen[~np.isfinite(seen).all(axis=-1)] = -1  # the sky is nowhere
        x, y = (np.floor(f * seen[..., i] / seen[..., 2] + c).astype(int) for i, f, c in ((0, fx, cx), (1, fy, cy)))
        inside = (seen[..., 2] > 0) & (x >= 0) & (x < w) & (y >= 0) & (y < h)
        if not inside.any():
            continue
        there, here = clips.frames_u8[k, -1][y[inside], x[inside]], clips.frames_u8[k, 0][inside]
        total.append(np.abs(there.astype(float) - here).mean())
    return float(np.mean(total))


@pytest.mark.parametrize("change", [mirror, reverse_time])
def test_twice_is_the_same(change) -> None:
    clips = random_clips()
    assert_same(change(change(clips)), clips, atol=1e-12)
    assert not np.array_equal(change(clips).frames_u8, clips.frames_u8)


def test_reversing_and_mirroring_commute_and_keep_frames_and_cameras_together() -> None:
    clips = random_clips()
    assert_same(mirror(reverse_time(clips)), reverse_time(mirror(clips)))
    backwards = reverse_time(clips)
    for key in SHARD_KEYS:
        assert np.array_equal(getattr(backwards, key)[:, 1], getattr(clips, key)[:, -2])
    assert_same(take_frames(clips, slice(0, 5, 2)), take_frames(reverse_time(reverse_time(clips)), slice(0, 5, 2)))


def test_relative_cameras_put_the_world_at_the_reference_in_its_median_depth() -> None:
    clips, references = random_clips(), np.array([0, 3, 4])
    Ts = relative_cameras(clips, references)
    for k, i in enumerate(references):
        np.testing.assert_allclose(Ts[k, i], np.eye(4), atol=1e-12)
        for j in range(5):
            T = np.linalg.inv(clips.Ts_world_camera[k, i]) @ clips.Ts_world_camera[k, j]
            np.testing.assert_allclose(Ts[k, j, :3, :3], T[:3, :3], atol=1e-12)
            np.testing.assert_allclose(Ts[k, j, :3, 3] * clips.median_depth[k, i], T[:3, 3], atol=1e-12)


def test_relative_cameras_do_not_depend_on_the_shard_s_world_or_unit() -> None:
    clips, references = random_clips(), np.array([2, 0, 4])
    Ts = se3.exp(np.array([1.0, -2.0, 0.5, 0.3, 2.0, -1.0])) @ clips.Ts_world_camera
    Ts[..., :3, 3] *= 7.0
    moved = PosedClips(clips.frames_u8, Ts, clips.intrinsics, clips.median_depth * 7.0)
    np.testing.assert_allclose(relative_cameras(moved, references), relative_cameras(clips, references), atol=1e-12)


def test_reversed_clips_have_the_same_relative_cameras_of_the_same_frame() -> None:
    clips, references = random_clips(), np.array([1, 0, 4])
    backwards = relative_cameras(reverse_time(clips), 4 - references)
    np.testing.assert_allclose(backwards[:, ::-1], relative_cameras(clips, references), atol=1e-12)


def test_videos_are_channels_first_in_minus_one_to_one_and_jitter_is_the_same_for_all_frames() -> None:
    clips = random_clips()
    video = to_video(clips.frames_u8)
    assert video.shape == (3, 3, 5, *SIZE) and video.min() == -1 and video.max() == 1
    assert torch.equal(to_video(mirror(clips).frames_u8), video.flip(-1))
    still = video[:, :, :1].expand(-1, -1, 5, -1, -1)
    jittered = jitter_colours(still, np.random.default_rng(0))
    assert torch.equal(jittered[:, :, 0], jittered[:, :, 4]) and not torch.equal(jittered, still)
    assert jittered.abs().max() <= 1
    assert torch.equal(jitter_colours(video, np.random.default_rng(0), strength=0.0), video)


# --- shards and the store ---------------------------------------------------------------------------------------------


def test_shards_of_the_renderer_are_shards_of_the_reader(tmp_path: Path) -> None:
    """The format has one writer and one reader that do not know each other."""
    config = SyntheticConfig(size=(16, 24), num_frames=5, texture_size=16)
    assert list(build_shards(tmp_path, 3, 7, config, shard_size=2, with_depth=True))[-1] == 3
    files = sorted(tmp_path.glob("*.npz"))
    whole = render_clips(7, 3, config)
    for key in SHARD_KEYS:
        read = np.concatenate([getattr(read_shard(f), key) for f in files])
        assert np.array_equal(read, getattr(whole, key).numpy()), key
    assert len(ClipStore(tmp_path)) == 3


def test_a_shape_is_drawn_by_its_share_of_clips(tmp_path: Path) -> None:
    write(tmp_path / "a" / "1.npz", random_clips(2, size=(16, 16), seed=1))
    write(tmp_path / "a" / "2.npz", random_clips(4, size=(16, 16), seed=2))
    write(tmp_path / "b" / "1.npz", random_clips(2, size=(16, 24), seed=3))
    write(tmp_path / "c" / "1.npz", random_clips(1, frames=9, size=(16, 24), seed=4))  # shapes are never mixed
    store, rng = ClipStore(tmp_path), np.random.default_rng(0)
    assert len(store) == 9
    draws = [store.draw(6, rng) for _ in range(600)]
    shapes = [d.frames_u8.shape[1:4] for d in draws]
    for shape, part in (((5, 16, 16), 6 / 9), ((5, 16, 24), 2 / 9), ((9, 16, 24), 1 / 9)):
        assert np.mean([s == shape for s in shapes]) == pytest.approx(part, abs=0.06)
    square = np.concatenate([d.median_depth[:, 0] for d in draws if d.frames_u8.shape[1:4] == (5, 16, 16)])
    _, counts = np.unique(square, return_counts=True)
    assert len(counts) == 6 and counts.min() > 0.8 * counts.mean()  # within a shape every clip alike, in any shard
    clips = random_clips(2, size=(16, 24), seed=3)
    drawn = next(d for d in draws if d.frames_u8.shape[1:4] == (5, 16, 24))
    for k in range(6):
        row = int(np.flatnonzero(clips.median_depth[:, 0] == drawn.median_depth[k, 0])[0])
        assert_same(take(drawn, k), take(clips, row))


def take(clips: PosedClips, k: int) -> PosedClips:
    return PosedClips(*(getattr(clips, key)[k : k + 1] for key in SHARD_KEYS))


def test_draws_follow_the_generator_and_the_names_of_the_shards(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write(tmp_path / f"{name}.npz", random_clips(3, seed=ord(name)))
    first = ClipStore(tmp_path).draw(5, np.random.default_rng(3))
    assert_same(first, ClipStore(tmp_path).draw(5, np.random.default_rng(3)))


def test_refresh_finds_new_shards_once(tmp_path: Path) -> None:
    write(tmp_path / "a.npz", random_clips(2))
    store = ClipStore(tmp_path)
    write(tmp_path / "more" / "b.npz", random_clips(3))
    (tmp_path / "c.npz.123.part").write_text("being written")
    assert len(store) == 2
    store.refresh()
    store.refresh()
    assert len(store) == 5


def test_the_memory_limit_stops_loading(tmp_path: Path) -> None:
    for k in range(4):
        write(tmp_path / f"{k}.npz", random_clips(1))
    store = ClipStore(tmp_path, limit_gib=1.5 * random_clips(1).frames_u8.nbytes / 2**30)
    assert len(store) == 2


def test_no_shards_are_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="holds no shards of clips .*rap synthetic build"):
            ClipStore(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"frames_u8": np.zeros((2, 5, 8, 8))}, r"frames_u8 must be \(N, T, H, W, 3\) uint8"),
        ({"intrinsics": np.ones((2, 4, 4))}, r"intrinsics must have the shape \(3, 5, 4\), got \(2, 4, 4\)"),
        ({"median_depth": np.full((3, 5), np.nan)}, "median_depth has entries that are not finite"),
        ({"Ts_world_camera": None}, "missing .'Ts_world_camera'"),
    ],
)
def test_shards_with_wrong_arrays_are_refused(change: dict, words: str, tmp_path: Path) -> None:
    clips = random_clips()
    arrays = {key: getattr(clips, key) for key in SHARD_KEYS} | change
    np.savez(tmp_path / "bad.npz", **{key: value for key, value in arrays.items() if value is not None})
    with pytest.raises(InputError, match=words):
        read_shard(tmp_path / "bad.npz")


def test_files_that_are_no_shards_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    for content in (b"", b"no archive", b"PK\x03\x04 cut", path.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(InputError, match="bad.npz: cannot be read as a shard of clips"):
            read_shard(path)
    np.savez(path, **{key: np.array([{}], dtype=object) for key in SHARD_KEYS})
    with pytest.raises(InputError, match="cannot be read as a shard"):
        read_shard(path)  # pickles stay closed


def test_small_squares_are_the_middle_of_the_picture_with_its_cameras() -> None:
    """A point lands in the same place of the scene, and area averages are those of the pixels they cover."""
    clips = random_clips()
    small = small_squares(clips, 10)
    expected = clips.frames_u8[:, :, :, 4:24].reshape(3, 5, 10, 2, 10, 2, 3).mean((3, 5))
    assert small.size == (10, 10) and np.abs(small.frames_u8 - expected).max() <= 0.51
    np.testing.assert_allclose(small.intrinsics[..., 0], clips.intrinsics[..., 0] / 2)
    np.testing.assert_allclose(small.intrinsics[..., 2], (clips.intrinsics[..., 2] - 4) / 2)
    np.testing.assert_allclose(small.intrinsics[..., 3], clips.intrinsics[..., 3] / 2)
    assert np.array_equal(small.depth, clips.depth[:, :, 1::2, 5:24:2])


def test_depth_goes_with_its_frames() -> None:
    clips = random_clips()
    assert np.array_equal(take_frames(clips, slice(1, 4)).depth, clips.depth[:, 1:4])
    assert np.array_equal(reverse_time(clips).depth, clips.depth[:, ::-1])
    assert np.array_equal(mirror(clips).depth, clips.depth[..., ::-1])


def test_a_store_draws_depth_where_every_clip_has_it(tmp_path: Path) -> None:
    for name, with_depth in (("a", True), ("b", False)):
        config = SyntheticConfig(size=(32, 32), num_frames=5, texture_size=16)
        list(build_shards(tmp_path / name, 2, 1, config, with_depth=with_depth))
    rng = np.random.default_rng(0)
    drawn = ClipStore(tmp_path / "a").draw(4, rng)
    assert drawn.depth.shape == (4, 5, 32, 32) and drawn.depth.min() > 0
    assert ClipStore(tmp_path / "b").draw(4, rng).depth is None
    assert ClipStore(tmp_path).draw(16, rng).depth is None  # some have none


def test_depth_of_another_shape_is_refused(tmp_path: Path) -> None:
    clips = random_clips()
    arrays = {key: getattr(clips, key) for key in SHARD_KEYS}
    np.savez(tmp_path / "bad.npz", **arrays, depth=clips.depth[:, :, 1:])
    with pytest.raises(InputError, match=r"depth must have the shape \(3, 5, 20, 28\), got \(3, 5, 19, 28\)"):
        read_shard(tmp_path / "bad.npz")
