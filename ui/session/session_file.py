"""A session as one zip: what came in, the paths, the takes and their verifications; opened again without the model.

`manifest.json` names every other file with its size and SHA-256, and holds the rest as plain values. A file that is
damaged, foreign or made to do harm is refused by name before anything of it is used: names that would leave the
folder, links, files the manifest does not know, more than `MAX_BYTES` unpacked, another hash, values of wrong types.
Arrays are `.npz` and never pickled.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np

from rap import formats
from rap.data import Clip
from rap.errors import InputError
from rap.formats.checks import DAMAGED_ZIP
from rap.geometry import Trajectory
from rap.geometry.keys import KeyPath
from rap.geometry.spread import PathSpread
from rap.reconstruction.refine import RefinementReport
from rap.writing import room_for, whole_file
from ui.document import document as doc
from ui.document.document import Document, Settings, SoftDrag, Take
from ui.document.verification import verified

if TYPE_CHECKING:
    from rap.reconstruction.tracks import PointCloud

KIND, VERSION = "rays-as-pixels session", 1
MANIFEST = "manifest.json"
MAX_FILES = 2000
MAX_BYTES = 2 << 30  # unpacked; a clip of 81 frames with its footage and a hundred takes are far below
MAX_MANIFEST_BYTES = 4 << 20
CHUNK_BYTES = 1 << 20
SAFE_NAME = re.compile(r"[a-z0-9_-]+(/[A-Za-z0-9_-]+)?\.[a-z0-9]+")
CLIP_FILE, REFERENCE_FILE = "clip/frames.npz", "clip/reference.npz"
CLIP_ARRAYS = ("frames_u8", "footage_u8")
KEYS_FILE = "paths/keys.npz"
CLOUD_FILE = "paths/points.npz"
PATHS = ("predicted", "refined", "edited")


@dataclass(frozen=True, eq=False)
class Opened:
    """What a session file holds.

    Args:
        document: without history.
        known_fov_y_rad: vertical field of view of the clip where it was known.
        cloud: points of the refinement, where there was one; a file of before they were kept has none.
    """

    document: Document
    known_fov_y_rad: float | None
    cloud: PointCloud | None


# --- writing ----------------------------------------------------------------------------------------------------------


def save(path: Path, document: Document, known_fov_y_rad: float | None = None, cloud: PointCloud | None = None) -> None:
    """Write a session file.

    Args:
        cloud: points of the refinement.

    Raises:
        InputError: there is no clip yet.
        NoRoom: the disk is full; an earlier file of this name is as it was.
    """
    if document.clip is None:
        raise InputError("there is nothing to save yet; give a video or an image first")
    with whole_file(path) as unfinished, TemporaryDirectory(prefix="saving-", dir=path.parent) as made:
        folder = Path(made)
        manifest = _manifest(folder, document, document.clip, known_fov_y_rad)
        if cloud is not None:
            _write_cloud(folder / CLOUD_FILE, cloud)
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        manifest["files"] = {file.relative_to(folder).as_posix(): _fingerprint(file) for file in files}
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:  # all of it is compressed already
            archive.writestr(MANIFEST, json.dumps(manifest, indent=1, allow_nan=True), zipfile.ZIP_DEFLATED)
            for file in files:
                archive.write(file, file.relative_to(folder).as_posix())


def _manifest(folder: Path, document: Document, clip: Clip, known_fov_y_rad: float | None) -> dict[str, Any]:
    (folder / "clip").mkdir()
    arrays = {name: getattr(clip, name) for name in CLIP_ARRAYS if getattr(clip, name) is not None}
    np.savez_compressed(folder / CLIP_FILE, allow_pickle=False, **arrays)
    if clip.trajectory is not None:
        formats.write(folder / REFERENCE_FILE, clip.trajectory)
    for name in PATHS:
        if getattr(document, name) is not None:
            formats.write(folder / "paths" / f"{name}.npz", getattr(document, name))
    if document.keys is not None:
        formats.write(folder / KEYS_FILE, document.keys.keys)
    for take in document.takes:
        (folder / "takes").mkdir(exist_ok=True)
        if take.thumbnail:
            (folder / _thumbnail_name(take.number)).write_bytes(take.thumbnail)
        (folder / _video_name(take.number)).write_bytes(take.video.read_bytes())
        formats.write(folder / _cameras_name(take.number), take.trajectory)
    for found in document.verifications:
        formats.write(folder / _followed_name(found.take), found.followed)
        if found.estimated is not None:
            formats.write(folder / _estimated_name(found.take), found.estimated.followed)
    return {
        "kind": KIND,
        "version": VERSION,
        "clip": {
            "fps": clip.fps,
            "name": clip.name,
            "notes": list(clip.notes),
            "frame_indices": list(clip.frame_indices),
            "frame_names": list(clip.frame_names),
            "upload_size": None if clip.upload_size is None else list(clip.upload_size),
            "exif_fov_y_rad": clip.exif_fov_y_rad,
        },
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
            }
            for take in document.takes
        ],
        "verified": [
            {"take": found.take, "seconds": found.seconds, "reason": found.reason} for found in document.verifications
        ],
    }


def _write_cloud(file: Path, cloud: PointCloud) -> None:
    file.parent.mkdir(exist_ok=True)
    np.savez_compressed(file, allow_pickle=False, **{f.name: getattr(cloud, f.name) for f in fields(cloud)})


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


def _fingerprint(file: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        for chunk in _chunks(stream):
            digest.update(chunk)
    return {"bytes": file.stat().st_size, "sha256": digest.hexdigest()}


# --- reading ----------------------------------------------------------------------------------------------------------


def open_session(path: Path, folder: Path) -> Opened:
    """Read a session file; its takes are unpacked into a new folder within `folder`.

    Raises:
        InputError: what is wrong with the file, and what would be right. Nothing is left in `folder` then.
    """
    with room_for(path):
        target = Path(mkdtemp(prefix="opened-", dir=folder))
    try:
        with room_for(path), zipfile.ZipFile(path) as archive:
            manifest = _read_manifest(archive, path.name)
            _unpack(archive, manifest, target, path.name)
        return _restored(manifest, target, path.name)
    except DAMAGED_ZIP as error:
        shutil.rmtree(target)
        raise InputError(f"{path.name}: is no intact session file ({error}); save or upload it again") from None
    except InputError:
        shutil.rmtree(target)
        raise
    except (TypeError, ValueError, KeyError) as error:
        shutil.rmtree(target)
        raise InputError(f"{path.name}: {error}; the manifest was not written by this app") from None


def _read_manifest(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """The manifest, after the archive's table of contents has been found harmless."""
    members = archive.infolist()
    if len(members) > MAX_FILES:
        raise InputError(f"{name}: holds {len(members)} files, at most {MAX_FILES} are read")
    names = [member.filename for member in members]
    if MANIFEST not in names:
        raise InputError(f"{name}: is a zip, but no session ({MANIFEST} is missing); open one that this app has saved")
    for member in members:
        _check_member(member, name)
    if len(set(names)) < len(names):
        twice = next(entry for entry in names if names.count(entry) > 1)
        raise InputError(f"{name}: {twice} is in it twice, expected each file once")
    unpacked = sum(member.file_size for member in members)
    if unpacked > MAX_BYTES:
        raise InputError(f"{name}: unpacks to {unpacked} bytes, at most {MAX_BYTES} are read")
    if archive.getinfo(MANIFEST).file_size > MAX_MANIFEST_BYTES:
        raise InputError(f"{name}: its {MANIFEST} is larger than {MAX_MANIFEST_BYTES} bytes")
    try:
        manifest = json.loads(archive.read(MANIFEST))
    except ValueError as error:
        raise InputError(f"{name}: {MANIFEST} is no JSON ({error})") from None
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise InputError(f"{name}: is a zip of something else, expected a {KIND!r} in its {MANIFEST}")
    if manifest.get("version") != VERSION:
        raise InputError(
            f"{name}: has version {manifest.get('version')!r}, this app reads {VERSION}; open it with a newer app"
        )
    return manifest


def _check_member(member: zipfile.ZipInfo, name: str) -> None:
    if stat.S_ISLNK(member.external_attr >> 16):
        raise InputError(f"{name}: {member.filename!r} is a link, expected files only")
    if not SAFE_NAME.fullmatch(member.filename):
        raise InputError(f"{name}: {member.filename!r} is no name that a session has; nothing was unpacked")


def _unpack(archive: zipfile.ZipFile, manifest: dict[str, Any], target: Path, name: str) -> None:
    """Every file of the manifest into `target`, its size and hash checked while it is read."""
    files = _typed(manifest, "files", dict)
    there = {entry for entry in archive.namelist() if entry != MANIFEST}
    for entry in sorted(there ^ set(files)):
        where = "missing" if entry in files else f"not named in {MANIFEST}"
        raise InputError(f"{name}: {entry} is {where}; the file is damaged or was changed")
    for entry, told in files.items():
        file = target / entry
        file.parent.mkdir(exist_ok=True)
        digest, size = hashlib.sha256(), 0
        with archive.open(entry) as source, file.open("wb") as copy:
            for chunk in _chunks(source):
                size += len(chunk)
                if size > told["bytes"]:
                    raise InputError(f"{name}: {entry} is larger than the {told['bytes']} bytes it should have")
                digest.update(chunk)
                copy.write(chunk)
        if digest.hexdigest() != told["sha256"]:
            raise InputError(f"{name}: {entry} is not what was saved (its SHA-256 differs); the file is damaged")


def _chunks(source: Any) -> Iterator[bytes]:
    while chunk := source.read(CHUNK_BYTES):
        yield chunk


def _report(values: dict[str, Any]) -> RefinementReport:
    """JSON has no tuples; a session of before joints were judged says nothing of them."""
    weak = tuple((int(before), int(after)) for before, after in values.get("weak_joints", ()))
    return RefinementReport(**{**values, "weak_joints": weak})


def _restored(manifest: dict[str, Any], folder: Path, name: str) -> Opened:
    document = Document(clip=_clip(_typed(manifest, "clip", dict), folder), soft=SoftDrag(**manifest["soft_drag"]))
    paths = {key: _path(folder / "paths" / f"{key}.npz") for key in PATHS}
    report = manifest["report"]
    document = replace(
        document,
        **paths,
        prediction_follows_clip=_typed(manifest, "prediction_follows_clip", bool),
        follows_clip=_typed(manifest, "follows_clip", bool),
        report=None if report is None else _report(report),
    )
    document = replace(document, keys=_keys(manifest.get("keys"), folder), target=_target(manifest.get("target")))
    if document.keys is not None and document.keys.trajectory != document.edited:
        raise InputError(f"{name}: its keys do not hold its edited path; the file was changed")
    document = replace(
        document, sources=_frames(manifest.get("sources", [])), spread=_spread(manifest.get("spread"), document)
    )
    for row in _typed(manifest, "takes", list):
        document = doc.with_take(document, _take(row, folder, name))
    for row in _typed(manifest, "verified", list):
        number = _typed(row, "take", int)
        take = next((take for take in document.takes if take.number == number), None)
        followed = _path(folder / _followed_name(number))
        if take is None or followed is None:
            raise InputError(f"{name}: take {number} is verified but not there")
        found = verified(number, take.trajectory, followed, _typed(row, "seconds", float))
        estimated = _path(folder / _estimated_name(number))  # none in a session of before tracks were asked
        of_model = None if estimated is None else verified(number, take.trajectory, estimated)
        found = replace(found, reason=str(row.get("reason", "")), estimated=of_model)
        document = doc.with_verification(document, found)
    if manifest["shown_take"] is not None:
        document = doc.show_take(document, _typed(manifest, "shown_take", int))
    known = manifest["known_fov_y_rad"]
    known = None if known is None else _typed(manifest, "known_fov_y_rad", float)
    return Opened(document, known, _cloud(folder / CLOUD_FILE))


def _clip(row: dict[str, Any], folder: Path) -> Clip:
    with np.load(folder / CLIP_FILE, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in CLIP_ARRAYS if key in archive.files}
    size = row["upload_size"]
    return Clip(
        **arrays,
        fps=_typed(row, "fps", float),
        trajectory=_path(folder / REFERENCE_FILE),
        frame_indices=tuple(int(index) for index in row["frame_indices"]),
        frame_names=tuple(str(entry) for entry in row["frame_names"]),
        name=_typed(row, "name", str),
        notes=tuple(str(note) for note in row["notes"]),
        upload_size=None if size is None else (int(size[0]), int(size[1])),
        exif_fov_y_rad=None if row["exif_fov_y_rad"] is None else _typed(row, "exif_fov_y_rad", float),
    )


def _cloud(file: Path) -> PointCloud | None:
    if not file.is_file():
        return None
    from rap.reconstruction.tracks import PointCloud

    with np.load(file, allow_pickle=False) as archive:
        columns = {f.name: archive[f.name] for f in fields(PointCloud)}
    count, kinds = len(columns["xyz"]), {"xyz": (3, "f"), "colours_u8": (3, "u"), "span": (2, "i"), "point": (0, "i")}
    for name, column in columns.items():
        width, kind = kinds.get(name, (0, "f"))
        if column.shape != ((count, width) if width else (count,)) or column.dtype.kind != kind:
            raise TypeError(f"points: {name} is {column.dtype} of {column.shape}, which {count} points do not have")
    return PointCloud(**columns)


def _take(row: dict[str, Any], folder: Path, name: str) -> Take:
    number = _typed(row, "number", int)
    video, cameras = folder / _video_name(number), folder / _cameras_name(number)
    thumbnail = folder / _thumbnail_name(number)
    trajectory = _path(cameras)
    if trajectory is None or not video.is_file():
        raise InputError(f"{name}: take {number} lacks its video or its cameras")
    return Take(
        number=number,
        origin=_typed(row, "origin", str),
        video=video,
        cameras=cameras,
        clip_hash=_typed(row, "clip_hash", str),
        trajectory=trajectory,
        settings=_settings(_typed(row, "settings", dict)),
        seconds=_typed(row, "seconds", float),
        thumbnail=thumbnail.read_bytes() if thumbnail.is_file() else b"",
        name=_typed(row, "name", str),
        starred=_typed(row, "starred", bool),
    )


def _spread(row: Any, document: Document) -> PathSpread | None:
    if row is None:
        return None
    count = 0 if document.best is None else len(document.best)
    names = ("rotation_deg", "distance")
    columns = {name: np.asarray(_typed(row, name, list), dtype=np.float64) for name in names}
    for name, column in columns.items():
        if column.shape != (count,) or not (np.isfinite(column) & (column >= 0)).all():
            raise TypeError(f"spread: {name} must be {count} numbers from 0 on, one for each predicted camera")
    return PathSpread(_typed(row, "samples", int), reach=_typed(row, "reach", float), **columns)


def _settings(row: dict[str, Any]) -> Settings:
    return Settings(**{**row, "sources": _frames(row.get("sources", []))})


def _frames(row: Any) -> tuple[int, ...]:
    """Numbers of frames; a file of before they could be chosen has none."""
    if not isinstance(row, list) or any(type(frame) is not int or frame < 0 for frame in row):
        raise TypeError(f"sources is {row!r}, expected a list of frame numbers")
    return tuple(sorted(set(row)))


def _keys(row: dict[str, Any] | None, folder: Path) -> KeyPath | None:
    cameras = _path(folder / KEYS_FILE)
    if row is None or cameras is None:
        return None
    times = tuple(float(time) for time in _typed(row, "times", list))
    rest = {"num_frames": int, "tension": float, "easing": str, "loop": bool}
    return KeyPath(cameras, times, **{key: _typed(row, key, kind) for key, kind in rest.items()})


def _target(row: Any) -> tuple[float, float, float] | None:
    if row is None:
        return None
    x, y, z = (float(value) for value in row)
    return x, y, z


def _path(file: Path) -> Trajectory | None:
    return formats.read(file, format_name="npz") if file.is_file() else None


def _typed(row: dict[str, Any], key: str, kind: type) -> Any:
    """The value of a key, of exactly this type (a whole number is a float, too).

    Raises:
        TypeError: the key is missing or holds something else.
    """
    value = row.get(key) if isinstance(row, dict) else None
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise TypeError(f"{key} is {value!r}, expected {kind.__name__}")
    return value
