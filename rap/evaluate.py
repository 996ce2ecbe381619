"""`rap evaluate`: what a checkpoint does on clips of known cameras, beside what doing nothing would score.

Protocols (never compare across protocols): poses over all pairs i < j of a clip, AUC@30 in 1-degree bins of the worse
of rotation and translation direction; identity is the score of not moving. Generation from frame 0 along the true
cameras, PSNR against the true frames without frame 0, beside repeating frame 0; a model that takes a warp hint gets
frame 0 as a plane at unit depth, and `plane` is the score of that warp alone. Following re-estimates the cameras of
the generated video with the same model (self-consistency), beside the estimate from the true video. --refine adds the
estimate fitted to the clip's tracks. --hints judges leaving the path: the even frames of the first half are shown to
the geometry under true cameras, and PSNR is over the second half, for the warp alone (its holes filled smoothly), the
model alone and the model with the warp as its hint. --known-paths writes known_paths.json beside the weights: what
the estimate errs by on the app's example clips (2 steps, CamI2V's R_err and T_err, see `rap.metrics.path_errors`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from rap import formats, metrics
from rap.config import ASSETS, KNOWN_PATHS, NUM_FRAMES, VERIFY_STEPS, checkpoint_path
from rap.data import Clip, load_clip
from rap.data.clip import open_upload
from rap.data.dataset import ClipStore, relative_cameras
from rap.errors import InputError
from rap.geometry import Trajectory
from rap.pipeline import RaPPipeline
from rap.views.hints import plane_hints
from rap.views.scene import build_scene, followed_path, measured, refine

EXAMPLES = ASSETS / "examples"


def main(argv: Sequence[str] | None = None) -> int:
    """Entry of `rap evaluate`: one JSON object on stdout."""
    parser = argparse.ArgumentParser(prog="rap evaluate", description=__doc__)
    parser.add_argument("clips", nargs="*", type=Path, help="folders of frames with a transforms.json")
    parser.add_argument("--shards", type=Path, help="folder of held-out synthetic shards")
    parser.add_argument("--count", type=int, default=32, help="clips drawn from the shards (default 32)")
    parser.add_argument("--stride", type=int, default=2, help="stride of the windows of real clips (default 2)")
    parser.add_argument("--checkpoint", default=None)
    parser.add_argument("--ray-steps", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=None, help="steps of generation; 0 leaves it out")
    parser.add_argument("--guidance-scale", type=float, default=None)
    parser.add_argument("--refine", action="store_true", help="also refine the estimate on the clip's tracks")
    parser.add_argument("--hints", action="store_true", help="also generate the second half from a warp of the first")
    parser.add_argument("--temperature", type=float, default=None, help="of generation (default: the checkpoint's)")
    parser.add_argument("--hint-level", type=float, default=None, help="noise level down to which the warp is held")
    parser.add_argument("--known-paths", action="store_true", help="measure the example clips, beside the weights")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if not args.clips and args.shards is None and not args.known_paths:
        raise InputError("nothing to evaluate: name folders of clips, --shards DIR or --known-paths")
    pipe = RaPPipeline.from_pretrained(checkpoint_path(args.checkpoint))
    pipe.set_progress_bar_config(disable=True)
    report: dict[str, Any] = {}
    if args.known_paths:
        report["known_paths"] = known_paths(pipe, args.seed)
        path = checkpoint_path(args.checkpoint) / KNOWN_PATHS
        path.write_text(json.dumps(report["known_paths"], indent=2) + "\n", encoding="utf-8")
    for name, clips in _groups(args):
        rows = [evaluate_clip(pipe, clip, args) for clip in tqdm(clips, desc=name)]
        report[name] = {"clips": len(rows), **_mean(rows)}
    print(json.dumps(report, indent=2))
    return 0


def evaluate_clip(pipe: RaPPipeline, clip: Clip, args: argparse.Namespace) -> dict[str, float]:
    """All figures of one clip; `clip.trajectory` is the truth."""
    assert clip.trajectory is not None
    truth = clip.trajectory.relative_to(0)
    still = np.tile(np.eye(4), (len(truth), 1, 1))
    row = {f"identity_{k}": v for k, v in _pose(still, truth).items()}
    for steps in args.ray_steps:
        found = pipe.estimate_trajectory(
            clip.frames_u8, steps=steps, seed=args.seed, flow_frames_u8=clip.detailed_u8
        ).trajectory
        assert found is not None
        row.update({f"pose{steps}_{k}": v for k, v in _pose(found.Ts_world_camera, truth).items()})
        row[f"pose{steps}_focal_error_percent"] = 100 * abs(found.intrinsics[0, 1] / truth.intrinsics[0, 1] - 1)
        if args.refine:
            row.update(_refined(clip, found, truth, f"refined{steps}"))
    if args.hints:
        row.update(_hinted(pipe, clip, truth, args))
    if args.steps == 0:
        return row
    options = _options(args)
    plane = None
    if pipe.transformer.config.warp_hint != "none":
        plane = plane_hints(clip.frames_u8[:1], (0,), truth)
        row["plane_psnr_db"] = metrics.psnr(plane.frames_u8[1:], clip.frames_u8[1:])
    made = pipe.generate_video(clip.frames_u8[:1], truth, hints=plane, **options).frames_u8
    assert made is not None
    followed = pipe.estimate_trajectory(made, seed=args.seed).trajectory
    assert followed is not None
    row["generate_psnr_db"] = metrics.psnr(made[1:], clip.frames_u8[1:])
    row["repeat_psnr_db"] = metrics.psnr(np.repeat(clip.frames_u8[:1], len(truth) - 1, 0), clip.frames_u8[1:])
    row.update({f"follow_{k}": v for k, v in _pose(followed.Ts_world_camera, truth).items()})
    return row


def known_paths(pipe: RaPPipeline, seed: int) -> dict[str, Any]:
    """What the estimate errs by on the example clips, whose cameras are known, and what it errs by fitted to tracks."""
    rows = []
    for film in sorted(EXAMPLES.glob("*.mp4")):
        clip = load_clip(film)
        truth = clip.on_frames(formats.read(film.with_suffix(".transforms.json")))
        found = pipe.estimate_trajectory(
            clip.frames_u8, steps=VERIFY_STEPS, seed=seed, flow_frames_u8=clip.detailed_u8
        ).trajectory
        assert found is not None
        row: dict[str, Any] = {"name": film.stem}
        for prefix, path in (("", found), ("tracks_", followed_path(clip.frames_u8, found, truth).trajectory)):
            errors = metrics.path_errors(path.Ts_world_camera, truth.Ts_world_camera)
            figures = {"r_err_rad": errors.r_err, "t_err": errors.t_err, "rotation_deg": errors.rotation_deg_mean}
            row |= {prefix + key: round(value, 4) for key, value in figures.items()}
        rows.append(row)
    return {"command": "rap evaluate --known-paths", "steps": VERIFY_STEPS, "seed": seed, "clips": rows}


def _refined(clip: Clip, found: Trajectory, truth: Trajectory, name: str) -> dict[str, float]:
    refinement = refine(clip, found)
    fitted = refinement.trajectory
    row = {f"{name}_{k}": v for k, v in _pose(fitted.Ts_world_camera, truth).items()}
    row[f"{name}_focal_error_percent"] = 100 * abs(fitted.intrinsics[0, 1] / truth.intrinsics[0, 1] - 1)
    row[f"{name}_share"] = float(refinement.report.outcome == "refined")
    return row


def _hinted(pipe: RaPPipeline, clip: Clip, truth: Trajectory, args: argparse.Namespace) -> dict[str, float]:
    half = len(clip) // 2
    scene = build_scene(clip, truth, source_indices=tuple(range(0, half + 1, 2)))
    hints = scene.hints(truth)
    options = _options(args)
    videos = {"warp": hints.frames_u8}
    for name, given in (("alone", None), ("hinted", hints)):
        made = pipe.generate_video(clip.frames_u8[:1], truth, hints=given, hint_level=args.hint_level, **options)
        assert made.frames_u8 is not None
        videos[name] = made.frames_u8
    judged = slice(half + 1, None)
    row = {f"leave_{name}_psnr_db": metrics.psnr(v[judged], clip.frames_u8[judged]) for name, v in videos.items()}
    row["leave_seen_share"] = float(hints.mask[judged].mean())
    return row


def _options(args: argparse.Namespace) -> dict[str, Any]:
    options = {"steps": args.steps or None, "guidance_scale": args.guidance_scale, "temperature": args.temperature}
    return {**options, "seed": args.seed}


def _pose(Ts: np.ndarray, truth: Trajectory) -> dict[str, float]:
    errors = metrics.pose_errors(Ts, truth.Ts_world_camera)
    return {"auc30": errors.auc30, "rotation_deg_median": float(np.median(errors.rotation_deg))}


def _groups(args: argparse.Namespace) -> Iterator[tuple[str, list[Clip]]]:
    if args.shards is not None:
        yield "synthetic", list(_synthetic(args.shards, args.count, args.seed))
    for folder in args.clips:
        yield folder.parent.name if folder.name == "frames" else folder.name, list(_real(folder, args.stride))


def _real(folder: Path, stride: int) -> Iterator[Clip]:
    """The windows with their cameras in the unit of length that the model knows; a file's is another."""
    for clip in windows(folder, stride):
        assert clip.trajectory is not None
        yield replace(clip, trajectory=measured(clip, clip.trajectory.relative_to(0))[0])


def windows(folder: Path, stride: int) -> Iterator[Clip]:
    """Windows of 17 frames that overlap by half.

    Raises:
        InputError: the folder is too short for one, a picture cannot be read, or there are no known cameras. Fewer
            windows than the folder holds would be figures of other clips.
    """
    last = open_upload(folder).source.count - 1
    # The first window is always tried: its refusal says what would do.
    for start in range(0, max(1, last - stride * (NUM_FRAMES - 1) + 1), NUM_FRAMES // 2 * stride):
        clip = load_clip(folder, start=start, stride=stride)
        if clip.trajectory is None:
            why = "; ".join(note for note in clip.notes if "reference cameras" in note)
            raise InputError(f"{folder}: no known cameras; {why or 'a transforms.json in or beside it is needed'}")
        yield clip


def _synthetic(folder: Path, count: int, seed: int) -> Iterator[Clip]:
    store, rng = ClipStore(folder), np.random.default_rng(seed)
    for _ in range(count):
        clips = store.draw(1, rng)
        Ts = relative_cameras(clips, np.zeros(1, dtype=int))[0]
        trajectory = Trajectory(Ts.astype(np.float64), clips.intrinsics[0].astype(np.float64), clips.size)
        yield Clip(clips.frames_u8[0], trajectory.fps, trajectory)


def _mean(rows: list[dict[str, float]]) -> dict[str, Any]:
    return {key: round(float(np.mean([row[key] for row in rows])), 4) for key in rows[0]}


if __name__ == "__main__":
    raise SystemExit(main())
