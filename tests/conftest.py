"""Tests in several processes (`pytest -n 2 --dist loadgroup`): each takes its part of the threads, and whole files."""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
settings.load_profile("unhurried")


def pytest_configure(config):
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if processes > 1:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // processes))


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items):
    """Tests of a file may share a session that each leaves to the next: they stay in one process, in their order."""
    for item in items:
        one_browser = item.path.parent.name == "browser"  # two would wait for each other
        item.add_marker(pytest.mark.xdist_group("browser" if one_browser else item.path.name))
