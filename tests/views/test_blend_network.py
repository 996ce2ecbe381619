"""The network that makes one picture of warped sources: what it is shown and says, and that it helps on new scenes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rap.geometry import se3
from rap.reconstruction.tracks import sparse_points
from rap.synthetic import SyntheticConfig
from rap.synthetic.clips import plan_clip, render_plan
from rap.synthetic.textures import texture_bank
from rap.train.blend_data import Recorder
from rap.views.blend_network import MAPS, SINGLE, BlendEvidence, BlendNetwork, embedded_blend_network
from rap.views.depth import plane_sweep
from rap.views.depth_network import embedded_depth_network
from rap.views.warp import Warp, fill_holes, warp

SHOWN, HIDDEN = [0, 4, 8], [2, 6]
SIZE = (24, 32)
INTRINSICS = np.array([[30.0, 30.0, 16.0, 12.0]])


def evidence_of(colours: list[float], shown: list[bool], size: tuple[int, int] = (6, 10)) -> BlendEvidence:
    """One target whose mean and single sources are of one grey each."""
    evidence = BlendEvidence.blank(1, size)
    evidence.mean.fill_(colours[0])
    for number, (colour, is_shown) in enumerate(zip(colours[1:], shown, strict=True)):
        evidence.differences[:, number] = (colour - colours[0]) * is_shown
        evidence.shown[:, number] = is_shown
    evidence.maps.fill_(1.0)
    return evidence


def told(biases: dict[int, float]) -> BlendNetwork:
    """A network whose answer is everywhere the same: logits of mean and sources, then the correction."""
    network = BlendNetwork((4, 4)).requires_grad_(False)
    for channel, value in biases.items():
        network.head.bias[4 * channel : 4 * channel + 4] = value
    return network


def test_untrained_it_shows_mostly_the_mean():
    colours = [0.5, 0.1, 0.2, 0.3, 0.8, 0.9]
    found = told({})(evidence_of(colours, [True] * SINGLE))
    share = 1 / (math.exp(3) + SINGLE)
    expected = 0.5 * math.exp(3) * share + sum(colours[1:]) * share
    torch.testing.assert_close(found, torch.full_like(found, expected))


def test_shares_choose_among_what_is_shown_and_the_correction_is_added():
    colours = [0.5, 0.1, 0.2, 0.3, 0.8, 0.9]
    second = told({2: 40.0, 6: 0.4})(evidence_of(colours, [True] * SINGLE))
    torch.testing.assert_close(second[:, 0], torch.full_like(second[:, 0], 0.2 + 0.25 * 0.4))
    torch.testing.assert_close(second[:, 1:], torch.full_like(second[:, 1:], 0.2))
    hidden = told({2: 20.0})(evidence_of(colours, [True, False, True, True, True]))
    mean = told({})(evidence_of(colours, [True, False, True, True, True]))
    torch.testing.assert_close(hidden, mean, atol=1e-4, rtol=0)


def test_in_a_hole_there_is_the_mean_and_the_correction():
    found = told({7: -1.0})(evidence_of([0.5, 0.1, 0.2, 0.3, 0.8, 0.9], [False] * SINGLE))
    torch.testing.assert_close(found[:, 1], torch.full_like(found[:, 1], 0.25))
    torch.testing.assert_close(found[:, 0], torch.full_like(found[:, 0], 0.5))


@pytest.mark.parametrize("size", [(7, 10), (6, 9), (13, 17), (48, 64)])
def test_any_size_is_answered_pixel_by_pixel(size: tuple[int, int]):
    torch.manual_seed(0)
    network = BlendNetwork((4, 6, 8))
    network.head.weight.data.normal_()
    evidence = evidence_of([0.5] * 6, [True] * SINGLE, size)
    assert network(evidence).shape == (1, 3, *size)
    moved = BlendEvidence(evidence.inputs.clone())
    moved.mean[..., :2, :2] += 0.1
    changed = (network(moved) != network(evidence)).any(dim=1)[0]
    assert changed[:2, :2].all(), "a cell of the network is the pixels it is made of"


def test_weights_are_saved_and_loaded(tmp_path: Path):
    torch.manual_seed(0)
    network = BlendNetwork((4, 6, 8))
    network.head.weight.data.normal_(std=0.3)
    network.save(tmp_path / "net.safetensors")
    evidence = evidence_of([0.5, 0.1, 0.2, 0.3, 0.8, 0.9], [True] * SINGLE)
    found = BlendNetwork.load(tmp_path / "net.safetensors")(evidence)
    torch.testing.assert_close(found, network(evidence), atol=5e-3, rtol=0)  # half precision


def test_other_files_are_refused(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="rap train blend"):
        BlendNetwork.load(tmp_path / "none.safetensors")
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="blend network: .* holds another network"):
        BlendNetwork.load(tmp_path / "other.safetensors")


# --- what it is shown -------------------------------------------------------------------------------------------------


def plane_before(shifts: list[float], target: float, network: object = None, exposures: tuple = (1.0, 1.0)) -> Warp:
    """A bright and a dark picture of the same plane, each from its own place, seen from another."""
    poses = np.stack([se3.from_rotation_translation(np.eye(3), [x, 0, 0]) for x in [*shifts, target]])
    generator = torch.Generator().manual_seed(1)
    base = torch.rand(1, 3, *SIZE, generator=generator) * 0.4 + 0.1
    frames = torch.cat([base * exposures[i % 2] for i in range(len(shifts))])
    depth = torch.ones(len(shifts), *SIZE)
    lenses = np.repeat(INTRINSICS, len(poses), axis=0)
    return warp(frames, depth, poses[:-1], lenses[:-1], poses[-1:], lenses[-1:], SIZE, network=network)


def test_evidence_tells_what_every_source_shows_in_one_exposure():
    recorder = Recorder()
    seen = plane_before([0.0, 0.0], 0.0, recorder, (1.0, 1.5))
    (evidence,) = recorder.seen
    assert (evidence.shown[0, :2] == 1).all() and not evidence.shown[0, 2].any(), "two registered sources, no third"
    assert (evidence.shown[0, 3:] == 1).all()
    assert evidence.differences.abs().max() < 1e-3, "brought to one exposure, they agree"
    torch.testing.assert_close(evidence.mean, seen.colour)
    maps = dict(zip(MAPS, evidence.maps[0], strict=True))
    assert (maps["consistency_first"] > 0.99).all() and (maps["consistency_third"] == 0).all()
    assert (maps["mask"] == 1).all() and torch.allclose(maps["depth"], torch.tensor(0.5))


def test_a_source_of_another_opinion_is_shown_with_its_difference():
    recorder = Recorder()
    plane_before([0.0, 0.4], 0.0, recorder)
    (evidence,) = recorder.seen
    both = (evidence.shown[0, :2] == 1).all(dim=0)
    mean, first, second = evidence.mean[0], *evidence.differences[0, :2]
    assert 0.3 < both.float().mean() < 0.9, "12 px are out of the second's view"
    assert (first[:, both] * second[:, both] <= 1e-6).all(), "the mean lies between"
    own = evidence.differences[0, 3] + mean
    torch.testing.assert_close(own[:, both], (mean + first)[:, both], atol=1e-4, rtol=0)


def test_a_source_alone_and_holes_are_shown_too():
    recorder = Recorder()
    seen = plane_before([0.5], 0.0, recorder)
    (evidence,) = recorder.seen
    hole = ~seen.mask[0]
    assert hole.any() and not evidence.shown[0][:, hole].any()
    assert not evidence.shown[0, [1, 2, 4]].any()
    torch.testing.assert_close(evidence.mean, fill_holes(seen.colour, seen.mask))
    torch.testing.assert_close(seen.filled, evidence.mean)


def test_the_answer_of_the_network_fills_holes_and_colours_stay_without():
    network = told({6: 0.4, 7: 0.4, 8: 0.4})
    plain, seen = plane_before([0.5], 0.0), plane_before([0.5], 0.0, network)
    torch.testing.assert_close(seen.filled, (plain.filled + 0.1).clamp(0, 1))
    torch.testing.assert_close(seen.colour, seen.filled * seen.mask[:, None])
    assert (seen.colour[:, :, ~seen.mask[0]] == 0).all()
    for name in ("mask", "weight", "inverse_depth", "layer_colours", "layer_masks"):
        torch.testing.assert_close(getattr(seen, name), getattr(plain, name))


# --- what it is worth -------------------------------------------------------------------------------------------------


def clip_psnr(seed: int) -> tuple[float, float]:
    """PSNR in dB between frames of a new clip without and with the embedded network."""
    config = SyntheticConfig(size=(96, 128), num_frames=9, texture_size=64)
    bank, rng = texture_bank(None, config.texture_size, "cpu"), np.random.default_rng((11, seed))
    clip = render_plan(plan_clip(rng, config, bank, "furnished", "orbit"), rng, config, bank)
    frames_u8, Ts, intrinsics = clip.frames_u8[0], clip.Ts_world_camera[0].numpy(), clip.intrinsics[0].numpy()
    frames = frames_u8.permute(0, 3, 1, 2).float() / 255
    points = sparse_points(frames_u8.numpy(), Ts, intrinsics)[1]
    depth = plane_sweep(
        frames[SHOWN], Ts[SHOWN], intrinsics[SHOWN], points, point_frames=SHOWN, network=embedded_depth_network()
    )
    found = []
    for network in (None, embedded_blend_network()):
        seen = warp(
            frames[SHOWN], depth.inverse_depth, Ts[SHOWN], intrinsics[SHOWN], Ts[HIDDEN], intrinsics[HIDDEN],
            config.size, confidence=depth.confidence, network=network,
        )  # fmt: skip
        found.append(-10 * math.log10((seen.filled - frames[HIDDEN]).square().mean().item()))
    return found[0], found[1]


def test_the_embedded_network_is_nearer_to_frames_it_has_not_seen():
    before, after = np.array([clip_psnr(seed) for seed in range(4)]).T
    assert (after > before - 0.1).all() and after.mean() > before.mean() + 0.2, f"{before} became {after}"
