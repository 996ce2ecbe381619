"""Options that several commands share, and the checks of their values."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, TypeVar

from rap.config import DEFAULT_TAKE_SIDE, NUM_FRAMES
from rap.limits import AMPLITUDE, GUIDANCE, PATH_FRAMES, STEPS, TAKE_FPS, TAKE_SIDE, TEMPERATURE, Limit
from rap.views import memory
from rap.views.eyes import BASELINE, LAYOUTS

Value = TypeVar("Value", int, float)


def add_common(parser: argparse.ArgumentParser) -> None:
    """What every command takes that runs the model."""
    parser.add_argument("--checkpoint", metavar="DIR", help="model in diffusers layout (default: the embedded one)")
    parser.add_argument("--seed", type=natural, default=0, metavar="N", help="of the noise (default: 0)")
    parser.add_argument("--steps", type=steps, metavar="N", help="denoising steps (default: the checkpoint's)")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1, mps (default: cuda if there is one)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for the results, new or of an earlier run (default: rap-output/...)",
    )
    add_json(parser)
    add_placement(parser)


PLACEMENT = ("offload", "cast", "attention", "compile", "tile_vae")


def add_placement(parser: argparse.ArgumentParser) -> None:
    """How a model lies on its device: what `rap.pipeline.placing.Placement` has, by the same names."""
    large = parser.add_argument_group("models about as large as their device (docs/engines.md)")
    large.add_argument("--offload", action="store_true", help="weights wait in main memory and come layer by layer")
    large.add_argument("--cast", action="store_true", help="weights are kept in eight bits: half the memory, rounded")
    large.add_argument("--attention", metavar="NAME", help="a backend of diffusers', as flash, sage or _native_cudnn")
    large.add_argument("--compile", action="store_true", help="the repeated blocks are compiled, at the first task")
    large.add_argument("--tile-vae", action="store_true", help="the codec works in tiles that are blended")


def placement(chosen: argparse.Namespace) -> dict[str, Any]:
    """What `add_placement` asked for."""
    return {name: getattr(chosen, name) for name in PLACEMENT}


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json"""
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on stdout")


def add_frames(parser: argparse._ActionsContainer) -> None:
    """--frames"""
    parser.add_argument(
        "--frames", type=frame_count, default=NUM_FRAMES, metavar="N", help=f"1 + 4 k frames (default: {NUM_FRAMES})"
    )


def chosen_frames(chosen: argparse.Namespace) -> dict[str, Any]:
    """What `add_sampling` asked for, as `load_clip` takes it."""
    return {"num_frames": chosen.frames, "start": chosen.start, "stride": chosen.stride, "end": chosen.end}


FOV_HELP = "vertical field of view of the input in degrees, where known (default: EXIF's, or the model finds it)"


def add_sampling(parser: argparse.ArgumentParser, fov_help: str = FOV_HELP) -> None:
    """Which frames of a video are used, and its field of view."""
    add_frames(parser)
    parser.add_argument("--start", type=natural, default=0, metavar="N", help="first frame used, from 0 (default: 0)")
    parser.add_argument(
        "--stride", type=positive, metavar="N", help="use every N-th frame (default: cover the whole input evenly)"
    )
    parser.add_argument("--end", type=natural, metavar="N", help="last frame used, from 0 (default: the input's last)")
    parser.add_argument("--fov-y-deg", type=field_of_view, metavar="DEG", help=fov_help)


def add_size(parser: argparse.ArgumentParser, help: str) -> None:
    """--size, --memory-gb"""
    parser.add_argument("--size", type=take_side, metavar="N|own", help=help)
    add_memory(parser)


def add_memory(parser: argparse.ArgumentParser) -> None:
    """--memory-gb"""
    parser.add_argument(
        "--memory-gb",
        type=_number,
        default=memory.DEFAULT_GB,
        metavar="G",
        help=f"what a take may hold beside the program; larger ones are refused (default: {memory.DEFAULT_GB:g})",
    )


def use_memory(chosen: argparse.Namespace) -> None:
    """Let takes hold as much as `add_memory` asked for.

    Raises:
        InputError: that is too little.
    """
    memory.set_memory_gb(chosen.memory_gb)


def add_take(parser: argparse.ArgumentParser) -> None:
    """--size, --memory-gb, --video-frames, --fps and what is made beside the video"""
    add_size(
        parser, f"long side in pixels of a video that the input shows, at most its own (default: {DEFAULT_TAKE_SIDE})"
    )
    parser.add_argument(
        "--video-frames", type=positive, metavar="N", help="frames of such a video along the path (default: --frames)"
    )
    parser.add_argument("--fps", type=rate, metavar="R", help="its rate, 8 to 60 (default: as long as the path lasts)")
    parser.add_argument(
        "--stereo",
        nargs="+",
        choices=LAYOUTS,
        default=[],
        help="also such a video for two eyes, side by side or in red and cyan",
    )
    parser.add_argument(
        "--baseline",
        type=baseline,
        default=BASELINE,
        metavar="B",
        help="of --stereo, from eye to eye, in distances of what lies in the screen (default: 1/30)",
    )
    parser.add_argument(
        "--depth-video", action="store_true", help="also its depth: 16-bit PNGs, and a video in which near is bright"
    )


def take_side(text: str) -> int:
    """Pixels, or as many as the input has."""
    return TAKE_SIDE.value if text == "own" else positive(text)


def baseline(text: str) -> float:
    """Parts of the distance that lies in the screen."""
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"must be above 0 and at most 1, got {text}")
    return value


def rate(text: str) -> float:
    """Frames a second."""
    return _limited(_number(text), TAKE_FPS, text)


def natural(text: str) -> int:
    """An integer from 0."""
    return _integer(text, 0)


def positive(text: str) -> int:
    """An integer from 1."""
    return _integer(text, 1)


def steps(text: str) -> int:
    """Sampling steps."""
    return _limited(positive(text), STEPS, text)


def frame_count(text: str) -> int:
    """A number of frames that the model takes: 5, 9, 13, 17 ... (the codec compresses time by four after the first)."""
    count = _integer(text, 2)
    if count % 4 != 1:
        below = max(5, (count - 1) // 4 * 4 + 1)
        nearest = f"{below} or {below + 4}" if count > below else f"{below}"
        raise argparse.ArgumentTypeError(f"must be 1 + 4 k (5, 9, 13, 17 ...), got {count}; nearest: {nearest}")
    return _limited(count, PATH_FRAMES, text)


def field_of_view(text: str) -> float:
    """Degrees between 0 and 180."""
    value = _number(text)
    if not 0 < value < 180:
        raise argparse.ArgumentTypeError(f"must lie between 0 and 180 degrees, got {text}")
    return value


def amplitude(text: str) -> float:
    """A positive factor."""
    value = _number(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"must be a factor above 0, got {text}")
    return _limited(value, AMPLITUDE, text)


def guidance(text: str) -> float:
    """A scale of guidance; 1 is off."""
    value = _number(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"must be a scale from 0 (1 is off), got {text}")
    return _limited(value, GUIDANCE, text)


def temperature(text: str) -> float:
    """A share of the noise, from 0 to 1."""
    value = _number(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"must lie between 0 and 1, got {text}")
    return _limited(value, TEMPERATURE, text)


def _integer(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None
    if not least <= value < 2**63:
        raise argparse.ArgumentTypeError(f"must be at least {least}, got {text}" if value < least else "is too large")
    return value


def _limited(value: Value, limit: Limit, text: str) -> Value:
    if value > limit.value:
        raise argparse.ArgumentTypeError(f"must be at most {limit.value} {limit.unit}, got {text}")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None
