"""COLMAP's camera models: how many numbers a camera has, and which pinhole and distortion they stand for.

Reference: COLMAP, `src/colmap/sensor/models.h`; numbers of the models as in its binary files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from rap.errors import InputError
from rap.formats import checks
from rap.formats.distortion import Distortion


@dataclass(frozen=True, eq=False)
class Camera:
    """A camera of a model.

    Attributes:
        size: (h, w) in pixels.
        intrinsics: fx, fy, cx, cy in pixels, of the pinhole within.
        distortion: None for a pinhole.
    """

    size: tuple[int, int]
    intrinsics: Float[np.ndarray, "4"]
    distortion: Distortion | None = None


@dataclass(frozen=True, eq=False)
class Image:
    """An image of a model: its name, its pose, its camera, and the words that name it in an error."""

    name: str
    T_world_camera: Float[np.ndarray, "4 4"]
    camera_id: int
    where: str


FIELDS: dict[str, tuple[str, ...]] = {
    "SIMPLE_PINHOLE": ("F", "CX", "CY"),
    "PINHOLE": ("FX", "FY", "CX", "CY"),
    "SIMPLE_RADIAL": ("F", "CX", "CY", "K1"),
    "RADIAL": ("F", "CX", "CY", "K1", "K2"),
    "OPENCV": ("FX", "FY", "CX", "CY", "K1", "K2", "P1", "P2"),
    "OPENCV_FISHEYE": ("FX", "FY", "CX", "CY", "K1", "K2", "K3", "K4"),
    "FULL_OPENCV": ("FX", "FY", "CX", "CY", "K1", "K2", "P1", "P2", "K3", "K4", "K5", "K6"),
    "SIMPLE_RADIAL_FISHEYE": ("F", "CX", "CY", "K1"),
    "RADIAL_FISHEYE": ("F", "CX", "CY", "K1", "K2"),
}
"""Names of the parameters of the models that are read, in the order of the files."""

NUMBERS = {
    0: "SIMPLE_PINHOLE",
    1: "PINHOLE",
    2: "SIMPLE_RADIAL",
    3: "RADIAL",
    4: "OPENCV",
    5: "OPENCV_FISHEYE",
    6: "FULL_OPENCV",
    7: "FOV",
    8: "SIMPLE_RADIAL_FISHEYE",
    9: "RADIAL_FISHEYE",
    10: "THIN_PRISM_FISHEYE",
}
"""Of the models in binary files."""


def check_model(model: str, where: str) -> None:
    """Refuse a camera model that is not read.

    Raises:
        InputError: naming those that are.
    """
    if model not in FIELDS:
        raise InputError(
            f"{where}: the camera model is {checks.shown(model)}, expected one of {', '.join(FIELDS)}; "
            "undistort with: colmap image_undistorter"
        )


def camera_of(model: str, size: tuple[float, float], parameters: Sequence[float], where: str) -> Camera:
    """The camera that a line or record stands for.

    Args:
        size: (h, w).

    Raises:
        InputError: no proper size or focal length, or coefficients that fold the picture.
    """
    height, width = checks.image_side(size[0], "HEIGHT", where), checks.image_side(size[1], "WIDTH", where)
    named = dict(zip(FIELDS[model], parameters, strict=True))
    for field in ("F", "FX", "FY"):
        if field in named:
            checks.positive(named[field], field, where)
    focal_x, focal_y = named.get("FX", named.get("F", 0.0)), named.get("FY", named.get("F", 0.0))
    intrinsics = np.array([focal_x, focal_y, named["CX"], named["CY"]])
    distortion = Distortion(
        model.endswith("FISHEYE"),
        tuple(named.get(f"K{i}", 0.0) for i in range(1, 5 if model.endswith("FISHEYE") else 7)),
        (named.get("P1", 0.0), named.get("P2", 0.0)),
    )
    if distortion.is_none:
        return Camera((height, width), intrinsics)
    check_usable(distortion, intrinsics, (height, width), where)
    return Camera((height, width), intrinsics, distortion)


def check_usable(distortion: Distortion, intrinsics: Float[np.ndarray, "4"], size: tuple[int, int], where: str) -> None:
    """Refuse coefficients of no lens.

    Raises:
        InputError: they fold the picture, or throw its edges far away.
    """
    if not distortion.is_usable(intrinsics, size):
        raise InputError(
            f"{where}: the lens distortion ({distortion.words()}) is unusable: no lens bends a picture of "
            f"{size[1]} x {size[0]} like this, so the calibration has failed; do it again, or with fewer coefficients"
        )
