"""Holes of a picture filled with what the picture itself shows elsewhere: an exemplar fill, coarse to fine.

Every patch that reaches into a hole is to look like some patch of what is known, and overlapping patches are to agree
(Wexler et al., Space-time completion of video, TPAMI 2007, section 3). The nearest patches are found by looking at all
where the picture is small, and by handing good finds on to neighbours above that (Barnes et al., PatchMatch, SIGGRAPH
2009), here from all pixels at once and over growing steps (jump flooding). Unlike those, what a hole should be of is
known to some extent: its depth, and that what stands beside the hole is likelier in it than what stands far away; and a
source that is used more often than others grows dearer (Kaspar et al., Self tuning texture optimization, Eurographics
2015, section 4.2), so that nothing is repeated in rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from rap.views.edges import nearest_of
from rap.views.warp import fill_holes

PATCH = 7
"""Side of a patch in px of its level."""

COARSEST = 64
"""Long side in px of the known part below which halving does not go; at 56 skies came beside roads."""

SEEDS = 1500
"""Patches that holes are grown from, of the coarsest level's: evenly chosen where it has more."""

ROUNDS = (6, 4, 2, 1)
"""Of matching and agreeing, from the coarsest level on; the last holds for all others."""

DIRECTIONS = 16
"""Principal directions of patches in which they are compared above the coarsest level's start."""

EXHAUSTIVE = 3e7
"""Pairs of patches up to which all are compared."""

STEPS = (4, 2, 1)
"""Px over which a find is handed on."""

ASIDE = (0.002, 0.012)
"""Cost of a source that lies a long side of the known part away from the hole's nearest point there, along x and y.
In squares of colour (Lab over 100, mean over a patch), as the others."""

FARTHER, NEARER = 0.002, 0.02
"""Cost of a source whose depth is e times the hole's, or 1 / e times."""

EARLY = 3.0
"""Times these costs where holes are grown into and little colour speaks against a sky beside a road."""

WORN = 0.0001
"""Cost of a source that is used as often as all are on average, less that of one which is not."""

TONE = 0.1
"""Difference of colours at a hole's rim, in Lab over 100, up to which it is one of light; the rest is one of things."""

BEFORE = 0.2
"""Logarithm of inverse depths from which what is beside a hole stands before it."""

CENTRED_PX = 1.5
"""Standard deviation of what a patch counts around its centre."""

AT_ONCE = 1 << 18
"""Pairs of patches compared at once: what stays in a processor's cache."""

SEED = 0


@dataclass(frozen=True, eq=False)
class _Level:
    """One size of the picture; N = a x b pixels in row order.

    Attributes:
        colour: (3, a, b) Lab over 100.
        known: (a, b).
        sources: (S,) pixels whose patch is known whole.
        targets: (M,) pixels whose patch reaches into a hole.
        prior: (N, 2) place, in roots of cost; of a target the nearest known place.
        depth: (N,) logarithm of inverse depth.
    """

    colour: Tensor
    known: Tensor
    sources: Tensor
    targets: Tensor
    prior: Tensor
    depth: Tensor

    @property
    def size(self) -> tuple[int, int]:
        return self.known.shape[0], self.known.shape[1]

    @cached_property
    def directions(self) -> Float[Tensor, "d 3 p p"]:
        """Principal ones of patches that are known whole, as filters."""
        chosen = self.sources[:: max(1, len(self.sources) // 4000)]
        half, width = PATCH // 2, self.size[1]
        padded = F.pad(self.colour[None], (half,) * 4, mode="replicate")[0]
        rows, columns = chosen // width, chosen % width
        shifts = torch.arange(PATCH)
        windows = padded[:, (rows[:, None] + shifts)[:, :, None], (columns[:, None] + shifts)[:, None, :]]
        patches = windows.permute(1, 0, 2, 3).reshape(len(chosen), -1)
        _, directions = torch.linalg.eigh(patches.T @ patches)
        filters = directions[:, -DIRECTIONS:].T.reshape(-1, 3, PATCH, PATCH) / (3 * PATCH * PATCH) ** 0.5
        return filters.contiguous()


def smooth_fill(
    colour: Float[np.ndarray, "a b 3"], known: Bool[np.ndarray, "a b"], inverse_depth: Float[np.ndarray, "a b"]
) -> Float[np.ndarray, "a b 3"]:
    """The smooth guess as it is; arguments as `exemplar_fill` has them."""
    return colour


def exemplar_fill(
    colour: Float[np.ndarray, "a b 3"], known: Bool[np.ndarray, "a b"], inverse_depth: Float[np.ndarray, "a b"]
) -> Float[np.ndarray, "a b 3"]:
    """The picture with its holes filled from what is known of it; the same for the same input.

    Args:
        colour: RGB in [0, 1]; in holes a smooth guess, kept where nothing known is large enough to copy from.
        known: what stays as it is.
        inverse_depth: positive; in holes that of what is to be filled in.
    """
    if known.all() or not known.any():
        return colour
    levels = _levels(colour, known, inverse_depth)
    if not levels:
        return colour
    generator = torch.Generator().manual_seed(SEED)
    estimate = _grown(levels[0])
    nearest, cost = _best_of_all(levels[0], _marks(levels[0], estimate), torch.zeros(levels[0].known.numel()))
    for i, level in enumerate(levels):
        if i:
            nearest = _finer(nearest, levels[i - 1], level)
            estimate = _agreed(level, nearest, torch.zeros(len(nearest)))
        for _ in range(ROUNDS[min(i, len(ROUNDS) - 1)]):
            nearest, cost = _matched(level, estimate, nearest, generator)
            estimate = _agreed(level, nearest, cost)
    filled = _rgb(_in_tone(levels[-1], nearest, cost))[: known.shape[0], : known.shape[1]]
    return np.where(known[..., None], colour, filled).astype(np.float32)


def _levels(colour: np.ndarray, known: np.ndarray, inverse_depth: np.ndarray) -> list[_Level]:
    """From the coarsest that has patches to copy from."""
    side = max(int(np.ptp(np.flatnonzero(known.any(axis=axis)))) + 1 for axis in (0, 1))
    halvings = max(0, int(np.log2(side / COARSEST)))
    multiple = 1 << halvings
    beyond = [(0, -n % multiple) for n in known.shape]
    lab = np.pad(cv2.cvtColor(colour.astype(np.float32), cv2.COLOR_RGB2LAB) / 100, [*beyond, (0, 0)], mode="edge")
    share = np.pad(known, beyond).astype(np.float32)
    depth = np.pad(np.log(inverse_depth), beyond, mode="edge").astype(np.float32)
    levels = []
    for k in range(halvings, -1, -1):
        size = share.shape[1] >> k, share.shape[0] >> k
        part = cv2.resize(share, size, interpolation=cv2.INTER_AREA)
        smooth = cv2.resize(lab, size, interpolation=cv2.INTER_AREA)
        shown = cv2.resize(lab * share[..., None], size, interpolation=cv2.INTER_AREA)
        whole = part >= 0.5
        colours = np.where(whole[..., None], shown / part.clip(0.5)[..., None], smooth)
        level = _level(colours, whole, cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST), side / (1 << k))
        if len(level.sources):
            levels.append(level)
        else:
            levels.clear()
    return levels


def _level(colour: np.ndarray, known: np.ndarray, depth: np.ndarray, side: float) -> _Level:
    known, depth = _without_near_rims(known, depth)
    square = np.ones((PATCH, PATCH), np.uint8)
    whole = cv2.erode(known.astype(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    reaching = cv2.dilate((~known).astype(np.uint8), square)
    rows, columns = np.divmod(np.arange(known.size).reshape(known.shape), known.shape[1])
    if known.any():
        nearest = nearest_of(known)[1]
        rows, columns = rows[known][nearest], columns[known][nearest]
    prior = np.stack([columns * np.sqrt(ASIDE[0]), rows * np.sqrt(ASIDE[1])], axis=-1) / side
    return _Level(
        torch.from_numpy(np.ascontiguousarray(colour.transpose(2, 0, 1))),
        torch.from_numpy(known),
        torch.from_numpy(np.flatnonzero(whole)),
        torch.from_numpy(np.flatnonzero(reaching)),
        torch.from_numpy(prior.reshape(-1, 2).astype(np.float32)),
        torch.from_numpy(depth.reshape(-1)),
    )


def _without_near_rims(known: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Holes made to reach under what stands before them: it must not go on into what lies behind it."""
    if known.all():
        return known, depth
    distance, nearest = nearest_of(~known)
    behind = depth[~known][nearest]
    before = known & (distance <= PATCH) & (depth > behind + BEFORE)
    return known & ~before, np.where(before, behind, depth)


# --- the coarsest level's start -------------------------------------------------------------------------------------


def _grown(level: _Level) -> Tensor:
    """Colours grown into the holes from their rims, pixel by pixel: each takes that of the patch which continues what
    is there already (Efros and Leung, Texture synthesis by non-parametric sampling, ICCV 1999)."""
    a, b = level.size
    colour, known = level.colour.clone(), level.known.clone()
    seeds = level.sources[:: -(-len(level.sources) // SEEDS)]
    sources = _patches(colour)[seeds]
    squares = (sources * sources).T.contiguous()
    places = _patches(torch.arange(a * b, dtype=torch.float64).view(1, a, b)).long()
    while not bool(known.all()):
        around = F.max_pool2d(known.float()[None, None], 3, 1, 1)[0, 0] > 0
        rim = torch.nonzero((around & ~known).flatten())[:, 0]
        inside = places[rim]
        shown = known.view(-1)[inside].float().repeat(1, 3)
        patches = colour.view(3, -1)[:, inside].permute(1, 0, 2).flatten(1) * shown
        apart = shown @ squares - 2 * patches @ sources.T + (patches * patches).sum(1, keepdim=True)
        apart = apart / shown.sum(1, keepdim=True) + _asides(level, rim, seeds)
        found = seeds[apart.argmin(1)]
        colour.view(3, -1)[:, rim] = colour.view(3, -1)[:, found]
        known.view(-1)[rim] = True
    return colour


def _patches(maps: Float[Tensor, "c a b"]) -> Float[Tensor, "N d"]:
    half = PATCH // 2
    return F.unfold(F.pad(maps[None], (half,) * 4, mode="replicate"), PATCH)[0].T.contiguous()


def _asides(level: _Level, targets: Tensor, sources: Tensor) -> Float[Tensor, "m s"]:
    """Cost of every source for every target, colours aside."""
    place = torch.cdist(level.prior[targets], level.prior[sources]).square()
    return EARLY * (place + _depth_cost(level.depth[sources][None] - level.depth[targets][:, None]))


def _depth_cost(nearer: Tensor) -> Tensor:
    """Of logarithms, which are overwritten: both slopes in one pass."""
    return F.leaky_relu(nearer.clamp_(-1, 1), -FARTHER / NEARER, inplace=True).mul_(NEARER)


# --- nearest patches ------------------------------------------------------------------------------------------------


def _matched(level: _Level, estimate: Tensor, nearest: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The best source for every target, and its cost."""
    marks = _marks(level, estimate)
    worn = _worn(level, nearest)
    if len(level.targets) * len(level.sources) <= EXHAUSTIVE:
        return _best_of_all(level, marks, worn)
    return _handed_on(level, marks, worn, nearest, generator)


def _marks(level: _Level, estimate: Tensor) -> Float[Tensor, "N d"]:
    """Patches of the estimate along their principal directions, by a convolution."""
    found = F.conv2d(F.pad(estimate[None], (PATCH // 2,) * 4, mode="replicate"), level.directions)[0]
    return torch.cat([found.flatten(1).T, level.prior], dim=1).contiguous()


def _worn(level: _Level, nearest: Tensor) -> Float[Tensor, " N"]:
    """Cost of each pixel as a source: by how often it and those around it are used; infinite where it is none."""
    a, b = level.size
    uses = torch.bincount(nearest, minlength=a * b).float().view(1, 1, a, b)
    mean = F.avg_pool2d(uses, PATCH, 1, PATCH // 2).flatten() * len(level.sources) / len(nearest)
    cost = torch.full((a * b,), torch.inf)
    cost[level.sources] = WORN * mean[level.sources].clamp(max=8)
    return cost


def _best_of_all(level: _Level, marks: Tensor, worn: Tensor) -> tuple[Tensor, Tensor]:
    found, costs = [], []
    sources, depth = marks[level.sources], level.depth[level.sources]
    extra, across = (sources * sources).sum(1) + worn[level.sources], sources.T.contiguous()
    for targets in level.targets.split(max(1, AT_ONCE // len(sources))):
        own = marks[targets]
        apart = torch.addmm(extra, own, across, alpha=-2)
        apart += _depth_cost(depth[None] - level.depth[targets][:, None])
        cost, place = apart.min(1)
        found.append(level.sources[place])
        costs.append(cost + (own * own).sum(1))
    return torch.cat(found), torch.cat(costs)


def _handed_on(
    level: _Level, marks: Tensor, worn: Tensor, nearest: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    a, b = level.size
    targets, own, depth = level.targets, marks[level.targets], level.depth[level.targets]
    y, x = targets // b, targets % b
    cost = _cost(level, (own, depth), marks, worn, nearest)
    everywhere = torch.full((a * b,), -1)
    for step in STEPS:
        for dy, dx in ((0, step), (0, -step), (step, 0), (-step, 0)):
            everywhere[targets] = nearest
            neighbour = (y + dy).clamp(0, a - 1) * b + (x + dx).clamp(0, b - 1)
            theirs = everywhere[neighbour]
            their_y, their_x = theirs // b - dy, theirs % b - dx
            valid = (theirs >= 0) & (their_y >= 0) & (their_y < a) & (their_x >= 0) & (their_x < b)
            candidate = torch.where(valid, their_y * b + their_x, nearest)
            nearest, cost = _better(level, (own, depth), marks, worn, (nearest, cost), candidate)
    radius = max(a, b) // 4
    while radius >= 1:
        jump = torch.randint(-radius, radius + 1, (2, len(targets)), generator=generator)
        candidate = (nearest // b + jump[0]).clamp(0, a - 1) * b + (nearest % b + jump[1]).clamp(0, b - 1)
        nearest, cost = _better(level, (own, depth), marks, worn, (nearest, cost), candidate)
        radius //= 3
    return nearest, cost


def _better(
    level: _Level,
    targets: tuple[Tensor, Tensor],
    marks: Tensor,
    worn: Tensor,
    best: tuple[Tensor, Tensor],
    candidate: Tensor,
) -> tuple[Tensor, Tensor]:
    nearest, cost = best
    theirs = _cost(level, targets, marks, worn, candidate)
    better = theirs < cost
    return torch.where(better, candidate, nearest), torch.where(better, theirs, cost)


def _cost(level: _Level, targets: tuple[Tensor, Tensor], marks: Tensor, worn: Tensor, sources: Tensor) -> Tensor:
    own, depth = targets
    apart = (marks.index_select(0, sources) - own).square().sum(1)
    return apart + _depth_cost(level.depth[sources] - depth) + worn[sources]


# --- agreement ------------------------------------------------------------------------------------------------------


def _agreed(level: _Level, nearest: Tensor, cost: Tensor) -> Tensor:
    """The known picture, and in its holes what the patch says that fits best of those around: means of many would
    grow smoother from round to round, and what is smooth then finds only what is smooth."""
    best = torch.zeros(level.known.numel())
    chosen = torch.zeros(level.known.numel(), dtype=torch.long)
    for share, source in _votes(level, nearest, cost):
        chosen = torch.where(share > best, source, chosen)
        best = torch.maximum(share, best)
    a, b = level.size
    copied = level.colour.flatten(1).index_select(1, chosen).view(3, a, b)
    return torch.where(level.known, level.colour, copied)


def _in_tone(level: _Level, nearest: Tensor, cost: Tensor) -> Tensor:
    """The mean of what all patches say, and what they say wrong of the known rim taken from the hole, smoothly."""
    colours, a, b = level.colour.flatten(1).T.contiguous(), *level.size
    total, mass = torch.zeros(a * b, 3), torch.zeros(a * b, 1)
    for share, source in _votes(level, nearest, cost):
        total += share[:, None] * colours.index_select(0, source)
        mass += share[:, None]
    said = (total / mass.clamp(min=1e-12)).T.reshape(3, a, b)
    rim = torch.zeros(a * b, dtype=torch.bool)
    rim[level.targets] = True
    rim = rim.view(a, b) & level.known
    wrong = ((level.colour - said) * rim).clamp(-TONE, TONE)
    return torch.where(level.known, level.colour, said + fill_holes(wrong[None], rim[None])[0])


def _votes(level: _Level, nearest: Tensor, cost: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """For every place in a patch: how much the patch that has each pixel there counts, and what it copies there.

    A patch counts the more the better it fits, and the nearer to its centre the pixel lies.
    """
    a, b = level.size
    half = PATCH // 2
    weight = torch.exp(-cost / (2 * cost.median().clamp(1e-6, 1))) + 1e-6
    everywhere, weights = torch.zeros(a * b, dtype=torch.long), torch.zeros(a * b)
    everywhere[level.targets], weights[level.targets] = nearest, weight
    places = F.pad(everywhere.view(a, b), (half,) * 4)
    shares = F.pad(weights.view(a, b), (half,) * 4)
    for dy in range(-half, half + 1):
        for dx in range(-half, half + 1):
            rows, columns = slice(half + dy, half + dy + a), slice(half + dx, half + dx + b)
            near = float(np.exp(-(dy * dy + dx * dx) / (2 * CENTRED_PX**2)))
            source = places[rows, columns].flatten() - dy * b - dx
            yield shares[rows, columns].flatten() * near, source.clamp(0, a * b - 1)


def _finer(nearest: Tensor, coarse: _Level, fine: _Level) -> Tensor:
    """A level's finds, for the pixels of one of twice its size."""
    (a, b), width = fine.size, coarse.size[1]
    everywhere = torch.zeros(coarse.known.numel(), dtype=torch.long)
    everywhere[coarse.targets] = nearest
    y, x = fine.targets // b, fine.targets % b
    theirs = everywhere[(y // 2) * width + x // 2]
    found_y, found_x = 2 * (theirs // width) + y % 2, 2 * (theirs % width) + x % 2
    half = PATCH // 2
    return found_y.clamp(half, a - 1 - half) * b + found_x.clamp(half, b - 1 - half)


def _rgb(lab: Float[Tensor, "3 a b"]) -> Float[np.ndarray, "a b 3"]:
    return cv2.cvtColor((lab.permute(1, 2, 0) * 100).contiguous().numpy(), cv2.COLOR_LAB2RGB).clip(0, 1)
