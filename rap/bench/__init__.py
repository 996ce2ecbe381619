"""`rap bench`: what is measured, and demanded, of speed, memory and geometry. Only the command line imports from here.

Read `measure` (a figure and how it is taken), then `speed` (the command, and every benchmark beside the geometry), then
`training` (those that need the trainer), `geometry` (a folder: one file a part), `picture` (depth and lens of one
picture), `take` (a film at full size) and `step` (a network of any size).
"""

from rap.bench.speed import main

__all__ = ["main"]
