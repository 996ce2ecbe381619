"""Small scenes whose every pixel is known in closed form: planes and spheres carved from a solid texture."""

from dataclasses import dataclass, field

import numpy as np

from rap.geometry import se3
from rap.geometry.camera import intrinsics_from_fov
from rap.geometry.trajectory import Trajectory

SIZE = (96, 128)
FOV_Y_RAD = np.deg2rad(50)


@dataclass(frozen=True)
class Plane:
    """Points with normal . x = offset, only where x > left_of if that is given."""

    normal: tuple[float, float, float] = (0.0, 0.0, 1.0)
    offset: float = 1.0
    right_of: float = -np.inf

    def depths(self, origin, rays):
        along = rays @ np.asarray(self.normal)
        t = (self.offset - origin @ np.asarray(self.normal)) / np.where(np.abs(along) < 1e-9, 1e-9, along)
        inside = (origin + t[..., None] * rays)[..., 0] > self.right_of
        return np.where((t > 0) & inside, t, np.inf)


@dataclass(frozen=True)
class Sphere:
    centre: tuple[float, float, float] = (0.0, 0.0, 1.0)
    radius: float = 0.3

    def depths(self, origin, rays):
        offset = origin - np.asarray(self.centre)
        a, b, c = (rays**2).sum(-1), rays @ offset, offset @ offset - self.radius**2
        root = b * b - a * c
        t = (-b - np.sqrt(np.maximum(root, 0))) / a
        return np.where((root > 0) & (t > 0), t, np.inf)


@dataclass(frozen=True)
class World:
    """Surfaces and the texture they are carved from; `shifts[k]` (T, 3) moves surface k over time."""

    surfaces: tuple
    shifts: dict = field(default_factory=dict)
    seed: int = 0

    def _texture(self, xyz):
        rng = np.random.default_rng(self.seed)
        waves = rng.normal(size=(12, 3))
        waves *= (2 * np.pi / rng.uniform(0.06, 0.3, 12) / np.linalg.norm(waves, axis=1))[:, None]
        tone = np.sin(xyz @ waves.T + rng.uniform(0, 2 * np.pi, 12)) @ rng.normal(size=(12, 3))
        return np.clip(127 + 40 * tone, 0, 255)

    def look(self, trajectory):
        """Frames (T, H, W, 3) uint8 and z-depths (T, H, W)."""
        h, w = trajectory.image_size
        y, x = np.mgrid[:h, :w] + 0.5
        frames, depths = [], []
        for i, (T, (fx, fy, cx, cy)) in enumerate(zip(trajectory.Ts_world_camera, trajectory.intrinsics, strict=True)):
            rays = np.stack([(x - cx) / fx, (y - cy) / fy, np.ones_like(x)], -1) @ T[:3, :3].T
            moved = [np.asarray(self.shifts[k])[i] if k in self.shifts else 0 for k in range(len(self.surfaces))]
            hits = [s.depths(T[:3, 3] - m, rays) for s, m in zip(self.surfaces, moved, strict=True)]
            nearest = np.argmin(hits, axis=0)
            depth = np.min(hits, axis=0)
            xyz = T[:3, 3] + np.where(np.isfinite(depth), depth, 1e3)[..., None] * rays
            frames.append(self._texture(xyz - np.asarray([np.broadcast_to(m, 3) for m in moved])[nearest]))
            depths.append(depth)
        return np.round(frames).astype(np.uint8), np.stack(depths)


def path(translations=None, rotations_rad=None, num_frames=9, size=SIZE, source=0):
    """A straight path: translation and rotation vector of the last frame, linear in time."""
    s = np.linspace(0, 1, num_frames)[:, None]
    xi = np.concatenate([s * np.asarray(translations or (0, 0, 0)), s * np.asarray(rotations_rad or (0, 0, 0))], axis=1)
    poses = se3.exp(np.concatenate([np.zeros_like(xi[:, :3]), xi[:, 3:]], axis=1))
    poses[:, :3, 3] = xi[:, :3]
    lens = np.repeat(intrinsics_from_fov(FOV_Y_RAD, size)[None], num_frames, axis=0)
    return Trajectory(poses, lens, size).relative_to(source)


def reprojection_px(tracks, depths, trajectory):
    """(N,) distance of every observation from where its point's first observation lies in that frame, by true depth."""
    first = tracks.starts
    frame, xy = tracks.frame[first], tracks.xy[first]
    column, row = np.floor(xy).astype(int).T
    lens = trajectory.intrinsics[frame]
    rays = np.concatenate([(xy - lens[:, 2:]) / lens[:, :2], np.ones((len(xy), 1))], axis=1)
    local = rays * depths[frame, row, column][:, None]
    Ts = trajectory.Ts_world_camera
    world = np.einsum("pij,pj->pi", Ts[frame, :3, :3], local) + Ts[frame, :3, 3]
    inverse = se3.inverse(Ts)[tracks.frame]
    seen = np.einsum("nij,nj->ni", inverse[:, :3, :3], world[tracks.point]) + inverse[:, :3, 3]
    lens = trajectory.intrinsics[tracks.frame]
    return np.linalg.norm(seen[:, :2] / seen[:, 2:] * lens[:, :2] + lens[:, 2:] - tracks.xy, axis=1)


def observe(xyz, trajectory, noise_px=0.0, seed=0):
    """Exact tracks of points (P, 3) that every camera sees."""
    from rap.reconstruction.tracks import Tracks

    rng = np.random.default_rng(seed)
    inverse = se3.inverse(trajectory.Ts_world_camera)
    seen = np.einsum("tij,pj->pti", inverse[:, :3, :3], xyz) + inverse[:, :3, 3]
    xy = seen[..., :2] / seen[..., 2:] * trajectory.intrinsics[:, :2] + trajectory.intrinsics[:, 2:]
    xy = xy + noise_px * rng.normal(size=xy.shape)
    point, frame = np.mgrid[: len(xyz), : len(trajectory)]
    return Tracks.build(frame, point, xy, len(trajectory), trajectory.image_size)
