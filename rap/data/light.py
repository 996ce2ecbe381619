"""Films of high dynamic range on their way to 8 bits of standard range.

Decoded as they are, HLG and PQ films look grey: their code values mean other light. What is done, per pixel:

1. code values -> light of the display in cd/m^2: PQ by its EOTF (ITU-R BT.2100-2, table 4); HLG by its inverse OETF and
   the gamma of 1.2 that a display of 1000 cd/m^2 adds (table 5), to each channel as zimg, and so FFmpeg, does it: that
   of BT.2100, by luminance, leaves colours paler than cameras take them in standard range
2. BT.2020 primaries -> BT.709 (ITU-R BT.2407-0, section 2), what lies outside is clipped
3. 203 cd/m^2, the white of graphics (ITU-R BT.2408-7, table 1), becomes the white of standard range; below three
   quarters of it nothing changes, above the brightest channel rolls off so that 1000 cd/m^2 just reach white, and the
   others keep their ratio to it
4. -> code values by the inverse of the EOTF of standard displays (ITU-R BT.1886, gamma 2.4)

As a table of 65^3 colours that Pillow interpolates: a 4K frame costs a tenth of a second.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageFilter

PQ, HLG = 16, 18
"""Transfer characteristics by number (ITU-T H.273, table 3)."""

NAMES = {PQ: "PQ (BT.2100)", HLG: "HLG (BT.2100)"}
WHITE_NITS, PEAK_NITS = 203.0, 1000.0
KNEE = 0.75
SIDE = 65
BT709_OF_BT2020 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])


def to_standard_range(image: Image.Image, transfer: int) -> Image.Image:
    """An RGB picture of code values in BT.2020 as standard range; others as they are.

    Args:
        transfer: characteristics by number.
    """
    return image.filter(_table(transfer)) if transfer in NAMES else image


def note(name: str, transfer: int) -> str:
    """What was done, for a person."""
    return (
        f"{name}: {NAMES[transfer]}, high dynamic range, is shown as standard range: white at {WHITE_NITS:g} cd/m2, "
        "highlights rolled off (BT.2408)"
    )


def standard_of(codes: Float[np.ndarray, "*batch 3"], transfer: int) -> Float[np.ndarray, "*batch 3"]:
    """Steps 1 to 4; code values in [0, 1] in and out."""
    nits = _pq_nits(codes) if transfer == PQ else _hlg_nits(codes)
    light = np.maximum(nits @ BT709_OF_BT2020.T, 0.0) / WHITE_NITS
    brightest = np.maximum(light.max(axis=-1, keepdims=True), 1e-9)
    return np.clip(light * (_rolled_off(brightest) / brightest), 0.0, 1.0) ** (1 / 2.4)


def _pq_nits(codes: np.ndarray) -> np.ndarray:
    m1, m2 = 2610 / 16384, 2523 / 32
    c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
    power = np.maximum(codes, 0.0) ** (1 / m2)
    return 10000.0 * (np.maximum(power - c1, 0.0) / (c2 - c3 * power)) ** (1 / m1)


def _hlg_nits(codes: np.ndarray) -> np.ndarray:
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12)
    return PEAK_NITS * scene**1.2


def _rolled_off(light: np.ndarray) -> np.ndarray:
    """The identity up to the knee, then a hyperbola of the same slope that reaches 1 at the peak."""
    peak = PEAK_NITS / WHITE_NITS
    span, reach = 1.0 - KNEE, peak - KNEE
    over = np.clip(light - KNEE, 0.0, reach)
    bend = (reach - span) / (span * reach)  # over / (1 + bend over) is span where over is reach
    return np.where(light <= KNEE, light, KNEE + over / (1 + bend * over))


@cache
def _table(transfer: int) -> ImageFilter.Color3DLUT:
    axis = np.linspace(0.0, 1.0, SIDE)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red runs fastest
    colours = standard_of(np.stack([red, green, blue], axis=-1), transfer)
    return ImageFilter.Color3DLUT(SIDE, colours.reshape(-1).tolist())
