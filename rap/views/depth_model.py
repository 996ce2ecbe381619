"""Depth of one picture by a model of others, loaded through transformers, with the interface of `MonocularDepth`.

Kinds differ in what they tell: inverse depth of unknown scale, where 0 is infinitely far (Depth Anything, MiDaS), or
depth in metres (Depth Pro, GLPN, ZoeDepth, metric ones of Depth Anything). Of the lens most tell nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from rap.errors import InputError
from rap.views.monocular import (
    FARTHEST,
    NEAREST,
    USUAL_FOCAL,
    MonocularDepth,
    PictureDepth,
    as_rgb,
    embedded_monocular_depth,
    fov_y_of,
    unit_of,
)

METRIC_KINDS = ("depth_pro", "glpn", "zoedepth")
"""Types of model whose depth is in metres; the others say `depth_estimation_type` where they have both."""


class TransformersDepth:
    """A model of depth estimation, for pictures of any size.

    Args:
        estimate: gives `predicted_depth`, an (h, w) tensor, of a PIL picture: a pipeline of transformers.
        is_metric: whether that is depth in metres, and not inverse depth.
    """

    def __init__(self, estimate: Callable[[Image.Image], dict[str, Any]], *, is_metric: bool) -> None:
        self._estimate, self._is_metric = estimate, is_metric

    @classmethod
    def from_pretrained(cls, name: str) -> TransformersDepth:
        """A folder, or a name that transformers finds, once, where there is a network. Weights are safetensors.

        Raises:
            InputError: transformers is not installed, or there is no such model.
        """
        try:
            from transformers import pipeline  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise InputError(
                f"--depth-model {name}: needs transformers; install it with pip install 'rays-as-pixels[depth]'"
            ) from None
        try:
            found = pipeline("depth-estimation", model=name, device="cpu", model_kwargs={"use_safetensors": True})
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(
                f"--depth-model {name}: is no model of depth estimation that can be loaded, by name or as a folder "
                f"with config.json, preprocessor_config.json and model.safetensors ({reason})"
            ) from error
        kind = found.model.config
        is_metric = getattr(kind, "depth_estimation_type", "") == "metric" or kind.model_type in METRIC_KINDS
        return cls(found, is_metric=is_metric)

    @torch.inference_mode()
    def predict(self, frame_u8: UInt8[np.ndarray, "h w *c"]) -> PictureDepth:
        """As `MonocularDepth.predict`; the lens is a phone's, and `unit_m` is told where the model tells it.

        Raises:
            InputError: as there.
        """
        frame_u8 = as_rgb(frame_u8)
        found = self._estimate(Image.fromarray(frame_u8))["predicted_depth"].float().cpu().numpy()
        if found.shape != frame_u8.shape[:2] or not np.isfinite(found).all():
            raise ValueError(f"predicted_depth must be finite, of shape {frame_u8.shape[:2]}, got {found.shape}")
        inverse_depth = 1 / found.clip(1e-6) if self._is_metric else found.clip(0)
        if not inverse_depth.any():
            inverse_depth = np.ones_like(found)  # infinitely far all over: as good as a plane
        unit = unit_of(inverse_depth)
        depth = 1 / (inverse_depth / unit).clip(FARTHEST, NEAREST)
        fov_y_rad = fov_y_of(USUAL_FOCAL, frame_u8.shape[:2])
        return PictureDepth(depth.astype(np.float32), fov_y_rad, 1 / unit if self._is_metric else None)


@lru_cache(maxsize=2)
def depth_model(name: str = "") -> MonocularDepth | TransformersDepth:
    """The model of that name, loaded once; without a name the one that comes with the checkout.

    Raises:
        InputError: it cannot be loaded.
    """
    return TransformersDepth.from_pretrained(name) if name else embedded_monocular_depth()
