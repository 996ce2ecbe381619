"""`rap evaluate` on an example clip of known cameras."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from rap import evaluation
from rap.config import ASSETS, KNOWN_PATHS
from rap.errors import InputError
from rap.evaluation import command, datasets, peers, protocols
from rap.formats import nerfstudio, read, write
from rap.geometry import Trajectory, preset
from rap.views.scene import measured, picture_scene

pytestmark = pytest.mark.usefixtures("one_load")
EXAMPLE = ASSETS / "examples" / "arc_around_a_table"
ONE = ["--stride", "1", "--ray-steps", "1", "--json"]


def _found(capsys, *argv, status=0):
    """What the command prints: of every protocol the methods of its one group, {measure: mean}."""
    assert evaluation.main([str(word) for word in argv]) == status
    protocols_of = json.loads(capsys.readouterr().out)["protocols"]
    groups = {name: next(iter(found.values())) for name, found in protocols_of.items()}
    return {
        name: {
            method: {measure: mean["value"] for measure, mean in means.items() if "value" in mean}
            for method, means in group["methods"].items()
        }
        for name, group in groups.items()
    }


def test_figures_of_a_clip_and_of_doing_nothing(folder, capsys):
    found = _found(capsys, "all", folder, *ONE, "--steps", "1", "--no-features")
    pose, made, loop = found["pose"], found["generate"], found["loop"]
    assert pose["still"]["auc30"] == 0.0 and pose["still"]["rta15"] == 0.0
    model = pose["model, 1 step"]
    assert 0 <= model["auc5"] <= model["auc15"] <= model["auc30"] <= 1
    assert (
        model["rotation_deg_median"] < pose["still"]["rotation_deg_median"] and model["r_err"] < pose["still"]["r_err"]
    )
    assert model["focal_error_percent"] >= 0
    assert set(made) == set(loop) == {"model, plane", "plane", "repeat"}
    assert {"psnr_db", "ssim", "model_r_err", "model_t_err"} <= set(made["model, plane"])
    assert made["plane"]["psnr_db"] > made["repeat"]["psnr_db"]


def test_poses_alone_make_no_video(folder, capsys):
    assert set(_found(capsys, "pose", folder, *ONE)) == {"pose"}


plane_scene = partial(picture_scene, flat=True)
"""A picture's layers take seconds; beside a plane, too, something is invented."""


def test_refinement_and_hints_have_figures_of_their_own(folder, capsys, monkeypatch):
    refined = _found(capsys, "pose", folder, *ONE, "--refine")["pose"]
    assert refined["model, 1 step, refined"]["refined_share"] == 1.0
    fitted, predicted = refined["model, 1 step, refined"], refined["model, 1 step"]
    assert fitted["rotation_deg_median"] < predicted["rotation_deg_median"]
    monkeypatch.setattr(peers, "picture_scene", plane_scene)
    given = ["--given", "warp", "--peers", "warp", "--hints"]
    left = _found(capsys, "generate", folder, *ONE, "--steps", "2", *given, "--no-features")["generate"]
    warp, alone, hinted = (left[f"leaving: {name}"] for name in ("warp", "model alone", "model, warp"))
    assert hinted["psnr_db"] > alone["psnr_db"] + 1 and warp["psnr_db"] > alone["psnr_db"]
    assert 0.5 < warp["seen_share"] < 1 and warp["hole_psnr_db"] < warp["psnr_db"]
    mixed = left["leaving: warp + model"]
    assert abs(mixed["psnr_db"] - warp["psnr_db"]) < 1 and mixed["hole_psnr_db"] != warp["hole_psnr_db"]
    assert abs(left["warp + model"]["psnr_db"] - left["warp"]["psnr_db"]) < 3


def test_sampled_paths_are_judged_by_what_stands_there_and_by_how_films_move(folder, capsys, monkeypatch):
    for name in ("picture_scene", "build_scene"):
        monkeypatch.setattr(protocols, name, plane_scene)
    monkeypatch.setattr(protocols, "SAMPLES", 1)
    found = _found(capsys, "joint", folder, *ONE)["joint"]
    assert set(found) == {"sampled", "sampled, as the page has it"}
    for shares in found.values():
        assert set(shares) == {"clear_share", "slow_share", "both_share"}
        assert shares["both_share"] <= min(shares["clear_share"], shares["slow_share"])
    still = preset("static", image_size=(96, 128), fov_y_rad=0.9)
    Ts = still.Ts_world_camera.copy()
    Ts[8:, 0, 3] = 1.1 * protocols.FILM_SPEED
    assert protocols.is_as_films(still) and not protocols.is_as_films(replace(still, Ts_world_camera=Ts))


def test_windows_on_which_nothing_is_found_stand_by_themselves():
    figures = {"frames/auc30": 0.6, "frames/rra30": 1.0, "model, 1 step, refined/auc30": 0.7}
    hard = {"hard: frames/auc30": 0.6, "hard: model, 1 step, refined/auc30": 0.7}
    assert protocols._of_hard(figures) == hard
    assert protocols._of_hard(figures | {"frames/auc30": 0.7}) == protocols._of_hard({}) == {}


def test_cameras_of_a_file_are_brought_to_median_depths(folder):
    """Whatever the file's unit is: that of the points which the first frame sees."""
    cameras, ends = read(folder.parent / "transforms.json"), []
    for scale in (1.0, 7.0):
        names = [f"frames/{i:04d}.png" for i in range(len(cameras))]
        nerfstudio.write(folder.parent / "transforms.json", cameras.scaled(scale), names)
        (recording,) = datasets.recordings(folder)
        (window,) = datasets.windows_of(recording, 1)
        clip = window.read()
        assert measured(clip, clip.trajectory)[2] == pytest.approx(1, rel=1e-3)
        ends.append(clip.trajectory.centres[-1])
    assert ends[1] == pytest.approx(ends[0], rel=1e-3)


def test_nothing_to_evaluate_and_unknown_cameras_are_refused(folder):
    with pytest.raises(InputError, match="nothing to evaluate"):
        evaluation.main([])
    with pytest.raises(InputError, match="nothing to evaluate"):
        evaluation.main(["pose"])
    (folder.parent / "transforms.json").unlink()
    with pytest.raises(InputError, match="no known cameras"):
        evaluation.main(["pose", str(folder), "--stride", "1"])
    with pytest.raises(InputError, match="no such file"):
        evaluation.main(["pose", str(folder / "elsewhere")])


def _longer(folder):
    """Frames for a second window of 17."""
    for i in range(17, 25):
        (folder / f"{i:04d}.png").write_bytes((folder / f"{i - 16:04d}.png").read_bytes())
    cameras = read(folder.parent / "transforms.json")
    again = list(range(17)) + list(range(1, 9))
    longer = Trajectory(cameras.Ts_world_camera[again], cameras.intrinsics[again], cameras.image_size)
    nerfstudio.write(folder.parent / "transforms.json", longer, [f"frames/{i:04d}.png" for i in range(25)])


def test_a_broken_frame_is_named_instead_of_shortening_the_clip(folder):
    _longer(folder)
    assert [clip.frame_indices[0] for clip in datasets.windows(folder, 1)] == [0, 8]
    (folder / "0024.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"^0024\.png: not a picture"):
        list(datasets.windows(folder, 1))


def test_a_broken_window_is_named_and_does_not_stop_the_others(folder, capsys, monkeypatch):
    _longer(folder)
    (folder / "0024.png").write_bytes(b"no picture")
    monkeypatch.setattr(protocols, "measure", lambda *given: ({"still/auc30": 0.5}, {}))
    monkeypatch.setattr(datasets, "in_median_depths", lambda clip: clip)
    assert evaluation.main(["pose", str(folder), "--stride", "1"]) == 1
    told = capsys.readouterr().out
    assert "| table, stride 1 (1/1) | still | 0.50 |" in told
    assert "- pose, table/table/1/8: 0024.png: not a picture" in told


class _Measuring:
    """Counts clips; fails on those that begin with the frames it is told."""

    def __init__(self, *failing):
        self.failing, self.clips = failing, 0

    def __call__(self, protocol, pipe, clip, chosen):
        self.clips += 1
        if clip.frame_indices[0] in self.failing:
            raise ArithmeticError("no such number")
        return {"still/auc30": float(clip.frame_indices[0]), "still/rta5": float("nan")}, {"truth": clip.frames_u8}


def test_a_run_goes_on_where_it_stopped_and_mixes_no_settings(folder, capsys, monkeypatch, tmp_path):
    _longer(folder)
    out = tmp_path / "rows.json"
    argv = ["generate", str(folder), "--stride", "1", "--out", str(out)]
    monkeypatch.setattr(datasets, "in_median_depths", lambda clip: clip)
    monkeypatch.setattr(protocols, "measure", _Measuring(8))
    assert evaluation.main(argv) == 1
    assert "ArithmeticError: no such number" in out.read_text()
    again = _Measuring()
    monkeypatch.setattr(protocols, "measure", again)
    assert evaluation.main(argv) == 0 and again.clips == 1
    assert evaluation.main(argv) == 0 and again.clips == 1
    kept = json.loads(out.read_text())
    assert [row["figures"] for row in kept["rows"]] == [{"still/auc30": i, "still/rta5": None} for i in (0.0, 8.0)]
    assert kept["summary"]["protocols"]["generate"]["table, stride 1"]["methods"]["still"]["auc30"]["value"] == 4.0
    with pytest.raises(InputError, match="measured with seed = 0, now it is 1"):
        evaluation.main([*argv, "--seed", "1"])
    out.write_text("[]")
    with pytest.raises(InputError, match="holds no rows"):
        evaluation.main(argv)
    capsys.readouterr()


def test_films_folders_of_folders_and_single_files_of_cameras_are_data_sets(folder, tmp_path):
    cameras = read(folder.parent / "transforms.json")
    alone = tmp_path / "tum"
    (alone / "rgb").mkdir(parents=True)
    for file in folder.iterdir():
        (alone / "rgb" / file.name).write_bytes(file.read_bytes())
    write(alone / "groundtruth.tum", cameras)
    for suffix in (".mp4", ".transforms.json"):
        (tmp_path / f"film{suffix}").write_bytes(EXAMPLE.with_suffix(suffix).read_bytes())
    found = datasets.recordings(tmp_path, float(cameras.fov_y_rad[0]))
    assert [one.name for one in found] == ["film", "table", "tum"]
    tum = datasets.windows_of(found[2], 1)[0].read()
    own = datasets.windows_of(found[1], 1)[0].read()
    assert np.allclose(tum.trajectory.Ts_world_camera, own.trajectory.Ts_world_camera, atol=1e-5)
    film = datasets.windows_of(found[0], 1)[0].read()
    assert np.allclose(film.trajectory.Ts_world_camera, own.trajectory.Ts_world_camera, atol=0.05)
    (tmp_path / "film.tum").write_bytes((alone / "groundtruth.tum").read_bytes())
    with pytest.raises(InputError, match="several files of cameras lie beside it"):
        datasets.recordings(tmp_path / "film.mp4")


def test_known_paths_are_kept_beside_the_weights(capsys, monkeypatch, tmp_path):
    """As the page asks for them: `rap evaluate --known-paths`, without a protocol."""
    (tmp_path / "model_index.json").write_text("{}")
    monkeypatch.setattr(command, "known_paths", lambda pipe, seed: {"seed": seed})
    assert evaluation.main(["--known-paths", "--checkpoint", str(tmp_path), "--seed", "4"]) == 0
    assert json.loads((tmp_path / KNOWN_PATHS).read_text()) == {"seed": 4}
    assert json.loads(capsys.readouterr().out) == {"known_paths": {"seed": 4}}
