"""Points followed through a clip, and where they lie: Lucas-Kanade tracks, robust multi-view triangulation.

Positions are pixels (x, y) with centres at +0.5, like everywhere in this package; OpenCV counts from the centre of the
first pixel, and this module is where the half pixel is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from numpy.typing import ArrayLike

from rap.geometry import se3
from rap.reconstruction.progress import beat

WINDOW_PX = 11  # side of the patch that Lucas-Kanade compares: 15 costs a third of the accuracy at edges of depth
LEVELS = 4  # of the image pyramid: finds motion of about 8 half windows a frame
FORWARD_BACKWARD_PX = 0.5  # a track there and back again must end this close to where it began
CORNER_QUALITY = 0.003  # of the strongest corner's eigenvalue: low, so that dim regions get their share
MIN_INVERSE_DEPTH = 1e-6  # in units of 1 / distance between cameras: beyond it a point is at infinity
ROUNDS = 8  # Gauss-Newton rounds of triangulation


@dataclass(frozen=True, eq=False)
class Tracks:
    """Where points were seen: N observations of P points in T frames, sorted by point, then by frame.

    Attributes:
        frame: (N,) index of the frame.
        point: (N,) index of the point, 0 .. P - 1; every point has two observations at least, in different frames.
        xy: (N, 2) position in pixels of `image_size`.
        num_frames: T.
        image_size: (h, w).
    """

    frame: Int[np.ndarray, " n"]
    point: Int[np.ndarray, " n"]
    xy: Float[np.ndarray, "n 2"]
    num_frames: int
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        if not len(self.frame) == len(self.point) == len(self.xy):
            raise ValueError(
                f"frame, point and xy must have one entry an observation, got {len(self.frame)}, {len(self.point)}, "
                f"{len(self.xy)}"
            )
        if len(self.frame) and not 0 <= self.frame.min() <= self.frame.max() < self.num_frames:
            raise ValueError(f"frame must lie in [0, {self.num_frames - 1}], got up to {self.frame.max()}")

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def num_points(self) -> int:
        return int(self.point[-1]) + 1 if len(self.point) else 0

    @cached_property
    def starts(self) -> Int[np.ndarray, " p"]:
        """(P,) index of the first observation of every point, for `np.add.reduceat`."""
        return np.flatnonzero(np.diff(self.point, prepend=-1))

    @staticmethod
    def build(
        frame: ArrayLike, point: ArrayLike, xy: ArrayLike, num_frames: int, image_size: tuple[int, int]
    ) -> Tracks:
        """Sort observations, drop repeated frames of a point and points seen once, and number the points anew."""
        frame, point = np.asarray(frame, dtype=np.int64).ravel(), np.asarray(point, dtype=np.int64).ravel()
        xy = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
        _, first = np.unique(point * num_frames + frame, return_index=True)  # sorted by point, then frame
        frame, point, xy = frame[first], point[first], xy[first]
        _, number, count = np.unique(point, return_inverse=True, return_counts=True)
        keep = count[number] >= 2
        _, number = np.unique(point[keep], return_inverse=True)
        h, w = image_size
        return Tracks(frame[keep], number.reshape(-1), xy[keep], num_frames, (int(h), int(w)))

    @staticmethod
    def concatenate(parts: Sequence[Tracks]) -> Tracks:
        """All observations of several tracks over the same frames; points stay apart.

        Raises:
            ValueError: no parts, or parts that differ in frames or image size.
        """
        if not parts:
            raise ValueError("parts must hold one Tracks at least, got none")
        shapes = {(part.num_frames, part.image_size) for part in parts}
        if len(shapes) > 1:
            raise ValueError(f"parts must agree in frames and image size, got {sorted(shapes)}")
        offsets = np.cumsum([0] + [part.num_points for part in parts])
        point = np.concatenate([part.point + k for part, k in zip(parts, offsets, strict=False)])
        frame, xy = np.concatenate([part.frame for part in parts]), np.concatenate([part.xy for part in parts])
        return replace(parts[0], frame=frame, point=point, xy=xy)

    def at_least(self, views: int) -> Tracks:
        """The points with this many observations or more."""
        return self.subset(np.bincount(self.point) >= views) if len(self) else self

    def subset(self, points: ArrayLike) -> Tracks:
        """The tracks of some points only, given by (P,) mask or by indices; numbered anew in their old order."""
        mask = np.zeros(self.num_points, dtype=bool)
        mask[np.asarray(points)] = True
        return self.where(mask[self.point])

    def longest(self, per_frame: int) -> Tracks:
        """Every point that is among the `per_frame` longest in some frame that sees it."""
        length = np.bincount(self.point, minlength=self.num_points)[self.point]
        order = np.lexsort((self.point * 2654435761 % 1000003, -length, self.frame))  # ties: as good as at random
        begin = np.searchsorted(self.frame[order], np.arange(self.num_frames))
        rank = np.empty(len(self), dtype=np.int64)
        rank[order] = np.arange(len(self)) - begin[self.frame[order]]
        return self.subset(np.unique(self.point[rank < per_frame]))

    def at(self, frames: Int[ArrayLike, " f"]) -> Tracks:
        """The observations in some frames (ascending), which are numbered anew; points left with one go."""
        number = np.full(self.num_frames, -1)
        number[np.asarray(frames)] = np.arange(len(np.asarray(frames)))
        keep = number[self.frame] >= 0
        frame, count = number[self.frame[keep]], int((number >= 0).sum())
        return Tracks.build(frame, self.point[keep], self.xy[keep], count, self.image_size)

    def where(self, observations: ArrayLike) -> Tracks:
        """Some observations only, by (N,) mask; points left with one observation go."""
        keep = np.asarray(observations, dtype=bool)
        return Tracks.build(self.frame[keep], self.point[keep], self.xy[keep], self.num_frames, self.image_size)


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Triangulated points.

    Attributes:
        xyz: (P, 3) in the world.
        colours_u8: (P, 3) RGB; grey where no frames were given.
        error_px: (P,) median reprojection error over the observations.
        angle_rad: (P,) widest angle between two of the rays that see the point: below a degree or so the depth is
            a guess.
        point: (P,) index of the point in the tracks it came from.
        span: (P, 2) first and last frame that sees it, of the frames of those tracks.
    """

    xyz: Float[np.ndarray, "p 3"]
    colours_u8: UInt8[np.ndarray, "p 3"]
    error_px: Float[np.ndarray, " p"]
    angle_rad: Float[np.ndarray, " p"]
    point: Int[np.ndarray, " p"]
    span: Int[np.ndarray, "p 2"]

    def __len__(self) -> int:
        return len(self.xyz)

    def in_front_depths(self, T_world_camera: Float[ArrayLike, "4 4"]) -> Float[np.ndarray, " q"]:
        """z-depths, in the camera, of the points in front of it."""
        depths = (self.xyz - np.asarray(T_world_camera)[:3, 3]) @ np.asarray(T_world_camera)[:3, 2]
        return depths[depths > 0]

    def seen_by(self, frame: int) -> Bool[np.ndarray, " p"]:
        """(P,) whether a frame saw the point; a frame beside its span counts, where a track may just have been lost."""
        return (self.span[:, 0] - 1 <= frame) & (frame <= self.span[:, 1] + 1)

    def where(self, mask: ArrayLike) -> PointCloud:
        """Some points only, by (P,) mask."""
        mask = np.asarray(mask, dtype=bool)
        columns = (self.xyz, self.colours_u8, self.error_px, self.angle_rad, self.point, self.span)
        return PointCloud(*(column[mask] for column in columns))

    def kept(self, max_error_px: float = 1.5, min_angle_rad: float = 0.02) -> PointCloud:
        """The points that reproject well and are seen from different enough directions."""
        return self.where((self.error_px <= max_error_px) & (self.angle_rad >= min_angle_rad))

    def transformed(self, T_b_a: Float[ArrayLike, "4 4"], scale: float = 1.0) -> PointCloud:
        """The points in another world b and unit of length: scale * (T_b_a x)."""
        T = np.asarray(T_b_a, dtype=np.float64)
        return replace(self, xyz=scale * (self.xyz @ T[:3, :3].T + T[:3, 3]))


def check_frames(frames_u8: np.ndarray) -> np.ndarray:
    """Refuse what is not a clip (T, H, W, 3) of bytes.

    Raises:
        ValueError: another type or shape.
    """
    frames_u8 = np.asarray(frames_u8)
    if frames_u8.dtype != np.uint8 or frames_u8.ndim != 4 or frames_u8.shape[-1] != 3 or min(frames_u8.shape) == 0:
        raise ValueError(f"frames_u8 must be uint8 of shape (T, H, W, 3), got {frames_u8.dtype} {frames_u8.shape}")
    return frames_u8


def track_points(
    frames_u8: UInt8[np.ndarray, "t h w 3"],
    *,
    corners: int = 300,
    anchor_stride: int = 2,
    reach: int = 6,
    max_forward_backward_px: float = FORWARD_BACKWARD_PX,
) -> Tracks:
    """Corners of every anchor frame, followed into the frames around it by pyramidal Lucas-Kanade.

    Bouguet, Pyramidal implementation of the affine Lucas Kanade feature tracker, 2000; corners by Shi and Tomasi 1994.
    A point is followed from frame to frame and dropped for good where the way back does not lead to where it came
    from (occlusion, moving shadows, flat regions). The same corner found in two anchor frames is two points.

    Args:
        corners: at most this many new points at an anchor frame.
        anchor_stride: every how many frames corners are found.
        reach: how many frames a point is followed, either way.
        max_forward_backward_px: distance after there and back again.

    Returns:
        Tracks over the T frames; empty where nothing can be followed (black frames, one frame).
    """
    frames_u8 = check_frames(frames_u8)
    num_frames, h, w = frames_u8.shape[:3]
    greys = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in frames_u8]
    anchors = list(range(0, num_frames, anchor_stride))
    seeds = {a: find_corners(greys[a], corners) for a in anchors}
    first = dict(zip(anchors, np.cumsum([0] + [len(seeds[a]) for a in anchors]), strict=False))
    found = [(np.full(len(seeds[a]), a), first[a] + np.arange(len(seeds[a])), seeds[a]) for a in anchors]
    for step in (1, -1):
        found += follow_seeds(greys, seeds, first, step, reach, max_forward_backward_px)
    frame, point, xy = (np.concatenate(column) for column in zip(*found, strict=True))
    return Tracks.build(frame, point, xy + 0.5, num_frames, (h, w))


def find_corners(grey: UInt8[np.ndarray, "h w"], count: int) -> Float[np.ndarray, "n 2"]:
    """At most `count` corners, spread over the image, in OpenCV's pixels (centres at whole numbers), float32."""
    h, w = grey.shape
    spacing = max(0.6 * np.sqrt(h * w / max(count, 1)), 3.0)
    corners = cv2.goodFeaturesToTrack(grey, count, CORNER_QUALITY, spacing, blockSize=5)
    return np.zeros((0, 2), np.float32) if corners is None else corners.reshape(-1, 2)


def follow_seeds(greys: list, seeds: dict, first: dict, step: int, reach: int, limit_px: float) -> list[tuple]:
    """Follow all anchors' points in one direction (step +1 or -1); one call a pair of frames, whatever the anchors."""
    order = range(len(greys)) if step > 0 else range(len(greys) - 1, -1, -1)
    ids, origin, xy = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2), np.float32)
    found = []
    for i in order:
        if i in seeds:
            new = len(seeds[i])
            ids, origin = np.append(ids, first[i] + np.arange(new)), np.append(origin, np.full(new, i))
            xy = np.concatenate([xy, seeds[i]])
        j = i + step
        alive = np.abs(j - origin) <= reach
        ids, origin, xy = ids[alive], origin[alive], xy[alive]
        if not 0 <= j < len(greys) or len(ids) == 0:
            continue
        beat()
        xy, good = followed_step(greys[i], greys[j], xy, limit_px)
        ids, origin, xy = ids[good], origin[good], xy[good]
        found.append((np.full(len(ids), j), ids, xy))
    return found


def followed_step(
    before: np.ndarray, after: np.ndarray, xy: np.ndarray, limit_px: float
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (N, 2) in the next frame, and (N,) whether they can be trusted."""
    if len(xy) == 0:
        return xy, np.zeros(0, dtype=bool)
    window = dict(winSize=(WINDOW_PX, WINDOW_PX), maxLevel=LEVELS - 1)
    there, seen, _ = cv2.calcOpticalFlowPyrLK(before, after, xy, None, **window)  # pyright: ignore
    back, seen_back, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None, **window)  # pyright: ignore
    h, w = before.shape
    inside = (there >= 0).all(axis=1) & (there[:, 0] <= w - 1) & (there[:, 1] <= h - 1)
    good = (seen.ravel() > 0) & (seen_back.ravel() > 0) & inside
    return there, good & (np.linalg.norm(back - xy, axis=1) < limit_px)


@dataclass(frozen=True, eq=False)
class Charts:
    """Coordinates for points that stay regular at infinity: X ~ A (u, v, 1, rho), with A the pose of an anchor camera.

    A point has the anchor's normalised image position (u, v) and the inverse depth rho along it (Montiel, Civera and
    Davison, Unified inverse depth parametrization, RSS 2006); the anchor is a fixed frame of reference, not a camera
    that moves with the adjustment, so that an observation depends on one camera and one point.
    """

    Ts_world_anchor: Float[np.ndarray, "p 4 4"]
    uvr: Float[np.ndarray, "p 3"]

    @property
    def homogeneous(self) -> Float[np.ndarray, "p 4"]:
        """World points (rho x, rho y, rho z, rho): finite at infinity."""
        u, v, rho = self.uvr.T
        return (self.Ts_world_anchor @ np.stack([u, v, np.ones_like(u), rho], axis=-1)[..., None])[..., 0]

    @property
    def xyz(self) -> Float[np.ndarray, "p 3"]:
        homogeneous = self.homogeneous
        return homogeneous[:, :3] / np.maximum(homogeneous[:, 3:], 1e-12)


def normalised(xy: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Position in the image plane at distance 1: (xy - c) / f, for (N, 2) and (N, 4)."""
    return (xy - intrinsics[:, 2:]) / intrinsics[:, :2]


def camera_rows(tracks: Tracks, Ts_world_camera: ArrayLike, intrinsics: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Checked poses (T, 4, 4) and intrinsics (T, 4); one row of intrinsics serves all frames.

    Raises:
        ValueError: shapes that do not agree with the tracks.
    """
    Ts = np.array(Ts_world_camera, dtype=np.float64)
    rows = np.asarray(intrinsics, dtype=np.float64)
    if Ts.shape != (tracks.num_frames, 4, 4):
        raise ValueError(f"Ts_world_camera must have shape ({tracks.num_frames}, 4, 4), got {Ts.shape}")
    if rows.shape not in ((4,), (tracks.num_frames, 4)):
        raise ValueError(f"intrinsics must have shape (4,) or ({tracks.num_frames}, 4), got {rows.shape}")
    return Ts, np.array(np.broadcast_to(rows, (tracks.num_frames, 4)))


def triangulate(
    tracks: Tracks,
    Ts_world_camera: Float[ArrayLike, "t 4 4"],
    intrinsics: Float[ArrayLike, "*t 4"],
    frames_u8: UInt8[np.ndarray, "t h w 3"] | None = None,
) -> PointCloud:
    """World points of tracks seen by known cameras, two views or many, robust to some wrong observations.

    Points that cannot lie in front of two cameras are left out; judge the rest by `error_px` and `angle_rad`.

    Args:
        tracks: observations.
        Ts_world_camera: poses of the T frames.
        intrinsics: (4,) or (T, 4), in pixels of tracks.image_size.
        frames_u8: for the colours.
    """
    Ts, rows = camera_rows(tracks, Ts_world_camera, intrinsics)
    if tracks.num_points == 0:
        none, nobody = np.zeros(0), np.zeros((0, 2), np.int64)
        return PointCloud(np.zeros((0, 3)), np.zeros((0, 3), np.uint8), none, none, nobody[:, 0], nobody)
    charts, residual_px, in_front = locate(tracks, Ts, rows)
    xyz, starts = charts.xyz, tracks.starts
    error_px = median_per_point(residual_px, tracks)
    views = np.add.reduceat(in_front.astype(np.int64), starts)
    angle_rad, numbers = widest_angles(tracks, Ts, xyz), np.arange(len(xyz))
    ends = starts + np.bincount(tracks.point) - 1
    span = np.stack([tracks.frame[starts], tracks.frame[ends]], axis=-1)
    cloud = PointCloud(xyz, _colours(tracks, frames_u8), error_px, angle_rad, numbers, span)
    return cloud.where((views >= 2) & np.isfinite(error_px))


def sparse_points(
    frames_u8: UInt8[np.ndarray, "t h w 3"],
    Ts_world_camera: Float[ArrayLike, "t 4 4"],
    intrinsics: Float[ArrayLike, "*t 4"],
) -> tuple[Tracks, PointCloud]:
    """Tracks of frames whose cameras are known, and their points that reproject well under a parallax (`kept`).

    Args:
        frames_u8: whole frames, as `track_points` takes them.
        Ts_world_camera, intrinsics: as `triangulate`, in pixels of the frames.
    """
    tracks = track_points(frames_u8)
    return tracks, triangulate(tracks, Ts_world_camera, intrinsics, frames_u8).kept()


def locate(
    tracks: Tracks, Ts: Float[np.ndarray, "t 4 4"], intrinsics: Float[np.ndarray, "t 4"], rounds: int = ROUNDS
) -> tuple[Charts, Float[np.ndarray, " n"], np.ndarray]:
    """Points of tracks under given cameras: charts, residual of every observation (px), and whether it is in front.

    Start: inverse depth along the middle observation's ray, in closed form from the cross products of rays
    (linear least squares). Then Gauss-Newton on the reprojection error of all three coordinates, weighed by Cauchy's
    function with the scale taken from the point's own median residual; few `rounds` will do where an adjustment
    follows.
    """
    anchors = tracks.starts + np.bincount(tracks.point) // 2
    uv = normalised(tracks.xy[anchors], intrinsics[tracks.frame[anchors]])
    uvr = np.concatenate([uv, np.full((len(uv), 1), MIN_INVERSE_DEPTH)], axis=1)
    charts = Charts(Ts[tracks.frame[anchors]], uvr)
    views = _Rows.of(tracks, Ts, intrinsics, charts)
    uvr = _linear_inverse_depth(tracks, views, uvr)
    best, best_px = uvr.copy(), np.full(tracks.num_points, np.inf)
    for _ in range(rounds):
        beat()
        error, jacobian, z = views.project(uvr)
        now_px = np.where(z > 0, np.sqrt(error[0] ** 2 + error[1] ** 2), np.inf)
        score = median_per_point(now_px, tracks)
        better = score < best_px
        best_px, best = np.where(better, score, best_px), np.where(better[:, None], uvr, best)
        scale = np.maximum(1.5 * np.where(np.isfinite(score), score, 1e3), 0.5)[tracks.point]
        weight = np.where(z > 0, 1 / (1 + (np.minimum(now_px, 1e6) / scale) ** 2) ** 2, 0)
        uvr = _gauss_newton(tracks, uvr, error, jacobian, weight)
    error, _, z = views.project(uvr)
    last_px = median_per_point(np.where(z > 0, np.sqrt(error[0] ** 2 + error[1] ** 2), np.inf), tracks)
    worse = ~(last_px < 1.2 * best_px + 0.05)  # the last round is the minimum, unless it ran away
    uvr = np.where(worse[:, None], best, uvr)
    error, _, z = views.project(uvr)
    in_front = z > 0
    residual_px = np.where(in_front, np.sqrt(error[0] ** 2 + error[1] ** 2), np.inf)
    return replace(charts, uvr=uvr), residual_px, in_front


@dataclass(frozen=True, eq=False)
class _Rows:
    """From charts to pixels, for every observation; N last, where it is fastest.

    Attributes:
        point: (N,) of the observation.
        xy: (2, N) where it was seen.
        M: (3, 4, N) from the point's anchor to the camera.
        focal, centre: (2, N) px.
    """

    point: Int[np.ndarray, " n"]
    xy: Float[np.ndarray, "2 n"]
    M: Float[np.ndarray, "3 4 n"]
    focal: Float[np.ndarray, "2 n"]
    centre: Float[np.ndarray, "2 n"]

    @staticmethod
    def of(tracks: Tracks, Ts: np.ndarray, intrinsics: np.ndarray, charts: Charts) -> _Rows:
        to_camera = np.ascontiguousarray(se3.inverse(Ts)[:, :3].transpose(1, 2, 0))[:, :, tracks.frame]
        anchors = np.ascontiguousarray(charts.Ts_world_anchor[:, :3].transpose(1, 2, 0))[:, :, tracks.point]
        M = np.stack([[_dot3(to_camera[i], anchors[:, j]) for j in range(4)] for i in range(3)])
        M[:, 3] += to_camera[:, 3]
        lenses = intrinsics.T[:, tracks.frame]
        return _Rows(tracks.point, np.ascontiguousarray(tracks.xy.T), M, lenses[:2], lenses[2:])

    def project(self, uvr: Float[np.ndarray, "p 3"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Error (2, N) px of every observation, its Jacobian (3, 2, N) in (u, v, rho), and the point's (N,) z.

        The z returned is that of rho-scaled camera coordinates: positive in front, whatever the distance.
        """
        u, v, rho = np.ascontiguousarray(uvr.T)[:, self.point]
        Y = self.M[:, 0] * u + self.M[:, 1] * v + self.M[:, 2] + self.M[:, 3] * rho
        z = np.where(np.abs(Y[2]) < 1e-9, 1e-9, Y[2])
        plane = Y[:2] / z
        gain = self.focal / z
        jacobian = np.stack([(self.M[:2, k] - plane * self.M[2, k]) * gain for k in (0, 1, 3)])
        return plane * self.focal + self.centre - self.xy, jacobian, z


def _dot3(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum over the first three of (3 or more, N) products."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _linear_inverse_depth(tracks: Tracks, views: _Rows, uvr: np.ndarray) -> np.ndarray:
    """(P, 3) charts with rho from a x + rho b parallel to the observed ray, in the least squares of the image plane.

    Robust by two rounds: observations far from the first answer lose their vote in the second.
    """
    u, v = np.ascontiguousarray(uvr.T)[:2, tracks.point]
    a = views.M[:, 0] * u + views.M[:, 1] * v + views.M[:, 2]
    b = views.M[:, 3]
    seen = (views.xy - views.centre) / views.focal
    p = a[:2] - seen * a[2]  # p + rho q = 0 where the point projects onto the observation
    q = b[:2] - seen * b[2]
    products, squares = p[0] * q[0] + p[1] * q[1], q[0] ** 2 + q[1] ** 2
    weight = np.ones(len(tracks))
    rho = np.full(tracks.num_points, MIN_INVERSE_DEPTH)
    for _ in range(3):
        numerator = np.add.reduceat(weight * products, tracks.starts)
        denominator = np.add.reduceat(weight * squares, tracks.starts)
        rho = np.maximum(-numerator / np.maximum(denominator, 1e-18), MIN_INVERSE_DEPTH)
        depth = np.maximum(a[2] + rho[tracks.point] * b[2], 1e-3)
        miss = p + rho[tracks.point] * q
        miss = np.sqrt(miss[0] ** 2 + miss[1] ** 2) / depth
        scale = np.maximum(1.5 * median_per_point(miss, tracks), 1e-4)[tracks.point]
        weight = 1 / (1 + (miss / scale) ** 2) ** 2 / depth**2
    return np.concatenate([uvr[:, :2], rho[:, None]], axis=1)


def _gauss_newton(
    tracks: Tracks, uvr: np.ndarray, error: np.ndarray, jacobian: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """One damped step of every point's three coordinates from its own observations."""
    hessian, gradient = np.empty((tracks.num_points, 3, 3)), np.empty((tracks.num_points, 3))
    weighed = jacobian * weight
    for i in range(3):
        gradient[:, i] = np.add.reduceat((weighed[i] * error).sum(axis=0), tracks.starts)
        for j in range(i, 3):
            hessian[:, i, j] = hessian[:, j, i] = np.add.reduceat((weighed[i] * jacobian[j]).sum(axis=0), tracks.starts)
    diagonal = np.einsum("pii->pi", hessian)
    diagonal += 1e-4 * diagonal + 1e-6 * diagonal.max(axis=1, keepdims=True) + 1e-9
    step = np.linalg.solve(hessian, gradient[..., None])[..., 0]
    result = uvr - step
    result[:, 2] = np.maximum(result[:, 2], MIN_INVERSE_DEPTH)
    return result


def median_per_point(values: Float[np.ndarray, " n"], tracks: Tracks) -> Float[np.ndarray, " p"]:
    """(P,) upper median over the observations of every point."""
    order = np.argsort(values)
    points = tracks.point if tracks.num_points > 2**16 else tracks.point.astype(np.uint16)  # these sort by their digits
    order = order[np.argsort(points[order], kind="stable")]
    return values[order][tracks.starts + np.bincount(tracks.point) // 2]


def widest_angles(tracks: Tracks, Ts: np.ndarray, xyz: np.ndarray) -> np.ndarray:
    """(P,) widest angle between rays to a point: from the first ray to the one farthest from it, from there again.

    Of rays that lie about a line, as those of a moving camera do, that is the widest of all pairs; never more.
    """
    rays = xyz[tracks.point] - Ts[tracks.frame, :3, 3]
    rays /= np.maximum(np.linalg.norm(rays, axis=1, keepdims=True), 1e-12)
    far, squared = tracks.starts, np.zeros(tracks.num_points)
    for _ in range(2):
        offset = rays - rays[far][tracks.point]
        distance = (offset**2).sum(axis=1)
        squared = np.maximum.reduceat(distance, tracks.starts)
        widest = np.flatnonzero(distance == squared[tracks.point])
        far = tracks.starts.copy()
        far[tracks.point[widest]] = widest
    return 2 * np.arcsin(np.clip(np.sqrt(squared) / 2, 0, 1))


def _colours(tracks: Tracks, frames_u8: np.ndarray | None) -> np.ndarray:
    """(P, 3) colour of the middle observation."""
    if frames_u8 is None:
        return np.full((tracks.num_points, 3), 128, np.uint8)
    h, w = tracks.image_size
    middle = tracks.starts + np.bincount(tracks.point) // 2
    x, y = np.floor(tracks.xy[middle]).astype(np.int64).T
    return frames_u8[tracks.frame[middle], np.clip(y, 0, h - 1), np.clip(x, 0, w - 1)]
