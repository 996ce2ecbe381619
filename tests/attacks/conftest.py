"""What the tests of a running app share: the helpers of tests/ui, and what viser and Gradio leave to the collector."""

from __future__ import annotations

import ui.page.quick_start  # noqa: F401  Gradio, as the app imports it: before tests do, the slow way

# isort: split
import gc
from pathlib import Path

import pytest

NOT_OURS = ("ResourceWarning", "pytest.PytestUnraisableExceptionWarning", "DeprecationWarning")


def pytest_collection_modifyitems(items):
    """Sockets and event loops that they do not close are not the fault of the test that is running then."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for warning in NOT_OURS:
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{warning}"))


@pytest.fixture(autouse=True, scope="module")
def collected():
    """They are collected here, where their warnings are expected."""
    yield
    gc.collect()
