"""A warp at full size: what a small one has decided, with colours of the sources at their own size.

Which source shows what, at which depth and how much of it counts is decided where it is cheap, by `rap.views.warp` at
preview size. Shares, depth and rest of its mix (`warp.Mix`) are enlarged, and the same sum is made anew of large
frames: the picture has the low frequencies of the small one, holes and all, and the detail of the sources (as in joint
bilateral upsampling, Kopf et al., SIGGRAPH 2007, a solution is enlarged and not a picture). Two things would be lost by
enlarging alone. Beside the edge of a near thing depth is neither its nor the background's; there both are asked for
what the sources' own depth, sharp along the edges of their pictures, says of them. And sources that are half a pixel
apart blur each other; so low frequencies are blended by all shares, high ones nearly by the largest alone (two bands of
Burt and Adelson, A multiresolution spline, 1983), by a law that is continuous in the shares, lest anything flickers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int64, UInt8
from torch import Tensor

from rap.geometry import resize_intrinsics
from rap.reconstruction.progress import WORKERS
from rap.views import memory
from rap.views.guided import guided_upsample
from rap.views.transfer import Cameras, pair_matrices
from rap.views.warp import Warp

EDGE = 0.25
"""Bend of inverse depth from one coarse pixel to the next, in parts of it, from which there is an edge."""

BENDS = (
    np.array([[0, 0, 0], [1, -2, 1], [0, 0, 0]], np.float32),
    np.array([[0, 1, 0], [0, -2, 0], [0, 1, 0]], np.float32),
)

UNDECIDED = 0.3  # of all weights: what speaks for a side by less decides nothing
AGREED_PX = 2

DEPTH_SIDE = 640
"""Pixels: long side of the sources' own depth, enlarged along the edges of their pictures; twice it changes nothing
that is seen."""

DETAIL_PX = 1.5
"""Standard deviation that parts high frequencies from low ones."""

DETAIL_SQUARES = 2
"""How often shares are squared, in high frequencies: a share of two thirds has 16 parts of 17."""

TOKEN_PX = 16
"""Pixels of the model's frames that one of its tokens makes."""

AS_LARGE, FINER = 0.95, 1.5  # of sources: taken as they are from there, else this much finer than targets
LITTLE = 0.004  # shares below this change no colour
STRIP_PIXELS, LEAST_ROWS = 1 << 15, 16


@dataclass(frozen=True, eq=False)
class FineSources:
    """Sources at full size.

    Attributes:
        frames_u8: (H, W, 3) each.
        smooth_u8: their low frequencies, half as large.
        inverse_depth: (h, w) each, sharp along the edges of the pictures, in the cameras' unit.
        Ts_world_source, intrinsics: (S,4,4), and (S,4) in pixels of the frames.
    """

    frames_u8: tuple[UInt8[np.ndarray, "H W 3"], ...]
    smooth_u8: tuple[UInt8[np.ndarray, "_ _ 3"], ...]
    inverse_depth: tuple[Float32[np.ndarray, "h w"], ...]
    Ts_world_source: Float[np.ndarray, "S 4 4"]
    intrinsics: Float[np.ndarray, "S 4"]

    @classmethod
    def of(
        cls,
        frames_u8: list[UInt8[np.ndarray, "H W 3"]],
        inverse_depth: Float[Tensor, "S h w"],
        Ts_world_source: Float[np.ndarray, "S 4 4"],
        intrinsics: Float[np.ndarray, "S 4"],
    ) -> FineSources:
        """Of large frames and small depth maps; `intrinsics` are in pixels of the maps."""
        size, coarse = frames_u8[0].shape[:2], inverse_depth.shape[-2:]
        scale = min(1.0, DEPTH_SIDE / max(size))
        medium = round(size[1] * scale), round(size[0] * scale)
        sharp = []
        for frame, depth in zip(frames_u8, inverse_depth.cpu().numpy(), strict=True):
            guide = cv2.resize(frame, medium, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
            sharp.append(guided_upsample(depth, guide).astype(np.float32))
        large = resize_intrinsics(intrinsics, (coarse[0], coarse[1]), (size[0], size[1]))
        return cls(tuple(frames_u8), tuple(map(_smoothed, frames_u8)), tuple(sharp), Ts_world_source, large)


def _smoothed(frame_u8: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """Low frequencies of a frame, half as large."""
    half = (frame_u8.shape[1] + 1) // 2, (frame_u8.shape[0] + 1) // 2
    return cv2.resize(cv2.GaussianBlur(frame_u8, (0, 0), DETAIL_PX), half, interpolation=cv2.INTER_AREA)


@dataclass(frozen=True, eq=False)
class Content:
    """What a model shows along a path, to be put into holes: its low frequencies, for its own size is smaller still.

    Attributes:
        frames_u8: (M,h,w,3) by the model, evenly along the path.
        given_u8: (M,h,w,3) what it was shown: what differs is its own.
        box: (top, left, height, width) of these frames in the whole picture, in parts of its sides.
    """

    frames_u8: UInt8[np.ndarray, "M h w 3"]
    given_u8: UInt8[np.ndarray, "M h w 3"]
    box: tuple[float, float, float, float]

    def changes(self, count: int, size: tuple[int, int]) -> Float32[np.ndarray, "T H W 3"]:
        """By what the model changes each of `count` whole pictures of (H, W): beyond its own frames as at their edge.
        What is finer than one of its tokens is left, for it shows as squares."""
        change = (self.frames_u8.astype(np.float32) - self.given_u8) / 255
        top, left, height, width = (part * side for part, side in zip(self.box, (*size, *size), strict=True))
        scale = width / change.shape[2], height / change.shape[1]
        T = np.array([[scale[0], 0, left + scale[0] / 2 - 0.5], [0, scale[1], top + scale[1] / 2 - 0.5]])
        enlarged = partial(cv2.warpAffine, M=T, dsize=size[::-1], borderMode=cv2.BORDER_REPLICATE)
        placed = [enlarged(cv2.GaussianBlur(one, (0, 0), TOKEN_PX / 2)) for one in change]
        at = np.linspace(0, len(placed) - 1, count)
        before = np.minimum(at.astype(int), max(len(placed) - 2, 0))
        after = np.minimum(before + 1, len(placed) - 1)
        share = (at - before).astype(np.float32)[:, None, None, None]
        return np.stack(placed)[before] * (1 - share) + np.stack(placed)[after] * share


def with_content(
    frames_u8: UInt8[np.ndarray, "T h w 3"], holes: Float[np.ndarray, "T h w"], made_u8: UInt8[np.ndarray, "M h w 3"]
) -> UInt8[np.ndarray, "T h w 3"]:
    """Frames of the model's own size whose holes have the low frequencies of what it made of them.

    Args:
        holes: in [0, 1], 1 where nothing was seen.
    """
    size = frames_u8.shape[1], frames_u8.shape[2]
    change = Content(made_u8, frames_u8, (0.0, 0.0, 1.0, 1.0)).changes(len(frames_u8), size)
    return np.clip(frames_u8 + 255 * holes[..., None] * change + 0.5, 0, 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Coarse:
    """What a small warp has decided of T targets, packed: of 257 some hundred megabytes.

    Attributes:
        inverse_depth: (T,h,w) in the targets, continued into holes.
        index: (T,N) of the sources.
        shares: (T,N,h,w) and rest (T,h,w,3) as in `warp.Mix`.
    """

    inverse_depth: Float32[np.ndarray, "T h w"]
    index: Int64[np.ndarray, "T N"]
    shares: Float32[np.ndarray, "T N h w"]
    rest: Float32[np.ndarray, "T h w 3"]

    @classmethod
    def of(cls, rendered: Warp) -> Coarse:
        """Of a warp that tells its mix."""
        mix = rendered.mix
        if mix is None:
            raise ValueError("the warp must tell how its colours were mixed; make it with with_mix=True")
        depth, mask = rendered.inverse_depth.cpu().numpy(), rendered.mask.cpu().numpy()
        known = np.stack([_continued(*pair) for pair in zip(depth, mask, strict=True)])
        return cls(known, mix.index, mix.shares.cpu().numpy(), mix.rest.permute(0, 2, 3, 1).contiguous().cpu().numpy())

    @property
    def holes(self) -> Float32[np.ndarray, "T h w"]:
        """1 where no source has seen anything; shares that are seen bring exposure along, and need not add up to 1."""
        return (self.shares.sum(axis=1) < LITTLE).astype(np.float32)

    def showing(self, content: Content) -> Coarse:
        """The same with other low frequencies where no source has seen anything."""
        hole = self.holes[..., None]
        size = self.rest.shape[1], self.rest.shape[2]
        return replace(self, rest=self.rest + hole * content.changes(len(self.rest), size))


def fine_frames(
    coarse: Coarse, sources: FineSources, targets: Cameras, size: tuple[int, int]
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """All targets at full size, in order, as they are made: some at a time, none far ahead of who takes them.

    Args:
        targets: poses (T,4,4) and intrinsics (T,4) in pixels of `size`.
    """
    waiting: deque[Future[np.ndarray]] = deque()
    workers = memory.at_once(size, len(targets[0]), WORKERS)
    with ThreadPoolExecutor(workers) as pool:
        try:
            for row, target in enumerate(zip(*targets, strict=True)):
                waiting.append(pool.submit(fine_frame, coarse, row, sources, target, size))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()


def fine_frame(
    coarse: Coarse,
    row: int,
    sources: FineSources,
    target: Cameras,
    size: tuple[int, int],
) -> UInt8[np.ndarray, "H W 3"]:
    """One target at full size.

    Args:
        row: which of the coarse targets.
        target: its pose (4,4) and its intrinsics (4,) in pixels of `size`.
    """
    enlarged = partial(cv2.resize, dsize=(size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    picture, depth = enlarged(coarse.rest[row]), enlarged(coarse.inverse_depth[row])
    used = [k for k in range(coarse.index.shape[1]) if coarse.shares[row, k].max() > LITTLE]
    shares = [enlarged(coarse.shares[row, k]) for k in used]
    seen_by = coarse.index[row, used]
    on_frames = (sources.Ts_world_source[seen_by], sources.intrinsics[seen_by])
    pairs = list(zip(*pair_matrices(target, on_frames), strict=True))
    if used:
        _sharpened(depth, shares, coarse, row, used, pairs, [sources.inverse_depth[s] for s in seen_by], sources)
    shown = [_Shown(*parts) for parts in zip(pairs, shares, _detail_shares(shares), seen_by, strict=True)]
    if len(shown) > 1:
        picture += enlarged(_low_frequencies(depth, shown, sources))
    for one in shown:
        _add_detail(picture, depth, one, sources.frames_u8[one.source])
    return np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class _Shown:
    """What a source adds to a target: where it is looked at (`pair_matrices`), and its shares (H,W) in all and in high
    frequencies."""

    pair: tuple
    share: np.ndarray
    sharp: np.ndarray
    source: int


def _low_frequencies(
    depth: Float32[np.ndarray, "H W"], shown: list[_Shown], sources: FineSources
) -> Float32[np.ndarray, "h w 3"]:
    """What low frequencies have beyond the shares of high ones, half as large: it is as smooth as what differs there
    between the sources."""
    size = (depth.shape[0] + 1) // 2, (depth.shape[1] + 1) // 2
    scale = depth.shape[0] / size[0], depth.shape[1] / size[1]
    half = cv2.resize(depth, size[::-1], interpolation=cv2.INTER_NEAREST)
    x = ((np.arange(size[1]) + 0.5) * scale[1]).astype(np.float32)
    y = ((np.arange(size[0]) + 0.5) * scale[0]).astype(np.float32)[:, None]
    found = np.zeros((*size, 3), np.float32)
    for one in shown:
        smooth, (to_x, to_y, _) = sources.smooth_u8[one.source], _places(x, y, half, one.pair)
        H, W = sources.frames_u8[one.source].shape[:2]
        to_x, to_y = to_x * (smooth.shape[1] / W) - 0.5, to_y * (smooth.shape[0] / H) - 0.5
        colour = cv2.remap(smooth, to_x, to_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        more = cv2.resize((one.share - one.sharp) / 255, size[::-1], interpolation=cv2.INTER_AREA)
        found += colour * cv2.merge([more] * 3)
    return found


def _add_detail(
    picture: Float32[np.ndarray, "H W 3"], depth: Float32[np.ndarray, "H W"], one: _Shown, frame_u8: np.ndarray
) -> None:
    """Add a source's colours by its share of high frequencies, in place: some rows at a time, so that what lies between
    stays in the processor's cache, and none where it has no share."""
    x = np.arange(depth.shape[1], dtype=np.float32) + 0.5
    height = max(LEAST_ROWS, STRIP_PIXELS // depth.shape[1])
    for top in range(0, len(depth), height):
        rows = slice(top, min(top + height, len(depth)))
        share = one.sharp[rows] / 255
        if not share.any():
            continue
        y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + 0.5
        to_x, to_y, _ = _places(x, y, depth[rows], one.pair)
        to_x -= 0.5
        to_y -= 0.5
        colour = cv2.remap(frame_u8, to_x, to_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        picture[rows] += colour * cv2.merge([share] * 3)  # three times as fast as to broadcast


def _places(x: np.ndarray, y: np.ndarray, depth: np.ndarray, pair: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where pixels of inverse depth lie in another camera, in px, and by what their inverse depth grows there."""
    A, e = (np.asarray(part, dtype=np.float32) for part in pair)
    grows = 1 / np.maximum(A[2, 0] * x + (A[2, 1] * y + A[2, 2]) + e[2] * depth, 1e-4)
    to_x = (A[0, 0] * x + (A[0, 1] * y + A[0, 2]) + e[0] * depth) * grows
    to_y = (A[1, 0] * x + (A[1, 1] * y + A[1, 2]) + e[1] * depth) * grows
    return to_x, to_y, grows


def _detail_shares(shares: list[np.ndarray]) -> list[np.ndarray]:
    """Shares of high frequencies: of the same sum, most of it the largest's."""
    if len(shares) < 2:
        return shares
    raised = [np.maximum(share, 0) for share in shares]
    for share in raised * DETAIL_SQUARES:  # in place; a power costs ten times as much
        np.square(share, out=share)
    total = sum(shares) / np.maximum(sum(raised), 1e-12)
    return [part * total for part in raised]


def _continued(inverse_depth: Float32[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Holes with the depth of the nearest pixel that has one, so that nothing lies between a surface and nowhere."""
    if mask.all() or not mask.any():
        return inverse_depth
    _, labels = cv2.distanceTransformWithLabels(
        (~mask).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = np.asarray(labels, np.int64)
    values = np.zeros(labels.max() + 1, np.float32)
    values[labels[mask]] = inverse_depth[mask]
    return values[labels]


# --- edges ------------------------------------------------------------------------------------------------------------


def _sharpened(
    depth: Float32[np.ndarray, "H W"],
    shares: list[np.ndarray],
    coarse: Coarse,
    row: int,
    used: list[int],
    pairs: list[tuple],
    own: list[np.ndarray],
    sources: FineSources,
) -> None:
    """Where surfaces meet, put every pixel on one of them, and give it to the sources that see that one; in place.

    Args:
        depth, shares: of the target, enlarged.
        used: which of the coarse shares these are.
        pairs: from the target's pixels to the sources'.
        own: the sources' own inverse depth.
    """
    known, window = coarse.inverse_depth[row], np.ones((3, 3), np.uint8)
    near, far = cv2.dilate(known, window), cv2.erode(known, window)
    rows, columns = np.nonzero(cv2.resize(_edges(known), depth.shape[::-1], interpolation=cv2.INTER_NEAREST))
    if len(rows) == 0:
        return
    at = rows * known.shape[0] // depth.shape[0], columns * known.shape[1] // depth.shape[1]
    x, y = columns.astype(np.float32) + 0.5, rows.astype(np.float32) + 0.5
    weights = np.array([coarse.shares[row, k].mean() for k in used], np.float32)
    frame_size = sources.frames_u8[0].shape[:2]
    sides = [_asked(x, y, value[at], (near - far)[at], pairs, own, frame_size, weights) for value in (near, far)]
    speaks = _agreed((sides[0].support - sides[1].support) / weights.sum(), rows, columns, depth.shape)
    total = np.sum([share[rows, columns] for share in shares], axis=0)
    support = np.where(speaks > 0, sides[0].support, sides[1].support)
    found = (np.abs(speaks) > UNDECIDED) & (support > UNDECIDED * weights.sum())
    rows, columns, is_near, support = rows[found], columns[found], speaks[found] > 0, support[found]
    depth[rows, columns] = np.where(is_near, sides[0].depth[found], sides[1].depth[found])
    for share, *parts in zip(shares, sides[0].parts, sides[1].parts, strict=True):
        part = np.where(is_near, parts[0][found], parts[1][found])
        share[rows, columns] = total[found] * part / support


def _edges(inverse_depth: Float32[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """1 beside steps: where inverse depth, which is affine on any plane, bends by more than EDGE of itself."""
    bends = [cv2.filter2D(inverse_depth, -1, kernel, borderType=cv2.BORDER_REPLICATE) for kernel in BENDS]
    bent = np.maximum(np.abs(bends[0]), np.abs(bends[1])) > EDGE * inverse_depth
    return cv2.dilate(bent.astype(np.uint8), np.ones((3, 3), np.uint8))


def _agreed(values: np.ndarray, rows: np.ndarray, columns: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Values of some pixels, each the mean of those around it: an outline is smooth, single pixels err."""
    whole, there = np.zeros(size, np.float32), np.zeros(size, np.float32)
    whole[rows, columns], there[rows, columns] = values, 1
    side = 2 * AGREED_PX + 1
    mean = cv2.blur(whole, (side, side))[rows, columns]
    return mean / cv2.blur(there, (side, side))[rows, columns]


@dataclass(frozen=True, eq=False)
class _Side:
    """What sources say of pixels, were they of some depth: how much speaks for it, by source and in all, and the depth
    that the sources themselves have there."""

    support: np.ndarray
    depth: np.ndarray
    parts: list[np.ndarray]


def _asked(
    x: np.ndarray,
    y: np.ndarray,
    depth: np.ndarray,
    gap: np.ndarray,
    pairs: list[tuple],
    own: list[np.ndarray],
    frame_size: tuple[int, int],
    weights: np.ndarray,
) -> _Side:
    """Ask the sources for pixels (n,) of inverse depth (n,), and by how much that of the other surface differs."""
    parts, support, stepped = [], np.zeros_like(x), np.zeros_like(x)
    (h, w), (H, W) = own[0].shape, frame_size
    for pair, there, weight in zip(pairs, own, weights, strict=True):
        to_x, to_y, grows = _places(x, y, depth, pair)
        column, row = (to_x * (w / W)).astype(np.int32), (to_y * (h / H)).astype(np.int32)
        inside = (to_x >= 0) & (column < w) & (to_y >= 0) & (row < h)
        value = there.ravel().take(np.clip(row, 0, h - 1) * w + np.clip(column, 0, w - 1))
        miss = (value / grows - depth) / np.maximum(0.5 * gap, 1e-9)
        part = weight * inside * np.exp(-0.5 * miss * miss)
        parts.append(part)
        support += part
        stepped += part * np.where(np.abs(miss) < 1, value / grows, depth)
    return _Side(support, stepped / np.maximum(support, 1e-12), parts)


def to_size(frame_u8: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """A frame without what targets of (H, W) are too coarse to show, which would alias.

    It is smoothed and keeps more pixels than they have, where it has them: reduced to their own, it would be sharp
    where pixel falls on pixel, as in the first frame of a path, and softer everywhere else.
    """
    h, w = frame_u8.shape[:2]
    scale = max(size) / max(h, w)
    if scale > AS_LARGE:
        return frame_u8
    if scale < 1 / FINER:
        scale = 1 / FINER
        reduced = round(max(1, w * FINER * max(size) / max(h, w))), round(max(1, h * FINER * max(size) / max(h, w)))
        frame_u8 = cv2.resize(frame_u8, reduced, interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(frame_u8, (0, 0), 0.5 * (1 / scale**2 - 1) ** 0.5)
