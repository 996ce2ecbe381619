"""Procedural clips with exact cameras: textured scenes, human camera motions, a fast ray caster in plain torch."""

from rap.synthetic.clips import SyntheticBatch, SyntheticConfig, render_clips, stream
from rap.synthetic.dataset import build_shards

__all__ = ["SyntheticBatch", "SyntheticConfig", "build_shards", "render_clips", "stream"]
