"""Dense optical flow of a clip as features on the latent grid: where what a frame shows was before.

Matching is what a small network learns last, and what classical flow does in milliseconds. For every frame there are
two flows, both from the frame's own pixels, so that they lie on the grid of its tokens: to the source frame, which
tells the pose at once while the two overlap, and to the anchor, the last frame of the latent frame before, which still
answers where the source has left the view. A confidence from the forward-backward check says where to believe them.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from rap.geometry.camera import pixel_centres

FRAMES_PER_LATENT = 4
"""Frames of one latent frame after the first: the codec's compression of time."""

FLOW_CHANNELS = FRAMES_PER_LATENT * 2 * 3
"""Of each of a latent frame's four frames: to the source and to the anchor (dx, dy, confidence)."""

TOLERANCE = 0.01
"""Forward-backward error, as a share of the frame's height, at which the confidence is one half."""


def anchor_of(frame: int) -> int:
    """The last frame of the latent frame before that of `frame` (frame 0, a latent frame of its own, is its own)."""
    return max(0, (frame - 1) // FRAMES_PER_LATENT * FRAMES_PER_LATENT)


def flow_features(
    frames_u8: UInt8[np.ndarray, "T H W 3"], source: int, grid: tuple[int, int]
) -> Float[Tensor, "24 F h w"]:
    """Flow of a clip by dense inverse search (Kroeger et al., ECCV 2016; OpenCV), on the latent grid.

    Args:
        frames_u8: T = 1 + 4n frames of any resolution; more of it gives better flow.
        source: the frame that all others are related to.
        grid: (h, w) of the latents of the same frames.

    Returns:
        FLOW_CHANNELS features of the F = 1 + n latent frames, laid out as `pack_flow` says.

    Raises:
        ValueError: a source that is no frame of the clip, or a number of frames that no latent frames make.
    """
    count = len(frames_u8)
    pairs = flow_pairs(count, source)
    grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in frames_u8]
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    found: dict[tuple[int, int], np.ndarray] = {}
    for pair in sorted({*pairs, *((b, a) for a, b in pairs)}):
        found[pair] = search.calc(grey[pair[0]], grey[pair[1]], None)  # pyright: ignore[reportCallIssue, reportArgumentType]
    flows = np.stack([found[pair] for pair in pairs])
    confidence = np.stack([_agreement(found[a, b], found[b, a]) for a, b in pairs])
    return pack_flow(torch.from_numpy(flows), torch.from_numpy(confidence), count, source, grid)


def flow_pairs(count: int, source: int) -> list[tuple[int, int]]:
    """(frame, frame it is related to) of a clip: every other frame to the source, and to its anchor where that differs.

    Raises:
        ValueError: as `flow_features`.
    """
    if count < 1 or (count - 1) % FRAMES_PER_LATENT:
        raise ValueError(f"a clip must have 1, 5, 9, 13, ... (1 + 4k) frames, got {count}; resample it first")
    if not 0 <= source < count:
        raise ValueError(f"source must be one of the frames 0 .. {count - 1}, got {source}")
    pairs = {(i, source) for i in range(count) if i != source}
    pairs |= {(i, anchor_of(i)) for i in range(1, count) if i != anchor_of(i)}
    return sorted(pairs)


def pack_flow(
    flows: Float[Tensor, "P H W 2"],
    confidence: Float[Tensor, "P H W"],
    count: int,
    source: int,
    grid: tuple[int, int],
) -> Float[Tensor, "24 F h w"]:
    """Means over the cells of the latent grid, weighted by confidence, in half frame heights.

    In these units a small motion at the image's centre is tan(angle) / tan(fov_y / 2), whatever the resolution. A
    latent frame has four slots, one for each of its frames (the first latent frame uses only the last slot); in a slot
    come dx, dy and confidence to the source, then the same to the anchor. What a frame has no flow to (itself) is 0.

    Args:
        flows: in pixels of (H, W), (x, y), from the first frame of each of `flow_pairs(count, source)` to the second.
        confidence: of each pixel, in [0, 1].
    """
    height = flows.shape[1]
    weighted = torch.cat([flows * confidence[..., None] / (height / 2), confidence[..., None]], dim=-1)
    cells = F.adaptive_avg_pool2d(weighted.permute(0, 3, 1, 2).float(), grid)
    share = cells[:, 2:]
    cells = torch.cat([cells[:, :2] / share.clamp(min=1e-3), share], dim=1)
    latent_frames = 1 + (count - 1) // FRAMES_PER_LATENT
    packed = cells.new_zeros(latent_frames, FRAMES_PER_LATENT, 2, 3, *grid)
    for cell, (frame, other) in zip(cells, flow_pairs(count, source), strict=True):
        slots = packed[-(-frame // FRAMES_PER_LATENT), (frame - 1) % FRAMES_PER_LATENT]
        if other == source:
            slots[0] = cell
        if frame and other == anchor_of(frame):
            slots[1] = cell
    return packed.flatten(1, 3).transpose(0, 1)


def projected_flow(
    inverse_depth: Float[Tensor, "P H W"],
    other_inverse_depth: Float[Tensor, "P H W"],
    T_other_own: Float[Tensor, "P 4 4"],
    own_intrinsics: Float[Tensor, "P 4"],
    other_intrinsics: Float[Tensor, "P 4"],
) -> tuple[Float[Tensor, "P H W 2"], Float[Tensor, "P H W"]]:
    """Exact flow of a static scene of known depth and cameras, and 1 where the other frame sees the same point.

    Args:
        inverse_depth, other_inverse_depth: 1 / z-depth of the frames that flow starts from and leads to.
        T_other_own: pose of the first camera in the second one's frame.
        own_intrinsics, other_intrinsics: fx, fy, cx, cy in pixels of (H, W).

    Returns:
        Flow in pixels, and visibility: inside the other frame, before its camera, within 5 % of its depth there.
    """
    size = (inverse_depth.shape[-2], inverse_depth.shape[-1])
    fx, fy, cx, cy = (v[:, None, None] for v in own_intrinsics.unbind(-1))
    gx, gy, ox, oy = (v[:, None, None] for v in other_intrinsics.unbind(-1))
    pixels = pixel_centres(size).to(inverse_depth)
    rays = torch.stack([(pixels[..., 0] - cx) / fx, (pixels[..., 1] - cy) / fy, torch.ones_like(inverse_depth)], -1)
    # Points times their inverse depth: nothing is divided by a depth that may be infinite.
    points = rays @ T_other_own[:, None, :3, :3].mT + inverse_depth[..., None] * T_other_own[:, None, None, :3, 3]
    z = points[..., 2]
    ahead = z > 1e-3
    z = z.clamp(min=1e-3)
    x, y = gx * points[..., 0] / z + ox, gy * points[..., 1] / z + oy
    height, width = size
    grid = torch.stack([2 * x / width - 1, 2 * y / height - 1], dim=-1)
    there = F.grid_sample(other_inverse_depth[:, None], grid, mode="nearest", align_corners=False)[:, 0]
    expected = inverse_depth / z
    inside = (grid.abs() < 1).all(dim=-1) & ahead
    visible = inside & ((there - expected).abs() < 0.05 * expected.clamp(min=1e-3))
    return torch.stack([x, y], dim=-1) - pixels, visible.to(inverse_depth.dtype)


def _agreement(flow: Float[np.ndarray, "H W 2"], back: Float[np.ndarray, "H W 2"]) -> Float[np.ndarray, "H W"]:
    """Confidence in [0, 1] from going there and back; 0 where the flow leaves the frame."""
    h, w = flow.shape[:2]
    columns, rows = np.meshgrid(np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32))
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    returned = cv2.remap(back, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    error = np.square(flow + returned).sum(-1) / (TOLERANCE * h) ** 2
    inside = (x >= 0) & (x <= w - 1) & (y >= 0) & (y <= h - 1)
    return (inside / (1 + error)).astype(np.float32)
