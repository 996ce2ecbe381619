"""Synthetic clips: a scene, a path, a rendering and exact cameras, one clip per (seed, index)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from rap.config import NUM_FRAMES
from rap.geometry.camera import intrinsics_from_fov
from rap.geometry.se3 import inverse, rotation_angle
from rap.synthetic import motion
from rap.synthetic.families import FAMILIES, sample_scene
from rap.synthetic.lighting import bake
from rap.synthetic.render import ID_MASK, Views, cast, render, resolve
from rap.synthetic.stills import Plan, plan_still
from rap.synthetic.textures import TextureBank, texture_bank

PROBE_SIZE = 16  # rays per side of the cheap rendering that judges a path before it is rendered
MIN_DEPTH_SHARE = 0.15  # of the frame's median: nearer things fill the view and hide the scene
MAX_MEDIAN_STEP = 1.7  # largest ratio of median depths of neighbouring frames
MAX_MEDIAN_RANGE = 5.0
MAX_SURFACE_SHARE = 0.7  # of the pixels of any frame: more is a view of a bare wall or floor
SCENE_ATTEMPTS = 50
PATH_AMPLITUDES = (1.0, 1.0, 1.0, 0.8, 0.6, 0.45)  # of the attempts at a path through one scene
MAX_TURN_RAD = np.deg2rad(12.0)  # between neighbouring ones of 17 frames; real clips turn by 2 to 7 degrees


@dataclass(frozen=True)
class SyntheticConfig:
    """What clips look like.

    Attributes:
        size: (h, w) in pixels.
        num_frames: frames per clip.
        textures: folder of photographs; None for procedural patterns.
        texture_size: side of the stored textures, a power of two.
        photometric: exposure, white balance, gamma and noise drawn per clip.
        photographs: folder of photographs that are flown through instead of scenes; whoever makes the clips reads it
            (`rap.train.photograph_clips`), `render_clips` does not.
        stills: single pictures of many scenes for the depth of one picture (`rap.synthetic.stills`); one frame each.
        family: of all scenes, a key of `rap.synthetic.families.FAMILIES`; "" draws it for each.
        supersample_share: share of clips rendered at twice the size and averaged (smooth edges, four times the cost).
        device: where pixels are computed; scenes and paths are always drawn on the CPU.
    """

    size: tuple[int, int] = (128, 128)
    num_frames: int = NUM_FRAMES
    textures: Path | None = None
    texture_size: int = 256
    photometric: bool = True
    photographs: Path | None = None
    stills: bool = False
    family: str = ""
    supersample_share: float = 0.0
    device: str = "cpu"

    def __post_init__(self) -> None:
        if min(self.size) < 8:
            raise ValueError(f"size must be at least 8 pixels each way, got {self.size}")
        if self.num_frames < 1:
            raise ValueError(f"num_frames must be at least 1, got {self.num_frames}")
        if self.stills and self.num_frames != 1:
            raise ValueError(f"num_frames must be 1 of stills, got {self.num_frames}")
        if self.family and self.family not in FAMILIES:
            raise ValueError(f"family must be one of {', '.join(FAMILIES)}, or empty, got {self.family!r}")
        if not 0 <= self.supersample_share <= 1:
            raise ValueError(f"supersample_share must lie in [0, 1], got {self.supersample_share}")


@dataclass(frozen=True, eq=False)
class SyntheticBatch:
    """N clips with exact cameras. World = frame 0's camera, unit of length = median z-depth of frame 0.

    Attributes:
        frames_u8: (N,T,H,W,3).
        Ts_world_camera: (N,T,4,4) float64, OpenCV; frame 0 is the identity.
        intrinsics: (N,T,4) float64 fx, fy, cx, cy in pixels.
        median_depth: (N,T) float64 median z-depth of every frame in that unit (frame 0: 1), so that another source
            frame can re-normalise: divide translations relative to frame s by median_depth[:, s].
        kinds: per clip "family/motion", as "room/orbit".
        depth: (N,T,H,W) float32 z-depth, when asked for.
    """

    frames_u8: UInt8[Tensor, "n t h w 3"]
    Ts_world_camera: Float[Tensor, "n t 4 4"]
    intrinsics: Float[Tensor, "n t 4"]
    median_depth: Float[Tensor, "n t"]
    kinds: tuple[str, ...]
    depth: Float[Tensor, "n t h w"] | None = None


class MakeClips(Protocol):
    """How clips of a seed are made, as `render_clips` does it; worker processes import it by its name."""

    def __call__(
        self,
        seed: int,
        count: int,
        config: SyntheticConfig,
        *,
        start: int = 0,
        with_depth: bool = False,
        bank: TextureBank | None = None,
    ) -> SyntheticBatch: ...


def render_clips(
    seed: int,
    count: int,
    config: SyntheticConfig,
    *,
    start: int = 0,
    with_depth: bool = False,
    bank: TextureBank | None = None,
) -> SyntheticBatch:
    """Clips start .. start + count - 1 of a seed; each depends on (seed, its index) and the config alone.

    Args:
        bank: the config's textures where the caller already holds them (worker processes share one copy).
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    bank = bank or texture_bank(config.textures, config.texture_size, config.device)
    return joined([_render_clip(seed, start + k, config, bank) for k in range(count)], with_depth)


def joined(clips: list[SyntheticBatch], with_depth: bool) -> SyntheticBatch:
    """Batches of one as one batch."""
    return SyntheticBatch(
        frames_u8=torch.stack([c.frames_u8[0] for c in clips]),
        Ts_world_camera=torch.cat([c.Ts_world_camera for c in clips]),
        intrinsics=torch.cat([c.intrinsics for c in clips]),
        median_depth=torch.cat([c.median_depth for c in clips]),
        kinds=tuple(c.kinds[0] for c in clips),
        depth=torch.cat([c.depth for c in clips if c.depth is not None]) if with_depth else None,
    )


def stream(
    seed: int, config: SyntheticConfig, *, start: int = 0, with_depth: bool = False, make: MakeClips = render_clips
) -> Iterator[SyntheticBatch]:
    """Clips of a seed one by one, without end (batches of one)."""
    index = start
    while True:
        yield make(seed, 1, config, start=index, with_depth=with_depth)
        index += 1


def plan_clip(
    rng: np.random.Generator,
    config: SyntheticConfig,
    bank: TextureBank,
    family: str | None = None,
    kind: str | None = None,
) -> Plan:
    """Draw a scene and a path that stays clear of its surfaces.

    Args:
        family, kind: keys of families.FAMILIES and motion.KINDS; None draws them too.
    """
    wanted_family, wanted_kind = family, kind
    for _ in range(SCENE_ATTEMPTS):
        family, scene = sample_scene(rng, bank, wanted_family)
        fov_y_rad = motion.sample_fov_y_rad(rng)
        kind = wanted_kind or motion.sample_kind(rng)
        start = motion.sample_start(rng, scene.eye, scene.pivot, scene.yaw_rad, scene.pitch_rad)
        intrinsics = np.tile(intrinsics_from_fov(fov_y_rad, config.size), (config.num_frames, 1))
        for amplitude in PATH_AMPLITUDES:
            path = motion.sample_path(rng, kind, start, config.num_frames, amplitude)
            plan = Plan(scene, Views(path, intrinsics, config.size), f"{family}/{kind}")
            if is_clear(plan):
                return plan
    raise RuntimeError(f"no clear camera path in {SCENE_ATTEMPTS} scenes (last motion: {kind}); please report the seed")


def is_clear(plan: Plan) -> bool:
    """Whether the cameras stay off all surfaces and their views change gradually (judged on a coarse rendering)."""
    scene, views = plan.scene, plan.views
    R = views.Ts_scene_camera[:, :3, :3]
    if len(R) > 1 and rotation_angle(np.swapaxes(R[:-1], -1, -2) @ R[1:]).max() > MAX_TURN_RAD * (16 / (len(R) - 1)):
        return False
    distance = float(np.linalg.norm(scene.pivot - views.Ts_scene_camera[0, :3, 3]))
    if not scene.is_free(views.Ts_scene_camera[:, :3, 3], margin=0.1 * distance):
        return False
    h, w = views.size
    shrink = np.array([PROBE_SIZE / w, PROBE_SIZE / h] * 2)
    coarse = Views(views.Ts_scene_camera, views.intrinsics * shrink, (PROBE_SIZE, PROBE_SIZE))
    keys = cast(scene, coarse).keys.flatten(1)
    if max(int(torch.bincount(row).max()) for row in keys & ID_MASK) > MAX_SURFACE_SHARE * PROBE_SIZE**2:
        return False
    nearness = keys.view(torch.float32)
    medians = nearness.median(dim=1).values
    if (nearness.max(dim=1).values * MIN_DEPTH_SHARE > medians).any():
        return False
    steps = (medians[1:] / medians[:-1]).log().abs()
    widest = float(medians.max() / medians.min())
    return bool((steps < np.log(MAX_MEDIAN_STEP)).all()) and widest < MAX_MEDIAN_RANGE


def _render_clip(seed: int, index: int, config: SyntheticConfig, bank: TextureBank) -> SyntheticBatch:
    rng = np.random.default_rng((seed, index))
    family = config.family or None
    plan = plan_still(rng, config.size, bank, family) if config.stills else plan_clip(rng, config, bank, family)
    return render_plan(plan, rng, config, bank)


def render_plan(plan: Plan, rng: np.random.Generator, config: SyntheticConfig, bank: TextureBank) -> SyntheticBatch:
    """A batch of one: the plan's frames, its cameras and depth; rng draws the photometry."""
    looks = Photometry.sample(rng) if config.photometric else Photometry()
    factor = 2 if rng.random() < config.supersample_share else 1
    h, w = config.size
    views = plan.views
    fine = replace(views, intrinsics=views.intrinsics * factor, size=(h * factor, w * factor))
    planes, nearness = render(plan.scene, fine, bank, bake(plan.scene), config.device)
    if factor > 1:
        planes = torch.nn.functional.avg_pool2d(planes, factor)
        visibility = cast(plan.scene, views, config.device)
        nearness = resolve(plan.scene, views, visibility, bank.size).inverse_depth.view(-1, h, w)
    return batch_of_one(looks.develop(planes, rng), views, nearness, plan.kind)


def batch_of_one(
    frames_u8: UInt8[Tensor, "t h w 3"], views: Views, nearness: Float[Tensor, "t h w"], kind: str
) -> SyntheticBatch:
    """A clip in the world and the unit of its frame 0.

    Args:
        nearness: 1 / z-depth in the unit of the views.
    """
    medians = torch.from_numpy(1.0 / _row_medians(nearness.flatten(1).cpu().numpy()))
    Ts = torch.from_numpy(inverse(views.Ts_scene_camera[:1]) @ views.Ts_scene_camera)
    Ts[0] = torch.eye(4, dtype=Ts.dtype)
    Ts[:, :3, 3] /= medians[0]
    return SyntheticBatch(
        frames_u8=frames_u8[None],
        Ts_world_camera=Ts[None],
        intrinsics=torch.from_numpy(views.intrinsics)[None],
        median_depth=(medians / medians[0])[None],
        kinds=(kind,),
        depth=(1 / (nearness * float(medians[0])))[None],
    )


def _row_medians(values: np.ndarray) -> np.ndarray:
    """(T,) float64 lower medians of the rows (NumPy's partition takes half the time of torch's median)."""
    middle = (values.shape[1] - 1) // 2
    return np.partition(values, middle, axis=1)[:, middle].astype(np.float64)


@dataclass(frozen=True, eq=False)
class Photometry:
    """A camera's development of the picture.

    Attributes:
        brightness: mean grey (0..255) that the exposure, one for the whole clip, aims at.
        balance: (3,) factors on the channels.
        gamma, contrast: the curve, contrast about mid grey.
        noise: standard deviation in 8-bit steps.
        vignette: darkening of the corners, 0 none.
        blur_px: standard deviation of the lens's softness.
        jpeg_quality: of every frame; 0 leaves it uncompressed.
    """

    brightness: float = 112.0
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gamma: float = 1.0
    contrast: float = 1.0
    noise: float = 0.0
    vignette: float = 0.0
    blur_px: float = 0.0
    jpeg_quality: int = 0

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Photometry:
        """Phones and handheld cameras: dim to bright, warm to cool light, mild curves, little noise."""
        warmth, green = float(np.exp(rng.normal(0, 0.06))), float(np.exp(rng.normal(0, 0.02)))
        return cls(
            brightness=float(np.clip(rng.normal(112, 20), 60, 165)),
            balance=(warmth, green, 1 / warmth),
            gamma=float(np.exp(rng.normal(0, 0.15))),
            contrast=float(rng.uniform(0.85, 1.2)),
            noise=float(rng.uniform(0, 4)) if rng.random() < 0.5 else 0.0,
            vignette=float(rng.uniform(0, 0.5)) if rng.random() < 0.4 else 0.0,
            blur_px=float(rng.uniform(0.3, 0.9)) if rng.random() < 0.3 else 0.0,
            jpeg_quality=int(rng.integers(35, 95)) if rng.random() < 0.4 else 0,
        )

    def develop(self, planes: Tensor, rng: np.random.Generator) -> Tensor:
        """(3,T,H,W) colours about 0..255 -> (T,H,W,3) uint8; changes `planes`."""
        exposure = self.brightness / planes.mean().clamp_min(1.0)
        for plane, factor in zip(planes, self.balance, strict=True):
            plane.mul_(exposure * factor)
        if self.vignette > 0:
            planes.mul_(_vignette(planes, self.vignette))
        if self.blur_px > 0:
            planes = _blurred(planes, self.blur_px)
        if self.noise > 0:
            generator = torch.Generator(planes.device).manual_seed(int(rng.integers(2**62)))
            planes.add_(torch.randn(planes.shape, generator=generator, device=planes.device), alpha=self.noise)
        codes = planes.mul_(_CURVE_STEPS).add_(0.5).clamp_(0, _CURVE_CODES - 1).to(torch.int32)
        developed = self._curve().to(planes.device).index_select(0, codes.flatten()).view(codes.shape)
        frames = developed.permute(1, 2, 3, 0).contiguous()
        return _compressed(frames, self.jpeg_quality) if self.jpeg_quality else frames

    def _curve(self) -> Tensor:
        """(_CURVE_CODES,) uint8 of light in steps of 1/_CURVE_STEPS: bright light is compressed, not cut off."""
        light = np.arange(_CURVE_CODES) / (255.0 * _CURVE_STEPS)
        level = np.where(light < _SHOULDER, light, 1 - (1 - _SHOULDER) * np.exp(-(light - _SHOULDER) / (1 - _SHOULDER)))
        level = np.clip(0.5 + self.contrast * (level**self.gamma - 0.5), 0, 1)
        return torch.from_numpy((level * 255 + 0.5).astype(np.uint8))


def _vignette(planes: Tensor, strength: float) -> Tensor:
    """(H,W) light that falls off towards the corners as the fourth power of the cosine does, to 1 - strength there."""
    h, w = planes.shape[-2:]
    y, x = (torch.linspace(-1, 1, n, device=planes.device) for n in (h, w))
    squared = (y[:, None] ** 2 * h * h + x[None] ** 2 * w * w) / (h * h + w * w)
    fall = (1 - strength) ** -0.5 - 1
    return 1 / (1 + fall * squared) ** 2


def _blurred(planes: Tensor, sigma_px: float) -> Tensor:
    """(3,T,H,W) under a separable Gaussian of five taps."""
    taps = torch.exp(-0.5 * (torch.arange(-2, 3, device=planes.device, dtype=planes.dtype) / sigma_px) ** 2)
    taps = (taps / taps.sum()).view(1, 1, -1)
    flat = planes.flatten(0, 1)[:, None]
    for shape, pad in (((1, 1, 1, 5), (2, 2, 0, 0)), ((1, 1, 5, 1), (0, 0, 2, 2))):
        flat = torch.nn.functional.conv2d(torch.nn.functional.pad(flat, pad, mode="replicate"), taps.view(shape))
    return flat[:, 0].view_as(planes)


def _compressed(frames_u8: Tensor, quality: int) -> Tensor:
    """(T,H,W,3) frames through JPEG, each on its own, as phones and web pages keep them."""
    found = []
    for frame in frames_u8.cpu().numpy():
        done, data = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        assert done, "OpenCV was built without JPEG"
        found.append(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1])
    return torch.from_numpy(np.stack(found)).to(frames_u8.device)


_CURVE_STEPS, _CURVE_CODES = 2, 1536
_SHOULDER = 0.75
