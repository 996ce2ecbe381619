"""What estimates err by on the app's example clips, whose cameras are known; kept beside the weights for the page."""

from __future__ import annotations

from typing import Any

from rap import formats, metrics
from rap.config import ASSETS, VERIFY_STEPS
from rap.data import load_clip
from rap.pipeline import RaPPipeline
from rap.reconstruction.followed import followed_path

EXAMPLES = ASSETS / "examples"


def known_paths(pipe: RaPPipeline, seed: int) -> dict[str, Any]:
    """CamI2V's R_err and T_err (`rap.metrics.path_errors`) of the estimate by 2 steps, and of it fitted to tracks."""
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
