"""Imported before NumPy, by the app and the command line: its matrix products stay on one thread.

The largest systems that bundle adjustment solves have 103 unknowns, six of each of 17 cameras and a focal length.
OpenBLAS, which NumPy's wheels bring, splits them over all cores. Measured on two cores, 17 frames of 252 x 448, poses
from nothing, two runs each. Beside two busy processes: 11.5 and 11.9 s, of which 10.6 and 11.2 of work; on one thread
6.4 and 4.1 s, of which 3.9 and 3.3 (threads that spin while they wait would explain it). At rest: 3.3 to 4.3 s with 6.2
to 8.2 of work; on one thread 3.8 to 4.0, all of it work.

Only on x86, where torch's own products are another library's; a value that is set already stays. Who calls
`refine_trajectory` from a program of their own does well to set OPENBLAS_NUM_THREADS=1.
"""

from __future__ import annotations

import os
import platform

VARIABLE = "OPENBLAS_NUM_THREADS"


def keep_to_one() -> None:
    """Tell OpenBLAS, which asks when it is loaded, not later."""
    if platform.machine().lower() in ("x86_64", "amd64"):
        os.environ.setdefault(VARIABLE, "1")


keep_to_one()
