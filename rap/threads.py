"""Imported before NumPy and torch, by the app and the command line: how their threads wait, and how many there are.

torch's threads (OpenMP) spin while they wait for each other, unless they are told to sleep. Beside other work a thread
that spins keeps the processor from the one it waits for. Measured on two cores at a load of 7 to 13, a film of 17
frames, 546 px, wall seconds of two runs: depth 21 and 29, asleep 2.7 and 3.2; take 9.9 and 7.9, asleep 2.6 and 3.6.

NumPy's matrix products stay on one thread. The largest systems that bundle adjustment solves have 103 unknowns, six of
each of 17 cameras and a focal length. OpenBLAS, which NumPy's wheels bring, splits them over all cores. Measured on two
cores, 17 frames of 252 x 448, poses from nothing, two runs each. Beside two busy processes: 11.5 and 11.9 s, of which
10.6 and 11.2 of work; on one thread 6.4 and 4.1 s, of which 3.9 and 3.3 (threads that spin would explain it). At rest:
3.3 to 4.3 s with 6.2 to 8.2 of work; on one thread 3.8 to 4.0, all of it work. Only on x86, where torch's own products
are another library's.

A value that is set already stays. Who calls `rap` from a program of their own does well to set both, or to import this
first.
"""

from __future__ import annotations

import os
import platform


def settings() -> dict[str, str]:
    """Variables of the environment and their values; libraries ask for them when they are loaded, not later."""
    asleep = {"OMP_WAIT_POLICY": "PASSIVE"}
    if platform.machine().lower() in ("x86_64", "amd64"):
        return asleep | {"OPENBLAS_NUM_THREADS": "1"}
    return asleep


for _name, _value in settings().items():
    os.environ.setdefault(_name, _value)
