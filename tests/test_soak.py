"""A minute of five simulated users at the app; half an hour of them is run by hand (benchmarks/soak.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[1] / "benchmarks" / "soak.py"


@pytest.mark.slow  # a minute of use, and what it left behind
@pytest.mark.timeout(300)
def test_five_users_for_a_minute_leave_nothing_behind():
    run = subprocess.run([sys.executable, str(PROGRAM), "--minutes", "1"], stdout=subprocess.PIPE, text=True)
    found = json.loads(run.stdout.splitlines()[-1])
    assert (found["errors"], found["failures"]) == ([], [])
    assert (found["files_left"], found["threads_left"], found["sessions_left"]) == ([], [], 0)
    assert sum(found["acts"].values()) > 100 and found["acts"]["regenerate"] > 3
    # four runs of a minute grew by 14 to 32 % and half an hour of the same by 1 %: this only finds what runs away
    assert found["growth"] < 1.0
