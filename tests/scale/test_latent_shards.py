"""Collections to shards of latents: what is read, what is left out and why, what lies on disk, with Ray and without."""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import ray.cloudpickle
import torch
import webdataset
from recordings import collection, colmap, dl3dv, random_vae, real_estate, rendered, rendered_with_depth

from rap import cli
from rap.errors import InputError
from rap.geometry import Trajectory
from rap.model import LatentCodec, read_autoencoder
from rap.reconstruction.tracks import sparse_points
from rap.shards import Building, LatentShards, Limits, build, building, on_ray
from rap.shards.judge import measured, median_depths, overlap, refusal
from rap.shards.latents import encoded, unpack
from rap.shards.scenes import Cut, Frames, cuts, read_frames, scenes_below
from rap.shards.settings import Row

pytestmark = pytest.mark.scale

CUT = Cut(0, 1, 9, (64, 96))


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_vae(tmp_path_factory.mktemp("codec"))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return collection(tmp_path_factory.mktemp("collection"))


@pytest.fixture(scope="module")
def settings(recordings: tuple[Path, Path], vae: Path, tmp_path_factory: pytest.TempPathFactory) -> Building:
    root, films = recordings
    out = tmp_path_factory.mktemp("shards") / "of"
    return Building(root, out, vae, "CC BY 4.0", films, CUT.size, frames=9, clips_per_shard=2)


@pytest.fixture(scope="module")
def built(settings: Building) -> Path:
    build(settings, lambda line: None)
    return settings.out


def table(out: Path) -> list[dict[str, str]]:
    with (out / "clips.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("layout", ["dl3dv", "colmap", "realestate10k"])
def test_every_layout_gives_the_frames_with_their_cameras(tmp_path: Path, layout: str) -> None:
    clip, films = rendered(), tmp_path / "films"
    if layout == "realestate10k":
        real_estate(tmp_path / "all", films, clip)
    else:
        {"dl3dv": dl3dv, "colmap": colmap}[layout](tmp_path / "all", clip)
    (scene,) = scenes_below(tmp_path / "all")
    found = read_frames(scene, CUT, films)
    expected = clip.cameras.relative_to(0)
    np.testing.assert_allclose(found.cameras.relative_to(0).Ts_world_camera, expected.Ts_world_camera, atol=1e-5)
    # 64 x 96 of 96 x 160: two thirds, after eight columns are cut away at both sides
    fx, fy, cx, cy = clip.cameras.intrinsics.T
    lenses = np.stack([fx, fy, cx - 8, cy], axis=1) * 2 / 3
    np.testing.assert_allclose(found.cameras.intrinsics, lenses, rtol=1e-5)
    inner = torch.from_numpy(clip.frames_u8[:, :, 8:152].copy()).permute(0, 3, 1, 2).float()
    small = torch.nn.functional.interpolate(inner, CUT.size, mode="bilinear", antialias=True).permute(0, 2, 3, 1)
    assert np.abs(found.frames_u8 - small.numpy()).mean() < 4


def test_a_film_in_which_the_moments_of_the_cameras_are_not_is_refused(tmp_path: Path) -> None:
    clip = rendered()
    late = Trajectory(clip.cameras.Ts_world_camera, clip.cameras.intrinsics, clip.cameras.image_size, fps=2.0)
    real_estate(tmp_path / "all", tmp_path / "films", Frames(clip.frames_u8, late))
    (scene,) = scenes_below(tmp_path / "all")
    with pytest.raises(InputError, match="no frame within"):
        read_frames(scene, CUT, tmp_path / "films")
    with pytest.raises(InputError, match="expected 0001 or abcd.mp4"):
        read_frames(scene, CUT, tmp_path)


def test_clips_of_a_scene_share_no_frames() -> None:
    assert [cut.start for cut in cuts(40, 9, 1, CUT.size, most=9)] == [0, 9, 18, 27]
    assert [cut.start for cut in cuts(40, 5, 2, CUT.size, most=2)] == [0, 27]
    assert cuts(8, 9, 1, CUT.size, most=4) == []


def test_lengths_are_in_median_depths_whatever_the_unit_of_the_file() -> None:
    clip = rendered()
    larger = Frames(clip.frames_u8, clip.cameras.scaled(5.0))
    found, scaled = measured(clip), measured(larger)
    assert found is not None and scaled is not None
    assert found.figures() == pytest.approx(scaled.figures(), rel=1e-3)
    np.testing.assert_allclose(scaled.median_depth, 5 * found.median_depth, rtol=1e-3)


def test_the_depth_of_a_view_is_that_of_its_points() -> None:
    """Where they lie in the picture the rendered depth has the same median: not that of all pixels, some have none."""
    clip, depth = rendered_with_depth()
    tracks, cloud = sparse_points(clip.frames_u8, clip.cameras.Ts_world_camera, clip.cameras.intrinsics)
    xyz = cloud.where(cloud.seen_by(0)).xyz  # the first camera is the world
    fx, fy, cx, cy = clip.cameras.intrinsics[0]
    column, row = ((fx, fy) * xyz[:, :2] / xyz[:, 2:] + (cx, cy)).astype(int).T
    inside = (row >= 0) & (row < 96) & (column >= 0) & (column < 160)
    found = median_depths(cloud, clip.cameras)
    assert found is not None
    assert found[0] == pytest.approx(np.median(depth[0][row[inside], column[inside]]), rel=0.05)
    assert median_depths(cloud.where(np.zeros(len(cloud), dtype=bool)), clip.cameras) is None


def test_what_is_left_out_is_told_by_what_it_is_like() -> None:
    clip = rendered()
    found = measured(clip)
    assert refusal(found, Limits()) == ""
    fast = Frames(clip.frames_u8[::4], clip.cameras.at([0, 4, 8]))
    soft = torch.nn.functional.avg_pool2d(torch.from_numpy(clip.frames_u8).permute(0, 3, 1, 2).float(), 13, 1, 6)
    blurred = measured(Frames(soft.permute(0, 2, 3, 1).byte().numpy(), clip.cameras))
    assert refusal(measured(fast), Limits(max_step=0.15)) == "speed"
    assert refusal(found, Limits(min_way=0.5)) == "still"
    assert refusal(blurred, Limits()) == "blur"
    assert refusal(measured(rendered("still")), Limits()) == "depth"


def test_the_last_view_must_show_what_the_first_one_did() -> None:
    clip = rendered()
    _, cloud = sparse_points(clip.frames_u8, clip.cameras.Ts_world_camera, clip.cameras.intrinsics)
    found = measured(clip)
    assert found is not None
    assert found.overlap == overlap(cloud, clip.cameras) > 0.9
    Ts = clip.cameras.Ts_world_camera.copy()
    Ts[-1] = Ts[-1] @ np.diag([-1.0, 1.0, -1.0, 1.0])  # looks back
    assert overlap(cloud, Trajectory(Ts, clip.cameras.intrinsics, clip.cameras.image_size)) == 0
    assert refusal(replace(found, overlap=0.05), Limits()) == "overlap"


def test_what_moves_by_itself_is_seen_beside_a_camera_that_moves() -> None:
    clip = rendered()
    frames = clip.frames_u8.copy()
    patch = np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8).repeat(1, axis=0)
    for i, frame in enumerate(frames):  # a thing that goes its own way, larger than a sixth of the picture
        frame[20 + 3 * i : 68 + 3 * i, 20 + 6 * i : 68 + 6 * i] = patch
    found = measured(Frames(frames, clip.cameras))
    rested = measured(clip)
    assert found is not None and rested is not None
    assert rested.moving < 0.02 < found.moving
    assert refusal(found, Limits(max_moving=0.02)) == "moving"


def test_both_directions_begin_at_their_own_camera_and_unit(vae: Path) -> None:
    clip, codec = rendered(), LatentCodec(read_autoencoder(vae / "vae").eval())
    clip = Frames(clip.frames_u8[:, :96, :160], clip.cameras)
    depth = np.linspace(2.0, 4.0, 9)
    forward, backward = (encoded(codec, clip, depth, 4, turned) for turned in (False, True))
    assert forward["video"].shape == (4, 3, 12, 20) and forward["video"].dtype == np.float16
    assert forward["sources"].shape == (4, 3, 12, 20) and forward["source_frames"].tolist() == [0, 4, 8]
    assert forward["rays"].shape == (4, 3, 6, 10)
    turned = Frames(clip.frames_u8[::-1].copy(), clip.cameras.at(list(range(8, -1, -1))))
    again = encoded(codec, turned, depth[::-1], 4)
    for name in backward:
        np.testing.assert_array_equal(backward[name], again[name])
    assert np.abs(forward["video"] - backward["video"][:, ::-1]).max() > 0.01  # a causal one cannot be turned round
    np.testing.assert_allclose(forward["rays"][:, 0], backward["rays"][:, 0], atol=2e-3)  # the canonical camera


def test_good_clips_become_samples_and_the_others_say_why(built: Path, settings: Building) -> None:
    shards = LatentShards(built)
    shards.check()
    assert len(shards) == 6  # three clips in two directions
    reasons = {row["key"].rsplit("-", 2)[0]: row["refusal"].split(":")[0] for row in table(built)}
    assert reasons == {
        **{"1K_a1b2": "", "house": "", "train_0001": "", "still": "depth"},
        **{"poison_json": "damaged", "poison_picture": "damaged"},
    }
    manifest = shards.manifest
    assert manifest["about"]["licence"] == "CC BY 4.0" and manifest["about"]["size"] == [64, 96]
    assert manifest["filter"]["kept"] == 3 and manifest["filter"]["left_out"] == {"depth": 1, "damaged": 2}
    assert manifest["filter"]["quartiles"]["way"][2] == pytest.approx(0.39, abs=0.1)
    assert [shard["samples"] for shard in manifest["shards"]] == [4, 2]
    assert {stage: spent["clips"] for stage, spent in manifest["stages"].items()} == {
        **{"read": 4, "judge": 4, "encode": 3, "write": 3},
    }
    rays = np.stack([shards.read(i)["rays"].astype(float) for i in range(6)])
    np.testing.assert_allclose(shards.ray_std, np.sqrt(np.square(rays).mean(axis=(0, 2, 3, 4))), rtol=1e-6)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves files to the collector
def test_webdataset_reads_the_same_samples_in_the_same_order(built: Path) -> None:
    shards = LatentShards(built)
    names = [str(built / shard["file"]) for shard in shards.manifest["shards"]]
    read = list(webdataset.WebDataset(names, shardshuffle=False))
    assert len(read) == len(shards)
    for i, sample in enumerate(read):
        assert sample["__key__"].endswith(("-forward", "-backward")[i % 2])
        for name, array in unpack(sample["npz"]).items():
            np.testing.assert_array_equal(array, shards.read(i)[name])


def test_a_build_that_was_cut_goes_on_and_makes_the_same(built: Path, settings: Building, tmp_path: Path, monkeypatch):
    cut = replace(settings, out=tmp_path / "cut")
    whole, left = building.read_and_judge, [3]

    def failing(row, settings):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return whole(row, settings)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(building, "read_and_judge", failing)
        build(cut, lambda line: None)
    assert 0 < len(table(cut.out)) < 6
    said: list[str] = []
    build(cut, said.append)
    assert any("were there from an earlier run" in line for line in said)
    for file in ("shard-000000.tar", "shard-000001.tar"):
        assert (cut.out / file).read_bytes() == (built / file).read_bytes()
    assert [row["key"] for row in table(cut.out)] == [row["key"] for row in table(built)]
    with pytest.raises(InputError, match="its shards have licence 'CC BY 4.0', got 'MIT'"):
        build(replace(cut, licence="MIT"))


@pytest.fixture(scope="module")
def on_one_ray(settings: Building) -> Iterator[Building]:
    """A build with Ray, begun as a build begins it, but once for all tests: its processes take long to start."""
    asked = replace(settings, workers=1, object_store_mb=200)
    with pytest.MonkeyPatch.context() as patch:
        on_ray._begin(ray, asked)
        patch.setattr(on_ray, "_begin", lambda ray, settings: None)
        patch.setattr(ray, "shutdown", lambda: None)
        yield asked
    ray.shutdown()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::ResourceWarning")
def test_ray_makes_the_same_bytes(built: Path, on_one_ray: Building, tmp_path: Path) -> None:
    build(replace(on_one_ray, out=tmp_path), lambda line: None)
    for file in ("shard-000000.tar", "shard-000001.tar"):
        assert (tmp_path / file).read_bytes() == (built / file).read_bytes()
    told = [[(row["key"], row["refusal"]) for row in table(out)] for out in (tmp_path, built)]
    assert told[0] == told[1]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::ResourceWarning")
def test_those_that_encode_do_not_read(on_one_ray: Building) -> None:
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # processes of Ray know no modules of tests
    rows = [{"key": str(i), "reader": 0, "encoder": 0} for i in range(3)]
    done = list(on_ray.run(on_one_ray, rows, reader, EncoderOfNothing))
    assert [row["key"] for row in done] == ["0", "1", "2"]
    assert {row["reader"] for row in done}.isdisjoint(row["encoder"] for row in done)


def reader(row: Row) -> Row:
    return {**row, "reader": os.getpid()}


class EncoderOfNothing:
    def __init__(self, settings: Building) -> None:
        assert settings.workers == 1

    def __call__(self, row: Row) -> Row:
        return {**row, "encoder": os.getpid()}


def test_the_command_builds_and_says_how_fast_each_stage_was(built: Path, settings: Building, capsys) -> None:
    folders = {"root": settings.root, "out": built, "codec": settings.codec, "films": settings.films}
    numbers = {"height": 64, "width": 96, "frames": 9, "clips-per-shard": 2}
    words = [str(word) for name, value in {**folders, **numbers}.items() for word in (f"--{name}", value)]
    assert cli.main(["shards", "build", *words, "--licence", "CC BY 4.0", "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert (found["shards"], found["kept"], found["left_out"]) == (2, 3, {"depth": 1, "damaged": 2})
    assert "0 clips in" in printed.err and "6 were there from an earlier run" in printed.err
    assert [line.split(":")[0].strip() for line in printed.err.splitlines()[2:]] == ["read", "judge", "encode", "write"]
    for wrong, said in (("--frames", "1 + 4n"), ("--width", "a multiple of 32")):
        assert cli.main(["shards", "build", *words, "--licence", "x", wrong, "50"]) == 2
        assert f"{wrong} must be {said}" in capsys.readouterr().err


def test_a_changed_shard_is_found(built: Path, tmp_path: Path, capsys) -> None:
    for file in built.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert cli.main(["shards", "check", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"samples": 6, "licence": "CC BY 4.0"}
    data = bytearray((tmp_path / "shard-000000.tar").read_bytes())
    data[-3000] ^= 1
    (tmp_path / "shard-000000.tar").write_bytes(data)
    assert cli.main(["shards", "check", str(tmp_path)]) == 2
    assert "is not what the manifest says" in capsys.readouterr().err
