"""The example clips of the app: four motions through procedural scenes, without any photograph.

`rap synthetic examples` writes them into assets/examples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rap.synthetic.clips import Plan, SyntheticBatch, SyntheticConfig, plan_clip, render_plan
from rap.synthetic.textures import texture_bank

CONFIG = SyntheticConfig(size=(256, 320), texture_size=512, photometric=False, supersample_share=1.0)


@dataclass(frozen=True)
class Example:
    """One clip.

    Attributes:
        name: of its files.
        family, kind: of its scene and its motion.
        seed: chosen by looking at the first dozen.
    """

    name: str
    family: str
    kind: str
    seed: int


EXAMPLES = (
    Example("arc_around_a_table", "table", "arc", 22),
    Example("dolly_through_a_room", "room", "dolly", 22),
    Example("walk_on_open_ground", "ground", "walk", 23),
    Example("look_around_a_room", "room", "pan", 9),
)


def plan_example(example: Example, config: SyntheticConfig = CONFIG) -> Plan:
    """Scene and path; the path does not depend on texture_size."""
    return _plan(np.random.default_rng(example.seed), example, config)


def render_example(example: Example, config: SyntheticConfig = CONFIG) -> SyntheticBatch:
    """A batch of one clip, always the same."""
    rng = np.random.default_rng(example.seed)
    plan = _plan(rng, example, config)
    return render_plan(plan, rng, config, texture_bank(None, config.texture_size))


def _plan(rng: np.random.Generator, example: Example, config: SyntheticConfig) -> Plan:
    return plan_clip(rng, config, texture_bank(None, config.texture_size), example.family, example.kind)
