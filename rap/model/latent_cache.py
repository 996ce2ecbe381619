"""Latents of what has been encoded before: regenerating after an edit encodes only what the edit has changed."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
from torch import Tensor

LIMIT_BYTES = 64 << 20  # 81 frames of 832 x 480 pixels take 8 MB at 16 channels, a path of 17 cameras half of one


class LatentCache:
    """Tensors by what they were made from; those used longest ago go first when there are too many bytes.

    Whoever gets a tensor must not change it. Safe for several threads; two that miss at once both encode.

    Args:
        limit_bytes: of all that is kept; a tensor larger than that is not kept.
    """

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def size_bytes(self) -> int:
        """Bytes of all that is kept."""
        return sum(tensor.nbytes for tensor in self._kept.values())

    def get(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """The tensor kept under `key`, else the one that `make` gives, kept from now on."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            if made.nbytes <= self._limit_bytes:
                self._kept[key] = made
                while self.size_bytes > self._limit_bytes:
                    self._kept.popitem(last=False)
        return made


def content(*arrays: np.ndarray) -> str:
    """A name for the shapes, types and values of arrays."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype};".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
