"""`rap synthetic`: procedural clips with exact cameras: shards, a contact sheet, figures, or the app's examples.

Clips are the same for the same seed and options, on any number of worker processes.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rap.cli import options
from rap.config import ASSETS, SIZE_BUCKETS, SIZE_MULTIPLE, clip_seed
from rap.errors import InputError

if TYPE_CHECKING:
    from rap.geometry import Trajectory
    from rap.synthetic import SyntheticConfig
    from rap.synthetic.clips import MakeClips

Size = tuple[int, int]

BUCKET_SHARES = {(128, 128): 8, (96, 128): 10, (96, 160): 9, (128, 96): 3, (160, 96): 3}
"""How the clips of --buckets are dealt out: most videos are wider than high."""

FIXED_SPLITS = ("val", "test")
FIXED_CLIPS = 200
"""Clips of the sets for validation and test, which no training seed can draw."""

EXAMPLE_FPS = 8.0
THUMBNAIL = (160, 128)
SHEET_COLUMNS = 2
SHEET_FRAMES = 5
GAP_PX = 6
MOST_TEXELS = 1024  # a side, of textures: gigabytes, in the end


def add_parser(commands: argparse._SubParsersAction) -> None:
    """`rap synthetic build | preview | stats | examples`"""
    parser = commands.add_parser("synthetic", help="make procedural clips with exact cameras", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", metavar="build|preview|stats|examples", required=True)

    build = kinds.add_parser("build", help="training clips as shards in OUT/<h>x<w>")
    build.add_argument("--out", type=Path, required=True, metavar="DIR", help="of shards; goes on where it ended")
    amount = build.add_mutually_exclusive_group(required=True)
    amount.add_argument("--count", type=options.positive, metavar="N", help="training clips, of all sizes together")
    amount.add_argument(
        "--split",
        choices=sorted(FIXED_SPLITS),
        help=f"the {FIXED_CLIPS} clips of all sizes that are never trained on, the same ones whatever --seed",
    )
    build.add_argument("--depth", action="store_true", help="also store z-depth, which training with warp hints needs")
    build.add_argument("--shard-size", type=options.positive, default=64, metavar="N", help="in clips (default: 64)")
    build.add_argument("--workers", type=options.positive, default=1, metavar="N", help="processes (default: 1)")
    _add_look(build, several_sizes=True)
    build.set_defaults(run=run_build)

    preview = kinds.add_parser("preview", help="a contact sheet of the first clips of a seed")
    preview.add_argument("--out", type=Path, required=True, metavar="FILE", help="picture to write, .png")
    preview.add_argument("--count", type=options.positive, default=12, metavar="N", help="clips (default: 12)")
    _add_look(preview, several_sizes=False)
    preview.set_defaults(run=run_preview)

    stats = kinds.add_parser("stats", help="how cameras move in the clips of a seed, beside real ones")
    stats.add_argument("--count", type=options.positive, default=200, metavar="N", help="clips (default: 200)")
    stats.add_argument("--seed", type=options.natural, default=0, metavar="N", help="of the clips (default: 0)")
    stats.add_argument(
        "--clips", type=Path, nargs="+", default=[], metavar="FOLDER", help="real ones: frames with a transforms.json"
    )
    stats.add_argument("--stride", type=options.positive, default=2, metavar="N", help="of real frames (default: 2)")
    options.add_json(stats)
    stats.set_defaults(run=run_stats)

    examples = kinds.add_parser("examples", help="the example clips of the app, with their cameras")
    examples.add_argument("--out", type=Path, default=ASSETS / "examples", metavar="DIR", help="default: the app's own")
    examples.add_argument("--size", type=frame_size, metavar="HxW", help="as folders of PNGs, to measure on")
    options.add_json(examples)
    examples.set_defaults(run=run_examples)


def _add_look(parser: argparse.ArgumentParser, *, several_sizes: bool) -> None:
    """What clips look like."""
    if several_sizes:
        sizes = parser.add_mutually_exclusive_group()
        sizes.add_argument(
            "--size", type=frame_size, action="append", metavar="HxW", help="may be repeated (default: 128x128)"
        )
        sizes.add_argument("--buckets", action="store_true", help="all sizes the model is trained at, wide ones most")
    else:
        parser.add_argument("--size", type=frame_size, default=(128, 128), metavar="HxW", help="default: 128x128")
    parser.add_argument("--seed", type=options.natural, default=0, metavar="N", help="of the clips (default: 0)")
    kind = parser.add_mutually_exclusive_group()
    options.add_frames(kind)
    kind.add_argument(
        "--stills", action="store_true", help="single pictures instead, with a scene, a lens and a tilt of its own each"
    )
    parser.add_argument("--family", default="", metavar="NAME", help="of all scenes, as corridor (default: drawn)")
    parser.add_argument(
        "--textures", type=Path, metavar="DIR", help="folder of photographs (default: procedural patterns)"
    )
    parser.add_argument(
        "--photographs", type=Path, metavar="DIR", help="instead of scenes: each lifted by its depth and flown through"
    )
    parser.add_argument("--texture-size", type=options.positive, default=256, metavar="N", help="side (default: 256)")
    parser.add_argument(
        "--supersample", type=share, default=0.1, metavar="P", help="share of clips with smooth edges (default: 0.1)"
    )
    parser.add_argument("--device", default="cpu", metavar="NAME", help="where pixels are computed (default: cpu)")
    options.add_json(parser)


def frame_size(text: str) -> Size:
    """HxW in pixels, multiples that the model takes."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"must be height x width, as 96x160, got {text!r}")
    size = int(match[1]), int(match[2])
    if any(side == 0 or side % SIZE_MULTIPLE for side in size):
        raise argparse.ArgumentTypeError(f"must be multiples of {SIZE_MULTIPLE} pixels, as 96x160, got {text}")
    return size


def share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be a share from 0 to 1, got {text}")
    return value


def deal_out(count: int, shares: dict[Size, int]) -> dict[Size, int]:
    """Clips for each size, `count` in all, as near to the shares as whole numbers allow (largest remainders)."""
    exact = np.array(list(shares.values())) * count / sum(shares.values())
    dealt = np.floor(exact).astype(int)
    for k in np.argsort(dealt - exact, kind="stable")[: count - dealt.sum()]:
        dealt[k] += 1
    return {size: int(n) for size, n in zip(shares, dealt, strict=True)}


def run_build(chosen: argparse.Namespace) -> dict[str, Any]:
    """Render the missing shards of every size."""
    from tqdm import tqdm

    from rap.synthetic import build_shards

    if chosen.out.exists() and not chosen.out.is_dir():
        raise InputError(f"--out {chosen.out}: is a file; name a folder")
    if chosen.split is not None and chosen.size:
        raise InputError(f"--split {chosen.split} has clips of all sizes; leave --size out")
    buckets = chosen.buckets or chosen.split is not None
    shares = {size: BUCKET_SHARES[size] for size in SIZE_BUCKETS} if buckets else {}
    total = FIXED_CLIPS if chosen.count is None else chosen.count
    counts = deal_out(total, shares or {size: 1 for size in chosen.size or [(128, 128)]})
    began = time.perf_counter()
    with tqdm(total=total, desc="synthetic", unit="clip", file=sys.stderr) as bar:
        for size, count in counts.items():
            if count == 0:
                continue
            seed, before = clip_seed(chosen.split or chosen.seed, size), bar.n
            folder, config = chosen.out / size_name(size), _config(chosen, size)
            for done in build_shards(
                folder, count, seed, config, chosen.workers,
                shard_size=chosen.shard_size, with_depth=chosen.depth, make=_maker(config),
            ):  # fmt: skip
                bar.update(before + done - bar.n)
    return {
        "command": "synthetic build",
        "out": str(chosen.out),
        "seed": chosen.split or chosen.seed,
        "clips": {size_name(size): count for size, count in counts.items()},
        "seconds": round(time.perf_counter() - began, 3),
    }


def run_preview(chosen: argparse.Namespace) -> dict[str, Any]:
    """Render the clips that `build` would begin with, and put some frames of each on one picture."""
    from PIL import Image
    from tqdm import tqdm

    from rap.synthetic import stream

    if chosen.out.suffix.lower() != ".png":
        raise InputError(f"--out {chosen.out}: must end in .png")
    rows, kinds = [], []
    config = _config(chosen, chosen.size)
    clips = stream(clip_seed(chosen.seed, chosen.size), config, make=_maker(config))
    for _ in tqdm(range(chosen.count), desc="synthetic", unit="clip", file=sys.stderr):
        clip = next(clips)
        kinds.append(clip.kinds[0])
        rows.append(_strip(clip.frames_u8[0].numpy(), f"{len(kinds) - 1} {kinds[-1]}"))
    try:
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(contact_sheet(rows)).save(chosen.out)
    except OSError as error:
        raise InputError(f"--out {chosen.out}: cannot be written ({error.strerror or error})") from error
    return {"command": "synthetic preview", "out": str(chosen.out), "seed": chosen.seed, "kinds": kinds}


def run_stats(chosen: argparse.Namespace) -> dict[str, Any]:
    """10th, 50th and 90th percentile over clips (for real folders: windows that overlap by half)."""
    from tqdm import tqdm

    from rap.evaluation.datasets import windows
    from rap.synthetic import SyntheticConfig, render_clips

    config = SyntheticConfig(size=(32, 32), texture_size=16)  # small: the cameras are what counts
    seed, rows = clip_seed(chosen.seed, config.size), []
    for k in tqdm(range(chosen.count), desc="synthetic", unit="clip", file=sys.stderr):
        clip = render_clips(seed, 1, config, start=k)
        rows.append(motion_row(clip.Ts_world_camera[0].numpy(), clip.intrinsics[0].numpy(), config.size))
    report = {"synthetic": percentiles(rows)}
    for folder in chosen.clips:
        found = [clip.trajectory.relative_to(0) for clip in windows(folder, chosen.stride) if clip.trajectory]
        rows = [motion_row(path.Ts_world_camera, path.intrinsics, path.image_size) for path in found]
        report[str(folder)] = percentiles(rows)
    return {"command": "synthetic stats", "stride": chosen.stride, "motions": report}


def motion_row(Ts_world_camera: np.ndarray, intrinsics: np.ndarray, size: Size) -> dict[str, float]:
    """How one clip's camera moves; lengths in the unit of the poses (real ones: that of their file)."""
    from rap.geometry import fov_y_from_intrinsics, se3

    R = Ts_world_camera[:, :3, :3]
    turns = np.degrees(se3.rotation_angle(np.swapaxes(R[:-1], -1, -2) @ R[1:]))
    steps = np.linalg.norm(np.diff(Ts_world_camera[:, :3, 3], axis=0), axis=-1)
    return {
        "rotation_deg": float(np.degrees(se3.rotation_angle(R[0].T @ R)).max()),
        "rotation_per_frame_deg": float(turns.mean()),
        "translation_per_frame": float(steps.mean()),
        "fov_y_deg": float(np.degrees(fov_y_from_intrinsics(intrinsics[0], size[0]))),
    }


def percentiles(rows: list[dict[str, float]]) -> dict[str, Any]:
    """(p10, p50, p90) of every figure, and the number of rows."""
    found = {key: np.percentile([row[key] for row in rows], (10, 50, 90)).round(3).tolist() for key in rows[0]}
    return {"clips": len(rows), **found}


def run_examples(chosen: argparse.Namespace) -> dict[str, Any]:
    """NAME.mp4 and NAME.transforms.json for every example, or, of a size asked for, folders of frames with their
    transforms.json: lengths in median depths of the first frame."""
    from PIL import Image
    from tqdm import tqdm

    from rap import formats
    from rap.data import write_video
    from rap.geometry import Trajectory
    from rap.synthetic.examples import CONFIG, EXAMPLES, render_example

    config = (
        CONFIG if chosen.size is None else replace(CONFIG, size=chosen.size, texture_size=_texels(max(chosen.size)))
    )
    names = []
    for example in tqdm(EXAMPLES, desc="examples", unit="clip", file=sys.stderr):
        clip = render_example(example, config)
        frames_u8 = clip.frames_u8[0].numpy()
        path = Trajectory(
            clip.Ts_world_camera[0].numpy(), clip.intrinsics[0].numpy(), frames_u8.shape[1:3], fps=EXAMPLE_FPS
        )
        names.append(example.name)
        if chosen.size is not None:
            _write_folder(chosen.out / example.name, frames_u8, path)
            continue
        write_video(chosen.out / f"{example.name}.mp4", frames_u8, EXAMPLE_FPS)
        formats.write(chosen.out / f"{example.name}.transforms.json", path)
        Image.fromarray(frames_u8[0]).resize(THUMBNAIL).save(chosen.out / f"{example.name}.jpg", quality=80)
    return {"command": "synthetic examples", "out": str(chosen.out), "examples": names}


def _texels(side: int) -> int:
    """A side of textures that are as fine as frames of this side: a power of two."""
    return min(MOST_TEXELS, 1 << (side - 1).bit_length())


def _write_folder(folder: Path, frames_u8: np.ndarray, path: Trajectory) -> None:
    """As `transforms.json` names its frames."""
    from PIL import Image

    from rap import formats

    (folder / "frames").mkdir(parents=True, exist_ok=True)
    for i, frame_u8 in enumerate(frames_u8):
        Image.fromarray(frame_u8).save(folder / "frames" / f"{i:04d}.png")
    formats.write(folder / "transforms.json", path)


def contact_sheet(strips: list[np.ndarray]) -> np.ndarray:
    """(H, W, 3) strips of one size in two columns, on white."""
    h, w, _ = strips[0].shape
    columns = min(SHEET_COLUMNS, len(strips))
    lines = -(-len(strips) // columns)
    sheet = np.full((lines * (h + GAP_PX) + GAP_PX, columns * (w + GAP_PX) + GAP_PX, 3), 255, np.uint8)
    for k, strip in enumerate(strips):
        top, left = GAP_PX + k // columns * (h + GAP_PX), GAP_PX + k % columns * (w + GAP_PX)
        sheet[top : top + h, left : left + w] = strip
    return sheet


def _strip(frames_u8: np.ndarray, label: str) -> np.ndarray:
    """(h, n w, 3) frames spread evenly over a clip, side by side, its label in a corner."""
    from PIL import Image, ImageDraw

    picks = np.unique(np.linspace(0, len(frames_u8) - 1, SHEET_FRAMES).round().astype(int))
    image = Image.fromarray(np.concatenate(list(frames_u8[picks]), axis=1))
    ImageDraw.Draw(image).text((3, 2), label, fill="white", stroke_width=1, stroke_fill="black")
    return np.asarray(image)


def size_name(size: Size) -> str:
    """Folder name of a size."""
    return f"{size[0]}x{size[1]}"


def _maker(config: SyntheticConfig) -> MakeClips:
    """Of scenes, or of photographs where a folder of them is named."""
    from rap.synthetic import render_clips

    if config.photographs is None:
        return render_clips
    from rap.train.photograph_clips import photographs, render_photographs

    photographs(config.photographs)  # where there are none it says so before anything is written
    return render_photographs


def _config(chosen: argparse.Namespace, size: Size) -> SyntheticConfig:
    from rap.synthetic import SyntheticConfig
    from rap.synthetic.families import FAMILIES

    of_scenes = {"--stills": chosen.stills, "--family": chosen.family, "--textures": chosen.textures}
    named = [flag for flag, value in of_scenes.items() if value]
    if chosen.photographs is not None and named:
        raise InputError(f"{named[0]} is of procedural scenes; leave it out beside --photographs")

    if chosen.family and chosen.family not in FAMILIES:
        raise InputError(f"--family {chosen.family}: must be one of {', '.join(FAMILIES)}")
    return SyntheticConfig(
        size=size,
        num_frames=1 if chosen.stills else chosen.frames,
        stills=chosen.stills,
        family=chosen.family,
        textures=chosen.textures,
        photographs=chosen.photographs,
        texture_size=chosen.texture_size,
        supersample_share=chosen.supersample,
        device=chosen.device,
    )
