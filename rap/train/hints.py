"""Hints for training: flow as it is found and as it is known, warps under depth and poses as wrong as real ones are.

A network that is always handed perfect geometry believes it. Depth is therefore blurred, fattened at its edges, scaled
and bent, poses are shaken, and some samples get the plane of a single picture or no hint at all. Depth of one picture
is wrong as nobody would make it up: who trains for takes from one gives samples their own source's layers by it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from rap.data.dataset import PosedClips
from rap.errors import InputError
from rap.geometry import se3
from rap.model.codec import SPACE_COMPRESSION
from rap.model.tokens import TIME_COMPRESSION
from rap.reconstruction.optical_flow import FLOW_CHANNELS, flow_features, flow_pairs, pack_flow, projected_flow
from rap.train.settings import ModelTraining
from rap.views.fill import smooth_fill
from rap.views.hints import to_u8, with_open_holes
from rap.views.layers import lift
from rap.views.monocular import embedded_monocular_depth
from rap.views.warp import FAR, Warp, plane_inverse_depth, warp

MAX_HINT_SOURCES = 4
"""Of a clip up to so many frames are lifted; the editor lifts nine, of which the four nearest count for each target."""

BEND = 0.12
"""Largest standard deviation of the smooth relative error of inverse depth."""

SCALE = 0.04
"""Standard deviation of the log of each depth map's own scale."""

EDGE_SIZES = (1, 1, 3, 5)
"""Sides in pixels of the maximum filter that lets near things grow over their outline, as stereo windows do."""

SHAKE_ROTATION_RAD = float(np.radians(0.4))
SHAKE_TRANSLATION = 0.012
"""Standard deviations of a lifted frame's pose error: radians, and units of the median depth."""


@dataclass(frozen=True)
class HintMaker:
    """Hints of single clips of a batch, from one random generator."""

    settings: ModelTraining
    rng: np.random.Generator
    device: torch.device

    def flow(self, clips: PosedClips, row: int, source: int) -> Float[Tensor, "24 F h w"]:
        """Of one clip: searched for in its frames, or projected from its depth with a noise model, or nothing."""
        count, (height, width) = clips.frames_u8.shape[1], clips.size
        grid = height // SPACE_COMPRESSION, width // SPACE_COMPRESSION
        u = self.rng.random()
        if u < self.settings.hint_dropout:
            latent_frames = 1 + (count - 1) // TIME_COMPRESSION
            return torch.zeros(FLOW_CHANNELS, latent_frames, *grid, device=self.device)
        simulated = self.rng.random() < self.settings.simulated_flow_rate and clips.depth is not None
        if simulated:
            return simulated_flow(clips, row, source, grid, self.rng, self.device)
        return flow_features(clips.frames_u8[row], source, grid).to(self.device)

    def warp(self, clips: PosedClips, row: int, video: Float[Tensor, "3 T H W"], sources: np.ndarray) -> Warp | None:
        """Lifted frames of one clip as its own cameras see them; None is a sample without a hint.

        Args:
            video: the clip's frames in [-1, 1] as the network sees them.
            sources: the sample's source frames, the reference first.

        Raises:
            InputError: clips without depth.
        """
        if self.rng.random() < self.settings.hint_dropout:
            return None
        if clips.depth is None:
            raise InputError("--warp-hint needs clips with depth; make them with `rap synthetic build --depth`")
        unit = float(clips.median_depth[row, sources[0]])
        poses, intrinsics = clips.Ts_world_camera[row].copy(), clips.intrinsics[row]
        poses[:, :3, 3] /= unit
        if self.settings.picture_rate and self.rng.random() < self.settings.picture_rate:
            return of_picture(video, int(sources[0]), poses, intrinsics, self.device)
        is_plane = self.rng.random() < self.settings.plane_rate
        lifted = sources[:1] if is_plane else self._lifted(clips.frames_u8.shape[1])
        if is_plane:
            inverse_depth = plane_inverse_depth(clips.size, device=self.device)
            confidence, shaken = torch.zeros_like(inverse_depth), poses[lifted]
        else:
            depth = torch.from_numpy(clips.depth[row][lifted].astype(np.float32)).to(self.device)
            inverse_depth, confidence = corrupted(unit / depth.clamp(min=1e-4), self.rng)
            shaken = shake(poses[lifted], self.rng)
        frames = (video[:, torch.from_numpy(lifted)].transpose(0, 1) + 1) / 2
        return warp(
            frames, inverse_depth, shaken, intrinsics[lifted], poses, intrinsics, clips.size, confidence=confidence
        )

    def _lifted(self, count: int) -> np.ndarray:
        """A few frames from one stretch of the clip, so that other frames leave what they have seen."""
        first, last = np.sort(self.rng.choice(count, 2, replace=False))
        number = int(self.rng.integers(1, MAX_HINT_SOURCES + 1))
        return np.unique(self.rng.integers(first, last + 1, number))


def of_picture(
    video: Float[Tensor, "3 T H W"],
    source: int,
    Ts_world_camera: Float[np.ndarray, "T 4 4"],
    intrinsics: Float[np.ndarray, "T 4"],
    device: torch.device,
) -> Warp:
    """What a clip's cameras see of the layers of one of its frames, by the depth of one picture: as `Scene.hints`.

    Args:
        video: in [-1, 1].
        Ts_world_camera: in the unit of the source's median depth.
    """
    picture = (video[:, source].cpu() + 1) / 2
    depth = embedded_monocular_depth().predict(to_u8(picture)).depth
    layers = lift(picture, torch.from_numpy(1 / depth), intrinsics[source], fill=smooth_fill)
    Ts_picture_camera = se3.inverse(Ts_world_camera[source]) @ Ts_world_camera
    seen = with_open_holes(layers.render(Ts_picture_camera, intrinsics, (picture.shape[1], picture.shape[2])))
    maps: dict[str, Any] = {f.name: getattr(seen, f.name).to(device) for f in fields(seen) if f.name != "mix"}
    return Warp(**maps)


def corrupted(
    inverse_depth: Float[Tensor, "S H W"], rng: np.random.Generator
) -> tuple[Float[Tensor, "S H W"], Float[Tensor, "S H W"]]:
    """Inverse depth (0: infinitely far) as wrong as plane sweeps make it, and a confidence that knows a part of it."""
    count, height, width = inverse_depth.shape
    side = int(rng.choice(EDGE_SIZES))
    fat = F.max_pool2d(inverse_depth[:, None], side, 1, side // 2)[:, 0] if side > 1 else inverse_depth
    coarse = (count, 1, max(2, height // 24), max(2, width // 24))
    bend = torch.from_numpy(rng.standard_normal(coarse)).to(inverse_depth) * rng.uniform(0, BEND)
    bend = F.interpolate(bend, size=(height, width), mode="bicubic", align_corners=False)[:, 0]
    scale = torch.from_numpy(rng.normal(0, SCALE, (count, 1, 1))).to(inverse_depth)
    error = bend + scale
    wrong = fat * torch.exp(error)
    edges = (fat - inverse_depth).abs() / inverse_depth.clamp(min=FAR)  # of the sky it is 0
    sure = torch.exp(-(error.abs() * rng.uniform(0, 8) + edges * rng.uniform(0, 4)))
    return wrong, sure


def shake(Ts_world_camera: Float[np.ndarray, "S 4 4"], rng: np.random.Generator) -> Float[np.ndarray, "S 4 4"]:
    """Poses with small errors, of one size for the clip: as refined ones, or as predicted ones."""
    size = rng.uniform(0, 2)
    steps = np.concatenate(
        [
            rng.normal(0, size * SHAKE_TRANSLATION, (len(Ts_world_camera), 3)),
            rng.normal(0, size * SHAKE_ROTATION_RAD, (len(Ts_world_camera), 3)),
        ],
        axis=1,
    )
    return Ts_world_camera @ se3.exp(steps)


def simulated_flow(
    clips: PosedClips, row: int, source: int, grid: tuple[int, int], rng: np.random.Generator, device: torch.device
) -> Float[Tensor, "24 F h w"]:
    """Flow features from depth and cameras with a noise model: drift and mistakes that grow with the motion, gaps.

    Cheap on any device and without a picture; the errors stand for those of a dense flow at low resolution.
    """
    assert clips.depth is not None
    count, height = clips.depth.shape[1], clips.size[0]
    pairs = np.array(flow_pairs(count, source))
    inverse = 1 / torch.from_numpy(clips.depth[row].astype(np.float32)).to(device).clamp(min=1e-4)
    Ts, intrinsics = clips.Ts_world_camera[row], torch.from_numpy(clips.intrinsics[row].astype(np.float32)).to(device)
    T_other_own = torch.from_numpy(np.linalg.inv(Ts[pairs[:, 1]]) @ Ts[pairs[:, 0]]).float().to(device)
    own, other = (torch.from_numpy(pairs[:, k].copy()).to(device) for k in (0, 1))
    flows, visible = projected_flow(inverse[own], inverse[other], T_other_own, intrinsics[own], intrinsics[other])
    size = flows.norm(dim=-1)
    smooth = _smooth_noise(len(pairs), 3, clips.size, rng, device)
    noise = (0.004 * height + 0.06 * size)[..., None] * smooth[:, :2].permute(0, 2, 3, 1) * rng.uniform(0, 1.5)
    # The farther something moved, the less likely its match is found.
    lost = smooth[:, 2] + size / (0.35 * height) > rng.uniform(0.8, 2.5)
    confidence = visible * ~lost / (1 + noise.square().sum(-1) / (0.01 * height) ** 2)
    return pack_flow(flows + noise, confidence, count, source, grid)


def _smooth_noise(
    count: int, channels: int, size: tuple[int, int], rng: np.random.Generator, device: torch.device
) -> Tensor:
    coarse = rng.standard_normal((count, channels, max(2, size[0] // 16), max(2, size[1] // 16)))
    noise = torch.from_numpy(coarse.astype(np.float32)).to(device)
    return F.interpolate(noise, size=size, mode="bilinear", align_corners=False)
