"""Distances of sets of frames or videos by the features that a network sees in them.

The Frechet distance of two normal distributions (Dowson and Landau, 1982), fitted to features of true and of made
frames (Heusel et al., GANs trained by a two time-scale update rule, NeurIPS 2017, section 4). It is the FID only with
the network of that paper, and the FVD (Unterthiner et al., 2018) only with I3D; neither comes with the checkout, so
that without a file of them the features are those of our own encoder, an EfficientNet-Lite, and the distance is named
so. It grows as samples grow fewer: compare distances of as many frames only.

A file of a network is TorchScript, as `inception-2015-12-05.pt` and `i3d_torchscript.pt` are, from colours 0 to 255 as
float32, (B, 3, H, W) for frames and (B, 3, T, H, W) for videos, to (B, D) features. TorchScript is read by torch's own
reader, which makes tensors and the network's program but no objects of Python; still it is a program: take it from
those you trust. Files of pickled modules are refused.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from rap.config import MONOCULAR_NETWORK
from rap.errors import InputError
from rap.views.monocular import load_network, working_size

SWITCHES = ("return_features", "resize", "rescale")
"""Arguments by which known networks of this kind give features, and take colours 0 to 255 of any size."""

OWN = "Frechet distance in EfficientNet-Lite features"


def frechet_distance(a: Float[np.ndarray, "N D"], b: Float[np.ndarray, "M D"]) -> float:
    """Squared Frechet distance of the normal distributions fitted to two sets of features.

    |m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)). With S = R^T R, from the QR decomposition of the centred
    features, the last trace is the sum of the singular values of R_a R_b^T: no root of a singular matrix is needed.

    Raises:
        ValueError: fewer than two samples, or features of different lengths.
    """
    if min(len(a), len(b)) < 2 or a.ndim != 2 or a.shape[1:] != b.shape[1:]:
        raise ValueError(f"features must be (N, D) with N >= 2 and one D, got {a.shape} and {b.shape}")
    a, b = a.astype(np.float64), b.astype(np.float64)
    roots = [np.linalg.qr(x - x.mean(axis=0), mode="r") / np.sqrt(len(x) - 1) for x in (a, b)]
    traces = sum(float((root**2).sum()) for root in roots)
    shared = float(np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum())
    return float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum()) + max(0.0, traces - 2 * shared)


@dataclass(frozen=True)
class FeatureNetwork:
    """A network of a file, or, without one, the encoder of the depth of one picture.

    Attributes:
        path: TorchScript; None is our own.
        of_videos: it sees whole videos instead of frames.
    """

    path: Path | None = None
    of_videos: bool = False

    @property
    def name(self) -> str:
        """What its distances are called: by the file, as nobody knows what is in it."""
        if self.path is None:
            return OWN
        return f"Frechet distance of {'videos' if self.of_videos else 'frames'} in features of {self.path.name}"

    @cached_property
    def digest(self) -> str:
        """16 hex digits of the weights."""
        path = self.path or MONOCULAR_NETWORK / "network.safetensors"
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]

    @torch.inference_mode()
    def features(self, frames_u8: UInt8[np.ndarray, "T h w 3"]) -> Float[np.ndarray, "N D"]:
        """Features of a video: a row for each frame, or one for all.

        Raises:
            InputError: the network does not take such frames, or gives something else than (B, D).
        """
        if self.path is None:
            return self._own(frames_u8)
        pictures = torch.from_numpy(np.array(frames_u8)).permute(0, 3, 1, 2).float()
        given = pictures.permute(1, 0, 2, 3)[None] if self.of_videos else pictures
        network, switches = self._network
        try:
            found = network(given, **switches)
        except RuntimeError as error:  # an error inside TorchScript has no kind of its own
            last = str(error).strip().splitlines()[-1]
            raise InputError(f"{self.path.name}: does not take frames of {tuple(given.shape)} ({last})") from error
        if not isinstance(found, torch.Tensor) or found.ndim != 2 or len(found) != len(given):
            shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
            raise InputError(
                f"{self.path.name}: features must be ({len(given)}, D), got {shape}; give a network of such"
            )
        return found.float().numpy()

    def check(self) -> None:
        """Refuse a file that is no network before anything is measured.

        Raises:
            InputError: it cannot be read.
        """
        _ = self._network

    @cached_property
    def _network(self) -> tuple[Any, dict[str, bool]]:
        """The network, and those of its switches that it has."""
        if self.path is None:
            return load_network(MONOCULAR_NETWORK).encoder.eval(), {}
        if not self.path.is_file():
            raise InputError(f"{self.path}: no such file; give the TorchScript of a network")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that TorchScript is old: the networks of these measures are, too
                network = torch.jit.load(str(self.path), map_location="cpu").eval()
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"{self.path.name}: is no TorchScript; save the network by torch.jit.script(...).save(...), "
                "pickled modules are not read"
            ) from error
        taken = {argument.name for argument in network.forward.schema.arguments}
        return network, {name: True for name in SWITCHES if name in taken}

    def _own(self, frames_u8: np.ndarray) -> Float[np.ndarray, "T D"]:
        """Means over the picture of the coarsest features, at the size that the encoder was trained at."""
        h, w = working_size(frames_u8.shape[1:3])
        large = np.stack([cv2.resize(frame, (w, h), interpolation=cv2.INTER_LINEAR) for frame in frames_u8])
        coarsest = self._network[0](torch.from_numpy(large).permute(0, 3, 1, 2).float() / 255)[-1]
        return coarsest.mean(dim=(-2, -1)).numpy()
