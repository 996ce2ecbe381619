"""Uploads become clips here: frames of one size, their rate, and reference cameras where a file knows these.

It knows `rap.geometry` and `rap.formats`. Everyone above imports the names below, or a file for what they leave out.
Read `clip` (from an upload to the value `Clip`), then what it is made with: `images`, `video`, `reference`.
`packed` takes a clip to another process or into a file. `dataset` is for the trainings: shards of posed clips.
"""

from rap.data.clip import Clip, load_clip
from rap.data.images import raxels_to_u8, read_image, write_frames
from rap.data.reference import fit_trajectory
from rap.data.shrink import fit_size
from rap.data.video import playback_fps, write_video

__all__ = [
    "Clip",
    "fit_size",
    "fit_trajectory",
    "load_clip",
    "playback_fps",
    "raxels_to_u8",
    "read_image",
    "write_frames",
    "write_video",
]
