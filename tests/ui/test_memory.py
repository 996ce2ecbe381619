"""What is freed goes back to the system."""

from __future__ import annotations

import os
import subprocess
import sys
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
    memory.give_back()  # else what the tests before have left takes these blocks, too
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
    monkeypatch.setattr(memory, "_set_option", None)
    memory.keep_few_heaps()


ASIDE = """
import sys, threading
sys.path.insert(0, {root!r})
from ui.serve import memory
if {few}:
    memory.keep_few_heaps()
met = threading.Barrier(17)
def allocate():
    blocks = [bytes(3000) for _ in range(20)]
    met.wait(); met.wait()
for _ in range(16):
    threading.Thread(target=allocate).start()
met.wait()
size = next(line for line in open("/proc/self/status") if line.startswith("VmSize"))
print(int(size.split()[1]) / 1024)
met.wait()
"""


@pytest.mark.skipif(memory._set_option is None, reason="glibc alone gives each thread a heap")
def test_sixteen_threads_share_two_heaps():
    """Of the 64 MB of addresses that glibc sets aside for each."""
    sizes = []
    for few in (False, True):
        code = ASIDE.format(root=str(Path(__file__).parents[2]), few=few)
        sizes.append(float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout))
    assert sizes[0] - sizes[1] > 64 * (min(16, 8 * len(os.sched_getaffinity(0))) - 5), sizes
