"""Cameras as images and back: raxel maps, and the Plücker maps of the paper's ablation (torch, any leading batch).

A raxel is the 3-vector o + d of a pixel: the camera's centre o plus the unit ray direction d = R K^-1 u~ / |K^-1 u~|,
both in the world, which is the reference (source) camera's frame (Rays as Pixels, arXiv 2604.09429). With shared
intrinsics the map of frame k is a rigidly moved copy of the reference map, raxel_k = R_k d + t_k, so cameras come
back in closed form.

The recovery deviates from the paper's in one way. The paper aligns frame k with the reference map itself; that map is
as noisy as frame k's, and a focal length read from it alone ignores the other frames. Here the reference map's ratios
only start the focal length; every frame is then aligned with the IDEAL unit rays of that focal length, and the focal
length is refined on all frames carried back into the camera. The two alternate, and converge to the least-squares
cameras of all pixels of all frames (the tests compare with SciPy's solver).

Median errors at 1 % of noise, 200 cameras of 20 to 100 degrees of view, any rotation (tests/geometry/test_raxels.py has
the bounds): 0.085 degrees and 0.06 % of the focal length on 32x32 maps of two frames, 0.04 degrees and 0.03 % on 64x64;
with 17 frames the focal error falls to 0.02 and 0.01 %, and 5 % of garbage pixels leave 0.09 degrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rap.geometry.camera import pixel_centres

RATIO_BORDER = 0.15
"""Ratios u z / x are read where |u| exceeds this part of the image's width (height for y): further in is noise."""

FOCAL_RANGE = (0.05, 2000.0)
"""Focal lengths in units of the image side, 168 to 0.03 degrees of view: even pure noise gives finite cameras."""

ROUNDS = 3
"""Alternations of poses and focal length; each shrinks what is left of the focal error at least a hundredfold
(measured at 3 to 130 degrees of view and 2 % of noise)."""

ROBUST_ROUNDS = 10
ROBUST_STOP = 1e-6
"""Most alternations with Cauchy weights, only for clips with outliers; they end once no rotation changes by more."""

OUTLIER_SIGMAS, OUTLIER_PART, GROSS_SIGMAS = 5.0, 0.002, 8.0
"""A frame has outliers when more than this part of its pixels lies beyond 5 sigmas (Gaussian noise: 1.5e-5), or one
beyond 8 (1e-13)."""

CAUCHY_SIGMAS = 2.385
"""Cauchy weight 1 / (1 + (e / c sigma)^2), c = 2.385: 95 % efficient on Gaussian noise."""

MEDIAN_NORM = 1.538
"""Median length of a 3-vector of unit Gaussians: turns median residuals into sigmas."""

MEDIAN_PIXELS = 1024
"""Medians of residuals read about this many pixels of a frame: 3 % of error on a sigma that only sets weights."""

SIGMA_FLOOR = 1e-4
"""Frames are weighed by 1 / (sigma^2 + floor^2) in the focal fit: exact frames count alike."""


def cameras_to_raxels(
    Ts_world_camera: Float[Tensor, "*batch frames 4 4"] | Float[np.ndarray, "*batch frames 4 4"],
    intrinsics: Float[Tensor, "*batch frames 4"] | Float[np.ndarray, "*batch frames 4"],
    image_size: tuple[int, int],
) -> Float[Tensor, "*batch frames 3 h w"]:
    """Raxel maps o + d of cameras.

    Args:
        Ts_world_camera: poses; make the reference camera the identity for maps that can be read back.
        intrinsics: fx, fy, cx, cy in pixels of `image_size` (of the MAP, not of the video).
        image_size: (h, w) of the map.

    Raises:
        ValueError: a wrong shape, or a focal length that is not positive.
    """
    centres, directions = _world_rays(Ts_world_camera, intrinsics, image_size)
    return _as_maps(directions + centres[..., None], image_size, Ts_world_camera)


def raxels_to_cameras(
    raxels: Float[Tensor, "*batch frames 3 h w"] | Float[np.ndarray, "*batch frames 3 h w"],
    reference: int = 0,
    robust: bool = True,
) -> tuple[Float[Tensor, "*batch frames 4 4"], Float[Tensor, "*batch frames 4"]]:
    """Cameras of raxel maps: poses and intrinsics (pixels of the map), the latter shared and repeated over frames.

    The principal point is the centre of the map. The world is the reference camera, whose pose is exactly the identity.
    Rotations are by orthogonal Procrustes (det +1; a map without any spread gives the identity), translations by the
    means, never by a sphere fit. Cauchy weights enter only where residuals show outliers; pixels that are not finite
    are left out. Any finite map gives finite cameras, noise included. Computed in float64, returned in the map's dtype
    (float32 for half precision).

    Args:
        raxels: maps in the frame of the reference camera, so that `raxels[..., reference, :, :, :]` is a map with its
            origin at 0.
        reference: index of that frame.
        robust: False leaves the Cauchy weights out, for errors that are smooth rather than garbage in a few pixels.

    Raises:
        ValueError: a wrong shape, an index out of range, or a frame with fewer than 3 finite pixels.
    """
    maps, image_size, batch = _flat_maps(raxels, 3, "raxels")
    frame = _check_reference(reference, maps.shape[1])
    focal, R, t, _ = _solve_cameras(maps, image_size, frame, moves=True, robust=robust)
    return _as_cameras(focal, R, t, image_size, batch, raxels)


def cameras_to_pluecker(
    Ts_world_camera: Float[Tensor, "*batch frames 4 4"] | Float[np.ndarray, "*batch frames 4 4"],
    intrinsics: Float[Tensor, "*batch frames 4"] | Float[np.ndarray, "*batch frames 4"],
    image_size: tuple[int, int],
) -> Float[Tensor, "*batch frames 6 h w"]:
    """Plücker maps of cameras: moment o x d, then direction d (Plücker, 1865). Arguments as for `cameras_to_raxels`."""
    centres, directions = _world_rays(Ts_world_camera, intrinsics, image_size)
    moments = torch.linalg.cross(centres[..., None].expand_as(directions), directions, dim=-2)
    return _as_maps(torch.cat([moments, directions], dim=-2), image_size, Ts_world_camera)


def pluecker_to_cameras(
    pluecker: Float[Tensor, "*batch frames 6 h w"] | Float[np.ndarray, "*batch frames 6 h w"], reference: int = 0
) -> tuple[Float[Tensor, "*batch frames 4 4"], Float[Tensor, "*batch frames 4"]]:
    """Cameras of Plücker maps; the counterpart of `raxels_to_cameras`, same results and errors.

    Rotation and focal length come from the directions (Procrustes about the origin, as directions do not move), the
    centre from the moments m = o x d in least squares: d x m = (I - d d^T) o, summed over the pixels.
    """
    maps, image_size, batch = _flat_maps(pluecker, 6, "pluecker")
    frame = _check_reference(reference, maps.shape[1])
    focal, R, _, weights = _solve_cameras(maps[:, :, 3:], image_size, frame, moves=False)
    directions = R @ _ideal_rays(focal, image_size)[:, None]
    moments = torch.nan_to_num(maps[:, :, :3], nan=0.0, posinf=0.0, neginf=0.0)
    weights = weights * torch.isfinite(maps).all(dim=2)
    right = (torch.linalg.cross(directions, moments, dim=2) * weights[:, :, None]).sum(-1)
    eye = torch.eye(3, dtype=maps.dtype, device=maps.device)
    total = weights.sum(-1)[..., None, None]
    left = total * eye - (directions * weights[:, :, None]) @ directions.mT
    # The ridge keeps a frame defined whose rays are all parallel: then the centre's depth is not observable, and is 0.
    t = torch.linalg.solve(left + 1e-12 * total * eye, right)
    t[:, frame] = 0
    return _as_cameras(focal, R, t, image_size, batch, pluecker)


# ---- in and out ------------------------------------------------------------------------------------------------------


def _working(values: Tensor | np.ndarray) -> Tensor:
    """float64 copy of a tensor or array, on its device if that knows float64 (Apple's does not)."""
    if not isinstance(values, Tensor):
        return torch.tensor(np.asarray(values, dtype=np.float64))
    return (values.cpu() if values.device.type == "mps" else values).to(torch.float64)


def _like(result: Tensor, source: Tensor | np.ndarray) -> Tensor:
    """A result in the source's dtype (at least float32) on its device; numpy's float64 stays float64."""
    if not isinstance(source, Tensor):
        return result.to(torch.float32 if np.asarray(source).dtype == np.float32 else torch.float64)
    dtype = torch.float64 if source.dtype == torch.float64 else torch.float32
    return result.to(dtype).to(source.device)


def _world_rays(Ts_world_camera, intrinsics, image_size) -> tuple[Tensor, Tensor]:
    """Centres (…, T, 3) and unit directions (…, T, 3, h w) of cameras in the world, float64."""
    poses, values = _working(Ts_world_camera), _working(intrinsics)
    if poses.shape[-2:] != (4, 4) or poses.ndim < 3:
        raise ValueError(f"Ts_world_camera must have shape (…, frames, 4, 4), got {tuple(poses.shape)}")
    if values.shape != (*poses.shape[:-2], 4):
        raise ValueError(
            f"intrinsics must have shape {(*poses.shape[:-2], 4)}, fx fy cx cy of each pose, got {tuple(values.shape)}"
        )
    if not bool((values[..., :2] > 0).all()):
        raise ValueError(f"intrinsics must have positive focal lengths, got {values[..., :2].min().item():.6g} px")
    pixels = pixel_centres(image_size, poses.device, torch.float64).flatten(0, 1).T  # (2, h w)
    rays = (pixels - values[..., 2:, None]) / values[..., :2, None]
    rays = torch.cat([rays, torch.ones_like(rays[..., :1, :])], dim=-2)
    rays = rays / _lengths(rays, dim=-2).unsqueeze(-2)
    return poses[..., :3, 3], poses[..., :3, :3] @ rays


def _as_maps(values: Tensor, image_size: tuple[int, int], source: Tensor | np.ndarray) -> Tensor:
    return _like(values.unflatten(-1, image_size), source)


def _flat_maps(values, channels: int, name: str) -> tuple[Tensor, tuple[int, int], torch.Size]:
    """(…, T, C, h, w) -> (B, T, C, h w) float64, map size, leading dimensions; refuses what cannot be read."""
    maps = _working(values)
    if maps.ndim < 4 or maps.shape[-3] != channels or 0 in maps.shape:
        raise ValueError(f"{name} must have shape (…, frames, {channels}, h, w), got {tuple(maps.shape)}")
    *batch, frames, _, h, w = maps.shape
    if h < 2 or w < 2:
        raise ValueError(f"{name} must be at least 2x2 pixels to show a field of view, got {h}x{w}")
    maps = maps.reshape(-1, frames, channels, h * w)
    if bool(maps.sum().isfinite()):  # the usual case at the price of a sum
        return maps, (h, w), torch.Size(batch)
    counts = torch.isfinite(maps).all(dim=2).sum(-1)
    if bool((counts < 3).any()):
        item, frame = (int(k) for k in (counts < 3).nonzero()[0])
        raise ValueError(
            f"{name} must have at least 3 finite pixels in every frame, but frame {frame} of item {item} has "
            f"{int(counts[item, frame])} of {h * w}; NaN from the model?"
        )
    return maps, (h, w), torch.Size(batch)


def _check_reference(reference: int, frames: int) -> int:
    if not -frames <= reference < frames:
        raise ValueError(f"reference must be the index of one of the {frames} frames, got {reference}")
    return reference % frames


def _as_cameras(focal: Tensor, R: Tensor, t: Tensor, image_size: tuple[int, int], batch: torch.Size, source):
    """(B, 2), (B, T, 3, 3), (B, T, 3) -> poses (…, T, 4, 4) and intrinsics (…, T, 4)."""
    frames = R.shape[1]
    poses = torch.zeros(*R.shape[:2], 4, 4, dtype=R.dtype, device=R.device)
    poses[..., :3, :3], poses[..., :3, 3], poses[..., 3, 3] = R, t, 1
    centre = torch.tensor([image_size[1] / 2, image_size[0] / 2], dtype=focal.dtype, device=focal.device)
    intrinsics = torch.cat([focal, centre.expand_as(focal)], dim=-1)[:, None].repeat(1, frames, 1)
    return _like(poses.reshape(*batch, frames, 4, 4), source), _like(intrinsics.reshape(*batch, frames, 4), source)


# ---- the estimator: maps (B, T, 3, N), weights (B, T, N), focal (B, 2) in pixels ------------------------------------


@dataclass(frozen=True)
class _Observed:
    """Maps with weights, and the sums that every alternation needs, so that a round costs two thin matrix products."""

    maps: Tensor  # (B, T, 3, N), finite
    weights: Tensor  # (B, T, N)
    weighted: Tensor  # (B, T, 3, N), each frame's weights summing to 1
    mean: Tensor  # (B, T, 3)
    square: Tensor  # (B, T), mean of |map|^2
    share: Tensor  # (B, T, N), weights summing to 1
    image_size: tuple[int, int]
    reference: int
    moves: bool  # False for direction maps: they turn about the origin and have no translation


def _observe(maps: Tensor, weights: Tensor, image_size: tuple[int, int], reference: int, moves: bool) -> _Observed:
    share = weights / weights.sum(-1, keepdim=True)
    weighted = maps * share[:, :, None]
    square = (weighted.flatten(2)[..., None, :] @ maps.flatten(2)[..., None])[..., 0, 0]
    return _Observed(maps, weights, weighted, weighted.sum(-1), square, share, image_size, reference, moves)


def _solve_cameras(maps: Tensor, image_size: tuple[int, int], reference: int, moves: bool, robust: bool = True):
    """Focal lengths (B, 2), rotations (B, T, 3, 3), translations (B, T, 3), weights (B, T, N)."""
    maps, weights = _drop_garbage(maps)
    seen = _observe(maps, weights, image_size, reference, moves)
    focal = _focal_from_ratios(maps[:, reference], weights[:, reference], image_size)
    focal, R, t = _alternate(seen, focal, ROUNDS)
    if not robust:
        return focal, R, t, weights
    residual, sigma = _residuals(seen, focal, R, t)
    beyond = (residual > OUTLIER_SIGMAS * sigma) & (weights > 0)
    worst = (residual * (weights > 0)).amax(-1)
    outliers = (beyond.sum(-1) > OUTLIER_PART * weights.sum(-1)) | (worst > GROSS_SIGMAS * sigma[..., 0])
    outliers &= worst > SIGMA_FLOOR  # rounding errors of exact maps are none
    items = outliers.any(dim=1)
    if bool(items.any()):
        part = _observe(maps[items], weights[items], image_size, reference, moves)
        solved = _reweight(part, focal[items], R[items], t[items])
        for whole, value in zip((focal, R, t, weights), solved, strict=True):
            whole[items] = value
    return focal, R, t, weights


def _drop_garbage(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Zero weight for pixels not finite or too far off: two points of a unit sphere lie within 2."""
    reach = maps.amax(-1) - maps.amin(-1)
    if bool((reach <= 2.5).all()):  # the usual case, without a sort; False for NaN and infinity
        return maps, torch.ones_like(maps[:, :, 0])
    finite = torch.isfinite(maps).all(dim=2)
    maps = torch.where(finite[:, :, None], maps, 0.0)
    centre = torch.where(finite[:, :, None], maps, torch.nan).nanmedian(dim=-1, keepdim=True).values
    distance = _lengths(maps - centre)
    spread = torch.where(finite, distance, torch.nan).nanmedian(dim=-1, keepdim=True).values
    return maps, (finite & (distance <= 2 + 4 * spread)).to(maps.dtype)


def _lengths(vectors: Tensor, dim: int = 2) -> Tensor:
    """Norms along a dimension that is not the last, where torch's own norm is twenty times slower."""
    return vectors.square().sum(dim).sqrt()


def _centred_pixels(image_size: tuple[int, int], like: Tensor) -> Tensor:
    """Pixel positions (2, N) measured from the centre of the map."""
    h, w = image_size
    pixels = pixel_centres(image_size, like.device, like.dtype).flatten(0, 1).T
    return pixels - torch.tensor([[w / 2], [h / 2]], dtype=like.dtype, device=like.device)


def _ideal_rays(focal: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Unit rays (B, 3, N) of centred cameras with these focal lengths."""
    rays = _centred_pixels(image_size, focal) / focal[:, :, None]
    rays = torch.cat([rays, torch.ones_like(rays[:, :1])], dim=1)
    return rays / _lengths(rays, dim=1).unsqueeze(1)


def _focal_from_ratios(reference_map: Tensor, weights: Tensor, image_size: tuple[int, int]) -> Tensor:
    """The paper's f_x = median(u z / x) on the reference map (B, 3, N), and the same for f_y.

    Taken as 1 / median(x / (u z)): the same number as long as x keeps its sign, and still defined when the field of
    view is so narrow that noise flips it. The ratio does not change when a raxel is scaled to unit length.
    """
    sides = torch.tensor([image_size[1], image_size[0]], dtype=reference_map.dtype, device=reference_map.device)
    pixels = _centred_pixels(image_size, reference_map)
    z = reference_map[:, 2:]
    readable = (pixels.abs() > RATIO_BORDER * sides[:, None]) & (z > 0.02) & (weights[:, None] > 0)
    inverse = torch.where(readable, reference_map[:, :2] / (pixels * z.clamp_min(0.02)), torch.nan)
    inverse = 0.5 * (inverse.nanmedian(-1).values - (-inverse).nanmedian(-1).values)  # torch's median is the lower one
    inverse = torch.nan_to_num(inverse, nan=1.0) * sides  # no readable ratio at all: focal = side, 53 degrees
    low, high = FOCAL_RANGE
    return sides / inverse.clamp(1 / high, 1 / low)


def _alternate(seen: _Observed, focal: Tensor, rounds: int) -> tuple[Tensor, Tensor, Tensor]:
    """Poses for the ideal rays, then the focal length for the poses, `rounds` times; poses last."""
    for _ in range(rounds):
        R, t, variance = _procrustes(seen, _ideal_rays(focal, seen.image_size))
        focal = _refine_focal(seen, focal, R, t, variance)
    R, t, _ = _procrustes(seen, _ideal_rays(focal, seen.image_size))
    return focal, R, t


def _procrustes(seen: _Observed, rays: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """R_k, t_k minimising sum w |map_k - R_k d - t_k|^2 (Schönemann 1966; Umeyama 1991 for the determinant).

    Also the mean squared residual of each frame (B, T) at the minimum, up to rounding.
    """
    covariance = (seen.weighted.flatten(1, 2) @ rays.mT).unflatten(1, seen.mean.shape[1:])
    mean_ray = seen.share @ rays.mT
    if seen.moves:
        covariance = covariance - seen.mean[..., :, None] * mean_ray[..., None, :]
    # A map without spread has no rotation to show; the ridge, far below any real spread, then answers the identity.
    eye = torch.eye(3, dtype=rays.dtype, device=rays.device)
    U, _, Vh = torch.linalg.svd(covariance + 1e-13 * eye)
    U = torch.cat([U[..., :2], U[..., 2:] * torch.linalg.det(U @ Vh)[..., None, None]], dim=-1)
    R = U @ Vh
    R[:, seen.reference] = eye
    t = seen.mean - (R @ mean_ray[..., None])[..., 0] if seen.moves else torch.zeros_like(seen.mean)
    t[:, seen.reference] = 0
    turned = (R @ mean_ray[..., None])[..., 0]
    cross = (R * (covariance + seen.mean[..., :, None] * mean_ray[..., None, :] * seen.moves)).sum(dim=(2, 3))
    variance = seen.square + 1 - 2 * cross + (t * (t - 2 * seen.mean + 2 * turned)).sum(-1)
    return R, t, variance.clamp_min(0)


def _residuals(seen: _Observed, focal: Tensor, R: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Residual lengths (B, T, N) and the noise sigma per component of each frame (B, T, 1), from their median."""
    rays = _ideal_rays(focal, seen.image_size)
    residual = _lengths((R @ rays[:, None]).sub_(seen.maps).add_(t[..., None]))
    stride = max(1, residual.shape[-1] // MEDIAN_PIXELS)
    some, counted = residual[..., ::stride], seen.weights[..., ::stride] > 0
    median = torch.where(counted, some, torch.nan).nanmedian(dim=-1, keepdim=True).values
    return residual, torch.nan_to_num(median, nan=1.0) / MEDIAN_NORM


def _refine_focal(seen: _Observed, focal: Tensor, R: Tensor, t: Tensor, variance: Tensor) -> Tensor:
    """One Gauss-Newton step on log f_x, log f_y: all frames, carried back into the camera, weighed by 1 / variance."""
    rays = _ideal_rays(focal, seen.image_size)
    trust = 1 / (variance / 3 + SIGMA_FLOOR**2)
    trust = trust / trust.sum(1, keepdim=True)  # (B, T)
    back = (trust[..., None, None] * R.mT).transpose(1, 2).flatten(2)  # (B, 3, 3 T): sum_k trust_k R_k^T map_k
    camera_map = back @ seen.weighted.flatten(1, 2)
    camera_map = camera_map - (trust[..., None] * (R.mT @ t[..., None])[..., 0]).mT @ seen.share
    total = (trust[:, None] @ seen.share)[:, 0]  # (B, N)
    residual = camera_map - total[:, None] * rays
    # d n / d log f_x = (-u / f_x, 0, 0) for n = (u / f_x, v / f_y, 1), and |n| = 1 / d_z; then d = n / |n|.
    axes = torch.eye(3, dtype=rays.dtype, device=rays.device)[:2, :, None]
    slopes = (-rays[:, :2, None] * (axes - rays[:, None] * rays[:, :2, None])).flatten(2)  # (B, 2, 3 N)
    normal = (slopes * total[:, None].repeat(1, 1, 3)) @ slopes.mT
    if seen.moves:  # translations give way to the focal length: their share of the slopes, the mean, does not count
        free = trust.clone()
        free[:, seen.reference] = 0
        mean = seen.share @ slopes.unflatten(2, (3, -1)).flatten(1, 2).mT  # (B, T, 2 * 3)
        mean = (mean * free.sqrt()[..., None]).unflatten(2, (2, 3)).transpose(1, 2).flatten(2)
        normal = normal - mean @ mean.mT
    ridge = 1e-15 * torch.eye(2, dtype=rays.dtype, device=rays.device)
    step = torch.linalg.solve(normal + ridge, slopes @ residual.flatten(1)[..., None])[..., 0].clamp(-0.5, 0.5)
    h, w = seen.image_size
    sides = torch.tensor([w, h], dtype=rays.dtype, device=rays.device)
    low, high = FOCAL_RANGE
    return torch.minimum(torch.maximum(focal * step.exp(), low * sides), high * sides)


def _reweight(seen: _Observed, focal: Tensor, R: Tensor, t: Tensor):
    """Cauchy re-weighting: weights from the residuals, one alternation, again; garbage pixels end with no say.

    An item that has settled is left alone, so that it does not depend on its batch.
    """
    weights = seen.weights
    moving = torch.ones(len(focal), dtype=torch.bool, device=focal.device)
    for _ in range(ROBUST_ROUNDS):
        residual, sigma = _residuals(seen, focal, R, t)
        cauchy = seen.weights / (1 + (residual / (CAUCHY_SIGMAS * sigma + 1e-12)) ** 2)
        robust = _observe(seen.maps, cauchy, seen.image_size, seen.reference, seen.moves)
        updated = (*_alternate(robust, focal, 1), cauchy)
        settled = (updated[1] - R).abs().amax(dim=(1, 2, 3)) < ROBUST_STOP
        focal, R, t, weights = (
            torch.where(moving.view(-1, *[1] * (new.ndim - 1)), new, old)
            for new, old in zip(updated, (focal, R, t, weights), strict=True)
        )
        moving &= ~settled
        if not bool(moving.any()):
            break
    return focal, R, t, weights
