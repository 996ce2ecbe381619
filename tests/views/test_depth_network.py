"""The network that corrects plane sweeps: what it is shown and says, and that it helps on scenes it has not seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rap.reconstruction.tracks import sparse_points
from rap.synthetic import SyntheticConfig
from rap.synthetic.clips import SyntheticBatch, plan_clip, render_plan
from rap.synthetic.textures import texture_bank
from rap.views.depth import plane_sweep, sweep_evidence
from rap.views.depth_network import (
    MAPS,
    DepthNetwork,
    Evidence,
    as_bytes,
    as_costs,
    coarser_costs,
    costs_beside,
    embedded_depth_network,
    network_inputs,
)

SHOWN = [0, 4, 8]


def clip_of(seed: int, size: tuple[int, int] = (96, 128)) -> SyntheticBatch:
    """Nine frames of an orbit with exact cameras and depth, of procedural patterns."""
    config = SyntheticConfig(size=size, num_frames=9, texture_size=64, photometric=False)
    bank, rng = texture_bank(None, config.texture_size, "cpu"), np.random.default_rng((9, seed))
    return render_plan(plan_clip(rng, config, bank, "furnished", "orbit"), rng, config, bank)


def arguments(clip: SyntheticBatch) -> dict:
    """Of a sweep of three of the frames."""
    frames_u8, Ts, intrinsics = clip.frames_u8[0], clip.Ts_world_camera[0].numpy(), clip.intrinsics[0].numpy()
    return {
        "frames": frames_u8[SHOWN].permute(0, 3, 1, 2).float() / 255,
        "Ts_world_camera": Ts[SHOWN],
        "intrinsics": intrinsics[SHOWN],
        "points": sparse_points(frames_u8.numpy(), Ts, intrinsics)[1],
        "point_frames": SHOWN,
    }


def random_evidence(planes: int = 9, size: tuple[int, int] = (6, 10)) -> Evidence:
    generator = torch.Generator().manual_seed(0)
    h, w = size
    maps = torch.rand(2, len(MAPS), h, w, generator=generator)
    maps[:, 0] = maps[:, 0] * (planes + 4) - 2  # beyond the first and the last plane too
    blind, informed = (torch.rand(2, h, w, planes, generator=generator) * 2 for _ in range(2))
    colour = torch.rand(2, 3, 2 * h, 2 * w, generator=generator)
    return Evidence(colour, maps, blind, informed, torch.full((2,), float(planes)), torch.full((2,), 20.0))


def test_costs_beside_a_depth_are_interpolated_one_by_one():
    costs, depth = torch.rand(1, 2, 3, 7), torch.tensor([[[-2.5, 0.0, 1.25], [3.5, 6.0, 9.75]]])
    found = costs_beside(costs, depth, 2)
    for y, x in np.ndindex(2, 3):
        expected = np.interp(depth[0, y, x].item() + np.arange(-2, 3), np.arange(7), costs[0, y, x].numpy()) - 1
        np.testing.assert_allclose(found[0, :, y, x], expected, atol=1e-6)


def test_coarser_costs_are_means_of_four_and_the_last_plane_goes_on():
    costs = torch.rand(1, 2, 3, 6)
    found = coarser_costs(costs)
    assert found.shape == (1, 2, 3, 3)
    torch.testing.assert_close(found[..., 0], costs[..., :4].mean(dim=-1))
    torch.testing.assert_close(found[..., 1], (costs[..., 4] + 3 * costs[..., 5]) / 4)
    torch.testing.assert_close(found[..., 2], costs[..., 5])


def test_costs_survive_as_bytes_within_half_a_step():
    costs = torch.linspace(0, 3.6, 100)
    assert (as_costs(as_bytes(costs)) - costs).abs().max() <= 2 / 255 + 1e-6


def test_planes_added_behind_the_last_change_nothing():
    evidence = random_evidence(planes=8)
    blind, informed = (
        torch.cat([costs, costs[..., -1:].expand(-1, -1, -1, 5)], dim=-1)
        for costs in (evidence.blind, evidence.informed)
    )
    padded = replace(evidence, blind=blind, informed=informed)
    torch.testing.assert_close(network_inputs(padded), network_inputs(evidence))


def test_an_untrained_network_changes_no_depth():
    evidence = random_evidence()
    depth, log_error = DepthNetwork()(evidence)
    expected = evidence.maps[:, 0].repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    torch.testing.assert_close(depth, expected)
    assert depth.shape == log_error.shape == evidence.colour.shape[:1] + evidence.colour.shape[2:]


def test_the_four_pixels_of_a_place_are_corrected_by_their_own_outputs():
    network, evidence = DepthNetwork((4, 4)), random_evidence()
    network.load_state_dict({**network.state_dict(), "head.bias": torch.arange(8.0)})
    depth = network(evidence)[0] - evidence.maps[:, 0].repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    for k, (dy, dx) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        torch.testing.assert_close(depth[:, dy::2, dx::2], torch.full((2, 6, 10), 4.0 * k))


def test_weights_are_saved_and_loaded(tmp_path: Path):
    network = DepthNetwork((4, 6, 8))
    network.load_state_dict({**network.state_dict(), "head.bias": torch.arange(8) / 8})
    network.save(tmp_path / "net.safetensors")
    evidence = random_evidence()
    for found, expected in zip(
        DepthNetwork.load(tmp_path / "net.safetensors")(evidence), network(evidence), strict=True
    ):
        torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)  # half precision


def test_other_files_are_refused(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="rap train depth"):
        DepthNetwork.load(tmp_path / "none.safetensors")
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="holds another network"):
        DepthNetwork.load(tmp_path / "other.safetensors")


@pytest.fixture(scope="module")
def clips() -> list[tuple[dict, np.ndarray]]:
    """Sweeps and true inverse depths of clips whose seeds and patterns the training has not seen."""
    found = []
    for clip in map(clip_of, range(4)):
        assert clip.depth is not None
        found.append((arguments(clip), 1 / clip.depth[0][SHOWN].numpy()))
    return found


def mean_error(arguments: dict, truth: np.ndarray, network: DepthNetwork | None) -> float:
    """In planes of the sweep, gross errors as 16."""
    found = plane_sweep(**arguments, network=network).inverse_depth.numpy()
    evidence = sweep_evidence(**arguments)
    assert evidence is not None
    return float(np.minimum(np.abs(found - truth) / evidence[1][:, 1, None, None], 16).mean())


def test_the_embedded_network_corrects_sweeps_of_scenes_it_has_not_seen(clips):
    network = embedded_depth_network()
    before, after = (np.array([mean_error(given, truth, n) for given, truth in clips]) for n in (None, network))
    assert after.mean() < 0.95 * before.mean(), f"{before} became {after}"


def test_its_confidence_tells_right_from_wrong(clips):
    arguments, truth = clips[0]
    found = plane_sweep(**arguments, network=embedded_depth_network())
    assert found.confidence.min() >= 0 and found.confidence.max() <= 1
    wrong = np.abs(found.inverse_depth.numpy() - truth) / truth
    sure = found.confidence.numpy() > np.median(found.confidence)
    assert np.median(wrong[sure]) < 0.5 * np.median(wrong[~sure])


def test_a_world_of_another_size_has_the_same_depth_in_it(clips):
    arguments = clips[0][0]
    network = embedded_depth_network()
    larger = arguments["Ts_world_camera"].copy()
    larger[:, :3, 3] *= 7
    points = arguments["points"].transformed(np.eye(4), 7.0)
    found = plane_sweep(**arguments, network=network).inverse_depth
    scaled = plane_sweep(**{**arguments, "Ts_world_camera": larger, "points": points}, network=network).inverse_depth
    torch.testing.assert_close(7 * scaled, found, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("size", [(47, 63), (48, 66)])
def test_any_size_is_corrected(size: tuple[int, int]):
    given = arguments(clip_of(1, size))
    found = plane_sweep(**given, network=embedded_depth_network())
    assert found.inverse_depth.shape == found.confidence.shape == (3, *size)
    assert torch.isfinite(found.inverse_depth).all() and (found.inverse_depth > 0).all()


def test_where_no_depth_is_to_be_seen_the_network_is_not_asked(clips):
    given = dict(clips[0][0])
    given["Ts_world_camera"] = np.tile(np.eye(4), (3, 1, 1))
    assert sweep_evidence(**given) is None
    assert (plane_sweep(**given, network=embedded_depth_network()).confidence == 0).all()


def test_two_frames_are_each_others_only_neighbour(clips):
    given = dict(clips[0][0])
    for name in ("frames", "Ts_world_camera", "intrinsics", "point_frames"):
        given[name] = given[name][:2]
    evidence = sweep_evidence(**given)
    assert evidence is not None
    first, second = (evidence[0].maps[:, MAPS.index(f"surface_{rank}")] for rank in ("first", "second"))
    torch.testing.assert_close(first, second)
