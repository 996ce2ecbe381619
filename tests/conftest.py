"""Several test processes share the processor: each takes its part of the threads."""

from __future__ import annotations

import os

import torch


def pytest_configure(config):
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes > 1:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))
