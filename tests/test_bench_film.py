"""`rap bench verdict` and `rap bench film`: how films are spoiled, and the arithmetic of their figures."""

import json

import numpy as np
import pytest

from rap.bench import film, verdict
from rap.config import ASSETS
from rap.data import load_clip, write_frames
from rap.errors import InputError
from rap.formats import nerfstudio, read
from rap.geometry import preset
from rap.reconstruction.refine import Refinement, RefinementReport

EXAMPLE = ASSETS / "examples" / "arc_around_a_table"


def row(auc, said):
    return {"auc": auc, "verdict": said, "median_deg": 2.0}


def test_a_spoiled_film_keeps_its_true_cameras():
    cameras = preset("arc-left", num_frames=20, image_size=(40, 60), fov_y_rad=0.9)
    frames_u8 = np.tile(np.arange(20, dtype=np.uint8)[:, None, None, None], (1, 40, 60, 3))
    spoiling = verdict.Spoiling("x", stride=2, part=(0.2, 1), dropped=(0.25, 0.5), crop=0.5)
    frames, truth = spoiling.of(frames_u8, cameras)
    left = [4, 6, 12, 14, 16, 18]
    assert frames[:, 0, 0, 0].tolist() == left and frames.shape == (6, 20, 30, 3)
    expected = cameras.relative_to(4).Ts_world_camera[left]
    np.testing.assert_allclose(truth.Ts_world_camera, expected, atol=1e-12)
    np.testing.assert_allclose(truth.intrinsics[0], cameras.intrinsics[4] - [0, 0, 15, 10])
    assert (
        truth.image_size == (20, 30) and (verdict.Spoiling("y", noise=9).of(frames_u8, cameras)[0] != frames_u8).any()
    )


def test_wrong_paths_have_to_be_told_and_right_ones_believed():
    rows = {"a": row(0.1, "failed"), "b": row(0.4, "good"), "c": row(0.95, "good"), "d": row(0.7, "doubtful")}
    told, believed = verdict.verdict_figures(rows)
    assert told.value == 0.5 and not told.reached and told.figures["good"] == 1
    assert believed.value == 1.0 and believed.reached
    assert verdict.table(rows)[2] == "| good | 2 | 0.68 | 1 | 1 | 2.0 |"


def test_a_folder_is_judged_and_its_row_is_kept(tmp_path, capsys, monkeypatch):
    report = RefinementReport("refined", "", "frames", "model", 1.0, 0.5, 9, 9, 1.0, 0.1, lost=(2,), verdict="doubtful")
    monkeypatch.setattr(verdict, "refine_film", lambda frames_u8, at, start: Refinement(start, report))
    clip = load_clip(EXAMPLE.with_suffix(".mp4"), size=(256, 320))
    names = tuple(f"frames/{name}" for name in write_frames(tmp_path / "arc" / "frames", clip.frames_u8[:9]))
    cameras = read(EXAMPLE.with_suffix(".transforms.json"))
    few = cameras.Ts_world_camera[:9], cameras.intrinsics[:9]
    nerfstudio.write(tmp_path / "arc" / "transforms.json", type(cameras)(*few, cameras.image_size), names)
    arguments = ["--clips", str(tmp_path / "arc" / "frames"), "--ways", "1", "--rows", str(tmp_path / "rows"), "--json"]
    verdict.main(arguments)
    kept = json.loads((tmp_path / "rows").read_text())
    assert kept["key"] == "frames/whole" and kept["verdict"] == "doubtful" and kept["auc"] < 0.5  # at rest
    verdict.main(arguments)  # not measured again
    assert len((tmp_path / "rows").read_text().splitlines()) == 1 and json.loads(
        capsys.readouterr().out.splitlines()[0]
    )
    (tmp_path / "arc" / "transforms.json").unlink()
    with pytest.raises(InputError, match="no known cameras"):
        verdict.main(["--clips", str(tmp_path / "arc" / "frames")])


def test_demands_on_a_film():
    took = {"frames": 180.0, "seconds": 13.0, "longest silence (s)": 0.6, "most memory of the process (MB)": 800.0}
    time_, silence, memory = film.film_figures("x", took)
    assert time_.limit == pytest.approx(12.0) and not time_.reached
    assert not silence.reached and memory.reached


def test_the_longest_silence_is_that_of_its_clock():
    times = iter((0.0, 0.2, 1.0, 1.1))
    silence = film.Silence(lambda: next(times))
    for share in (0.1, 0.5, 1.0):
        silence(share)
    assert silence.longest_s == pytest.approx(0.8)
