"""`rap evaluate`: its options, and the walk over clips and protocols."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from rap.config import KNOWN_PATHS, checkpoint_path
from rap.data import Clip
from rap.errors import InputError
from rap.evaluation import datasets, peers, protocols, report
from rap.evaluation.frechet import FeatureNetwork
from rap.evaluation.known_paths import known_paths
from rap.evaluation.protocols import Protocol, Videos
from rap.evaluation.rows import FeatureSets, Results, Row
from rap.pipeline import RaPPipeline

STRIDES = range(1, 9)
DESCRIPTION = """What a checkpoint does on clips of known cameras, beside what doing nothing and others score.

`pose`, `generate`, `loop` and `joint` are protocols, `all` is the first three. A DATASET is a folder of frames with
cameras in or beside it, a film with a file of cameras of its name beside it, or a folder of such; `--known-paths`
instead of a protocol measures the example clips and writes known_paths.json beside the weights.

"""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of `rap evaluate`: tables in Markdown, or one JSON object; 1 where a clip could not be measured."""
    options = _parser().parse_intermixed_args(argv)
    if not options.protocol and not options.known_paths:
        raise InputError(
            "nothing to evaluate: name a protocol (pose, generate, loop, joint, all) and data sets, or --known-paths"
        )
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.known_paths:
        return _known_paths(options)
    chosen, networks, windows = _protocol(options), _networks(options), _windows(options)
    results = Results(options.out, _settings(options, chosen, networks))
    todo = list(protocols.PROTOCOLS) if options.protocol == "all" else [options.protocol]
    skipped = peers.missing(tuple(options.peers))
    for why in skipped.values():
        print(f"rap evaluate: skipped: {why}", file=sys.stderr)
    _walk(_pipeline(options), results, windows, todo, chosen, networks)
    found = report.summary(results, [network.name for network in networks], options.seed)
    results.summary = {"skipped": skipped, "protocols": found}
    results.write()
    name = networks[0].name if networks else ""
    if options.json:
        print(json.dumps({"settings": results.settings, **results.summary}, indent=2, allow_nan=False))
    else:
        print(report.markdown(found, name))
    return int(any(group["failed"] for groups in found.values() for group in groups.values()))


def _walk(
    pipe: RaPPipeline,
    results: Results,
    windows: Sequence[datasets.Window],
    todo: Sequence[str],
    chosen: Protocol,
    networks: Sequence[FeatureNetwork],
) -> None:
    """Measure what has no row yet."""
    left = [(one, [name for name in todo if not results.has(name, one.key)]) for one in windows]
    for window, names in tqdm([pair for pair in left if pair[1]], desc="clips", file=sys.stderr):
        for row, features in _rows(pipe, window, names, chosen, networks):
            results.add(row, features)
            if row.failed:
                print(f"rap evaluate: {row.protocol}, {row.key}: {row.failed}", file=sys.stderr)


def _rows(
    pipe: RaPPipeline,
    window: datasets.Window,
    names: Sequence[str],
    chosen: Protocol,
    networks: Sequence[FeatureNetwork],
) -> Iterator[tuple[Row, FeatureSets]]:
    """A row for each protocol, as it is measured; one clip's failure is told and is not the end of the others."""
    stride = 0 if window.made is not None else window.stride
    rows = [Row(name, window.dataset, window.recording.name, stride, window.key) for name in names]
    try:
        clip = window.read()
    except (ValueError, OSError) as error:
        yield from ((replace(row, failed=_sentence(error)), {}) for row in rows)
        return
    for row in rows:
        yield _row(pipe, clip, row, chosen, networks)


def _row(
    pipe: RaPPipeline, clip: Clip, row: Row, chosen: Protocol, networks: Sequence[FeatureNetwork]
) -> tuple[Row, FeatureSets]:
    try:
        figures, videos = protocols.measure(row.protocol, pipe, clip, chosen)
    except Exception as error:  # of whatever library: it is told with its name, in the row and by the exit status
        return replace(row, failed=_sentence(error)), {}
    known = {key: value if value is not None and math.isfinite(value) else None for key, value in figures.items()}
    return replace(row, figures=known), _features(videos, networks)


def _sentence(error: Exception) -> str:
    words = " ".join(str(error).split())
    return words if isinstance(error, (InputError, OSError)) else f"{type(error).__name__}: {words}"


def _features(videos: Videos, networks: Sequence[FeatureNetwork]) -> FeatureSets:
    """Of every video without its frame 0, which was given; of whole ones where the network sees videos."""
    return {
        f"{method}|{network.name}": network.features(video if network.of_videos else video[1:])
        for method, video in videos.items()
        for network in networks
    }


# --- options ----------------------------------------------------------------------------------------------------------


def _protocol(options: argparse.Namespace) -> Protocol:
    return Protocol(
        tuple(options.ray_steps), options.steps, options.guidance_scale, options.temperature, options.hint_level,
        tuple(options.given), tuple(options.peers), options.refine, options.hints, "tracks" in options.follow,
        options.known_lens, options.seed,
    )  # fmt: skip


def _networks(options: argparse.Namespace) -> list[FeatureNetwork]:
    """Those whose Frechet distances are asked for; of frames there is always one, unless no video is made."""
    if options.protocol in ("pose", "joint") or options.no_features:
        return []
    networks = [FeatureNetwork(options.features)]
    if options.video_features is not None:
        networks.append(FeatureNetwork(options.video_features, of_videos=True))
    for network in networks:
        network.check()
    return networks


def _windows(options: argparse.Namespace) -> list[datasets.Window]:
    if not options.datasets and options.shards is None:
        raise InputError("nothing to evaluate: name data sets, or --shards DIR")
    fov = None if options.fov_y_deg is None else math.radians(options.fov_y_deg)
    drawn = [] if options.shards is None else datasets.synthetic(options.shards, options.count, options.seed)
    return [*drawn, *datasets.all_windows(options.datasets, options.stride, options.windows, fov)]


def _settings(options: argparse.Namespace, chosen: Protocol, networks: Sequence[FeatureNetwork]) -> dict[str, Any]:
    """Whatever changes a figure of a clip; which clips are asked for does not."""
    weights = hashlib.sha256()
    for file in sorted(checkpoint_path(options.checkpoint).rglob("*.safetensors")):
        weights.update(file.read_bytes())
    found = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(chosen).items()}
    features = {network.name: network.digest for network in networks}
    return {"weights": weights.hexdigest()[:16], "fov_y_deg": options.fov_y_deg, **found, "features": features}


def _pipeline(options: argparse.Namespace) -> RaPPipeline:
    pipe = RaPPipeline.from_pretrained(checkpoint_path(options.checkpoint))
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(options.device)


def _known_paths(options: argparse.Namespace) -> int:
    found = known_paths(_pipeline(options), options.seed)
    path = checkpoint_path(options.checkpoint) / KNOWN_PATHS
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({"known_paths": found}, indent=2))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rap evaluate",
        description=DESCRIPTION + (protocols.__doc__ or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("protocol", nargs="?", choices=[*protocols.PROTOCOLS, "joint", "all"], help="what is measured")
    add("datasets", nargs="*", type=Path, metavar="DATASET")
    add("--known-paths", action="store_true", help="measure the example clips, beside the weights")
    add("--shards", type=Path, metavar="DIR", help="also clips of synthetic shards")
    add("--count", type=int, default=32, help="clips drawn from the shards (default 32)")
    add(
        "--stride",
        type=int,
        nargs="+",
        default=[2],
        choices=STRIDES,
        metavar="N",
        help="of windows, 1 to 8 (default 2)",
    )
    add("--windows", type=int, metavar="N", help="of a recording and stride at most, spread evenly (default: all)")
    add("--fov-y-deg", type=float, help="of whole pictures, for files of cameras without a lens")
    add("--out", type=Path, metavar="FILE.json", help="a row a clip, written as they come; a run goes on from there")
    add("--json", action="store_true", help="one JSON object on stdout instead of tables")
    add("--checkpoint", metavar="DIR", help="model in diffusers layout (default: the embedded one)")
    add("--device", default="cpu")
    add("--threads", type=int, default=0, help="of the processor (default: torch's own)")
    add("--seed", type=int, default=0)
    _add_methods(parser)
    return parser


def _add_methods(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--peers", nargs="*", default=["repeat", "plane"],
        choices=[*peers.POSE_PEERS, *peers.VIDEO_PEERS, *peers.LEAVING_PEERS],
        help="beside the model (default: repeat plane); what is not installed is named and skipped")  # fmt: skip
    add("--known-lens", action="store_true", help="tell peers and --refine the focal length")
    add("--refine", action="store_true", help="also fit the estimate to the clip's tracks")
    add("--ray-steps", type=int, nargs="+", default=[1, 2], help="of estimates; the first also judges videos")
    add("--given", nargs="+", default=["plane"], choices=["none", "plane", "warp"],
        help="what the model is shown beside frame 0 (default: plane)")  # fmt: skip
    add("--hints", action="store_true", help="also generate the second half from a warp of the first")
    add("--follow", nargs="+", default=["model"], choices=["model", "tracks"], help="who says which path a video shows")
    add("--steps", type=int, help="of generation (default: the checkpoint's)")
    add("--guidance-scale", type=float)
    add("--temperature", type=float, help="of generation (default: the checkpoint's)")
    add("--hint-level", type=float, help="noise level down to which the warp is held")
    add("--features", type=Path, metavar="FILE", help="TorchScript of a network for frames (FID if it is Inception's)")
    add("--video-features", type=Path, metavar="FILE", help="the same for videos (FVD if it is I3D)")
    add("--no-features", action="store_true", help="no Frechet distances")
