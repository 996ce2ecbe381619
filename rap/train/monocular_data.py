"""`rap train monocular`: pictures with known depth and lens, and cut-outs of them.

Sources are rendered clips (`rap synthetic build --depth`), folders of pairs (RGB beside 16-bit PNG of inverse depth and
a `meta.json`), and photographs that a teacher labelled (`rap train monocular-labels`). What is held out from every
training is decided in one place, `is_held_out`.
"""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rap.errors import InputError
from rap.views.monocular import SKY

# --- what no training may see -----------------------------------------------------------------------------------------

HELD_OUT_FOLDERS = ("clips", "paper_page", "tartanair_hospital_P000", "tum_fr3_cabinet")
POSED_SCENES = (
    "binbin", "couloir", "diplomski", "eric_bonsai", "kwrous", "lvllvl_plant", "pavan", "tensorf5697", "xur2017",
    "xur2017_b", "xuzhy", "yhuoyu", "yingze_train", "yingze_train_b", "yingze_train_c",
)  # fmt: skip
"""Scenes whose cameras are known and judge the field of view."""

FIRST_HELD_OUT = {"nyuv2_labeled": 1230}
"""From this number on: neighbours show the same room, so they are split by blocks."""


def is_held_out(path: Path | str, index: int = 0) -> bool:
    """Whether picture `index` of a folder judges networks, and so teaches none, teachers included.

    Args:
        path: of the folder, or of a file in it.
    """
    parts = Path(path).parts
    for part in parts:
        scene = part.removeprefix("mvs_")
        if part in HELD_OUT_FOLDERS or scene in POSED_SCENES or index >= FIRST_HELD_OUT.get(part, index + 1):
            return True
    return False


# --- sources ----------------------------------------------------------------------------------------------------------

FOCAL_LENGTHS = {
    "nyuv2_labeled": 218.5 / 256,
    "icl_nuim_lr_traj0": 240.6 / 320,
    "icl_nuim_livingroom_slambook": 240.6 / 320,
    "tum_fr2_desk_slambook": 520.9 / 640,
    "tum_fr3_sitting_static": 535.4 / 640,
    "redwood_livingroom1_open3d": 525.0 / 640,
    "pcl_tutorial_kinect": 525.0 / 640,
    "apc_shelf_realsense": 307.6 / 320,
}
"""Focal length over the long side, where the data set's camera is published."""

LABELS = "labels.npz"
EXACT_EDGES, MEASURED_EDGES, LABELLED_EDGES = 1.0, 0.25, 0.0
"""How much edges count that were rendered, those of sensors, which are ragged or filled in, and a teacher's: soft."""

LEAST_RELIEF = 2.0
"""Of a label: how many times nearer the near is than the far."""


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture and what is known of it.

    Attributes:
        frame_u8: (h, w, 3) RGB.
        inverse_depth: (h, w) float16 of any scale; 0 where it is not known.
        focal: focal length over the long side; NaN where it is not known.
        is_relative: whether the inverse depth's shift is unknown, too.
        edges: how much the gradients of its depth count.
    """

    frame_u8: np.ndarray
    inverse_depth: np.ndarray
    focal: float = math.nan
    is_relative: bool = False
    edges: float = EXACT_EDGES


@dataclass(frozen=True, eq=False)
class Source:
    """Pictures of one kind, and the share of a training's cut-outs that they give."""

    name: str
    share: float
    pictures: tuple[Picture, ...]


def read_clips(folder: Path) -> tuple[Picture, ...]:
    """Every frame of all shards below a folder, with exact depth and lens; InputError where there are none."""
    shards = sorted(Path(folder).rglob("clips-*.npz"))
    if not shards:
        raise InputError(f"--data {folder}: holds no clips; make them with rap synthetic build --depth")
    found: list[Picture] = []
    for shard in shards:
        with np.load(shard, allow_pickle=False) as file:
            if "depth" not in file.files:
                raise InputError(f"{shard}: was made without --depth")
            frames, depth, intrinsics = file["frames_u8"], file["depth"], file["intrinsics"]
        long_side = max(frames.shape[2:4])
        with np.errstate(divide="ignore"):
            inverse = (1 / depth.astype(np.float32)).astype(np.float16)
        for clip in range(len(frames)):
            for frame in range(frames.shape[1]):
                focal = float(intrinsics[clip, frame, 1]) / long_side
                found.append(Picture(frames[clip, frame], inverse[clip, frame], focal))
    return tuple(found)


def read_pairs(folder: Path) -> tuple[Picture, ...]:
    """The pairs of one folder with a `meta.json`, but for those held out; InputError where one cannot be read."""
    images = sorted(folder.glob("*.jpg"))
    return tuple(read_pair(image) for image in images if not is_held_out(image, int(image.stem)))


def read_pair(image: Path) -> Picture:
    """A picture NNNNNN.jpg, the inverse depth in the 16-bit PNG beside it, and the unit in `meta.json`.

    Raises:
        InputError: one of the three is missing or of another kind.
    """
    meta = _meta(image.parent)
    inverse = _inverse_depth(image.with_suffix(".png"), meta, int(image.stem))
    focal = FOCAL_LENGTHS.get(image.parent.name, math.nan)
    is_relative = "relative" in meta["unit"]
    return Picture(read_rgb(image), inverse, focal, is_relative=is_relative, edges=MEASURED_EDGES)


@lru_cache(maxsize=4)
def _meta(folder: Path) -> dict[str, Any]:
    """`meta.json`, its frames by their numbers."""
    path = folder / "meta.json"
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
        return {"unit": meta["unit"], **meta, "frames": {entry["i"]: entry for entry in meta.get("frames", [])}}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: must say the unit of the depth beside it ({error})") from error


def _inverse_depth(path: Path, meta: dict[str, Any], index: int) -> np.ndarray:
    """(h, w) float16, 0 where it is not known."""
    codes = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if codes is None or codes.dtype != np.uint16:
        raise InputError(f"{path}: must be a 16-bit PNG of inverse depth")
    entry = meta["frames"].get(index, {})
    if "inv_min" in entry:
        inverse = entry["inv_min"] + (codes.astype(np.float32) - 1) / 65534 * (entry["inv_max"] - entry["inv_min"])
    else:
        inverse = codes.astype(np.float32) / meta.get("png_scale", 1.0)
    return np.where(codes > 0, inverse, 0).astype(np.float16)


def read_rgb(path: Path) -> np.ndarray:
    """(h, w, 3) uint8; InputError where the file is no picture."""
    found = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if found is None:
        raise InputError(f"{path}: is no picture that can be read")
    return np.ascontiguousarray(found[..., ::-1])


def pair_folders(folder: Path) -> list[Path]:
    """Folders of pairs below one, in the order of their names."""
    return sorted(path.parent for path in Path(folder).glob("*/meta.json"))


def photograph_kinds(textures: Path) -> dict[str, str]:
    """Kinds of the photographs among the textures, by file: rows of `manifest.csv` whose kind contains "photo"."""
    path = Path(textures) / "manifest.csv"
    if not path.is_file():
        raise InputError(f"--textures {textures}: has no manifest.csv, which says what is a photograph")
    with path.open(newline="", encoding="utf-8") as file:
        return {row["file"]: row["kind"] for row in csv.DictReader(file) if "photo" in row["kind"]}


def read_labelled(labels: Path, textures: Path) -> dict[str, tuple[Picture, ...]]:
    """Photographs with the depth that a teacher says, by their kinds; without those that show little of any.

    Most are surfaces and single flowers, four fifths of them nearly flat, and hardly one shows a sky: from all of them
    it would be learned that photographs are flat.

    Raises:
        InputError: there are no labels, or none of anything but flat pictures.
    """
    path = Path(labels) / LABELS
    if not path.is_file():
        raise InputError(f"--labels {labels}: holds no {LABELS}; make it with rap train monocular-labels")
    with np.load(path, allow_pickle=False) as file:
        names, inverse = file["names"], file["inverse_depth"]
    kinds, found = photograph_kinds(textures), {}
    for k, name in enumerate(map(str, names)):
        if not has_relief(inverse[k]):
            continue
        picture = Picture(read_rgb(Path(textures) / name), inverse[k], edges=LABELLED_EDGES)
        found[kinds[name]] = (*found.get(kinds[name], ()), picture)
    if not found:
        raise InputError(f"--labels {labels}: all {len(names)} photographs are said to be flat; take a better teacher")
    return found


def has_relief(inverse: Float[np.ndarray, "h w"]) -> bool:
    """Whether what is near is LEAST_RELIEF times as near as what is far, but for a fiftieth of the pixels each."""
    far, near = np.percentile(inverse.astype(np.float32), (2, 98))
    return bool(near > LEAST_RELIEF * far)


# --- cut-outs ---------------------------------------------------------------------------------------------------------

FOCAL_MEDIAN, FOCAL_SPREAD = 0.7, 0.4
"""Lenses wanted: median of the focal length over the long side, and the standard deviation of its log. The median is
shorter than that of cameras, because cutting only lengthens: with 0.85 and 0.3 but 1.4 % of the views were wider than
0.55, and pictures of wide lenses were judged as if never seen."""

WEIGHED_FOCAL = 0.75
"""Where lenses count most: what is longer is commoner, and so the median of what counts is about USUAL_FOCAL."""

MIN_CUT, MIN_KNOWN_SHARE, ATTEMPTS = 0.5, 0.08, 8
BY_LENS_SHARE = 0.7  # of the cut-outs of pictures whose lens is known

ROLLS_RAD, ROLLED_SHARE = (math.radians(3.0), math.radians(22.0)), 0.3
"""Standard deviations of roll: as cameras are held, and of the share that is far from level."""


@dataclass(frozen=True, eq=False)
class Cuts:
    """A batch.

    Attributes:
        picture: (B, 3, h, w) in [0, 1].
        inverse_depth: (B, h/2, w/2) of any scale. known: where it is.
        log_focal: (B,) log of the focal length over the long side. lens_weight: (B,) 0 where it is not known.
        is_relative: (B,) whether the shift of the inverse depth is unknown, too.
        edges: (B,) how much its gradients count.
    """

    picture: Float[Tensor, "B 3 H W"]
    inverse_depth: Float[Tensor, "B h w"]
    known: Bool[Tensor, "B h w"]
    log_focal: Float[Tensor, " B"]
    lens_weight: Float[Tensor, " B"]
    is_relative: Bool[Tensor, " B"]
    edges: Float[Tensor, " B"]


def draw_cuts(sources: list[Source], rng: np.random.Generator, count: int, size: tuple[int, int]) -> Cuts:
    """Cut-outs of random pictures: sources by their shares, pictures of one alike."""
    shares = np.array([source.share for source in sources])
    rows = []
    for k in rng.choice(len(sources), size=count, p=shares / shares.sum()):
        rows.append(cut_out(_of_the_shape(sources[k].pictures, rng, size), rng, size))
    return stack_cuts(rows)


def _of_the_shape(pictures: tuple[Picture, ...], rng: np.random.Generator, size: tuple[int, int]) -> Picture:
    """A picture that is held as the cut-out is, where one is soon found: others lose most of their view."""
    for _ in range(ATTEMPTS):
        picture = pictures[rng.integers(len(pictures))]
        rows, columns = picture.frame_u8.shape[:2]
        if (rows - columns) * (size[0] - size[1]) >= 0:
            break
    return picture


def stack_cuts(rows: list[tuple[np.ndarray, np.ndarray, float, Picture]]) -> Cuts:
    """A batch of what `cut_out` gives."""
    frames, inverse, focals, pictures = zip(*rows, strict=True)
    picture = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255
    inverse_depth = torch.from_numpy(np.stack(inverse).astype(np.float32))
    focal = torch.tensor(focals, dtype=torch.float32)
    is_known = torch.isfinite(focal)
    return Cuts(
        picture.contiguous(memory_format=torch.channels_last),
        inverse_depth,
        (inverse_depth > 0) & torch.tensor([has_unit(values) for values in inverse])[:, None, None],
        torch.where(is_known, focal, 1.0).log(),
        torch.where(is_known, usual(focal), 0.0),
        torch.tensor([p.is_relative for p in pictures]),
        torch.tensor([p.edges for p in pictures]),
    )


def has_unit(inverse: Float[np.ndarray, "h w"]) -> bool:
    """Whether the median inverse depth of what is known is that of something, and not of the sky."""
    known = inverse[inverse > 0].astype(np.float32)
    return len(known) > 0 and bool(np.median(known) > SKY * known.mean())


def usual(focal: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """How much a lens counts, by how far it is from WEIGHED_FOCAL."""
    return torch.exp(-0.5 * ((focal / WEIGHED_FOCAL).log() / FOCAL_SPREAD) ** 2)


def cut_out(
    picture: Picture, rng: np.random.Generator, size: tuple[int, int], *, plain: bool = False
) -> tuple[np.ndarray, np.ndarray, float, Picture]:
    """A part of a picture at `size`: its colours, inverse depth at half size, its own focal length, the picture.

    Args:
        plain: the largest part in the middle, upright and with its own colours.
    """
    for _ in range(ATTEMPTS):
        part = _drawn_part(picture, rng, size, plain)
        inverse = _warped(picture.inverse_depth, part, (size[0] // 2, size[1] // 2), 2.0, cv2.INTER_NEAREST)
        if (inverse > 0).mean() >= MIN_KNOWN_SHARE and has_unit(inverse):
            break
    frame = _warped(picture.frame_u8, part, size, 1.0, cv2.INTER_LINEAR)
    focal = picture.focal * max(picture.frame_u8.shape[:2]) / (part.scale * max(size))
    return (frame if plain else recoloured(frame, rng)), inverse, focal, picture


@dataclass(frozen=True)
class _Part:
    """Where a cut-out lies: its centre in the picture, pixels of the picture for one of its own, roll, mirrored."""

    centre: tuple[float, float]
    scale: float
    roll_rad: float
    mirrored: bool


def _drawn_part(picture: Picture, rng: np.random.Generator, size: tuple[int, int], plain: bool) -> _Part:
    (rows, columns), (h, w) = picture.frame_u8.shape[:2], size
    largest = min(rows / h, columns / w)  # pixels of the picture for one of the cut-out's, all of it seen
    if plain:
        return _Part((columns / 2, rows / 2), largest, 0.0, False)
    cut = rng.uniform(MIN_CUT + 0.1, 1.0)
    wanted = FOCAL_MEDIAN * math.exp(FOCAL_SPREAD * rng.normal())
    if rng.random() < BY_LENS_SHARE and math.isfinite(picture.focal):
        own = picture.focal * max(rows, columns) / (largest * max(size))
        cut = min(1.0, max(MIN_CUT, own / wanted))
    scale = largest * cut
    room = columns - scale * w, rows - scale * h
    off = (rng.uniform(-0.5, 0.5, size=2) + rng.uniform(-0.5, 0.5, size=2)) / 2  # the middle is likelier
    centre = columns / 2 + off[0] * room[0], rows / 2 + off[1] * room[1]
    roll_rad = rng.normal(0, ROLLS_RAD[int(rng.random() < ROLLED_SHARE)])
    return _Part(centre, scale, float(roll_rad), bool(rng.random() < 0.5))


def _warped(values: np.ndarray, part: _Part, size: tuple[int, int], coarser: float, method: int) -> np.ndarray:
    """The part of a map, its pixels `coarser` times as large as the cut-out's; depth beyond the map is 0."""
    scale = part.scale * coarser
    c, s = scale * math.cos(part.roll_rad), scale * math.sin(part.roll_rad)
    turn = np.array([[c, -s], [s, c]]) @ np.diag([-1.0 if part.mirrored else 1.0, 1.0])
    middle = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    shift = np.array(part.centre) - 0.5 - turn @ middle  # OpenCV counts from pixel centres
    matrix = np.concatenate([turn, shift[:, None]], axis=1)
    is_depth = values.ndim == 2
    return cv2.warpAffine(
        values.astype(np.float32) if is_depth else values,
        matrix,
        size[::-1],
        flags=method | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT if is_depth else cv2.BORDER_REFLECT_101,
    )


def recoloured(frame_u8: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another camera's development of the same picture: curve, light, blur, noise, compression."""
    light = (frame_u8.astype(np.float32) / 255).clip(1e-3, 1) ** math.exp(0.25 * rng.normal())
    if rng.random() < 0.35:  # grey, or paler or richer
        grey = light.mean(axis=2, keepdims=True)
        light = grey + (light - grey) * (0.0 if rng.random() < 0.25 else rng.uniform(0.4, 1.5))
    gains = np.exp(0.2 * rng.normal() + 0.08 * rng.normal(size=3)).astype(np.float32)
    middle, contrast = light.mean(), rng.uniform(0.75, 1.25)
    light = (light - middle) * contrast + middle
    light = light * gains
    if rng.random() < 0.3:
        light = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.4, 1.4))
    if rng.random() < 0.3:
        light = light + rng.uniform(0, 0.03) * rng.standard_normal(light.shape, dtype=np.float32)
    frame_u8 = (light.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    if rng.random() < 0.3:
        _, data = cv2.imencode(".jpg", frame_u8, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        frame_u8 = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return frame_u8
