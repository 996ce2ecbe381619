"""The formats, in one table: what page, API, command line, tests and `docs/conventions.md` go by.

A new format is a file with `read`, `write` or both, and an entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rap.formats import (
    after_effects,
    blender_script,
    camera_path,
    chan,
    colmap,
    llff,
    matrix_arrays,
    nerf_synthetic,
    nerfstudio,
    npz,
    polycam,
    realestate10k,
    record3d,
    stable_virtual_camera,
    tum,
    usd,
)
from rap.formats.distortion import Distortion
from rap.geometry.trajectory import Trajectory

FACTS = {
    "lens": "lens (field of view)",
    "zoom": "lens that changes from frame to frame",
    "pixel_shape": "pixels that are not square",
    "centre": "principal point off the middle",
    "size": "size of the pictures",
    "rate": "frame rate",
    "names": "names of the frames",
    "source": "which frame is the source",
}
"""What a path has besides its poses, and how it is called."""

PINHOLE = frozenset({"lens", "zoom", "pixel_shape", "centre"})
SQUARE = 1e-6
"""Share of the focal length by which the two may differ as numbers are rounded."""


@dataclass(frozen=True)
class Format:
    """One outside format, as the app lists it.

    Attributes:
        name: key of `FORMATS`.
        title, convention: what people are shown; the second says which way the poses go and which axes the camera has.
        default_name: of a file or folder of it, by which it is recognised, too.
        read: None for a format that is only written; `options` are its keywords that the file cannot answer itself.
        write: None for a format that is only read.
        holds: of `FACTS`, those that a file of it keeps.
        suffixes, words: what a file is called that is to be written in it: a suffix, and where several formats have it,
            one of the words somewhere in the name.
        read_frame_names, read_times_s, read_distortion: what else a file may know of its frames; None where the format
            has no place for it.
        is_there: whether what it needs is installed.
    """

    name: str
    title: str
    default_name: str
    convention: str
    read: Callable[..., Trajectory] | None
    write: Callable[..., None] | None
    holds: frozenset[str] = frozenset()
    suffixes: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    read_frame_names: Callable[..., tuple[str, ...]] | None = None
    read_times_s: Callable[..., np.ndarray | None] | None = None
    read_distortion: Callable[..., tuple[Distortion | None, ...]] | None = None
    options: frozenset[str] = frozenset()
    is_there: Callable[[], bool] = lambda: True

    def lost(self, trajectory: Trajectory, frame_names: Sequence[str] | None = None) -> tuple[str, ...]:
        """What a path has and a file of this format does not keep, in words of `FACTS`."""
        fx, fy, cx, cy = trajectory.intrinsics.T
        height, width = trajectory.image_size
        has = {
            "zoom": bool(np.ptp(trajectory.intrinsics[:, :2], axis=0).any()),
            "pixel_shape": bool((np.abs(fx / fy - 1) > SQUARE).any()),
            "centre": bool(np.abs(np.stack([cx / width, cy / height]) - 0.5).max() > SQUARE),
            "names": frame_names is not None,
            "source": trajectory.source != 0,
        }
        return tuple(words for fact, words in FACTS.items() if fact not in self.holds and has.get(fact, True))


def _write_glb(path: str | Path, trajectory: Trajectory, *args: Any, **options: Any) -> None:
    """`rap.formats.glb.write`; trimesh is imported when a GLB is written, and training never writes one."""
    from rap.formats import glb

    glb.write(path, trajectory, *args, **options)


def _arrays(name: str) -> dict[str, Any]:
    """Reader and writer of a layout."""
    layout = matrix_arrays.LAYOUTS[name]
    return {
        "read": partial(matrix_arrays.read, layout=layout),
        "write": lambda path, trajectory, names=None: matrix_arrays.write(path, trajectory, layout, names),
    }


OPENCV = "OpenCV axes (+y down, looking along +z)"
OPENGL = "OpenGL axes (+y up, looking along -z)"
OF_NERFSTUDIO = {
    "read": nerfstudio.read,
    "read_frame_names": nerfstudio.read_frame_names,
    "read_distortion": nerfstudio.read_distortion,
    "options": frozenset({"image_size"}),
}
OF_COLMAP = {
    "read": colmap.read,
    "read_frame_names": colmap.read_frame_names,
    "read_distortion": colmap.read_distortion,
    "holds": PINHOLE | {"size", "names"},
    "suffixes": ("",),
}

FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        Format(
            "nerfstudio", "nerfstudio transforms.json", "transforms.json",
            f"camera to world, {OPENGL}, intrinsics in pixels",
            write=nerfstudio.write, holds=PINHOLE | {"size", "rate", "names"}, suffixes=(".json",), **OF_NERFSTUDIO,
        ),
        Format(
            "camera_path", "nerfstudio camera_path.json", "camera_path.json",
            f"camera to world, {OPENGL}, vertical field of view in degrees",
            camera_path.read, camera_path.write, frozenset({"lens", "zoom", "size", "rate"}),
            (".json",), ("camera_path",),
        ),
        Format(
            "nerf_synthetic", "NeRF-synthetic JSON (Blender)", "transforms_train.json",
            f"camera to world, {OPENGL}, one horizontal field of view in radians",
            write=nerf_synthetic.write, holds=frozenset({"lens", "size", "names"}),
            suffixes=(".json",), words=("transforms_train", "nerf_synthetic"), **OF_NERFSTUDIO,
        ),
        Format(
            "stable_virtual_camera", "Stable Virtual Camera (folder)", "stable_virtual_camera",
            f"camera to world, {OPENGL}, intrinsics in pixels, beside it which frames are given",
            write=stable_virtual_camera.write, holds=PINHOLE | {"size"},
            suffixes=("",), words=("stable_virtual_camera", "seva"), **OF_NERFSTUDIO,
        ),
        Format(
            "colmap", "COLMAP text model (folder)", "colmap",
            f"world to camera, {OPENCV}, quaternion wxyz, intrinsics in pixels",
            write=colmap.write, **OF_COLMAP,
        ),
        Format(
            "colmap_binary", "COLMAP binary model (folder)", "colmap_binary",
            f"world to camera, {OPENCV}, quaternion wxyz, intrinsics in pixels",
            write=colmap.write_binary, words=("colmap_binary",), **OF_COLMAP,
        ),
        Format(
            "tum", "TUM trajectory", "trajectory.tum",
            f"camera to world, {OPENCV}, quaternion xyzw, no intrinsics",
            tum.read, tum.write, frozenset({"rate"}), (".tum", ".txt"),
            read_times_s=tum.read_times_s, options=frozenset({"image_size", "fov_y_rad"}),
        ),
        Format(
            "realestate10k", "RealEstate10K text", "realestate10k.txt",
            f"world to camera 3x4, {OPENCV}, intrinsics divided by the image size",
            realestate10k.read, realestate10k.write, PINHOLE | {"rate"}, (".txt",), ("realestate10k", "re10k"),
            read_times_s=realestate10k.read_times_s, options=frozenset({"image_size"}),
        ),
        Format(
            "npz", "NumPy archive (lossless)", "trajectory.npz",
            f"camera to world, {OPENCV}, intrinsics in pixels",
            npz.read, npz.write, frozenset(FACTS), (".npz",), read_frame_names=npz.read_frame_names,
        ),
        Format(
            "gen3c", "GEN3C trajectory (npz)", "gen3c.npz",
            f"world to camera, {OPENCV}, 3x3 intrinsics in pixels",
            **_arrays("gen3c"), holds=PINHOLE | {"size", "rate"}, suffixes=(".npz",), words=("gen3c",),
        ),
        Format(
            "lyra2", "Lyra-2 trajectory (npz)", "lyra2.npz",
            f"world to camera, {OPENCV}, 3x3 intrinsics in pixels",
            **_arrays("lyra2"), holds=PINHOLE | {"size", "rate"}, suffixes=(".npz",), words=("lyra2", "lyra-2"),
        ),
        Format(
            "c2w", "c2w and K arrays (npz, float32)", "c2w.npz",
            f"camera to world, {OPENCV}, 3x3 intrinsics in pixels",
            **_arrays("c2w"), holds=PINHOLE | {"size", "rate"}, suffixes=(".npz",), words=("c2w",),
        ),
        Format(
            "chan", "Nuke .chan", "camera.chan",
            f"camera to world, {OPENGL}, world +y up, degrees turned in the order ZXY, vertical field of view",
            chan.read, chan.write, frozenset({"lens", "zoom"}), (".chan",),
            options=frozenset({"image_size", "fov_y_rad"}),
        ),
        Format(
            "after_effects", "After Effects keyframes (text)", "after_effects.txt",
            f"camera to world, {OPENCV}, in pixels from the middle of the composition, degrees Rx Ry Rz",
            after_effects.read, after_effects.write, frozenset({"lens", "zoom", "size", "rate"}),
            (".txt",), ("after_effects",),
        ),
        Format(
            "usd", "OpenUSD camera (.usda)", "camera.usda",
            f"camera to world, {OPENGL}, world +y up, focal length over aperture",
            usd.read, usd.write, PINHOLE | {"size", "rate"}, (".usda", ".usd", ".usdc"),
            options=frozenset({"image_size"}), is_there=usd.is_there,
        ),
        Format(
            "blender_script", "Blender Python script (write-only)", "blender_camera.py",
            f"camera to world, {OPENGL}, world +z up, focal length for a sensor of 36 mm",
            None, blender_script.write, PINHOLE | {"size", "rate"}, (".py",),
        ),
        Format(
            "glb", "GLB of the frusta (write-only)", "cameras.glb",
            "frusta in the source camera's world, +y up",
            None, _write_glb, suffixes=(".glb",),
        ),
        Format(
            "llff", "LLFF poses_bounds.npy (read-only)", llff.NAME,
            "camera to world, axes down, right, backwards, one focal length in pixels",
            llff.read, None, frozenset({"lens", "zoom", "size", "names"}), read_frame_names=llff.read_frame_names,
        ),
        Format(
            "record3d", "Record3D recording (read-only)", record3d.NAMES[0],
            f"camera to world, {OPENGL}, quaternion xyzw, intrinsics in pixels",
            record3d.read, None, PINHOLE | {"size", "rate", "names"},
            read_frame_names=record3d.read_frame_names, read_times_s=record3d.read_times_s,
        ),
        Format(
            "polycam", "Polycam raw data (read-only)", polycam.FOLDERS[0],
            f"camera to world 3x4, {OPENGL}, intrinsics in pixels",
            polycam.read, None, PINHOLE | {"size", "names"}, read_frame_names=polycam.read_frame_names,
        ),
    )
}  # fmt: skip


def writable() -> dict[str, Format]:
    """The formats that can be written here and now."""
    return {name: entry for name, entry in FORMATS.items() if entry.write is not None and entry.is_there()}


def markdown() -> str:
    """The formats as a table in Markdown, for `docs/conventions.md`."""
    rows = []
    for entry in FORMATS.values():
        ways = " and ".join(way for way, there in (("in", entry.read), ("out", entry.write)) if there is not None)
        lacking = ", ".join(words for fact, words in FACTS.items() if fact not in entry.holds)
        written = ", ".join(_written_names(entry)) or "-"
        rows.append(f"| `{entry.name}` | {entry.title} | {ways} | {written} | {entry.convention} | {lacking or '-'} |")
    head = ["| name | format | ways | OUT is called | convention | has no place for |", "|---|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def _written_names(entry: Format) -> list[str]:
    """Patterns of the names that `name_for_writing` takes for a format."""
    if entry.write is None:
        return []
    stems = [f"*{word}*" for word in entry.words] or ["*"]
    return [f"`{stem}{suffix}`" + ("" if suffix else " (folder)") for suffix in entry.suffixes for stem in stems]


def name_for_writing(path: Path) -> str:
    """The format that a name asks for.

    Raises:
        ValueError: its suffix belongs to none.
    """
    suffix, stem = path.suffix.lower(), path.name.lower()
    fitting = [entry for entry in FORMATS.values() if entry.write is not None and suffix in entry.suffixes]
    meant = [entry for entry in fitting if any(word in stem for word in entry.words)]
    meant = meant or [entry for entry in fitting if not entry.words]
    if meant:
        return meant[0].name
    known = dict.fromkeys(s for entry in FORMATS.values() if entry.write for s in entry.suffixes if s)
    raise ValueError(
        f"{path.name}: the suffix {suffix} belongs to no format; end the name in {', '.join(known)}, "
        "give a folder for COLMAP, or name the format"
    )
