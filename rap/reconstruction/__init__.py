"""Cameras from frames: points are followed, poses and points fitted to them, and what does not hold together is mended.

It knows `rap.geometry` alone; everyone above imports from its files. Read `tracks` (points
followed and triangulated) and `bundle` (bundle adjustment), then `refine`, the walk that all of it serves: it takes a
predicted path or none, `matching` and `initialise` find a start in the frames, `mend`, `joints` and `rejoin` see to
what was lost or has come apart. `optical_flow` stands alone: features for the network.
"""
