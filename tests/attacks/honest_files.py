"""A small valid file of every kind that is read: what mutations begin with."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pillow_heif
from camera_files import made
from PIL import Image

from rap import formats
from rap.data import Clip, write_video
from rap.geometry import preset, scale_motion
from rap.reconstruction.refine import RefinementReport
from ui.document import document as doc
from ui.document.document import Document, Settings, Take
from ui.document.path_edits import ToKeys
from ui.document.verification import verified
from ui.session.session_file import save

SIZE = (32, 48)
PATH = preset("arc-left", num_frames=5, image_size=SIZE)
FRAMES_U8 = np.random.default_rng(0).integers(0, 255, (5, *SIZE, 3), dtype=np.uint8)
PICTURES = (".png", ".jpg", ".webp", ".bmp", ".tiff", ".gif", ".ppm", ".avif", ".jp2", ".heic")
ANIMATIONS = (".gif", ".png", ".webp", ".avif")
FILMS = {".mp4": "libx264", ".mkv": "mpeg4", ".avi": "mjpeg", ".mov": "png"}
CAMERAS = sorted(name for name, entry in formats.FORMATS.items() if entry.read is not None)


def picture(folder: Path, suffix: str) -> Path:
    """With EXIF where the format has it."""
    path = folder / f"picture{suffix}"
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769).update({0xA405: 28, 0xA002: SIZE[1], 0xA003: SIZE[0]})
    if suffix == ".heic":
        pillow_heif.from_pillow(Image.fromarray(FRAMES_U8[0])).save(path, exif=exif.tobytes())
        return path
    extra = {"exif": exif} if suffix in (".png", ".jpg", ".webp", ".tiff", ".avif") else {}
    Image.fromarray(FRAMES_U8[0]).save(path, **extra)
    return path


def animation(folder: Path, suffix: str) -> Path:
    """Of five pictures."""
    path = folder / f"animation{suffix}"
    first, *others = (Image.fromarray(frame) for frame in FRAMES_U8)
    first.save(path, save_all=True, append_images=others, duration=100)
    return path


def film(folder: Path, suffix: str) -> Path:
    """Of five frames."""
    path = folder / f"film{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(FILMS[suffix], rate=10)
        pixels = {"mjpeg": "yuvj420p", "png": "rgb24"}.get(FILMS[suffix], "yuv420p")
        stream.height, stream.width, stream.pix_fmt = *SIZE, pixels
        for frame in FRAMES_U8:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def cameras(folder: Path, name: str) -> Path:
    """A format of one file, or zipped."""
    path = folder / formats.FORMATS[name].default_name
    names = [f"{i}.png" for i in range(5)] if formats.FORMATS[name].read_frame_names else None
    made(path, PATH, name, names)
    return Path(shutil.make_archive(str(path), "zip", path)) if path.is_dir() else path


def session(folder: Path) -> Path:
    """A clip, a refined path held by keys, one take, verified."""
    report = RefinementReport(
        "refined", "It fits.", "frames", "model", 6.5, float("nan"), 900, 120, 1.04, 2.0, ((1, 2),)
    )
    document = doc.with_clip(Document(), Clip(FRAMES_U8, 8.0, name="clip", upload_size=SIZE, footage_u8=FRAMES_U8))
    document = doc.with_refinement(doc.with_prediction(document, PATH), scale_motion(PATH, 0.9), report)
    document = doc.with_target(ToKeys(3).apply(document), (0.1, 0.2, 1.5))
    video = folder / "take.mp4"
    write_video(video, FRAMES_U8, 8.0)
    assert document.clip is not None and document.edited is not None
    settings = Settings(seed=1, steps=4, with_geometry=True, sources=(0, 2))
    take = Take(
        1, "regenerated", video, video, document.clip.hash, document.edited, settings, 1.5, b"jpeg", "mine", True
    )
    document = doc.with_verification(doc.with_take(document, take), verified(1, document.edited, PATH))
    save(folder / "session.rap.zip", document, 0.8)
    return folder / "session.rap.zip"


def all_files(folder: Path) -> dict[str, tuple[str, Path]]:
    """By a name of its own: the reader, as `fuzzed.READERS` calls it, and the file."""
    found: dict[str, tuple[str, Path]] = {}
    for suffix in PICTURES:
        found[f"picture{suffix}"] = "clip", picture(folder, suffix)
    for suffix in ANIMATIONS:
        found[f"animation{suffix}"] = "clip", animation(folder, suffix)
    for suffix in FILMS:
        found[f"film{suffix}"] = "clip", film(folder, suffix)
    for name in CAMERAS:
        found[f"cameras {name}"] = "cameras", cameras(folder, name)
    found["session"] = "session", session(folder)
    found["manifest"] = "manifest", folder / "session.rap.zip"
    found["arrays"] = "arrays", folder / "session.rap.zip"
    return found
