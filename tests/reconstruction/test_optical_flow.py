"""Optical flow: found in moved pictures, projected from depth, and packed onto the latent grid."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from analytic_scenes import Plane, Sphere, World

from rap.geometry import Trajectory, se3
from rap.geometry.camera import intrinsics_from_fov
from rap.reconstruction.optical_flow import (
    FLOW_CHANNELS,
    anchor_of,
    flow_features,
    flow_pairs,
    pack_flow,
    projected_flow,
)

SIZE = (64, 96)


def textured(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def test_anchors_are_the_last_frames_of_latent_frames() -> None:
    assert [anchor_of(i) for i in range(10)] == [0, 0, 0, 0, 0, 4, 4, 4, 4, 8]


@pytest.mark.parametrize("source", [0, 3, 8])
def test_every_other_frame_has_its_flows(source: int) -> None:
    pairs = flow_pairs(9, source)
    assert len(set(pairs)) == len(pairs) and all(a != b for a, b in pairs)
    assert {a for a, b in pairs if b == source} == set(range(9)) - {source}
    assert {a for a, b in pairs if b == anchor_of(a)} >= set(range(1, 9))


def test_a_moved_picture_has_the_flow_of_its_motion() -> None:
    """Shifted by 2 px a frame, the flow back to the source is 2 i px, in half frame heights."""
    height, width = 2 * SIZE[0], 2 * SIZE[1]
    wide = textured((height, width + 40))
    frames = np.stack([wide[:, 2 * i : 2 * i + width] for i in range(9)])
    packed = flow_features(frames, 0, (16, 24)).unflatten(0, (4, 2, 3))
    inner = packed[:, :, :, :, 2:-2, 4:-3]
    for frame in range(1, 9):
        cells = inner[(frame - 1) % 4, :, :, -(-frame // 4)]
        for target, start in ((0, 0), (1, anchor_of(frame))):
            expected = 2 * (frame - start) / (height / 2)
            assert abs(float(cells[target, 0].median()) - expected) < 0.5 / (height / 2)
            assert abs(float(cells[target, 1].median())) < 0.5 / (height / 2)
            assert float(cells[target, 2].median()) > 0.7
    assert packed[:, :, :, 0].abs().max() == 0  # frame 0 is the source and its own anchor


def test_unrelated_pictures_have_no_confidence() -> None:
    still = np.stack([textured(SIZE, seed) for seed in range(5)])
    same = np.repeat(still[:1], 5, axis=0)
    lost, found = (flow_features(v, 0, (8, 12)).unflatten(0, (4, 2, 3))[:, 0, 2, 1] for v in (still, same))
    assert float(found.min()) > 0.9 and float(lost.mean()) < 0.3


@pytest.mark.parametrize("source", [0, 6])
def test_packing_equals_its_slow_twin(source: int) -> None:
    rng = np.random.default_rng(1)
    pairs = flow_pairs(9, source)
    flows = rng.normal(0, 5, (len(pairs), 16, 24, 2))
    confidence = rng.random((len(pairs), 16, 24)) * (rng.random((len(pairs), 16, 24)) < 0.7)
    expected = np.zeros((FLOW_CHANNELS, 3, 2, 3))
    for k, (frame, other) in enumerate(pairs):
        for row in range(2):
            for column in range(3):
                cell = np.s_[k, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
                share = confidence[cell].mean()
                mean = (flows[cell] * confidence[cell][..., None]).mean((0, 1)) / share / (16 / 2)
                for slot, target in ((0, source), (1, anchor_of(frame))):
                    if other == target and (slot == 0 or frame > 0):
                        start = ((frame - 1) % 4 * 2 + slot) * 3
                        expected[start : start + 3, -(-frame // 4), row, column] = [*mean, share]
    packed = pack_flow(torch.from_numpy(flows).float(), torch.from_numpy(confidence).float(), 9, source, (2, 3))
    np.testing.assert_allclose(packed.numpy(), expected, atol=1e-5)


def test_projected_flow_follows_the_surfaces() -> None:
    """Where it says that the other frame sees the point, the other frame shows the same colour there."""
    world = World((Plane(offset=2.0), Sphere(centre=(0.1, 0.0, 1.0), radius=0.35)))
    poses = se3.exp(np.array([[0, 0, 0, 0, 0, 0], [0.15, -0.05, 0.1, 0.05, 0.12, 0.04]]))
    path = Trajectory(poses, np.tile(intrinsics_from_fov(0.9, SIZE), (2, 1)), SIZE)
    frames, depths = world.look(path)
    inverse = torch.from_numpy(1 / depths).float()
    intrinsics = torch.tensor(path.intrinsics).float()
    T_other_own = torch.from_numpy(np.linalg.inv(poses[1]) @ poses[0]).float()[None]
    flow, visible = projected_flow(inverse[:1], inverse[1:], T_other_own, intrinsics[:1], intrinsics[1:])
    rows, columns = np.nonzero(visible[0].numpy())
    assert 0.5 < float(visible.mean()) < 0.98  # some of the plane hides behind the sphere or leaves the view
    x, y = (np.stack([columns, rows]) + flow[0, rows, columns].numpy().T).astype(np.float32)
    there = cv2.remap(frames[1], x[None], y[None], cv2.INTER_LINEAR)[0].astype(float)
    error = np.abs(there - frames[0][rows, columns]).mean(axis=1)
    assert np.median(error) < 4 and np.quantile(error, 0.95) < 25


def test_projected_flow_equals_its_slow_twin() -> None:
    rng = np.random.default_rng(2)
    depth, T = rng.uniform(1, 3, (6, 8)), se3.exp(rng.normal(0, 0.1, 6))
    own, other = np.array([7.0, 8.0, 4.0, 3.0]), np.array([6.0, 7.5, 4.5, 2.5])
    expected = np.zeros((6, 8, 2))
    for row in range(6):
        for column in range(8):
            u = np.array([column + 0.5, row + 0.5])
            point = T[:3, :3] @ (np.array([*((u - own[2:]) / own[:2]), 1]) * depth[row, column]) + T[:3, 3]
            expected[row, column] = point[:2] / point[2] * other[:2] + other[2:] - u
    arguments = (1 / depth, 1 / depth, T, own, other)
    flow, _ = projected_flow(*(torch.from_numpy(np.asarray(a)).float()[None] for a in arguments))
    np.testing.assert_allclose(flow[0].numpy(), expected, atol=1e-4)


def test_bad_clips_are_sentences() -> None:
    with pytest.raises(ValueError, match=r"1, 5, 9, 13, ... \(1 \+ 4k\) frames, got 8"):
        flow_pairs(8, 0)
    with pytest.raises(ValueError, match=r"frames 0 .. 8, got 9"):
        flow_pairs(9, 9)
