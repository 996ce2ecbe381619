"""`rap shards`: collections of recordings with cameras to shards of latents, which `rap train model` reads.

RealEstate10K (text files of cameras, their films in --films), DL3DV-10K and whatever else lies as nerfstudio's
`transforms.json` or COLMAP's `sparse` beside pictures. It goes on where an earlier run ended.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from functools import partial
from pathlib import Path
from typing import Any

from rap.cli import options
from rap.errors import InputError


def add_parser(commands: argparse._SubParsersAction) -> None:
    """`rap shards build | check`"""
    parser = commands.add_parser("shards", help="latents of collections, to train on at scale", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", metavar="build|check", required=True)

    build = kinds.add_parser("build", help="read, judge and encode every clip of a collection")
    build.add_argument("--root", type=Path, required=True, metavar="DIR", help="of the collection")
    build.add_argument("--out", type=Path, required=True, metavar="DIR", help="of the shards")
    build.add_argument("--codec", type=Path, required=True, metavar="DIR", help="with the autoencoder in DIR/vae")
    build.add_argument("--licence", required=True, metavar="TEXT", help="under what the clips may be used")
    build.add_argument(
        "--text-encoder",
        type=Path,
        metavar="DIR",
        help="with DIR/text_encoder and DIR/tokenizer, as Wan's: keeps the state of an empty prompt for the training",
    )
    build.add_argument("--films", type=Path, metavar="DIR", help="RealEstate10K's films, named as in their URLs")
    build.add_argument("--height", type=options.positive, default=480, metavar="PX", help="of the clips (default: 480)")
    build.add_argument("--width", type=options.positive, default=832, metavar="PX", help="of the clips (default: 832)")
    build.add_argument("--frames", type=options.positive, default=81, metavar="N", help="1 + 4n of them (default: 81)")
    for name, default, help_words in (
        ("stride", 1, "every N-th frame of a scene"),
        ("clips-per-scene", 4, "at most"),
        ("clips-per-shard", 64, "two samples each"),
        ("ray-frame-stride", 4, "a map of the camera at every N-th frame"),
        ("encoders", 1, "processes that encode; on a GPU each has one"),
    ):
        words = f"{help_words} (default: {default})"
        build.add_argument(f"--{name}", type=options.positive, default=default, metavar="N", help=words)
    _add_limits(build)
    build.add_argument("--device", default="cpu", help="of the autoencoder: cpu or cuda (default: cpu)")
    build.add_argument(
        "--workers",
        type=options.natural,
        default=0,
        metavar="N",
        help="that read, on Ray Data (default: 0: no Ray)",
    )
    build.add_argument("--address", default="", help="of a running Ray cluster, or auto (default: this machine alone)")
    build.add_argument(
        "--object-store-mb", type=options.natural, default=0, metavar="N", help="of Ray (default: its own choice)"
    )
    options.add_json(build)
    build.set_defaults(run=run_build)

    check = kinds.add_parser("check", help="whether shards are what their manifest says")
    check.add_argument("folder", type=Path, metavar="DIR")
    options.add_json(check)
    check.set_defaults(run=run_check)


LIMITS = {
    "max_step": "largest way of the camera from frame to frame, in median depths of the first",
    "max_turn_deg": "largest turn of the camera from frame to frame, in degrees",
    "min_way": "least way of the camera from its first place, in median depths",
    "min_overlap": "least share of the first view's points that the last one shows",
    "min_sharpness": "least variance of the Laplacian at 320 pixels",
    "max_moving": "largest share of the picture that moves by itself",
}
"""Fields of `rap.shards.Limits`, in words."""


def _add_limits(parser: argparse.ArgumentParser) -> None:
    for name, words in LIMITS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, metavar="X", help=words)


def run_build(chosen: argparse.Namespace) -> dict[str, Any]:
    """Build, telling of it on stderr; the result is the manifest's summary."""
    from rap.shards import Building, Limits, build

    if (chosen.frames - 1) % 4:
        raise InputError(f"--frames must be 1 + 4n (5, 9, 13 ... 81), got {chosen.frames}")
    for name in ("height", "width"):
        if getattr(chosen, name) % 32:
            raise InputError(f"--{name} must be a multiple of 32, got {getattr(chosen, name)}")
    limits = Limits(**{name: getattr(chosen, name) for name in LIMITS if getattr(chosen, name) is not None})
    names = {item.name for item in dataclasses.fields(Building)} - {"size", "limits"}
    settings = Building(
        size=(chosen.height, chosen.width), limits=limits, **{name: getattr(chosen, name) for name in names}
    )
    manifest = build(settings, partial(print, file=sys.stderr))
    return {"folder": str(chosen.out), "shards": len(manifest["shards"]), **manifest.get("filter", {})}


def run_check(chosen: argparse.Namespace) -> dict[str, Any]:
    """Every shard against its hash."""
    from rap.shards import LatentShards

    shards = LatentShards(chosen.folder)
    shards.check()
    return {"samples": len(shards), "licence": shards.manifest["about"]["licence"]}
