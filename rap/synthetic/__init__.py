"""Procedural clips with exact cameras: textured scenes, human camera motions, a fast ray caster in plain torch.

It knows `rap.geometry` alone. The trainings and commands import the names below. Read `clips` (one clip from a seed and
a number), then its parts: `scene` and `builder`, what is built with them (`families` of `objects`, `furniture`,
`outdoors`), `textures`, `lighting`; `motion`; `render` with `superquadrics`. `dataset` writes shards, `examples` the
app's four clips.
"""

from rap.synthetic.clips import SyntheticBatch, SyntheticConfig, render_clips, stream
from rap.synthetic.dataset import build_shards

__all__ = ["SyntheticBatch", "SyntheticConfig", "build_shards", "render_clips", "stream"]
