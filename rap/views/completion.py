"""Completing inverse depth where it is not known, from where it is, by planes that stop at edges of the picture.

A plane in space is an affine function of the pixel in inverse depth. Every pixel gets the plane that fits the known
values around it best, where "around" is measured along the picture: crossing an edge of colour is a long way (domain
transform, Gastal and Oliveira, Domain transform for edge-aware image and video processing, SIGGRAPH 2011, section 4,
recursive filtering). The sums of the fit are filtered once for all pixels, so that its cost does not depend on reach.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

SLOPE_RIDGE_PX = 3.0
"""Known values spread over less than this say little about a slope; the plane is then kept level."""

EMPTY = 1e-12


def edge_aware_sums(
    maps: Float[Tensor, "S C h w"], guide: Float[Tensor, "S 3 h w"], reach_px: float, edge: float
) -> Float[Tensor, "S C h w"]:
    """Weighted sums of each map around every pixel, the weight falling with the way along the picture.

    Along a row (then a column) the weight between neighbours is exp(-sqrt(2) / reach (1 + reach |dI|_1 / edge)).
    Sums, not means: divide two of them.

    Args:
        maps: to be summed.
        guide: pictures in [0, 1].
        reach_px: standard deviation of the weight on a plain picture.
        edge: difference of colours (sum over channels) that counts as much as `reach_px` pixels.
    """
    rate = 2**0.5 / reach_px
    step_x = (guide[..., 1:] - guide[..., :-1]).abs().sum(dim=1)
    step_y = (guide[:, :, 1:] - guide[:, :, :-1]).abs().sum(dim=1)
    keep_x, keep_y = (torch.exp(-rate * (1 + reach_px / edge * step)) for step in (step_x, step_y))
    rows = _sums_along(maps.permute(3, 0, 1, 2).contiguous(), keep_x.permute(2, 0, 1)[:, :, None])
    columns = rows.permute(3, 1, 2, 0).contiguous()
    return _sums_along(columns, keep_y.permute(1, 0, 2)[:, :, None]).permute(1, 2, 0, 3)


def _sums_along(values: Float[Tensor, "n S C m"], keep: Float[Tensor, "n-1 S 1 m"]) -> Float[Tensor, "n S C m"]:
    """Sums over the first axis from both ends, each pixel itself once."""
    forward, backward = values.clone(), values.clone()
    for i in range(1, len(values)):
        forward[i].addcmul_(forward[i - 1], keep[i - 1])
    for i in range(len(values) - 2, -1, -1):
        backward[i].addcmul_(backward[i + 1], keep[i])
    return forward.add_(backward).sub_(values)


def plane_fit(
    values: Float[Tensor, "S h w"],
    weight: Float[Tensor, "S h w"],
    guide: Float[Tensor, "S 3 h w"],
    *,
    reach_px: float = 16.0,
    edge: float = 0.3,
) -> tuple[Float[Tensor, "S h w"], Float[Tensor, "S h w"]]:
    """Values of the best fitting plane around every pixel, and the sum of weights it rests on.

    Args:
        values: affine in the pixel where the picture shows a plane: inverse depth.
        weight: how well each value is known, 0 and up.
        guide, reach_px, edge: as `edge_aware_sums`.
    """
    h, w = values.shape[-2:]
    x = (torch.arange(w, device=values.device, dtype=values.dtype) - (w - 1) / 2).expand(h, w)
    y = (torch.arange(h, device=values.device, dtype=values.dtype) - (h - 1) / 2)[:, None].expand(h, w)
    centre = (weight * values).sum(dim=(1, 2), keepdim=True) / weight.sum(dim=(1, 2), keepdim=True).clamp(min=EMPTY)
    known = weight * (values - centre)  # small numbers: differences of large sums follow
    maps = [weight, weight * x, weight * y, weight * x * x, weight * x * y, weight * y * y, known, known * x, known * y]
    sums = edge_aware_sums(torch.stack(maps, dim=1), guide, reach_px, edge).unbind(dim=1)
    total = sums[0].clamp(min=EMPTY)
    mx, my, mxx, mxy, myy, mv, mvx, mvy = (part / total for part in sums[1:])
    ridge = SLOPE_RIDGE_PX**2
    cxx, cyy, cxy = mxx - mx * mx + ridge, myy - my * my + ridge, mxy - mx * my
    cvx, cvy = mvx - mv * mx, mvy - mv * my
    determinant = (cxx * cyy - cxy * cxy).clamp(min=ridge**2 / 2)
    slope_x, slope_y = (cvx * cyy - cvy * cxy) / determinant, (cvy * cxx - cvx * cxy) / determinant
    return centre + mv + slope_x * (x - mx) + slope_y * (y - my), sums[0]
