"""Single pictures: lenses, tilts, what they show, and how far a sky is."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from rap.synthetic import SyntheticBatch, SyntheticConfig, render_clips, stills
from rap.synthetic.builder import SKIES, SceneBuilder
from rap.synthetic.families import FAMILIES, FAMILY_WEIGHTS, STILL_WEIGHTS, sample_scene
from rap.synthetic.render import ID_MASK, cast
from rap.synthetic.stills import plan_still, sample_view
from rap.synthetic.textures import texture_bank

SMALL = SyntheticConfig(size=(32, 48), num_frames=1, stills=True, texture_size=16)


@functools.cache
def many() -> SyntheticBatch:
    return render_clips(5, 80, SMALL, with_depth=True)


def test_every_picture_depends_on_seed_and_index_alone() -> None:
    assert torch.equal(render_clips(5, 1, SMALL, start=3).frames_u8[0], many().frames_u8[3])
    assert not torch.equal(render_clips(6, 1, SMALL).frames_u8[0], many().frames_u8[0])
    assert many().frames_u8.shape == (80, 1, 32, 48, 3)
    with pytest.raises(ValueError, match="num_frames must be 1 of stills, got 5"):
        replace(SMALL, num_frames=5)


def test_all_families_and_lenses_from_wide_to_long() -> None:
    assert set(STILL_WEIGHTS) == set(FAMILIES) > set(FAMILY_WEIGHTS)
    assert sum(STILL_WEIGHTS.values()) == pytest.approx(1) == sum(FAMILY_WEIGHTS.values())
    assert len({kind.split("/")[0] for kind in many().kinds}) > 8
    focal = many().intrinsics[:, 0, 1].numpy() / 48
    assert focal.min() < 0.55 and focal.max() > 1.3 and 0.7 < np.median(focal) < 0.9


def test_cameras_are_tilted_and_rolled_as_in_photographs() -> None:
    _, scene = sample_scene(np.random.default_rng(0), texture_bank(None, 16), "room")
    rng = np.random.default_rng(1)
    poses = np.stack([sample_view(rng, scene, (48, 32)).Ts_scene_camera[0] for _ in range(400)])
    pitch = np.degrees(np.arcsin(-poses[:, 1, 2])) - math.degrees(scene.pitch_rad)
    roll = np.degrees(np.arctan2(poses[:, 1, 0], poses[:, 1, 1]))
    for angles, usual, spread in ((pitch, 7.0, 14.0), (roll, 3.0, 8.0)):
        assert abs(np.median(angles)) < 1.5 and np.median(np.abs(angles)) < usual
        assert spread - 4 < angles.std() < spread + 4
    distances = np.linalg.norm(poses[:, :3, 3] - scene.pivot, axis=-1)
    assert distances.max() > 2 * distances.min()


def test_nothing_is_right_before_the_lens_and_nothing_fills_the_picture() -> None:
    depth = many().depth
    assert depth is not None
    inverse = 1 / depth.flatten(1)
    assert (inverse.median(dim=1).values > 0.05 * inverse.mean(dim=1)).all(), "a median of more than the sky"
    for seed in range(20):
        plan = plan_still(np.random.default_rng(seed), (32, 48), texture_bank(None, 16))
        assert plan.scene.is_free(plan.views.Ts_scene_camera[:, :3, 3], 0.0)
        assert stills.is_telling(plan.scene, plan.views, stills.MOST_OF_A_WALL)


def test_close_ups_of_walls_show_a_wall_at_a_slant() -> None:
    _, scene = sample_scene(np.random.default_rng(0), texture_bank(None, 16), "room")
    rng, found = np.random.default_rng(2), []
    for _ in range(60):
        views = sample_view(rng, scene, (48, 32), of_a_wall=True)
        if stills.is_telling(scene, views, stills.MOST_OF_A_WALL):
            numbers = cast(scene, views).keys.flatten() & ID_MASK
            found.append(float((numbers < 4).float().mean()))
    assert len(found) > 20 and np.median(found) > 0.4


@pytest.mark.parametrize("family", ["landscape", "plain", "avenue"])
def test_the_sky_is_far_and_of_one_colour(family: str) -> None:
    bank = texture_bank(None, 16)
    low, high = (np.array([sky[k] for sky in SKIES]) for k in range(2))
    for seed in range(6):
        scene = FAMILIES[family](SceneBuilder(np.random.default_rng(seed), bank))
        assert (scene.hull_high - scene.hull_low)[[0, 2]].min() > 50 * np.linalg.norm(scene.pivot - scene.eye)
        colours = (
            scene.gain[[0, 1, 2, 3, 5]] * bank.means[scene.textures[[0, 1, 2, 3, 5]]] + scene.offset[[0, 1, 2, 3, 5]]
        )
        assert np.ptp(colours, axis=0).max() == pytest.approx(0), "one sky all around"
        assert ((low - 20 < colours[0]) & (colours[0] < high + 20)).all(axis=1).any()
        assert not scene.lit[[0, 1, 2, 3, 5]].any() and scene.lit[4]
