"""What new cameras see of frames whose cameras are known: depth of the frames, and the frames warped along a path.

It knows `rap.geometry` and `rap.reconstruction`; two files know more: `hints` the model, whose inputs it makes, and
`scene` clips. The pipeline, the trainings, the commands and the editor import from its files. Read `scene` first, which
puts all of it together for one clip, then `depth` with `sweep_plan` and `sweep`, below them `stereo`, `completion` and
`transfer`; then `warp` with `splat` and `exposure`. `depth_network` and `blend_network` (on a `unet`) correct the one
and the other. `monocular` (with `efficientnet` and `guided`) tells depth and lens of one picture, of which `layers`
(with `edges`, `planes` and `upright`) makes what a path through it shows, and `enlarge` the same in the picture's own
pixels. `fusion` bends its shape to where a film has things, and `beyond` makes a frame of a film such a picture, where
the film shows little of what is asked for. `fitting` makes moves that fit a scene, by `straight` small enough that its
lines stay straight. `hints` is what of this the model is shown. `memory` says how much all of it may hold.
"""
