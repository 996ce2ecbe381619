"""Where the checkpoints lie and which sizes a clip may have: the values every other module agrees on."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path


def _assets() -> Path:
    """Weights, examples, styles and scripts: inside the package where it is installed, beside it in a checkout."""
    package = Path(str(resources.files("rap")))
    inside = package / "assets"
    return inside if inside.is_dir() else package.parent / "assets"


ASSETS = _assets()

EMBEDDED_CHECKPOINT = ASSETS / "rap-embedded"
"""The small model trained on procedural scenes that comes with the package (diffusers layout)."""

DEPTH_NETWORK = ASSETS / "rap-depth" / "depth_network.safetensors"
"""What corrects the depth of a plane sweep; trained on clips of the same renderer (`rap train depth`)."""

BLEND_NETWORK = ASSETS / "rap-blend" / "blend_network.safetensors"
"""What makes one picture of warped sources; trained likewise (`rap train blend`)."""

MONOCULAR_NETWORK = ASSETS / "rap-monocular"
"""Depth and lens of one picture: `network.safetensors` and `config.json` (`rap train monocular`)."""

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif",
    ".ppm", ".pgm", ".pnm", ".avif", ".jp2", ".heic", ".heif", ".hif",
)  # fmt: skip
"""Files of a folder that count as pictures."""

NUM_FRAMES = 17
"""Frames of a clip: 1 + 4 k, because the codec compresses time by four after the first frame."""

VERIFY_STEPS = 2
"""Steps of the estimate that judges whether a video followed its path, as in the paper."""

KNOWN_PATHS = "known_paths.json"
"""Beside the weights: what their estimates err by on the example clips, whose cameras are known."""

MOTION_LIMITS = "motion_limits.json"
"""Beside the weights: percentiles of how the cameras of the training clips move."""

PART_BYTES = 5 * 1000**3
"""Of a file of weights: what the hub takes in one."""

SIZE_MULTIPLE = 32
"""Heights and widths are multiples of this: codec 8x, half-resolution raxel maps 2x, transformer patch 2x."""

SIZE_BUCKETS = ((128, 128), (96, 128), (128, 96), (96, 160), (160, 96))
"""The (h, w) the embedded model is trained at; an upload takes the one nearest to its aspect ratio."""

FOOTAGE_SIDE = 448
"""Pixels: longest side of a clip's footage, the uncropped frames in which points are tracked and depth is found."""

DEFAULT_TAKE_SIDE = 640
"""Pixels: longest side of a take that is rendered from what was given, unless another is asked for."""

LAYERS_SIDE = 640
"""Pixels: long side of a single picture whose layers are made; for larger takes these are enlarged."""

FILM_SIDE = 384
"""Pixels: longest side of the frames between those of a clip, through which points are followed."""


def checkpoint_path(name_or_path: str | Path | None = None) -> Path:
    """Folder of a checkpoint in diffusers layout; `None` is the embedded one.

    Raises:
        FileNotFoundError: the folder or its `model_index.json` is missing.
    """
    path = EMBEDDED_CHECKPOINT if name_or_path is None else Path(name_or_path)
    if not (path / "model_index.json").is_file():
        raise FileNotFoundError(
            f"checkpoint: {path} holds no model_index.json; give a folder written by RaPPipeline.save_pretrained"
        )
    return path


def clip_seed(seed: int | str, size: tuple[int, int]) -> int:
    """The seed of synthetic clips of one size: no two (seed, size) share their scenes, so that test clips stay unseen.

    Args:
        seed: a number for training, the name of a fixed split for the others: no number reads like a name.
    """
    digest = hashlib.sha256(f"{seed} {size[0]}x{size[1]}".encode()).digest()
    return int.from_bytes(digest[:6], "big")
