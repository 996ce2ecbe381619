"""Still images: read them upright as 8-bit RGB, fit them to a size, write frames and raxel maps.

What becomes of the odd kinds: EXIF orientation is applied; alpha is composited on WHITE; 16-bit grey is divided by 257
(so 65535 is 255); CMYK, palette, grey and 1-bit images are converted to RGB; of an animation or a multi-page file the
first picture is taken, of HEIC the whole and not a tile; panoramas are refused. Embedded colour profiles are not
applied.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path

import numpy as np
import pi_heif
from jaxtyping import Float, UInt8
from PIL import Image

from rap.config import IMAGE_SUFFIXES
from rap.errors import InputError
from rap.guard import DAMAGE, reading
from rap.limits import FILE_BYTES, PICTURE_PIXELS, PICTURE_SIDE, Limit
from rap.writing import whole_file

Image.init()  # registers the decoders of this Pillow, among them AVIF or not
pi_heif.register_heif_opener()
PIL_FORMATS = tuple(
    name
    for name in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "AVIF", "JPEG2000", "HEIF")
    if name in Image.OPEN
)
"""The decoders that uploads may reach: others run outside programs (EPS) or go by no magic number."""

MIN_SIDE = 16
"""Pixels: below this a picture shows nothing that a camera could be found from."""

UPRIGHT = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_270,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_90,),
}
_EIGHT_OF_16_BITS = np.round(np.arange(65536) / 257).astype(np.uint8)
_EXIF_ORIENTATION = 0x0112
_EXIF_IFD = 0x8769
_EXIF_FOCAL_35MM = 0xA405
_EXIF_WIDTH, _EXIF_HEIGHT = 0xA002, 0xA003

HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif")
"""Of files of pictures (ISO 23008-12, annex B): FFmpeg shows single tiles of these and must not be asked."""

ORIENTATION = "orientation"
"""Key of a decoded picture's `info`: the EXIF orientation that was undone, where it was not 1."""

PANORAMAS = (b"equirectangular", b"cylindrical")
"""What `GPano:ProjectionType` says of pictures that no pinhole takes (developers.google.com, Photo Sphere XMP)."""

FOCAL_35MM = "focal_35mm"
"""Key of a decoded picture's `info`: its focal length in mm as on 35 mm film, where EXIF states a plausible one."""

DIAGONAL_35MM = math.hypot(36.0, 24.0)
"""mm, of a frame of 35 mm film."""

PLAUSIBLE_FOCAL_35MM = (4.0, 2000.0)
"""mm; 0 is EXIF's own word for unknown (EXIF 2.32, tag 41989)."""

SAME_ASPECT = 0.02
"""A picture whose sides differ by less than this ratio from those EXIF states was resized, not cropped."""

PNG_LEVEL = 3
"""Of zlib: a third of the time of the usual 6 for photographs, files 3 to 7 % larger."""


def open_image(path: Path) -> Image.Image | None:
    """Open a picture's header, or `None` when the file is no picture of a known kind.

    Raises:
        InputError: it has more than `PICTURE_PIXELS`, or sides shorter than `MIN_SIDE` or longer than `PICTURE_SIDE`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # what is too large is refused below
            image = Image.open(path, formats=PIL_FORMATS)
    except Image.DecompressionBombError:
        raise InputError(
            f"{path.name}: more than {PICTURE_PIXELS.value / 1e6:.0f} million pixels; make the picture smaller"
        ) from None
    except DAMAGE:
        if path.is_file() and _brand(path) in HEIF_BRANDS:
            raise InputError(
                f"{path.name}: a HEIC or AVIF picture that is damaged, cut off or of an unknown kind; export it as JPEG"
            ) from None
        return None  # Pillow's plugins raise anything for a header that is not theirs or is cut off
    try:
        check_picture_size(path.name, (image.height, image.width))
    except InputError:
        image.close()
        raise
    return image


def _brand(path: Path) -> bytes:
    """The brand of a file of boxes; nothing of others."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[8:] if head[4:8] == b"ftyp" else b""


def check_picture_size(name: str, size: tuple[int, int], most: Limit = PICTURE_PIXELS) -> None:
    """Refuse an (h, w) that is too small to use or too large to decode.

    Raises:
        InputError: naming the file, its size and the limit.
    """
    h, w = size
    if min(h, w) < MIN_SIDE:
        raise InputError(f"{name}: {w} x {h} pixels; each side needs at least {MIN_SIDE}; give a larger picture")
    PICTURE_SIDE.check(max(h, w), f"{name}: has", "make the picture smaller")
    if h * w > most.value:
        raise InputError(
            f"{name}: {w} x {h} pixels are more than {most.value / 1e6:.0f} million; make the picture smaller"
        )


def read_image(path: str | PathLike[str]) -> Image.Image:
    """One picture as upright 8-bit RGB (see the top of this file for what happens to the odd kinds).

    Raises:
        InputError: missing, empty, no picture, damaged, too small or too large.
    """
    path = existing_file(path)
    image = open_image(path)
    if image is None:
        raise InputError(
            f"{path.name}: not a picture that can be read; give a JPEG, PNG, WebP, TIFF, BMP, GIF or AVIF file"
        )
    with image:
        return decoded(image, path.name)


def decoded(image: Image.Image, name: str) -> Image.Image:
    """The current picture of an opened file as upright 8-bit RGB; `info[FOCAL_35MM]` where its EXIF tells that.

    Raises:
        InputError: the data are damaged or cut off, or hold values of unknown range.
    """
    with reading(name, "export the picture again"):
        image.load()
        _refuse_panorama(image, name)
        exif = image.getexif()
        orientation = exif.get(_EXIF_ORIENTATION, 1)
        rgb = to_rgb(image, name)
        for transposition in UPRIGHT.get(orientation, ()):
            rgb = rgb.transpose(transposition)
            rgb.info[ORIENTATION] = orientation
    focal_35mm = _focal_35mm(exif, image.size)
    if focal_35mm is not None:
        rgb.info[FOCAL_35MM] = focal_35mm
    return rgb


def _refuse_panorama(image: Image.Image, name: str) -> None:
    """Its rays are no pinhole's, and everything here is made for these."""
    xmp = image.info.get("xmp", b"")
    xmp = xmp if isinstance(xmp, bytes) else str(xmp).encode()
    at = xmp.find(b"GPano:ProjectionType")
    kind = next((kind for kind in PANORAMAS if at >= 0 and kind in xmp[at : at + 60].lower()), None)
    if kind is not None:
        raise InputError(
            f"{name}: is a panorama ({kind.decode()}, as its XMP says), which no single pinhole camera takes; "
            "cut a perspective view out of it and give that"
        )


def _focal_35mm(exif: Image.Exif, stored_size: tuple[int, int]) -> float | None:
    """FocalLengthIn35mmFilm in mm; None where it is absent, implausible, or of a picture that was cropped since."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of some kinds of damage and raises for others
            tags = exif.get_ifd(_EXIF_IFD)
        focal = float(tags.get(_EXIF_FOCAL_35MM, 0))
        taken = float(tags.get(_EXIF_WIDTH, 0)), float(tags.get(_EXIF_HEIGHT, 0))
    except DAMAGE:
        return None  # the directory is damaged; the picture itself is whole
    if not PLAUSIBLE_FOCAL_35MM[0] <= focal <= PLAUSIBLE_FOCAL_35MM[1]:
        return None
    if min(taken) > 0:
        # Some writers state the sides as shown rather than as stored, so only long and short side are compared.
        aspects = [max(sides) / min(sides) for sides in (taken, stored_size)]
        if not abs(aspects[0] / aspects[1] - 1) <= SAME_ASPECT:
            return None
    return focal


def fov_y_from_focal_35mm(focal_35mm: float, size: tuple[int, int]) -> float:
    """Vertical field of view in radians of an upright picture of (h, w) that shows all the camera took.

    The equivalent focal length compares DIAGONALS (CIPA DCG-001, 2005): focal / diagonal of the picture, both in
    pixels, is focal_35mm / 43.27 mm, whatever the aspect ratio. The value is a whole number of mm as a rule, so it is
    good to about 2 %.
    """
    focal_px = focal_35mm * math.hypot(*size) / DIAGONAL_35MM
    return 2 * math.atan(size[0] / (2 * focal_px))


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """Any Pillow mode as 8-bit RGB; alpha on white.

    Raises:
        InputError: integer values beyond 16 bits, or floats outside [0, 1].
    """
    if image.mode.startswith("I"):
        return _grey_of_16_bits(image, name).convert("RGB")
    if image.mode == "F":
        floats = np.asarray(image)
        if not (np.isfinite(floats).all() and floats.min() >= 0 and floats.max() <= 1):
            raise InputError(f"{name}: floating-point pixels outside 0 to 1; save it as 8- or 16-bit")
        return Image.fromarray(np.round(floats * np.float32(255)).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", rgba.size, (255, 255, 255))
        white.paste(rgba, mask=rgba)
        return white
    return image.convert("RGB")


def _grey_of_16_bits(image: Image.Image, name: str) -> Image.Image:
    """Mode "I;16" of newer Pillow and "I" of older: 65535 / 257 = 255 exactly."""
    values = np.asarray(image)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        raise InputError(
            f"{name}: pixel values from {low} to {high}; expected 0 to 65535 (16 bits); save it as 8- or 16-bit"
        )
    if values.dtype.itemsize > 2 or not values.dtype.isnative:
        values = values.astype(np.uint16)
    # a table rather than arithmetic: that would hold 32 bytes for each pixel at once
    return Image.fromarray(_EIGHT_OF_16_BITS[values])


def existing_file(path: str | PathLike[str]) -> Path:
    """The path, when it is a regular file with something in it.

    Raises:
        InputError: it is missing, a folder, a device or empty.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; check the path")
    if not path.is_file():
        raise InputError(f"{path}: not a file; give a picture or a video")
    if path.stat().st_size == 0:
        raise InputError(f"{path.name}: the file is empty (0 bytes); upload or export it again")
    FILE_BYTES.check(path.stat().st_size, f"{path.name}: has", "give a shorter or smaller one")
    return path


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key of name order that counts digits as numbers: frame_2 comes before frame_10."""
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(part), part) if part.isdecimal() else (1, 0, part.casefold()) for part in parts if part)


def folder_images(folder: Path) -> list[Path]:
    """The pictures of a folder by suffix, in name order (digits as numbers), without hidden files."""
    found = (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    return sorted((p for p in found if p.is_file()), key=lambda p: natural_key(p.name))


def crop_box(size: tuple[int, int], aspect_size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The largest centred box of the aspect ratio of `aspect_size` in a picture of (h, w): top, left, height, width.

    Edges may fall inside a pixel: the box stays exactly centred and the intrinsics follow it exactly.
    """
    h, w = size
    target_h, target_w = aspect_size
    box_h, box_w = min(float(h), w * target_h / target_w), min(float(w), h * target_w / target_h)
    return (h - box_h) / 2, (w - box_w) / 2, box_h, box_w


def crop_and_resize(image: Image.Image, size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """Centre-crop an RGB picture to the aspect of (h, w) and resize it with Pillow's antialiased Lanczos filter."""
    top, left, box_h, box_w = crop_box((image.height, image.width), size)
    # reducing_gap first shrinks by whole factors where the picture is far larger: faster, no visible difference.
    resized = image.resize(
        (size[1], size[0]),
        Image.Resampling.LANCZOS,
        box=(left, top, left + box_w, top + box_h),
        reducing_gap=3.0,
    )
    return np.array(resized, dtype=np.uint8)


def reduced_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """(h, w) with the same aspect ratio, up to rounding, and sides of at most `longest` pixels; never larger."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def reduce_picture(image: Image.Image, size: tuple[int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """A whole RGB picture at a smaller (h, w): each pixel the mean of the area it covers, parts of pixels included.

    Pillow's box filter takes pixels wholly or not at all, which shifts edges by up to half a pixel of the original,
    more than the tracker's own error.
    """
    import cv2

    whole = np.array(image, dtype=np.uint8)
    if whole.shape[:2] == tuple(size):
        return whole
    return cv2.resize(whole, (size[1], size[0]), interpolation=cv2.INTER_AREA)


def raxels_to_u8(raxels: Float[np.ndarray, "T 3 h w"]) -> UInt8[np.ndarray, "T h w 3"]:
    """Raxel maps as pictures: -2 .. 2 becomes 0 .. 255, a fixed range, so that frames and clips can be compared."""
    scaled = np.clip(np.asarray(raxels, dtype=np.float64) / 2, -1, 1)
    return np.round((np.moveaxis(scaled, -3, -1) + 1) * 127.5).astype(np.uint8)


def write_frames(
    folder: str | PathLike[str], frames_u8: UInt8[np.ndarray, "T h w 3"], suffix: str = ".png"
) -> tuple[str, ...]:
    """Write 0000.png, 0001.png ... into a folder (made if missing); returns the file names in order."""
    folder = Path(folder)
    names = tuple(f"{i:04d}{suffix}" for i in range(len(frames_u8)))
    with ExitStack() as stack:  # all of them or none
        for name, frame in zip(names, frames_u8, strict=True):
            Image.fromarray(frame).save(stack.enter_context(whole_file(folder / name)), compress_level=PNG_LEVEL)
    return names


def sizes_in_words(sizes: Sequence[tuple[int, int]]) -> str:
    """The different (h, w) in words, for notes: "320 x 240, 640 x 480"."""
    return ", ".join(f"{w} x {h}" for h, w in dict.fromkeys(sizes))
