"""`rap codec`: what the codec of a checkpoint alone does to clips of known cameras.

Windows of 17 frames that overlap by half are encoded and decoded: PSNR of the first frame and, apart, of the later
ones, which share a latent frame by fours; and the cameras found in raxel maps that were encoded and decoded, against
those found in the maps as they were (the recovery itself takes principal points for centred, which real ones are not).
This bounds what any model on these latents can reach.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rap.cli import model, options
from rap.errors import InputError

if TYPE_CHECKING:
    from rap.data import Clip
    from rap.pipeline import RaPPipeline


def add_parser(commands: argparse._SubParsersAction) -> None:
    """`rap codec`"""
    parser = commands.add_parser("codec", help="measure the codec on clips of known cameras", description=__doc__)
    parser.add_argument(
        "folders", type=Path, nargs="+", metavar="FOLDER", help="frames with a transforms.json in or beside them"
    )
    parser.add_argument("--stride", type=options.positive, default=1, metavar="N", help="of the frames (default: 1)")
    parser.add_argument("--checkpoint", metavar="DIR", help="model in diffusers layout (default: the embedded one)")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1, mps (default: cuda if there is one)")
    options.add_json(parser)
    parser.set_defaults(run=run)


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Means over the windows of each folder."""
    from rap.evaluation.datasets import windows

    missing = [str(folder) for folder in chosen.folders if not folder.is_dir()]
    if missing:
        raise InputError(f"{', '.join(missing)}: no such folder; name folders of frames with their cameras")
    found = {folder: list(windows(folder, chosen.stride)) for folder in chosen.folders}
    pipeline = model.load_pipeline(chosen.checkpoint, chosen.device)
    clips = {}
    for folder, parts in found.items():
        rows = []
        for i, clip in enumerate(parts):
            print(f"{folder}: window {i + 1} of {len(parts)}", file=sys.stderr)
            rows.append(codec_row(pipeline, clip))
        means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
        clips[str(folder)] = {"windows": len(rows), "size": list(parts[0].image_size), **means}
    return {"command": "codec", "stride": chosen.stride, "clips": clips}


def codec_row(pipeline: RaPPipeline, clip: Clip) -> dict[str, float]:
    """Figures of one clip: PSNR of 8-bit frames; the largest change of a rotation, and that of the focal length."""
    import torch

    from rap import metrics
    from rap.geometry import raxels_to_cameras, se3

    codec, truth = pipeline.codec, clip.trajectory
    assert truth is not None
    truth = truth.relative_to(0)
    video = torch.from_numpy(np.array(clip.frames_u8)).to(pipeline.device).float().permute(3, 0, 1, 2)[None] / 127.5 - 1
    decoded = (codec.decode_video(codec.encode_video(video))[0].permute(1, 2, 3, 0).cpu().numpy() + 1) * 127.5
    frames_u8 = decoded.round().clip(0, 255).astype(np.uint8)
    Ts, intrinsics = (
        torch.tensor(a, dtype=torch.float32, device=pipeline.device)[None]
        for a in (truth.Ts_world_camera, truth.intrinsics)
    )
    maps = codec.camera_maps(Ts, intrinsics, clip.image_size)
    (Ts_own, K_own), (Ts_back, K_back) = (
        raxels_to_cameras(m[0].double()) for m in (maps, codec.decode_rays(codec.encode_rays(maps)))
    )
    turns = (Ts_own[:, :3, :3].mT @ Ts_back[:, :3, :3]).cpu().numpy()
    return {
        "psnr_first_db": metrics.psnr(frames_u8[:1], clip.frames_u8[:1]),
        "psnr_later_db": metrics.psnr(frames_u8[1:], clip.frames_u8[1:]),
        "rotation_deg": float(np.degrees(se3.rotation_angle(turns)).max()),
        "focal_percent": 100 * abs(float(K_back[0, 1] / K_own[0, 1]) - 1),
    }
