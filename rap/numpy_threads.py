"""Imported before NumPy, by the app and the command line: its matrix products stay on one thread.

The largest that bundle adjustment asks for are 103 x 103 out of 103 x 3000. OpenBLAS, which NumPy's wheels bring,
splits them over all cores, and its threads wait for each other by spinning: where others use the cores too (another
session, a generation), every product waits for a turn of each. Measured on two cores beside two busy processes, 17
frames of 252 x 448, poses from nothing: 10.6 and 11.2 CPU seconds, 3.9 and 3.3 this way.

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
