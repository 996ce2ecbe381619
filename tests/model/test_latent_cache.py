"""Latents of what has been encoded before."""

from __future__ import annotations

import numpy as np
import torch

from rap.model.latent_cache import LatentCache, content


def test_what_is_kept_is_not_made_again():
    cache, made = LatentCache(), []

    def make():
        made.append(torch.zeros(3))
        return made[-1]

    assert cache.get("a", make) is cache.get("a", make) and len(made) == 1
    cache.get("b", make)
    assert len(made) == 2 and cache.size_bytes == 24


def test_what_was_used_longest_ago_goes_first():
    cache = LatentCache(limit_bytes=100)
    one, two, three = (torch.full((10,), float(i)) for i in range(3))  # 40 bytes each
    cache.get("one", lambda: one)
    cache.get("two", lambda: two)
    cache.get("one", lambda: two)
    cache.get("three", lambda: three)
    assert cache.size_bytes == 80
    assert cache.get("one", lambda: two) is one
    assert cache.get("two", lambda: three) is three, "it had gone"


def test_what_is_too_large_is_not_kept():
    cache = LatentCache(limit_bytes=100)
    cache.get("small", lambda: torch.zeros(10))
    assert cache.get("large", lambda: torch.zeros(100)).shape == (100,)
    assert cache.size_bytes == 40


def test_content_is_values_shapes_and_types():
    array = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert content(array) == content(array.copy()) == content(np.asfortranarray(array))
    others = [array + 1, array.reshape(4, 3), array.astype(np.int8), array[:2]]
    assert len({content(array), *map(content, others)}) == 5
    assert content(array, array) != content(array)
