"""Imported before NumPy and torch, by the app and the command line: how their threads wait, and how many there are.

torch's threads (GNU's OpenMP) spin for milliseconds while they wait for each other. Beside other work a thread that
spins keeps the processor from the one it waits for. Here they look a thousand times, some microseconds, and sleep.
Measured on two cores, wall seconds of depth and take, 17 frames of 546 px (pose_0050), two runs each, 2026-11-29:

    beside          spinning as they would      asleep at once          a thousand looks
    nothing         0.67 0.77 / 0.57 0.60       0.92 0.86 / 0.62 0.58   0.70 0.63 / 0.58 0.55
    4 processes     5.1 8.3 / 3.6 4.7           2.2 2.7 / 2.0 1.8       2.8 2.9 / 1.8 2.0

NumPy's matrix products stay on one thread. The largest systems that bundle adjustment solves have 103 unknowns, six of
each of 17 cameras and a focal length. OpenBLAS, which NumPy's wheels bring, splits them over all cores. Measured on two
cores, 17 frames of 252 x 448, poses from nothing, two runs each. Beside two busy processes: 11.5 and 11.9 s, of which
10.6 and 11.2 of work; on one thread 6.4 and 4.1 s, of which 3.9 and 3.3 (threads that spin would explain it). At rest:
3.3 to 4.3 s with 6.2 to 8.2 of work; on one thread 3.8 to 4.0, all of it work. Only on x86, where torch's own products
are another library's.

A value that is set already stays. Who calls `rap` from a program of their own does well to set them, or to import this
first.
"""

from __future__ import annotations

import os
import platform


def settings() -> dict[str, str]:
    """Variables of the environment and their values; libraries ask for them when they are loaded, not later."""
    waiting = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}  # other OpenMPs know the first alone
    if platform.machine().lower() in ("x86_64", "amd64"):
        return waiting | {"OPENBLAS_NUM_THREADS": "1"}
    return waiting


for _name, _value in settings().items():
    os.environ.setdefault(_name, _value)
