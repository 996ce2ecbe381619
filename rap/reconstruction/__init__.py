"""Cameras from frames: points are followed, poses and points fitted to them, and what does not hold together is mended.

It knows `rap.geometry` alone; everyone above imports from its files. Read `tracks` (points followed and triangulated)
and `bundle` (bundle adjustment), then `refine`, the walk of a few frames: it takes a predicted path or none, `matching`
and `initialise` find a start in the frames (`lens`: the focal length by trial, `growth`: frame by frame), `mend`,
`joints` and `rejoin` see to what was lost or has come apart. `film` goes the same way through all frames of an upload:
`follow` tracks them and picks key frames, `tie` places those between. `judge` says what a path is worth, `moving` what
moves by itself. `colmap` asks COLMAP instead. `optical_flow` stands alone: features for the network.
"""
