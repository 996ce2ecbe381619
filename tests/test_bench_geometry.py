"""`rap bench geometry`: its windows, its drift, the arithmetic of its figures, and one run on an example clip."""

import json
import math
import re

import numpy as np
import pytest

from rap import bench
from rap.bench.geometry import psnr, refine, rows, run, speed, windows
from rap.config import ASSETS, NUM_FRAMES
from rap.data import load_clip, write_frames
from rap.errors import InputError
from rap.formats import nerfstudio, read
from rap.geometry import Trajectory, se3
from rap.reconstruction.colmap import mapped

EXAMPLE = ASSETS / "examples" / "arc_around_a_table"


@pytest.fixture
def folder(tmp_path):
    """The example as a folder of frames with its cameras."""
    clip = load_clip(EXAMPLE.with_suffix(".mp4"), size=(256, 320))
    names = tuple(f"frames/{name}" for name in write_frames(tmp_path / "arc" / "frames", clip.frames_u8))
    cameras = read(EXAMPLE.with_suffix(".transforms.json"))
    nerfstudio.write(tmp_path / "arc" / "transforms.json", cameras, names)
    return tmp_path / "arc"


def still(length=NUM_FRAMES, reach=0.5):
    Ts = np.tile(np.eye(4), (length, 1, 1))
    Ts[:, 0, 3] = np.linspace(0, reach, length)
    return Trajectory(Ts, np.tile([300.0, 300, 160, 120], (length, 1)), (240, 320))


def row(**values):
    return {name: float(value) for name, value in values.items()}


def test_one_window_for_each_first_frame(folder):
    found = windows.windows_of(folder, 1)
    assert [w.key for w in found] == ["arc/1/0"]
    with pytest.raises(InputError, match="17 frames, but a window at stride 2 needs 33; lower --stride"):
        windows.windows_of(folder, 2)


def test_a_whole_clip_is_read_as_the_app_reads_it(folder):
    (window,) = windows.whole_clips([folder])
    footage, clip = window.read(), load_clip(folder)
    assert window.key == "arc/whole/0" and footage.clip.frame_indices == clip.frame_indices == tuple(range(17))
    longer = load_clip(folder, num_frames=5)
    assert longer.frame_indices == (0, 4, 8, 12, 16)  # no stride: from the first frame to the last


def test_windows_are_chosen_evenly():
    chosen = windows.evenly(list(range(10)), 5)  # type: ignore[arg-type]
    assert chosen == [1, 3, 5, 7, 9]
    for count in (None, 10, 99):
        assert windows.evenly(list(range(10)), count) == list(range(10))  # type: ignore[arg-type]


def test_drift_is_smooth_of_the_size_it_says_and_always_the_same():
    cameras = still()
    away = windows.drifted(cameras, 3)
    np.testing.assert_array_equal(away.Ts_world_camera[0], np.eye(4))
    turn = se3.rotation_angle(away.Ts_world_camera[1:, :3, :3])
    shift = np.linalg.norm((away.centres - cameras.centres)[1:], axis=1)
    np.testing.assert_allclose(np.sqrt(np.mean(turn**2)), np.radians(1.0), rtol=1e-6)
    np.testing.assert_allclose(np.sqrt(np.mean(shift**2)), 0.05 * 0.5, rtol=1e-6)
    steps = np.linalg.norm(np.diff(away.centres - cameras.centres, axis=0), axis=1)
    assert steps.max() < 2.5 * shift.max() / 4  # no jitter: a wave of 1.5 periods over 16 steps
    assert windows.drifted(cameras, 3) == away and windows.drifted(cameras, 4) != away


def test_footage_has_median_depth_one_and_shrinks_with_its_cameras(folder):
    footage = windows.windows_of(folder, 1)[0].read()
    assert footage.frames_u8.shape == (17, 256, 320, 3)
    np.testing.assert_allclose(np.median(footage.points.in_front_depths(np.eye(4))), 1.0)
    small = footage.resized(160)
    assert small.frames_u8.shape == (17, 128, 160, 3) and small.cameras.image_size == (128, 160)
    np.testing.assert_allclose(small.cameras.intrinsics * 2, footage.cameras.intrinsics)
    assert footage.resized(999).frames_u8.shape == footage.frames_u8.shape


def test_psnr_is_demanded_at_stride_1_and_told_for_each_clip_and_stride():
    values = {"even": 30, "even_repeat": 18, "even_plane": 22, "sparse": 25, "sparse_repeat": 16, "sparse_plane": 20}
    worse = {name: value - 2 for name, value in values.items()}
    even, sparse = psnr.psnr_figures(
        {"toy/1/0": row(**values), "shelf/1/0": row(**worse), "toy/2/0": row(**{**values, "even": 20})}
    )
    assert (even.value, even.limit, even.reached) == (29.0, 28.0, True)
    assert (sparse.value, sparse.limit, sparse.reached) == (24.0, 24.5, False)
    assert even.figures["stride 1, toy"] == 30 and even.figures["stride 2"] == 20
    assert even.figures["stride 1 repeat nearest"] == 17


def test_recovered_share_is_of_the_mean_loss():
    common = {"auc_drifted": 0.8, "auc_refined": 0.9, "refined_verdict": 1}
    (figure,) = refine.refine_figures(
        {
            "toy/1/0": row(given=30, drifted=24, refined=30, **common),
            "shelf/1/0": row(given=28, drifted=24, refined=26, **common),
        }
    )
    assert math.isclose(figure.value, 0.8) and figure.reached
    assert figure.figures["recovered, shelf"] == 0.5


def test_colmap_is_compared_on_its_own_windows():
    def poses(auc, seconds):
        return row(known_auc=auc, unknown_auc=auc, known_s=seconds, unknown_s=seconds)

    rows = {
        "poses": {"toy/1/0": poses(0.9, 1.0), "toy/1/1": poses(0.1, 50.0)},
        "colmap": {"toy/1/0": row(colmap_auc=0.8, colmap_s=10.0, colmap_registered=17)},
    }
    found = {figure.name: figure for figure in run.figures_of(rows)}
    assert math.isclose(found["poses against colmap"].value, 0.1) and found["poses against colmap"].reached
    assert math.isclose(found["time against colmap"].value, 0.1) and found["time against colmap"].reached
    assert found["poses known"].value == 0.5 and not found["poses unknown"].reached
    assert run.figures_of({"colmap": rows["colmap"]}) == []


def test_films_are_judged_by_the_unknown_focal_length():
    def film(known, unknown):
        return row(film_known_auc=known, film_unknown_auc=unknown, film_unknown_in_pieces=1)

    (found,) = run.figures_of({"film": {"toy/whole/0": film(0.5, 0.4), "b/whole/0": film(1, 0.9)}})
    assert math.isclose(found.value, 0.65) and not found.reached
    assert found.figures["AUC@30 focal length known"] == 0.75
    assert found.figures["AUC@30 focal length unknown, toy"] == 0.4
    assert found.figures["focal length unknown: clips above 0.85"] == 1
    assert found.figures["focal length unknown: share with a weak joint"] == 1


def test_films_are_measured_once_a_folder(folder, monkeypatch, capsys):
    read = []
    monkeypatch.setitem(run.PARTS, "poses", lambda footage, options: row(known_auc=1, unknown_auc=1))
    film = lambda footage, options: read.append(footage.clip.frame_indices) or row(film_known_auc=1, film_unknown_auc=1)  # noqa: E731
    monkeypatch.setitem(run.PARTS, "film", film)
    argv = ["--clips", str(folder), "--stride", "1", "2", "--parts", "poses,film", "--json"]
    assert run.main(argv) == 0 and read == [tuple(range(17))]
    printed = capsys.readouterr()
    assert "skipped at stride 2" in printed.err and "17 frames, but a window at stride 2 needs 33" in printed.err
    counts = json.loads(printed.out.splitlines()[-1])["windows"]
    assert counts == {"poses": 1, "film": 1}


def test_frames_between_those_of_a_whole_clip_are_judged(folder, monkeypatch):
    lifted = []
    monkeypatch.setattr(windows, "NUM_FRAMES", 5)
    clip = load_clip(folder, num_frames=5, film=True)
    monkeypatch.setattr(windows, "load_clip", lambda path, **asked: load_clip(path, **{"num_frames": 5, **asked}))
    footage = windows.whole_clips([folder])[0].read()
    assert footage.film_cameras is not None and len(footage.film_cameras) == 17
    at = list(clip.frame_indices)
    np.testing.assert_allclose(footage.film_cameras.centres[at], footage.cameras.centres, atol=1e-9)

    def between(whole, shown, hidden, networks):
        lifted.append((shown, hidden, sorted(np.unique(whole.points.span))))
        return whole.frames_u8[hidden] // 2

    monkeypatch.setattr(psnr, "between", between)
    made = psnr.spread_row(footage, run.parse(["--clips", "x", "--no-depth-network", "--no-blend-network"]))
    hidden = [2, 6, 10, 14]
    assert [one[:2] for one in lifted] == [([0, 8, 16], hidden), ([0, 4, 8, 12, 16], hidden)]
    assert set(lifted[0][2]) <= set(at) and made["spread_half"] == made["spread_all"] < 20
    (found,) = run.figures_of({"spread": {"a/whole/0": row(spread_half=20, spread_all=22), "b/whole/0": {}}})
    assert found.value == 2 and found.figures["clips"] == 1


def test_speed_is_a_median():
    rows = {f"toy/1/{i}": row(speed_refine_s=s, speed_depth_s=1, speed_warp_s=0.5) for i, s in enumerate((1, 1.5, 9))}
    refine, depth, warp = speed.speed_figures(rows)
    assert refine.value == 1.5 and refine.reached and depth.reached and warp.reached


def test_what_is_undefined_is_left_out():
    figures = rows.means({"toy/1/0": row(a=float("nan")), "toy/1/1": row(a=2), "shelf/1/0": {}}, "a", "label")
    assert figures == {"label": 2.0, "label, toy": 2.0}


def test_stored_rows_are_not_measured_again(folder, tmp_path, monkeypatch, capsys):
    calls = []
    values = row(given=30, drifted=24, refined=30)
    monkeypatch.setitem(run.PARTS, "refine", lambda footage, options: calls.append(footage) or values)
    argv = ["--clips", str(folder), "--stride", "1", "--parts", "refine", "--rows", str(tmp_path / "rows.jsonl")]
    assert run.main(argv) == 0 and len(calls) == 1
    assert bench.main(["geometry", *argv, "--json"]) == 0 and len(calls) == 1
    printed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert printed["benchmarks"]["refine"]["value"] == 1.0 and printed["windows"] == {"refine": 1}


def test_colmap_is_skipped_by_name_where_it_is_missing(folder, monkeypatch, capsys):
    monkeypatch.setattr(run, "is_installed", lambda: False)
    assert run.main(["--clips", str(folder), "--stride", "1", "--parts", "colmap"]) == 0
    assert "colmap: skipped, pycolmap is not installed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ([], "--clips"),
        (["--clips", "x", "--windows", "0"], "must be 'all' or at least 1, got 0"),
        (
            ["--clips", "x", "--parts", "psnr,fly"],
            "must be some of psnr, fine, bound, adjusted, refine, poses, film, spread, colmap, speed.*got 'fly'",
        ),
    ],
)
def test_wrong_options_are_refused(argv, sentence, capsys):
    with pytest.raises(SystemExit):
        run.parse(argv)
    assert re.search(sentence, capsys.readouterr().err)


@pytest.mark.slow  # tracks, sweeps and warps of a whole clip, several times
def test_every_part_runs_on_an_example(folder, capsys):
    argv = ["--clips", str(folder), "--stride", "1", "--parts", "psnr,bound,adjusted,refine,poses,speed", "--json"]
    run.main(argv)
    found = json.loads(capsys.readouterr().out)["benchmarks"]
    even = found["psnr even"]
    assert (
        even["value"] > even["figures"]["stride 1 plane at median depth"] > even["figures"]["stride 1 repeat nearest"]
    )
    assert found["psnr sparse"]["figures"]["stride 1 depth of all frames"] > found["psnr sparse"]["value"]
    assert even["figures"]["stride 1 poses refined"] > even["value"] - 1  # the poses of an example are exact
    assert found["refine"]["value"] > 0.5
    assert found["poses known"]["value"] > 0.8


def test_colmap_finds_the_poses_of_an_example(folder):
    pytest.importorskip("pycolmap")
    footage = windows.windows_of(folder, 1)[0].read()
    model = mapped(footage.frames_u8[::2], footage.cameras.intrinsics[0])
    assert model is not None and model.registered.sum() > 6
    se3.check_rigid(model.Ts_world_camera, "poses")
