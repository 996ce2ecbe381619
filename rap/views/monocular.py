"""Depth and lens of one picture, by a small network.

An encoder with ImageNet features (`rap.views.efficientnet`) and a light decoder, as in Ranftl et al., Towards robust
monocular depth estimation, TPAMI 2022, section 4: features are added from the coarsest to the finest resolution. The
network says inverse depth at half the size that it sees, and the focal length from the coarsest features.

Conventions. Depth is z-depth with median 1 over the picture, so inverse depth has median 1 as well; where most of the
picture is sky, whose depth is no unit of anything, it is the median of the rest. The shift belongs to it: how near to 0
the inverse depth of far things is, was learned where depth was exact or measured. Focal lengths
are in units of the picture's long side, which real cameras share whichever way they are held; the field of view follows
from the picture's own sizes.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from rap.config import MONOCULAR_NETWORK
from rap.errors import InputError
from rap.views.efficientnet import LITE0, STEM_WIDTH, Encoder, Stage
from rap.views.guided import follow, guided_upsample

WEIGHTS, CONFIG = "network.safetensors", "config.json"

WORKING_PIXELS = 192 * 256
"""Of the picture that the network sees, about; its sides are multiples of SIDE_MULTIPLE."""

GLANCE_PIXELS = 128 * 192
"""Of the picture seen a second time: what is large is told better where the network's field spans more of it."""

CLOSE_PIXELS, CLOSE_RADIUS = 256 * 352, 12
"""Of the picture seen a third time, where it has more pixels than the network works at: what is near to what is told
by the looks before, its outlines by this one, within windows of so many pixels of the map to either side. At 384 x 512
and 16 figures are a little better still, but what is plain and large is bent: a chimney, a wall."""

LARGE_PX, LEAST = 5.0, 1e-3
"""Standard deviation, in px of the network's map, of what counts as large; inverse depth that nothing is below."""

SIDE_MULTIPLE, MIN_SIDE, MAX_SIDE = 32, 64, 512

SMALLEST_PX, MOST_PIXELS = 8, 64_000_000
"""Pictures with a shorter side or more pixels are refused."""

DETAIL_SIDE = 1280
"""Longest side at which edges are found; larger pictures are enlarged from there."""

SHARPNESS = 8.0
"""Of the softplus that keeps inverse depths positive: linear from a quarter of the median on."""

LEAK = 0.1
"""Of the last ReLU: where all features fell silent, in skies, the inverse depth could not fall below 0.6."""

USUAL_FOCAL = 0.85
"""Focal length over the long side that an untrained network says: a phone's."""

FOV_LIMITS_RAD = (math.radians(5.0), math.radians(150.0))
NEAREST, FARTHEST = 50.0, 0.01
"""Inverse depths in their unit are kept between these."""

SKY = 0.1
"""Of the mean inverse depth: what has less is as far as a sky."""


@dataclass(frozen=True, eq=False)
class PictureDepth:
    """What one picture tells.

    Attributes:
        depth: (h, w) z-depth of every pixel; its median is 1, of a picture that is mostly sky the rest's.
        fov_y_rad: vertical field of view.
        unit_m: the unit of depth in metres; None where it is not known.
    """

    depth: Float[np.ndarray, "h w"]
    fov_y_rad: float
    unit_m: float | None = None


@dataclass(frozen=True)
class MonocularConfig:
    """The network's sizes, and what taught it.

    Attributes:
        stages, stem_width: of the encoder.
        widths: channels of the decoder, from stride 2 on.
        research_only: whether depth without a licence taught it: such weights are for labelling, are never published,
            and no published ones begin with them.
    """

    stages: tuple[Stage, ...] = LITE0
    stem_width: int = STEM_WIDTH
    widths: tuple[int, ...] = (24, 48, 64, 96, 128)
    research_only: bool = False

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> MonocularConfig:
        """Raises ValueError where a field is missing or of another kind."""
        values = json.loads(text)
        try:
            values["stages"] = tuple(Stage(**stage) for stage in values["stages"])
            values["widths"] = tuple(int(width) for width in values["widths"])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise ValueError(f"field missing, unknown or of another kind: {error}") from error


class MonocularNetwork(nn.Module):
    """Encoder, decoder and lens.

    Args:
        config: sizes; those of the network that comes with the checkout by default.
    """

    def __init__(self, config: MonocularConfig | None = None) -> None:
        super().__init__()
        self.config = config or MonocularConfig()
        self.encoder = Encoder(self.config.stages, self.config.stem_width)
        widths, coarsest = self.config.widths, self.encoder.widths[-1]
        if len(widths) != len(self.encoder.widths):
            raise ValueError(f"widths must be {len(self.encoder.widths)}, one a resolution, got {len(widths)}")
        self.laterals = nn.ModuleList(
            nn.Conv2d(found, width, 1) for found, width in zip(self.encoder.widths, widths, strict=True)
        )
        self.whole = nn.Linear(coarsest, widths[-1])
        self.units = nn.ModuleList(_Unit(width) for width in widths)
        self.ups = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in zip(widths, widths[1:], strict=False))
        self.head = nn.Conv2d(widths[0], 1, 3, padding=1)
        self.lens = nn.Sequential(nn.Linear(coarsest, 96), nn.ReLU(), nn.Linear(96, 1))
        _start_flat(self.head, self.lens[2])
        for parameter in self.parameters():
            if parameter.ndim == 4:  # convolutions: on a CPU twice as fast
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def forward(self, picture: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B h w"], Float[Tensor, " B"]]:
        """Of pictures in [0, 1] whose sides are multiples of 32.

        Returns:
            Inverse depth at (H/2, W/2), positive, its median about 1; log of the focal length over the long side.
        """
        features = self.encoder(picture)
        summary = features[-1].mean(dim=(2, 3))
        x = self.units[-1](self.laterals[-1](features[-1]) + self.whole(summary)[..., None, None])
        for k in range(len(features) - 2, -1, -1):
            coarse = self.ups[k](x)  # fewer channels are cheaper to enlarge
            fine = self.laterals[k](features[k])
            x = self.units[k](fine + F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False))
        x = self.head(F.leaky_relu(x, LEAK))  # without the leak nothing is farther than the head's offset
        return F.softplus(x, beta=SHARPNESS)[:, 0], self.lens(summary)[:, 0]


class _Unit(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        assert self.second.bias is not None
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x))))


def _start_flat(head: nn.Conv2d, lens: nn.Module) -> None:
    """Inverse depth 1 everywhere, and the usual lens."""
    assert head.bias is not None and isinstance(lens, nn.Linear)
    nn.init.constant_(head.bias, 1.0)
    nn.init.zeros_(lens.weight)
    nn.init.constant_(lens.bias, math.log(USUAL_FOCAL))


class MonocularDepth:
    """The trained network, for pictures of any size.

    Args:
        network: trained; it is used on the CPU or wherever it lies.
    """

    def __init__(self, network: MonocularNetwork) -> None:
        self._network = network.eval().requires_grad_(False)

    @classmethod
    def from_pretrained(cls, folder: str | Path = MONOCULAR_NETWORK) -> MonocularDepth:
        """The network of a folder that `save_network` wrote.

        Raises:
            InputError: a file is missing, or holds something else.
        """
        return cls(load_network(Path(folder)))

    def predict(self, frame_u8: UInt8[np.ndarray, "h w *c"], *, careful: bool = True) -> PictureDepth:
        """Depth and lens of a picture.

        Args:
            frame_u8: (h, w, 3) RGB, (h, w) or (h, w, 1) grey, or (h, w, 4) whose alpha is ignored.
            careful: look at its mirror image as well, and a third time from close by: over four times the work,
                fewer errors, and outlines where they are.

        Raises:
            InputError: it is no picture of 8 bits, smaller than 8 pixels, or larger than 64 million.
        """
        frame_u8 = as_rgb(frame_u8)
        coarse, focal = self.coarse(frame_u8, careful=careful)
        h, w = frame_u8.shape[:2]
        detail = min(1.0, DETAIL_SIDE / max(h, w))
        guide = _resized(frame_u8, (max(1, round(h * detail)), max(1, round(w * detail))))
        inverse_depth = guided_upsample(coarse, guide.astype(np.float32) / 255)
        if guide.shape[:2] != (h, w):
            inverse_depth = cv2.resize(inverse_depth, (w, h), interpolation=cv2.INTER_LINEAR)
        depth = unit_of(inverse_depth) / inverse_depth.clip(FARTHEST, NEAREST)
        return PictureDepth(depth.astype(np.float32), fov_y_of(focal, (h, w)))

    @torch.inference_mode()
    def coarse(
        self, frame_u8: UInt8[np.ndarray, "h w 3"], *, careful: bool = True
    ) -> tuple[Float[np.ndarray, "a b"], float]:
        """What the network says before it is enlarged: inverse depth in its unit, and focal length over long side.

        Seen at two sizes: what is large is the mean of both, what is fine that of the larger one. A look at a third
        size, larger than the network has learned to judge wholes at, has sharp outlines, which the others follow
        (after Miangoleh et al., Boosting monocular depth estimation models, CVPR 2021, who merge by a network).
        """
        size = frame_u8.shape[:2]
        fine, focal = self._seen_at(frame_u8, working_size(size), careful)
        glance, other = self._seen_at(frame_u8, working_size(size, GLANCE_PIXELS), careful)
        apart = cv2.resize(glance, fine.shape[::-1], interpolation=cv2.INTER_LINEAR) - fine
        found = np.maximum(fine + cv2.GaussianBlur(apart, (0, 0), LARGE_PX) / 2, LEAST)
        if careful and size[0] * size[1] > WORKING_PIXELS:
            close, _ = self._seen_at(frame_u8, working_size(size, CLOSE_PIXELS), careful)
            enlarged = cv2.resize(found, close.shape[::-1], interpolation=cv2.INTER_LINEAR)
            found = np.maximum(follow(enlarged, close, CLOSE_RADIUS), LEAST)
        return found / unit_of(found), math.sqrt(focal * other)

    def _seen_at(self, frame_u8: np.ndarray, size: tuple[int, int], mirrored: bool) -> tuple[np.ndarray, float]:
        seen = _resized(frame_u8, size)
        picture = torch.from_numpy(seen).permute(2, 0, 1)[None].float() / 255
        if mirrored:
            picture = torch.cat([picture, picture.flip(-1)])
        device = next(self._network.parameters()).device
        inverse_depth, log_focal = self._network(picture.to(device).contiguous(memory_format=torch.channels_last))
        if mirrored:
            inverse_depth = torch.stack([inverse_depth[0], inverse_depth[1].flip(-1)])
        found = inverse_depth.mean(dim=0).cpu().numpy()
        return found / unit_of(found), math.exp(log_focal.mean().item())


@lru_cache(maxsize=1)
def embedded_monocular_depth() -> MonocularDepth:
    """The network that comes with the checkout.

    Raises:
        InputError: its files are missing.
    """
    return MonocularDepth.from_pretrained()


# --- pictures ---------------------------------------------------------------------------------------------------------


def as_rgb(frame_u8: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    """A picture as the network wants it; InputError where there is none in it."""
    if not isinstance(frame_u8, np.ndarray) or frame_u8.dtype != np.uint8:
        found = getattr(frame_u8, "dtype", type(frame_u8).__name__)
        raise InputError(f"picture: must hold 8-bit colours (uint8), got {found}; convert it first")
    if frame_u8.ndim == 2:
        frame_u8 = frame_u8[..., None]
    if frame_u8.ndim != 3 or frame_u8.shape[2] not in (1, 3, 4):
        raise InputError(f"picture: must be (h, w), (h, w, 1), (h, w, 3) or (h, w, 4), got {frame_u8.shape}")
    h, w, channels = frame_u8.shape
    if min(h, w) < SMALLEST_PX:
        raise InputError(f"picture: must be {SMALLEST_PX} pixels or more each way, got {h} x {w}")
    if h * w > MOST_PIXELS:
        raise InputError(f"picture: must have {MOST_PIXELS} pixels or fewer, got {h} x {w}; make it smaller first")
    return np.repeat(frame_u8, 3, axis=2) if channels == 1 else frame_u8[..., :3]


def unit_of(inverse_depth: Float[np.ndarray, "h w"]) -> float:
    """The inverse depth that counts as 1: the median, or, where that lies in the sky, the median of what is nearer."""
    median, far = np.median(inverse_depth), SKY * inverse_depth.mean()
    return float(median if median > far else np.median(inverse_depth[inverse_depth > far]))


def working_size(size: tuple[int, int], pixels: int = WORKING_PIXELS) -> tuple[int, int]:
    """(h, w) at which the network sees a picture of `size`: about so many pixels of the same shape."""
    h, w = size
    shrink = math.sqrt(pixels / (h * w))
    sides = (SIDE_MULTIPLE * round(side * shrink / SIDE_MULTIPLE) for side in (h, w))
    rows, columns = (min(MAX_SIDE, max(MIN_SIDE, side)) for side in sides)
    return rows, columns


def fov_y_of(focal: float, size: tuple[int, int]) -> float:
    """Vertical field of view in radians of a picture of (h, w), its focal length in units of the long side."""
    h, w = size
    low, high = FOV_LIMITS_RAD
    return min(high, max(low, 2 * math.atan(h / (2 * focal * max(h, w)))))


def _resized(frame_u8: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if frame_u8.shape[:2] == size:
        return np.ascontiguousarray(frame_u8)
    shrinks = size[0] * size[1] < frame_u8.shape[0] * frame_u8.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(frame_u8), size[::-1], interpolation=method)


# --- files ------------------------------------------------------------------------------------------------------------


def save_network(network: MonocularNetwork, folder: Path) -> None:
    """`network.safetensors` in half precision and `config.json`, each renamed into place when complete."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    partial = folder / (WEIGHTS + ".part")
    save_file(weights, partial)
    partial.replace(folder / WEIGHTS)
    partial = folder / (CONFIG + ".part")
    partial.write_text(network.config.to_json(), encoding="utf-8")
    partial.replace(folder / CONFIG)


def load_network(folder: Path) -> MonocularNetwork:
    """What `save_network` wrote, in single precision.

    Raises:
        InputError: a file is missing, or holds something else.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(
                f"depth of one picture: {folder / name} is missing; check it out again, or train it: "
                "rap train monocular"
            )
    try:
        network = MonocularNetwork(MonocularConfig.from_json((folder / CONFIG).read_text(encoding="utf-8")))
    except (ValueError, AttributeError) as error:
        raise InputError(f"{folder / CONFIG}: is no configuration of such a network ({error})") from error
    try:
        weights: dict[str, Any] = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
        network.load_state_dict(weights)
    except (SafetensorError, RuntimeError) as error:
        raise InputError(f"{folder / WEIGHTS}: holds no weights of this network ({error})") from error
    return network.eval().requires_grad_(False)
