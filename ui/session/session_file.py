"""A session as one zip: what came in, the paths, the takes and their verifications; opened again without the model.

`manifest.json` names every other file with its size and SHA-256, and holds the rest as plain values. A file that is
damaged, foreign or made to do harm is refused by name before anything of it is used: the archive by
`ui.session.session_archive`, the manifest's values by `ui.session.session_values`. Arrays are `.npz`, never pickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np

from rap import formats, sandbox
from rap.data import Clip
from rap.data.packed import PICTURES, clip_of, clip_pictures, clip_values
from rap.errors import InputError
from rap.formats import archive
from rap.formats.values import flag, listed, number, size_of, text, whole
from rap.geometry import Trajectory
from rap.geometry.keys import KeyPath
from rap.geometry.spread import PathSpread
from rap.guard import reading
from rap.limits import (
    NPZ_BYTES,
    PATH_FRAMES,
    SENTENCE_CHARACTERS,
    SESSION_BYTES,
    SESSION_POINTS,
    SESSION_TAKES,
    TAKE_PIXELS,
    TAKE_SIDE,
)
from rap.writing import room_for, whole_file
from ui.document import document as doc
from ui.document.document import Document, Take
from ui.document.verification import verified
from ui.session import session_values as values
from ui.session.session_archive import KEPT_TITLE, KIND, MANIFEST, VERSION, gathered, unpacked

if TYPE_CHECKING:
    from rap.reconstruction.tracks import PointCloud

CLIP_FILE, REFERENCE_FILE = "clip/frames.npz", "clip/reference.npz"
KEYS_FILE = "paths/keys.npz"
CLOUD_FILE = "paths/points.npz"
PATHS = ("predicted", "refined", "edited")
CLOUD_COLUMNS = {"xyz": (3, "f"), "colours_u8": (3, "u"), "span": (2, "i"), "point": (0, "i")}
"""Width and NumPy's letter of the type; all others are single floats."""


@dataclass(frozen=True, eq=False)
class Opened:
    """What a session file holds.

    Args:
        document: without history.
        known_fov_y_rad: vertical field of view of the clip where it was known.
        cloud: points of the refinement, where there was one; a file of before they were kept has none.
        flat: the picture was to be a plane.
    """

    document: Document
    known_fov_y_rad: float | None
    cloud: PointCloud | None
    flat: bool = False


# --- writing ----------------------------------------------------------------------------------------------------------


def save(
    path: Path,
    document: Document,
    known_fov_y_rad: float | None = None,
    cloud: PointCloud | None = None,
    flat: bool = False,
) -> None:
    """Write a session file.

    Args:
        known_fov_y_rad, cloud, flat: as in `Opened`.

    Raises:
        InputError: there is no clip yet.
        NoRoom: the disk is full; an earlier file of this name is as it was.
    """
    if document.clip is None:
        raise InputError("there is nothing to save yet; give a video or an image first")
    with whole_file(path) as unfinished, TemporaryDirectory(prefix="saving-", dir=path.parent) as made:
        told = {}
        for entry, value in contents(document, document.clip, cloud).items():
            write_content(Path(made, entry), value)
            told[entry] = fingerprint(Path(made, entry))
        manifest = manifest_text(document, document.clip, known_fov_y_rad, told, flat)
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as packed:  # all of it is compressed already
            packed.writestr(MANIFEST, manifest, zipfile.ZIP_DEFLATED)
            for entry in told:
                packed.write(Path(made, entry), entry)


def contents(document: Document, clip: Clip, cloud: PointCloud | None) -> dict[str, Any]:
    """Every file of a session but its manifest, by name, and what is in it: an immutable value, or a file's path."""
    found: dict[str, Any] = {
        CLIP_FILE: clip,
        REFERENCE_FILE: clip.trajectory,
        **{f"paths/{name}.npz": getattr(document, name) for name in PATHS},
        KEYS_FILE: None if document.keys is None else document.keys.keys,
        CLOUD_FILE: cloud,
    }
    for take in document.takes:
        found[_thumbnail_name(take.number)] = take.thumbnail or None
        found[_video_name(take.number)] = take.video
        found[_cameras_name(take.number)] = take.trajectory
    for verification in document.verifications:
        found[_followed_name(verification.take)] = verification.followed
        estimated = verification.estimated
        found[_estimated_name(verification.take)] = None if estimated is None else estimated.followed
    return {entry: value for entry, value in found.items() if value is not None}


def write_content(file: Path, value: Any) -> None:
    """One of `contents`; what is a file already gets a second name, where the disk has such."""
    file.parent.mkdir(exist_ok=True)
    if isinstance(value, Trajectory):
        formats.write(file, value)
    elif isinstance(value, bytes):
        file.write_bytes(value)
    elif isinstance(value, Path):
        try:
            os.link(value, file)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(value, file)
    else:
        arrays = (
            clip_pictures(value) if isinstance(value, Clip) else {f.name: getattr(value, f.name) for f in fields(value)}
        )
        np.savez_compressed(file, allow_pickle=False, **arrays)


def manifest_text(
    document: Document,
    clip: Clip,
    known_fov_y_rad: float | None,
    files: dict[str, dict[str, Any]],
    flat: bool = False,
) -> str:
    """The manifest; `files` as `fingerprint` tells of each."""
    manifest = {**_values(document, clip, known_fov_y_rad), "flat_picture": flat, "files": files}
    return json.dumps(manifest, indent=1, allow_nan=True)


def _values(document: Document, clip: Clip, known_fov_y_rad: float | None) -> dict[str, Any]:
    return {
        "kind": KIND,
        "version": VERSION,
        "clip": clip_values(clip),
        "known_fov_y_rad": known_fov_y_rad,
        "prediction_follows_clip": document.prediction_follows_clip,
        "follows_clip": document.follows_clip,
        "keys": None if document.keys is None else _key_settings(document.keys),
        "target": None if document.target is None else list(document.target),
        "report": None if document.report is None else asdict(document.report),
        "soft_drag": asdict(document.soft),
        "sources": list(document.sources),
        "spread": None if document.spread is None else _spread_values(document.spread),
        "shown_take": document.shown_take,
        "takes": [
            {
                "number": take.number,
                "origin": take.origin,
                "clip_hash": take.clip_hash,
                "settings": asdict(take.settings),
                "seconds": take.seconds,
                "name": take.name,
                "starred": take.starred,
                "size": None if take.size is None else list(take.size),
            }
            for take in document.takes
        ],
        "verified": [
            {"take": found.take, "seconds": found.seconds, "reason": found.reason, "lost": list(found.lost)}
            for found in document.verifications
        ],
    }


def _video_name(number: int) -> str:
    return f"takes/take-{number}.mp4"


def _thumbnail_name(number: int) -> str:
    return f"takes/take-{number}.jpg"


def _key_settings(keys: KeyPath) -> dict[str, Any]:
    return {
        "times": list(keys.times),
        "num_frames": keys.num_frames,
        "tension": keys.tension,
        "easing": keys.easing,
        "loop": keys.loop,
    }


def _spread_values(spread: PathSpread) -> dict[str, Any]:
    values = {name: getattr(spread, name).tolist() for name in ("rotation_deg", "distance")}
    return {"samples": spread.samples, "reach": spread.reach, **values}


def _cameras_name(number: int) -> str:
    return f"takes/take-{number}.npz"


def _followed_name(number: int) -> str:
    return f"takes/followed-{number}.npz"


def _estimated_name(number: int) -> str:
    return f"takes/estimated-{number}.npz"


def fingerprint(file: Path) -> dict[str, Any]:
    """Size and hash of a file."""
    with file.open("rb") as stream:
        return {"bytes": file.stat().st_size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


# --- reading ----------------------------------------------------------------------------------------------------------


def open_session(path: Path, folder: Path) -> Opened:
    """Read a session file; its takes are unpacked into a new folder within `folder`, by a process that can be killed.

    Raises:
        InputError: what is wrong with the file, and what would be right. Nothing is left in `folder` then.
    """
    return _opened(folder, unpacked, path.name, path=str(path.absolute()))


def open_kept(folder: Path) -> Opened:
    """A session that `ui.session.kept_session` has written into a folder, as strictly: anybody may have changed it.

    Raises:
        InputError: as `open_session`.
    """
    return _opened(folder, gathered, KEPT_TITLE, path=str(folder.absolute()))


def _opened(folder: Path, reader: Callable[..., sandbox.Packed], title: str, **arguments: str) -> Opened:
    with room_for(Path(title)):
        target = Path(mkdtemp(prefix="opened-", dir=folder))
    try:
        manifest, _ = sandbox.call(reader, title, folder=str(target.absolute()), **arguments)
        with reading(title, "the manifest was not written by this app"):
            found = _restored(manifest, target, title)
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        raise
    for entry in (CLIP_FILE, KEYS_FILE):  # the files of takes are used on
        shutil.rmtree((target / entry).parent, ignore_errors=True)
    return found


def _restored(manifest: dict[str, Any], folder: Path, name: str) -> Opened:
    try:
        document = _with_paths(Document(clip=_clip(manifest["clip"], folder)), manifest, folder)
        document = _with_takes(document, manifest, folder)
        if manifest["shown_take"] is not None:
            document = doc.show_take(document, whole(manifest["shown_take"], "shown_take"))
        known = manifest["known_fov_y_rad"]
        known = None if known is None else number(known, "known_fov_y_rad", 1e-6, np.pi - 1e-6)
        flat = flag(manifest.get("flat_picture", False), "flat_picture")  # none before there was a choice
        return Opened(document, known, _cloud(folder / CLOUD_FILE), flat)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _with_paths(document: Document, manifest: dict[str, Any], folder: Path) -> Document:
    report, keys = manifest["report"], manifest.get("keys")
    document = replace(
        document,
        **{key: _path(folder / "paths" / f"{key}.npz") for key in PATHS},
        soft=values.soft_drag(manifest["soft_drag"]),
        prediction_follows_clip=flag(manifest["prediction_follows_clip"], "prediction_follows_clip"),
        follows_clip=flag(manifest["follows_clip"], "follows_clip"),
        report=None if report is None else values.report(report),
        target=values.target(manifest.get("target")),
        sources=values.frames(manifest.get("sources", [])),
    )
    cameras = _path(folder / KEYS_FILE)
    if keys is not None and cameras is not None:
        document = replace(document, keys=values.keys(keys, cameras))
        if document.keys.trajectory != document.edited:
            raise InputError("its keys do not hold its edited path; the file was changed")
    best = document.best
    return replace(document, spread=values.spread(manifest.get("spread"), 0 if best is None else len(best)))


def _with_takes(document: Document, manifest: dict[str, Any], folder: Path) -> Document:
    for row in listed(manifest["takes"], SESSION_TAKES):
        take = _take(row, folder)
        if any(other.number == take.number for other in document.takes):
            raise InputError(f"take {take.number} is in it twice")
        document = doc.with_take(document, take)
    for row in listed(manifest["verified"], SESSION_TAKES):
        count = whole(row["take"], "take", 1)
        take = next((take for take in document.takes if take.number == count), None)
        followed = _path(folder / _followed_name(count))
        if take is None or followed is None:
            raise InputError(f"take {count} is verified but not there")
        lost = values.frames(row.get("lost", []), "lost")  # none in a session of before they were counted
        found = verified(count, take.trajectory, followed, values.seconds(row), lost)
        estimated = _path(folder / _estimated_name(count))  # none in a session of before tracks were asked
        of_model = None if estimated is None else verified(count, take.trajectory, estimated)
        reason = text(row.get("reason", ""), "reason", SENTENCE_CHARACTERS)
        document = doc.with_verification(document, replace(found, reason=reason, estimated=of_model))
    return document


def _clip(row: dict[str, Any], folder: Path) -> Clip:
    pictures = archive.arrays(folder / CLIP_FILE, PICTURES, "u", SESSION_BYTES)
    for pixels in pictures.values():
        TAKE_PIXELS.check(int(np.prod(pixels.shape[1:3])), "the clip has", "make it smaller")
    return clip_of(row, pictures, _path(folder / REFERENCE_FILE))


def _cloud(file: Path) -> PointCloud | None:
    if not file.is_file():
        return None
    from rap.reconstruction.tracks import PointCloud

    names = [field.name for field in fields(PointCloud)]
    columns = archive.arrays(file, names, "iuf", NPZ_BYTES)
    count = len(columns["xyz"])
    SESSION_POINTS.check(count, "points: there are", "keep fewer")
    for name in names:
        column, (width, kind) = columns[name], CLOUD_COLUMNS.get(name, (0, "f"))
        if column.shape != ((count, width) if width else (count,)) or column.dtype.kind != kind:
            raise InputError(f"points: {name} is {column.dtype} of {column.shape}, which {count} points do not have")
        if kind == "f" and not np.isfinite(column).all():
            raise InputError(f"points: {name} has values that are not finite")
    return PointCloud(**columns)


def _take(row: dict[str, Any], folder: Path) -> Take:
    count = whole(row["number"], "number", 1)
    video, cameras, thumbnail = (folder / name(count) for name in (_video_name, _cameras_name, _thumbnail_name))
    trajectory = _path(cameras)
    if trajectory is None or not video.is_file():
        raise InputError(f"take {count} lacks its video or its cameras")
    return Take(
        number=count,
        origin=values.origin(row),
        video=video,
        cameras=cameras,
        clip_hash=values.clip_hash(row),
        trajectory=trajectory,
        settings=values.settings(row["settings"]),
        seconds=values.seconds(row),
        thumbnail=thumbnail.read_bytes() if thumbnail.is_file() else b"",
        name=text(row["name"], "name"),
        starred=flag(row["starred"], "starred"),
        size=None if row.get("size") is None else _take_size(row["size"]),  # none before takes had sizes of their own
    )


def _path(file: Path) -> Trajectory | None:
    if not file.is_file():
        return None
    path = formats.read(file, format_name="npz")
    PATH_FRAMES.check(len(path), f"{file.name} has", "keep fewer frames")
    TAKE_PIXELS.check(path.image_size[0] * path.image_size[1], f"{file.name} has", "make it smaller")
    return path


def _take_size(row: Any) -> tuple[int, int]:
    h, w = size_of(row)
    TAKE_SIDE.check(max(h, w), "a take has", "make it smaller")
    return h, w
