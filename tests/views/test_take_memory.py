"""What a take may hold: what fits, how many frames are made at once, and what a process really grows by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rap.errors import InputError
from rap.pipeline.tasks import check_take
from rap.views import memory
from rap.views.beyond import Moment
from rap.views.layers import lift
from ui.serve.memory import give_back

FULL_HD = (1080, 1920)


@pytest.fixture(autouse=True)
def as_before():
    yield
    memory.set_memory_gb(memory.DEFAULT_GB)


def test_whatever_the_limits_allow_fits_the_default() -> None:
    memory.check((1440, 1920), 43)
    check_take(FULL_HD, 1920, 57, None)


def test_what_does_not_fit_is_refused_with_what_would() -> None:
    memory.set_memory_gb(0.5)
    check_take(FULL_HD, 640, 81, None)
    with pytest.raises(
        InputError, match="17 frames of 1920 x 1080 need 1.0 GB .* may hold 0.5.*smaller size.*--memory-gb"
    ):
        check_take(FULL_HD, 1920, 17, None)


@pytest.mark.parametrize("gb", [0.1, 0.0, -1.0, float("nan"), float("inf")])
def test_too_little_memory_is_refused_by_name(gb: float) -> None:
    with pytest.raises(InputError, match=f"--memory-gb must be at least 0.25, got {gb:g}"):
        memory.set_memory_gb(gb)


def test_frames_are_made_at_once_as_there_is_room() -> None:
    assert memory.at_once((360, 640), 17, 4) == 4
    memory.set_memory_gb(1.4)
    assert 1 < memory.at_once(FULL_HD, 17, 8) < 8
    memory.set_memory_gb(1.0)
    assert memory.at_once(FULL_HD, 17, 8) == 1
    memory.set_memory_gb(0.25)
    assert memory.at_once(FULL_HD, 17, 8) == 1, "one always, whoever asks"


def test_a_process_grows_by_no_more_than_what_is_reckoned() -> None:
    """Of the highest mark that Linux keeps of this process."""
    size = (720, 960)
    y, x = torch.meshgrid(torch.linspace(0, 9, size[0]), torch.linspace(0, 12, size[1]), indexing="ij")
    picture = torch.stack([0.5 + 0.4 * torch.sin(x), 0.5 + 0.4 * torch.cos(y), 0.5 + 0.3 * torch.sin(x + y)])
    depth = torch.ones(size)
    depth[200:500, 300:600] = 2.0
    lens = np.array([800.0, 800.0, 480.0, 360.0])
    small = lift(picture[:, ::3, ::3], depth[::3, ::3], lens / 3, margins=(0.3, 0.4), fill=lambda colours, *_: colours)
    path = np.tile(np.eye(4), (3, 1, 1))
    path[:, 0, 3] = [0.0, 0.03, 0.06]
    list(Moment(small, np.eye(4)).finished(path, np.tile(lens / 3, (3, 1)), (240, 320)))  # what comes once, comes here
    before = _marked_bytes()
    moment = Moment(small, np.eye(4)).enlarged((255 * picture.permute(1, 2, 0).numpy()).astype(np.uint8), 960)
    frames = list(moment.finished(path, np.tile(lens, (3, 1)), size))
    grown = _highest_bytes() - before
    assert len(frames) == 3 and 0.3 * memory.needed_bytes(size, 3) < grown <= memory.needed_bytes(size, 3)


def _marked_bytes() -> int:
    """What the process holds; its highest mark begins anew here."""
    give_back()  # memory that others left to be used again would be no growth
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("the highest mark of memory cannot be set back here")
    return _kilobytes("VmRSS") * 1024


def _highest_bytes() -> int:
    return _kilobytes("VmHWM") * 1024


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
