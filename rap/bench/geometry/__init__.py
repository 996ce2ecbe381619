"""`rap bench geometry`: poses, depth and warping measured on real clips of known cameras.

Nothing imports from here but `rap bench` itself, which calls `run.main`. Read `run` first: it says what every part
measures, reads the windows and prints. A part is a file with `..._row` (one window measured) and `..._figures` (all
windows told): `psnr`, `refine`, `poses`, `film`, `colmap`, `speed`. `windows` are what they measure on, `rows` what
they write. A new column is a key of a part's row, and a line of its figures.
"""
