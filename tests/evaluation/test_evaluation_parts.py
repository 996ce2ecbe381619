"""What `rap evaluate` is made of: intervals, Frechet distances, peers, tables."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from rap.config import ASSETS
from rap.data import load_clip
from rap.errors import InputError
from rap.evaluation import peers
from rap.evaluation.bootstrap import mean_of
from rap.evaluation.frechet import OWN, FeatureNetwork, frechet_distance
from rap.evaluation.report import markdown, summary
from rap.evaluation.rows import Results, Row
from rap.formats import read
from rap.metrics import pose_errors
from rap.reconstruction import colmap

EXAMPLE = ASSETS / "examples" / "arc_around_a_table"


# --- intervals --------------------------------------------------------------------------------------------------------


def test_means_are_over_recordings_which_are_what_is_drawn():
    one = mean_of([0.0, 0.0, 0.0, 1.0], ["a", "a", "a", "b"])
    assert one.value == 0.5 and (one.low, one.high) == (0.0, 1.0) and (one.count, one.groups) == (4, 2)
    assert mean_of([2.0], ["a"]).low is None
    with pytest.raises(ValueError, match="one or more"):
        mean_of([], [])


def test_intervals_cover_the_mean_as_often_as_they_say():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        found = mean_of(rng.normal(size=30).tolist(), [str(i) for i in range(30)], seed=3)
        hits += found.low < 0.0 < found.high
    assert 0.88 < hits / 200 < 0.99


def test_intervals_are_those_of_their_seed_and_narrower_with_more_clips():
    values = np.random.default_rng(0).normal(size=400)
    names = [str(i) for i in range(400)]
    few, many = mean_of(values[:25].tolist(), names[:25]), mean_of(values.tolist(), names)
    assert mean_of(values[:25].tolist(), names[:25]) == few
    assert many.high - many.low < (few.high - few.low) / 2


# --- Frechet ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [9, 60])
def test_frechet_distance_is_that_of_the_matrix_root(samples):
    rng = np.random.default_rng(samples)
    a, b = rng.normal(size=(samples, 12)), rng.normal(size=(samples + 5, 12)) @ rng.normal(size=(12, 12)) + 0.3
    S_a, S_b = np.cov(a.T), np.cov(b.T)
    slow = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(S_a + S_b - 2 * sqrtm(S_a @ S_b).real)
    assert frechet_distance(a, b) == pytest.approx(slow, rel=1e-4)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b))


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match="N >= 2"):
        frechet_distance(np.zeros((1, 3)), np.zeros((4, 3)))


class _Means(torch.nn.Module):
    """Mean colours, as a network of features that takes a switch."""

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        flat = x.flatten(2)
        return flat.mean(2) if return_features else flat.sum()


@pytest.mark.parametrize(("of_videos", "rows"), [(False, 5), (True, 1)])
def test_a_network_of_a_file_sees_frames_or_videos(tmp_path, of_videos, rows):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(_Means()).save(tmp_path / "means.pt")
    frames = np.full((5, 16, 24, 3), (10, 20, 200), dtype=np.uint8)
    network = FeatureNetwork(tmp_path / "means.pt", of_videos)
    assert network.features(frames) == pytest.approx(np.tile([10.0, 20.0, 200.0], (rows, 1)))
    assert "means.pt" in network.name and OWN not in network.name


def test_pickled_networks_and_missing_files_are_refused(tmp_path):
    torch.save(_Means().state_dict(), tmp_path / "weights.pt")
    with pytest.raises(InputError, match="is no TorchScript"):
        FeatureNetwork(tmp_path / "weights.pt").check()
    with pytest.raises(InputError, match="no such file"):
        FeatureNetwork(tmp_path / "none.pt").check()


def test_own_features_tell_other_pictures_from_the_same():
    frames = load_clip(EXAMPLE.with_suffix(".mp4")).frames_u8[:6]
    network = FeatureNetwork()
    true, blurred = network.features(frames), network.features(frames[:, ::8, ::8].repeat(8, 1).repeat(8, 2))
    assert true.shape == (6, 320)
    assert frechet_distance(true, blurred) > 3 * frechet_distance(true[::2], true[1::2])


# --- peers ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clip():
    film = load_clip(EXAMPLE.with_suffix(".mp4"))
    return film, film.on_frames(read(EXAMPLE.with_suffix(".transforms.json")))


def test_a_chain_of_essential_matrices_follows_the_camera(clip):
    film, truth = clip
    found = peers.find_cameras("essential", film, truth, True)
    errors = pose_errors(found.Ts_world_camera, truth.Ts_world_camera, found.lost)
    assert found.lost == () and np.median(errors.rotation_deg) < 3 and errors.auc30 > 0.5
    steps = np.linalg.norm(np.diff(found.Ts_world_camera[:, :3, 3], axis=0), axis=1)
    true = np.linalg.norm(np.diff(truth.centres, axis=0), axis=1)
    assert np.corrcoef(steps, true)[0, 1] > 0.5  # lengths are carried on from step to step


def test_frames_without_matches_are_lost(clip):
    film, truth = clip
    black = np.concatenate([film.footage[:3], np.zeros_like(film.footage[:2])])
    found = peers.essential_chain(black, film.on_footage(truth).intrinsics[0])
    assert found.lost == (3, 4) and len(found.Ts_world_camera) == 5


@pytest.mark.parametrize("is_known", [True, False])
def test_frames_alone_begin_with_nothing(clip, monkeypatch, is_known):
    film, truth = clip
    begun = []

    def refine(given, start, known_fov_y_rad):
        begun.append((start, known_fov_y_rad))
        return SimpleNamespace(trajectory=truth, report=SimpleNamespace(lost=(3,)))

    monkeypatch.setattr(peers, "refine", refine)
    found = peers.find_cameras("frames", film, truth, is_known)
    ((start, known),) = begun
    assert np.ptp(start.Ts_world_camera, axis=0).max() == 0 and len(start) == len(truth)
    assert known == (truth.fov_y_rad[0] if is_known else None) and found.lost == (3,)
    assert (start.fov_y_rad[0] == pytest.approx(truth.fov_y_rad[0])) == is_known
    assert (
        found.focal_px is None if is_known else found.focal_px == pytest.approx(film.on_footage(truth).intrinsics[0, 1])
    )


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(colmap, "is_installed", lambda: False)
    assert list(peers.missing(("colmap", "essential", "colmap-global"))) == ["colmap", "colmap-global"]
    assert "pip install" in peers.missing(("colmap",))["colmap"]


# --- tables -----------------------------------------------------------------------------------------------------------


def test_tables_have_intervals_distances_and_what_failed():
    results = Results(None, {})
    rng = np.random.default_rng(0)
    for number, value in enumerate((10.0, 20.0)):
        row = Row("generate", "set", f"clip{number}", 2, f"set/clip{number}/2/0", {"repeat/psnr_db": value})
        features = {f"{method}|{OWN}": rng.normal(size=(8, 4)) for method in ("truth", "repeat")}
        results.add(row, features)
    results.add(Row("generate", "set", "bad", 2, "set/bad/2/0", failed="0003.png: not a picture"), {})
    found = summary(results, [OWN], 0)
    text = markdown(found, OWN)
    assert "| set, stride 2 (2/2) | repeat | 15.0 [10.0, 20.0] |" in text and "(16) |" in text
    assert f"| {OWN} (samples) |" in text and "- generate, set/bad/2/0: 0003.png: not a picture" in text
