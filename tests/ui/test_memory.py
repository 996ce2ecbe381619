"""What is freed goes back to the system."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ui.serve import memory

BLOCK, BLOCKS = 3_000, 50_000  # bytes; larger than what Python keeps by itself


def resident_mb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024


@pytest.mark.skipif(memory._trim is None, reason="glibc alone keeps it and can be told to return it")
def test_what_a_small_block_has_held_back_is_returned():
    before = resident_mb()
    blocks = [bytes([i % 7]) * BLOCK for i in range(BLOCKS)]
    last = blocks[-1]
    del blocks
    assert resident_mb() > before + 100, "glibc keeps all before the last block"
    began = time.process_time()
    memory.give_back()
    assert resident_mb() < before + 30 and len(last) == BLOCK
    assert time.process_time() - began < 2.0


def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr(memory, "_trim", None)
    memory.give_back()
