"""A small network that corrects a plane sweep: it has learned how surfaces go on where the costs do not say.

What the sweep knows of a source is its `Evidence`: the picture, the depth found so far, the sparse points, where its
neighbours' surfaces lie, and both cost volumes. A U-Net sees them around the depth found so far (the costs of planes
beside it, as RAFT-Stereo, Lipson et al., 3DV 2021, section 3.2, looks costs up, and means of four planes farther away),
all lengths in planes of the sweep, and answers with a correction and with how far it may still be off, at twice the
sweep's resolution. Units are those of the sweep, so that the scene's scale, focal length and frame rate do not matter.
It is trained on rendered scenes (`rap train depth`) for the likelihood of a Laplace distribution whose scale it tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from rap.config import DEPTH_NETWORK
from rap.views.unet import UNet

MAPS = (
    "depth", "stereo", "knowledge", "agreement", "point", "has_point",
    "surface_first", "in_view_first", "surface_second", "in_view_second",
)  # fmt: skip
"""Channels of `Evidence.maps`."""

FINE_TAPS, COARSE_TAPS, COARSE_PLANES = 6, 4, 4
"""Planes to either side of which the cost is looked up: one by one, and means of COARSE_PLANES."""

REACH, MAX_REACH = 8.0, 3.0
"""Differences of depth are told in so many planes, and no larger than that many of them."""

CORRECTION = 4.0
"""Planes that an output of 1 means."""

MAX_LOG_ERROR = 4.0
INPUTS = 12 + 11 + 2 * (2 * FINE_TAPS + 1) + 2 * COARSE_TAPS + 1


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a sweep over D planes knows of S sources at (h, w). Depths are fractions of plane numbers.

    Attributes:
        colour: (S,3,2h,2w) in [0, 1].
        maps: (S,10,h,w) in the order of MAPS: the depth so far; that of stereo alone; how much a pixel knows its depth
            by itself, and how far the views agree on it, in [0, 1]; the depth of a sparse point (0 where there is none)
            and whether there is one; for each of the two best neighbours, by how many planes its surface lies before
            the depth so far, and whether that is in its view.
        blind, informed: (S,h,w,D) costs of both rounds of the sweep, without and with what the neighbours see; bytes
            stand for 4 / 255 each.
        planes: (S,) how many of the D are the source's own; those after it repeat its last.
        moved_px: (S,) by how much a pixel moves between the first plane and the last.
    """

    colour: Float[Tensor, "S 3 H W"]
    maps: Float[Tensor, "S 10 h w"]
    blind: Tensor
    informed: Tensor
    planes: Float[Tensor, " S"]
    moved_px: Float[Tensor, " S"]


class DepthNetwork(UNet):
    """A U-Net that halves the resolution three times."""

    NAME, REMEDY, WIDTHS = "depth network", "rap train depth", (32, 48, 64, 96)

    @staticmethod
    def ends(width: int) -> tuple[nn.Conv2d, nn.Conv2d]:
        return nn.Conv2d(INPUTS, width, 3, padding=1), nn.Conv2d(width, 8, 3, padding=1)

    def forward(self, evidence: Evidence) -> tuple[Float[Tensor, "S H W"], Float[Tensor, "S H W"]]:
        """Depth in fractions of plane numbers, and the log of its expected error in planes, at twice (h, w)."""
        out = self.outputs(network_inputs(evidence))
        start = evidence.maps[:, :1].expand(-1, 4, -1, -1)
        depth = F.pixel_shuffle(start + CORRECTION * out[:, :4], 2)[:, 0]
        log_error = F.pixel_shuffle(out[:, 4:], 2)[:, 0]
        return depth, log_error.clamp(max=MAX_LOG_ERROR)


@lru_cache(maxsize=4)
def embedded_depth_network(device: str = "cpu") -> DepthNetwork:
    """The network that comes with the checkout, on a device.

    Raises:
        FileNotFoundError: its weights are missing.
    """
    return DepthNetwork.load(DEPTH_NETWORK).to(device)


def network_inputs(evidence: Evidence) -> Float[Tensor, "S inputs h w"]:
    """The channels of the U-Net: colours of the four pixels of each, maps relative to the depth so far, costs."""
    depth, stereo, knowledge, agreement, point, has_point, *beside = evidence.maps.unbind(dim=1)
    planes, moved_px = evidence.planes[:, None, None], evidence.moved_px[:, None, None]
    maps = [_relative(stereo - depth), knowledge, agreement, _relative(point - depth) * has_point, has_point]
    for surface, in_view in zip(beside[0::2], beside[1::2], strict=True):
        maps += [surface / REACH, in_view]
    maps += [depth / planes, (moved_px / planes).expand_as(depth)]
    coarse = (depth - (COARSE_PLANES - 1) / 2) / COARSE_PLANES
    x = [F.pixel_unshuffle(evidence.colour, 2) * 2 - 1, torch.stack(maps, dim=1)]
    x += [costs_beside(volume, depth, FINE_TAPS) for volume in (evidence.informed, evidence.blind)]
    x += [costs_beside(coarser_costs(evidence.informed), coarse, COARSE_TAPS)]
    return torch.cat(x, dim=1).contiguous(memory_format=torch.channels_last)


def _relative(planes: Tensor) -> Tensor:
    return (planes / REACH).clamp(-MAX_REACH, MAX_REACH)


def costs_beside(
    costs: Float[Tensor, "S h w D"], depth: Float[Tensor, "S h w"], reach: int
) -> Float[Tensor, "S taps h w"]:
    """Costs of the 2 reach + 1 depths from depth - reach to depth + reach, linear between planes, less 1.

    Beyond the first and the last plane their costs go on.
    """
    below = depth.floor()
    share = (depth - below)[..., None]
    offsets = torch.arange(-reach, reach + 2, device=depth.device)
    index = (below.long()[..., None] + offsets).clamp(0, costs.shape[-1] - 1)
    values = as_costs(costs.gather(-1, index))
    return torch.lerp(values[..., :-1], values[..., 1:], share).sub_(1).permute(0, 3, 1, 2)


def coarser_costs(costs: Float[Tensor, "S h w D"]) -> Float[Tensor, "S h w d"]:
    """Means of every COARSE_PLANES planes, the last plane repeated where they do not divide, and once behind them.

    However many more repetitions of the last plane follow, then, nothing else is found there.
    """
    count = costs.shape[-1]
    added = -count % COARSE_PLANES + COARSE_PLANES
    flat = F.pad(as_costs(costs).reshape(-1, 1, count), (0, added), mode="replicate")
    return F.avg_pool1d(flat, COARSE_PLANES).view(*costs.shape[:-1], -1)


def as_costs(values: Tensor) -> Float[Tensor, "..."]:
    """Costs from the bytes they may be kept as."""
    return values.float() * (4 / 255) if values.dtype == torch.uint8 else values


def as_bytes(costs: Float[Tensor, "..."]) -> Tensor:
    """Costs in [0, 4] in steps of 4 / 255."""
    return (costs.clamp(0, 4) * (255 / 4)).round().to(torch.uint8)
