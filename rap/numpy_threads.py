"""Imported before NumPy, by the app and the command line: its matrix products stay on one thread.

The largest that bundle adjustment asks for are 103 x 103 out of 103 x 3000. OpenBLAS, which NumPy's wheels bring,
splits them over all cores, and its threads wait for each other by spinning: where others use the cores too (another
session, a generation), every product waits for a turn of each. Measured on two cores beside two busy processes, 17
frames of 252 x 448, poses from nothing: 11.5 and 11.9 s of which 10.6 and 11.2 of work, this way 6.4 and 4.1 of which
3.9 and 3.3; on the same machine at rest 3.3 to 4.3 s at twice the work, and 3.8 to 4.0.

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
