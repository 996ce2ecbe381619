"""What a checkpoint does on clips of known cameras, beside what others do there; `main` is `rap evaluate`.

Only the command line imports from here. Read `command`, then `protocols` (what is measured on one clip, and its
words), `datasets` (which clips), `peers` (what stands beside the model) and `frechet`; `rows` keeps what was measured
and `report` makes tables of it, with the intervals of `bootstrap`.
"""

from rap.evaluation.command import main

__all__ = ["main"]
