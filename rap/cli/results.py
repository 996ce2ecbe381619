"""What a command leaves behind: a folder of files, and a result that is one JSON object or a few lines of text."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rap.cli.stages import stage
from rap.errors import InputError
from rap.writing import NoRoom, whole_file, write_text

if TYPE_CHECKING:
    from rap.data import Clip
    from rap.geometry import Trajectory

RESULT = "result.json"
"""Written last into every result folder: the object that --json prints; also the sign that the folder is ours."""

PICTURES = ("frames", "clip", "raxels", "depth", "moving")
"""Folders of pictures: what a command made or took, the input's frames where these are others, raxel maps, depth, what
moves."""

PAIR_PROTOCOL = "relative poses of all frame pairs i < j, scale-free; direction without its sign; AUC in 1-degree bins"
PATH_PROTOCOL = (
    "poses relative to the first frame; r_err in radians, t_err with each path's translations divided by its largest, "
    "both summed over the frames; ATE after similarity alignment (scale-aligned), in the reference's unit"
)


DETAILS = (
    "command", "input", "hash", "clip_hash", "frame_indices", "coverage_of_frames", "protocol", "files", "predicted",
    "start", "num_observations", "num_points", "focal_change", "largest_distance", "seed",
)  # fmt: skip
"""Keys of a result that are left to its file."""

BY_NAME = "clips"  # whose keys are people's own, not ours
PATH_FIGURES = frozenset(("num_frames", "image_size", "fov_y_deg", "path_length", "largest_rotation_deg"))

FOLLOWED_PROTOCOL = (
    "cameras fitted to points tracked through the generated video, with the lens asked for, against the path asked "
    "for; a frame that cannot be tied to the others counts as not followed"
)


class ResultFolder:
    """Writes the files of one command and remembers them.

    Raises (on construction):
        InputError: the folder is not empty and not of an earlier run, holds an input, or cannot be made.
    """

    def __init__(self, out: Path | None, command: str, name: str, inputs: Iterable[Path]) -> None:
        self.path = Path("rap-output") / f"{command}-{name}" if out is None else out
        self.files: dict[str, str] = {}
        self._started = time.perf_counter()
        _check_folder(self.path, inputs)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for old in _earlier_files(self.path):
                old.unlink()
        except OSError as error:
            raise InputError(f"--out {self.path}: cannot be written ({error.strerror})") from error

    def write_frames(self, frames_u8: np.ndarray, kind: str = "frames") -> tuple[str, ...]:
        """frames/0000.png ...; returns the names as transforms.json wants them. `kind` is one of PICTURES."""
        from rap.data import write_frames

        with self._writing(kind, kind) as folder:
            return tuple(f"{kind}/{name}" for name in write_frames(folder, frames_u8))

    def write_figure(self, pictures_u8: np.ndarray, fps: float) -> None:
        """figure.mp4, and figure.png of the middle frame."""
        from PIL import Image

        from rap.data import playback_fps, write_video

        with self._writing("figure_video", "figure.mp4") as path:
            write_video(path, pictures_u8, playback_fps(fps))
        with self._writing("figure", "figure.png") as path, whole_file(path) as partial:
            Image.fromarray(pictures_u8[len(pictures_u8) // 2]).save(partial)

    def write_raxels(self, raxels: np.ndarray | None) -> None:
        """raxels/0000.png ..., when there are any."""
        if raxels is None:
            return
        from rap.data import raxels_to_u8, write_frames

        with self._writing("raxels", "raxels") as folder:
            write_frames(folder, raxels_to_u8(raxels))

    def write_video(self, frames_u8: np.ndarray, fps: float, name: str = "video.mp4") -> None:
        """An MP4 at the clip's rate, or at eight frames a second when that is too slow to watch."""
        from rap.data import playback_fps, write_video

        with self._writing(Path(name).stem, name) as path:
            write_video(path, frames_u8, playback_fps(fps))

    def write_cameras(self, trajectory: Trajectory, frame_names: Sequence[str], stem: str = "") -> None:
        """transforms.json and trajectory.npz; a stem is put before both names."""
        from rap import formats

        for key, name in (
            (f"{stem}transforms", f"{stem}transforms.json"),
            (f"{stem}trajectory", f"{stem}trajectory.npz"),
        ):
            with self._writing(key, name) as path:
                formats.write(path, trajectory, frame_names)

    def write_points(self, xyz: np.ndarray, colours_u8: np.ndarray, name: str = "points.ply") -> None:
        """(N, 3) points and RGB colours as binary PLY, in the world of the cameras (+y down); no file for none."""
        if len(xyz) == 0:
            return
        import trimesh

        with self._writing(Path(name).stem, name) as path, whole_file(path) as partial:
            trimesh.PointCloud(xyz, colours_u8).export(partial)

    def write_depth(self, inverse_depth: np.ndarray, intrinsics: np.ndarray) -> None:
        """depth.png of a picture, 16 bits, its scale in its text chunks.

        Args:
            inverse_depth: (h, w).
            intrinsics: (4,) in px of it.
        """
        from rap.geometry import fov_y_from_intrinsics
        from rap.views.depth_map import write_depth_png

        with self._writing("depth", "depth.png") as path:
            write_depth_png(path, inverse_depth, float(fov_y_from_intrinsics(intrinsics, inverse_depth.shape[0])))

    def write_depth_video(self, inverse_depths: np.ndarray, fps: float) -> None:
        """depth/0000.png ... with 16 bits, and depth.mp4, in whose colours near is bright, the same in all frames.

        Args:
            inverse_depths: (T, h, w), in 1 / the unit of the path.
        """
        from rap.views.depth_map import depth_picture, write_depth_pngs

        with self._writing("depth_frames", "depth") as path:
            write_depth_pngs(path, inverse_depths)
        self.write_video(
            depth_picture(inverse_depths.reshape(-1, inverse_depths.shape[-1])).reshape(*inverse_depths.shape, 3),
            fps,
            "depth.mp4",
        )

    def finish(self, result: dict[str, Any]) -> dict[str, Any]:
        """Add the folder, the files and the time to a result, and write it."""
        result = finite(
            {
                **result,
                "seconds": round(time.perf_counter() - self._started, 3),
                "out": str(self.path),
                "files": dict(self.files),
            }
        )
        with self._writing("result", RESULT) as path:
            write_text(path, json.dumps(result, indent=1, allow_nan=False) + "\n")
        return result

    @contextmanager
    def _writing(self, key: str, name: str) -> Iterator[Path]:
        """Where to write; on a full disk all that this run has written goes: the next may then use the folder."""
        self.files[key] = name
        try:
            yield self.path / name
        except NoRoom:
            for written in _files_of(self.path, self.files.values()):
                written.unlink()
            for kind in PICTURES:
                with suppress(OSError):  # not there, or another's
                    (self.path / kind).rmdir()
            raise


def _check_folder(out: Path, inputs: Iterable[Path]) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out}: is a file; name a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / RESULT).is_file():
        raise InputError(
            f"--out {out}: holds files that no rap command wrote (no {RESULT}); name a new or empty folder"
        )
    for path in inputs:
        if out.is_dir() and path.resolve().is_relative_to(out.resolve()):
            raise InputError(f"--out {out}: holds the input {path}, which would be overwritten; name another folder")


def _earlier_files(out: Path) -> list[Path]:
    """What an earlier run wrote and this one may not overwrite: it may have had more pictures, or other cameras."""
    try:
        listed = json.loads((out / RESULT).read_text(encoding="utf-8"))["files"].values()
    except (FileNotFoundError, ValueError, KeyError, AttributeError, TypeError):
        listed = ()  # a new folder, or a result that someone has edited
    return _files_of(out, listed)


def _files_of(out: Path, listed: Iterable[Any]) -> list[Path]:
    """Pictures, and the files of these names."""
    names = {name for name in listed if isinstance(name, str) and Path(name).name == name}
    pictures = [picture for kind in PICTURES for picture in out.glob(f"{kind}/*.png")]
    return pictures + [out / name for name in sorted(names) if (out / name).is_file()]


def clip_fields(clip: Clip) -> dict[str, Any]:
    """What a result says of its input clip."""
    return {
        "name": clip.name,
        "num_frames": len(clip),
        "frame_indices": list(clip.frame_indices),
        "frame_names": list(clip.frame_names),
        "image_size": list(clip.image_size),
        "fps": clip.fps if clip.is_timed else None,
        "own_frames": list(clip.own_frames),
        "clip_hash": clip.hash,
        "footage_size": list(clip.footage_size),
        "exif_fov_y_deg": None if clip.exif_fov_y_rad is None else math.degrees(clip.exif_fov_y_rad),
        "notes": list(clip.notes),
    }


def trajectory_fields(trajectory: Trajectory) -> dict[str, Any]:
    """Size of a camera path: field of view, length, furthest and most turned camera from the first."""
    from rap.geometry import se3

    T_first_camera = se3.inverse(trajectory.Ts_world_camera[0]) @ trajectory.Ts_world_camera
    centres = T_first_camera[:, :3, 3]
    return {
        "num_frames": len(trajectory),
        "image_size": list(trajectory.image_size),
        "fov_y_deg": float(np.degrees(np.median(trajectory.fov_y_rad))),
        "path_length": float(np.linalg.norm(np.diff(centres, axis=0), axis=-1).sum()),
        "largest_distance": float(np.linalg.norm(centres, axis=-1).max()),
        "largest_rotation_deg": float(np.degrees(se3.rotation_angle(T_first_camera[:, :3, :3])).max()),
        "hash": trajectory.hash,
    }


def coverage_fields(mask: np.ndarray) -> dict[str, Any]:
    """Share of the pixels that the input has shown, of (T, H, W) masks: of all frames together and of each."""
    of_frames = mask.astype(np.float64).mean(axis=(1, 2))
    return {"coverage": float(of_frames.mean()), "coverage_of_frames": [round(float(c), 4) for c in of_frames]}


def camera_errors(predicted: Trajectory, reference: Trajectory, lost: Sequence[int] = ()) -> dict[str, Any]:
    """Errors of a path against another of the same frames, each set with its protocol; `lost` as in `rap.metrics`."""
    from rap import metrics

    poses = predicted.Ts_world_camera, reference.Ts_world_camera
    fov_deg = np.degrees(np.median(predicted.fov_y_rad) - np.median(reference.fov_y_rad))
    return {
        "pairs": {"protocol": PAIR_PROTOCOL, **metrics.pose_errors(*poses, lost).summary()},
        "path": {"protocol": PATH_PROTOCOL, **metrics.path_errors(*poses, lost).summary()},
        "fov_y_error_deg": float(fov_deg),
    }


def followed_fields(frames_u8: np.ndarray, estimated: Trajectory, requested: Trajectory) -> dict[str, Any]:
    """Errors of the path that a generated video shows by its tracks; none of them where nothing can be tracked."""
    from rap.reconstruction.followed import MEASURED, followed_path

    with stage("measure whether the video follows its path"):
        found = followed_path(frames_u8, estimated, requested)
    report = found.report
    errors = camera_errors(found.trajectory, requested, report.lost) if report.outcome in MEASURED else {}
    errors.pop("fov_y_error_deg", None)  # the fit takes the lens that was asked for
    said = {"outcome": report.outcome, "verdict": report.words, "reason": report.reason, "lost": list(report.lost)}
    return {"protocol": FOLLOWED_PROTOCOL, **said, **errors}


def finite(value: Any) -> Any:
    """A result with None in place of NaN and infinity, which JSON has not."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def report_lines(result: dict[str, Any]) -> list[str]:
    """A result as text: a line for each value, nested ones indented, empty ones left out.

    Where a folder keeps the whole result, a path is one line, and what only a program wants is left to the file.
    """
    if "out" not in result:
        return _lines(result)
    return [*_lines(_without_details(result)), f"all figures: {Path(result['out']) / RESULT}"]


def _without_details(result: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for key, value in result.items():
        if key in DETAILS:
            continue
        if isinstance(value, dict):
            value = path_words(value) if value.keys() >= PATH_FIGURES else _without_details(value)
        found[key] = value
    return found


def path_words(figures: dict[str, Any]) -> str:
    """The figures of `trajectory_fields` in a line."""
    h, w = figures["image_size"]
    return (
        f"{figures['num_frames']} frames of {w} x {h} px, {figures['fov_y_deg']:.1f} degrees of view (vertical), "
        f"{figures['path_length']:.3g} long, turns by up to {figures['largest_rotation_deg']:.3g} degrees"
    )


def _lines(result: dict[str, Any], indent: str = "", are_names: bool = False) -> list[str]:
    lines = []
    for key, value in result.items():
        label = f"{indent}{key if are_names else key.replace('_', ' ')}:"
        if isinstance(value, dict):
            lines += [label, *_lines(value, indent + "  ", are_names=key == BY_NAME)] if value else []
        elif key.endswith("size") and isinstance(value, list):
            lines.append(f"{label} {value[1]} x {value[0]} px")  # as everywhere in words; files have height first
        elif isinstance(value, list) and value and isinstance(value[0], str):
            lines += [label, *(f"{indent}  {entry}" for entry in value)] if key == "notes" else []
        elif value is not None and value != [] and value != "":
            lines.append(f"{label} {_shown(value)}")
    return lines


def _shown(value: Any) -> str:
    if isinstance(value, list):
        between = ", " if value and isinstance(value[0], list) else " "
        return between.join(_shown(entry) for entry in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
