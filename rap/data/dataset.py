"""Shards of posed clips to training batches: clips stay 8-bit in memory, augmentation happens per batch.

A shard is an `.npz` without pickles that holds at least the arrays SHARD_KEYS, shaped as in `PosedClips`; other arrays
are left unread. `rap.synthetic` writes such shards, knowing nothing of this module; a test holds the two together.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from rap.errors import InputError
from rap.guard import DAMAGE

SHARD_KEYS = ("frames_u8", "Ts_world_camera", "intrinsics", "median_depth")
DEPTH_KEY = "depth"
"""An array of a shard that may be missing."""


@dataclass(frozen=True)
class PosedClips:
    """Clips of one size with exact cameras.

    Attributes:
        frames_u8: (N, T, H, W, 3).
        Ts_world_camera: (N, T, 4, 4), any world, any unit.
        intrinsics: (N, T, 4) in pixels of (H, W).
        median_depth: (N, T) median z-depth of every view in the poses' unit, so that any frame can be the source.
        depth: (N, T, H, W) z-depth in the poses' unit, where the shards have it.
    """

    frames_u8: UInt8[np.ndarray, "N T H W 3"]
    Ts_world_camera: Float[np.ndarray, "N T 4 4"]
    intrinsics: Float[np.ndarray, "N T 4"]
    median_depth: Float[np.ndarray, "N T"]
    depth: Float[np.ndarray, "N T H W"] | None = None

    def __len__(self) -> int:
        return len(self.frames_u8)

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the frames."""
        return self.frames_u8.shape[2], self.frames_u8.shape[3]


def read_shard(path: Path) -> PosedClips:
    """One `.npz` shard.

    Raises:
        InputError: not a readable archive, a missing array, or arrays that do not belong together.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as shard:
            missing = [key for key in SHARD_KEYS if key not in shard]
            if missing:
                raise InputError(f"{path}: a shard of clips needs the arrays {SHARD_KEYS}, missing {missing}")
            clips = PosedClips(*(shard[key] for key in SHARD_KEYS), depth=shard.get(DEPTH_KEY))
    except InputError:
        raise
    except (*DAMAGE, MemoryError) as error:
        raise InputError(f"{path}: cannot be read as a shard of clips ({error}); delete it or make it again") from error
    _check_shapes(path, clips)
    return clips


def _check_shapes(path: Path, clips: PosedClips) -> None:
    frames = clips.frames_u8
    if frames.ndim != 5 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
        raise InputError(f"{path}: frames_u8 must be (N, T, H, W, 3) uint8, got {frames.shape} {frames.dtype}")
    for key, tail in (("Ts_world_camera", (4, 4)), ("intrinsics", (4,)), ("median_depth", ())):
        array = getattr(clips, key)
        if array.shape != frames.shape[:2] + tail:
            raise InputError(f"{path}: {key} must have the shape {frames.shape[:2] + tail}, got {array.shape}")
        if not np.isfinite(array).all():
            raise InputError(f"{path}: {key} has entries that are not finite; make the shard again")
    if clips.depth is not None and clips.depth.shape != frames.shape[:-1]:
        raise InputError(f"{path}: {DEPTH_KEY} must have the shape {frames.shape[:-1]}, got {clips.depth.shape}")


class ClipStore:
    """All clips of a folder of shards, grouped by (frames, h, w); `refresh` picks up shards written since.

    Threads may draw while another one refreshes; what they draw then depends on which of them was first.
    """

    def __init__(self, folder: Path, limit_gib: float = 12.0, share: tuple[int, int] = (0, 1)) -> None:
        """Read a folder.

        Args:
            limit_gib: no further shard is read once the clips take so much memory.
            share: (k, n) reads only every n-th shard in name order from the k-th on, all where there are fewer than n.
        """
        self.folder, self.share = Path(folder), share
        self.limit_bytes = limit_gib * 2**30
        self._bytes = 0
        self._lock = threading.Lock()
        self._seen: set[Path] = set()
        self._groups: dict[tuple[int, ...], list[PosedClips]] = {}
        self.refresh()
        if not self._groups:
            raise InputError(f"{folder} holds no shards of clips (*.npz); make some with `rap synthetic build`")

    def __len__(self) -> int:
        return sum(len(clips) for group in self._groups.values() for clips in group)

    def refresh(self) -> None:
        """Load shards not seen yet, in name order, up to the memory limit."""
        paths = sorted(self.folder.rglob("*.npz"))
        number, count = self.share
        for path in paths if len(paths) < count else paths[number::count]:
            if path in self._seen or self._bytes > self.limit_bytes:
                continue
            clips = read_shard(path)
            self._seen.add(path)
            self._bytes += clips.frames_u8.nbytes + (0 if clips.depth is None else clips.depth.nbytes)
            with self._lock:
                self._groups.setdefault(clips.frames_u8.shape[1:4], []).append(clips)

    def all_clips(self) -> list[PosedClips]:
        """What has been read so far, shard by shard."""
        with self._lock:
            return [clips for group in self._groups.values() for clips in group]

    def draw(self, count: int, rng: np.random.Generator) -> PosedClips:
        """`count` random clips of one shape; a shape is as likely as its share of clips."""
        with self._lock:
            groups = {shape: list(clips) for shape, clips in self._groups.items()}
        shapes = sorted(groups)
        share = np.array([sum(len(c) for c in groups[s]) for s in shapes], dtype=float)
        group = groups[shapes[rng.choice(len(shapes), p=share / share.sum())]]
        lengths = np.array([len(c) for c in group])
        picks = rng.integers(0, lengths.sum(), count)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        shard = np.searchsorted(starts, picks, side="right") - 1
        rows = [(group[s], p - starts[s]) for s, p in zip(shard, picks, strict=True)]
        arrays = (np.stack([getattr(c, key)[i] for c, i in rows]) for key in SHARD_KEYS)
        depth = [c.depth[i] for c, i in rows if c.depth is not None]
        return PosedClips(*arrays, depth=np.stack(depth) if len(depth) == len(rows) else None)


def take_frames(clips: PosedClips, frames: slice) -> PosedClips:
    """Some frames of every clip."""
    arrays = (getattr(clips, key)[:, frames] for key in SHARD_KEYS)
    return PosedClips(*arrays, depth=None if clips.depth is None else clips.depth[:, frames])


def reverse_time(clips: PosedClips) -> PosedClips:
    """Clips played backwards; a training augmentation of the paper."""
    return take_frames(clips, slice(None, None, -1))


def mirror(clips: PosedClips) -> PosedClips:
    """Clips as seen in a mirror: x of every picture and of the world changes sign, T -> M T M, c_x -> W - c_x."""
    m = np.diag([-1.0, 1.0, 1.0, 1.0])
    intrinsics = clips.intrinsics.copy()
    intrinsics[..., 2] = clips.size[1] - intrinsics[..., 2]
    depth = None if clips.depth is None else clips.depth[..., ::-1]
    frames_u8, Ts = clips.frames_u8[:, :, :, ::-1], m @ clips.Ts_world_camera @ m
    return PosedClips(frames_u8, Ts, intrinsics, clips.median_depth, depth)


def small_squares(clips: PosedClips, side: int) -> PosedClips:
    """The centre squares at side x side pixels, by area average; depth takes the pixel in the middle."""
    height, width = clips.size
    square = min(height, width)
    top, left = (height - square) // 2, (width - square) // 2
    inner = clips.frames_u8[:, :, top : top + square, left : left + square]
    flat = inner.reshape(-1, *inner.shape[2:])
    frames = np.stack([cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in flat])
    intrinsics = (clips.intrinsics - np.array([0, 0, left, top])) * (side / square)
    middles = ((np.arange(side) + 0.5) * (square / side)).astype(int)
    depth = None if clips.depth is None else clips.depth[..., top + middles[:, None], left + middles]
    shape = (*inner.shape[:2], side, side, 3)
    return PosedClips(frames.reshape(shape), clips.Ts_world_camera, intrinsics, clips.median_depth, depth)


def relative_cameras(clips: PosedClips, references: np.ndarray) -> np.ndarray:
    """(N, T, 4, 4) poses in the world of each clip's reference frame, its median depth being the unit of length."""
    rows = np.arange(len(clips))
    Ts = np.linalg.inv(clips.Ts_world_camera[rows, references])[:, None] @ clips.Ts_world_camera
    Ts[..., :3, 3] /= clips.median_depth[rows, references][:, None, None]
    return Ts


def to_video(frames_u8: UInt8[np.ndarray, "N T H W 3"]) -> Float[Tensor, "N 3 T H W"]:
    """Frames in [-1, 1], channels first."""
    return torch.from_numpy(np.array(frames_u8)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1


def jitter_colours(video: Float[Tensor, "N 3 T H W"], rng: np.random.Generator, strength: float = 0.15) -> Tensor:
    """Gain, offset and channel balance per clip, the same for all its frames."""
    count = len(video)
    gain = 1 + strength * rng.uniform(-1, 1, (count, 1)) + 0.5 * strength * rng.uniform(-1, 1, (count, 3))
    offset = strength * rng.uniform(-1, 1, (count, 1))
    shape = (-1, 3, 1, 1, 1)
    gain_t = torch.from_numpy(gain).float().view(shape)
    offset_t = torch.from_numpy(np.broadcast_to(offset, (count, 3)).copy()).float().view(shape)
    return (video * gain_t + offset_t).clamp(-1, 1)
