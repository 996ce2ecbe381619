"""Processes that share a clip (diffusers' context parallel, Ulysses): each has some of the tokens of every frame."""

from __future__ import annotations

import json

import pytest
import sharing
import torch
from diffusers import ContextParallelConfig, ParallelConfig
from processes import started

pytestmark = pytest.mark.scale


def test_two_that_share_a_clip_compute_what_one_does_and_their_gradients_add_up() -> None:
    first, second = started(2, [], sharing.compared)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    found = json.loads(first.stdout.splitlines()[-1])
    assert found.keys() == sharing.KINDS.keys()
    for name, pairs in found.items():
        assert len(pairs) > 40 and pairs[0][1] > 0.1 and pairs[1][1] > 0.1
        for difference, size in pairs:
            assert difference <= 1e-4 * max(1.0, size), name


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"ulysses_degree": 3}, "4 heads have no 3 equal parts"),
        ({"ring_degree": 2}, "give ulysses_degree alone"),
        ({"ulysses_degree": 2, "ulysses_anything": True}, "give ulysses_degree alone"),
    ],
)
def test_shares_that_are_not_equal_are_refused(chosen: dict, words: str) -> None:
    network, inputs = sharing.made({})
    network._parallel_config = ParallelConfig(ContextParallelConfig(**chosen))
    with torch.no_grad(), pytest.raises(ValueError, match=words):
        network(*inputs, num_source_frames=1)
