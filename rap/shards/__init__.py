"""Collections of recordings with cameras to shards of latents that a training reads, at any scale.

`rap shards` builds them and `rap.train` reads them; nobody else imports from here. It knows model and below, and
Ray only in `on_ray`, when asked. Read `scenes` (what is a clip), `judge` (which are kept), `latents` (what is made of
one; `text`: what stands for a prompt), `archive` (how they lie on disk), then `building`, which does it all in stages.
"""

from rap.shards.archive import LatentShards, are_shards
from rap.shards.building import build
from rap.shards.judge import Limits
from rap.shards.latents import codec_sha256
from rap.shards.settings import Building
from rap.shards.text import empty_prompt

__all__ = ["Building", "LatentShards", "Limits", "are_shards", "build", "codec_sha256", "empty_prompt"]
