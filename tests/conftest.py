"""Tests in one process or several (`pytest -n 3 --dist loadgroup`): each keeps to one thread, and takes whole files.

With RAP_STRICT_SKIPS set a run fails where anything but a GPU is missing: a comparison that is skipped everywhere is
none.
"""

from __future__ import annotations

import rap.threads  # noqa: F401  before whatever imports NumPy or torch, as in the app and the command line

# isort: split
import gc
import itertools
import os
import shutil
import tempfile
from importlib.util import find_spec

import pytest
from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
settings.load_profile("unhurried")

ALLOWED_SKIP = "needs a GPU"

REUSED_MEMORY = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(1 << 30))
"""For the C library of the processes of tests: memory that is given back is asked for again at once, page by page."""

NEEDS = {
    "scale/test_*.py": {"ray", "webdataset", "transformers"},
    "generators/test_real_pipelines.py": {"transformers", "ftfy"},
}
"""Tests that are not there without packages of the extras scale and gpu: the first step of .ci/run installs neither."""

collect_ignore_glob = [pattern for pattern, packages in NEEDS.items() if not all(map(find_spec, packages))]


def pytest_configure(config):
    """No test writes into the cache of who runs it, and no two processes of tests look for the same free port."""
    os.environ["RAP_STATE"] = tempfile.mkdtemp(prefix="rap-tests-")
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        first = 7860 + 100 * int(worker.removeprefix("gw"))  # Gradio tries a hundred
        os.environ.setdefault("GRADIO_SERVER_PORT", str(first))
    if getattr(config.option, "numprocesses", None):
        os.environ.update(REUSED_MEMORY)
    elif worker:
        for name in REUSED_MEMORY:  # read when this process began; what it starts is as it is elsewhere
            os.environ.pop(name, None)
    gc.disable()  # a third of the time of importing and collecting, of which nothing goes
    config.option.loadscopereorder = False  # pytest-xdist's own: files of many tests first, however short these are
    if not getattr(config.option, "numprocesses", None):
        import torch  # not in the process that only hands out tests

        torch.set_num_threads(1)  # tensors are small here, and threads of a busy machine spin while they wait


def pytest_unconfigure(config):
    gc.freeze()  # pytest collects five times more, in half a minute, when no test is left to be told what comes of it
    shutil.rmtree(os.environ["RAP_STATE"], ignore_errors=True)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items):
    """Tests of a file may share a session that each leaves to the next: they stay in one process, in their order."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(item.path.name))
    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = with_browsers_spread(items)


def pytest_collection_finish():
    gc.freeze()  # what was imported stays: no collection has to walk through all of it again
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


@pytest.hookimpl(trylast=True)  # when the file's fixtures have ended
def pytest_runtest_teardown(item, nextitem):
    if nextitem is not None and nextitem.path != item.path:
        gc.collect()
        gc.freeze()  # the same for what its tests have imported


def with_browsers_spread(items):
    """Whole files, those of browser tests at equal distances from the first on.

    They take longest, so that one begun last would run alone; and two at once would wait for each other.
    """
    files = [list(tests) for _, tests in itertools.groupby(items, lambda item: item.path)]
    browser = [tests for tests in files if tests[0].path.parent.name == "browser"]
    others = [tests for tests in files if tests[0].path.parent.name != "browser"][::-1]  # those of views are long
    placed = [(i / len(browser), tests) for i, tests in enumerate(browser)]
    placed += [((i + 0.5) / len(others), tests) for i, tests in enumerate(others)]
    return [test for _, tests in sorted(placed, key=lambda place: place[0]) for test in tests]


@pytest.hookimpl(trylast=True)  # when the reporter has counted
def pytest_sessionfinish(session):
    if skips_that_count(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    for report in skips_that_count(config):
        terminalreporter.line(f"RAP_STRICT_SKIPS allows none but {ALLOWED_SKIP!r}: {report.nodeid}", red=True)


def skips_that_count(config) -> list:
    """Reports of skipped tests and files; the processes of pytest-xdist hand theirs to the first one."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("RAP_STRICT_SKIPS") or reporter is None:
        return []
    return [report for report in reporter.stats.get("skipped", ()) if ALLOWED_SKIP not in str(report.longrepr)]
