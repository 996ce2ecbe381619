"""What `rap estimate`, `generate`, `imagine`, `roundtrip` and `check` write, and where."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from cli_runs import FakePipeline, fake_refine, orbit, refused, report, run_json
from PIL import Image

from rap import cli, formats
from rap.cli import roundtrip
from rap.data import load_clip, write_video
from rap.geometry import preset
from rap.reconstruction.refine import Refinement
from rap.views import scene


def test_estimate(capsys, pipeline: FakePipeline, film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = "estimate", film, "--no-refine", "--figure", "--out", out, "--frames", 9, "--seed", 5, "--steps", 3
    result = run_json(capsys, *arguments)
    assert load_clip(out / "figure.mp4", num_frames=9).upload_size[0] == 2 * 96 + 4 and (out / "figure.png").is_file()
    assert result == json.loads((out / "result.json").read_text())
    assert not result["refined"] and result["refinement"] is None and result["predicted"] is None
    assert result["clip"]["frame_indices"] == [0, 5, 10, 15, 20, 24, 29, 34, 39] and result["errors"] is None
    assert formats.read(out / "trajectory.npz") == orbit(9, (96, 160))
    written = formats.read(out / "transforms.json")
    np.testing.assert_allclose(written.Ts_world_camera, orbit(9, (96, 160)).Ts_world_camera, atol=1e-12)
    assert formats.read_frame_names(out / "transforms.json") == tuple(f"frames/{i:04d}.png" for i in range(9))
    clip = load_clip(film, num_frames=9)
    assert (load_clip(out / "frames", num_frames=9).frames_u8 == clip.frames_u8).all()
    assert len(list((out / "raxels").glob("*.png"))) == 9
    (task,) = pipeline.tasks
    assert (task.steps, task.seed, task.fov_y_rad, task.fps) == (3, 5, None, clip.fps)


def test_estimate_refines(capsys, pipeline: FakePipeline, film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run_json(capsys, "estimate", film, "--out", out, "--frames", 9)
    assert result["refined"] and result["refinement"] == {
        **dataclasses.asdict(report()), "weak_joints": [], "lost": [], "error_deg": None, "moving_share": None,
    }  # fmt: skip
    assert result["verdict"] == "doubtful"
    predicted = orbit(9, (96, 160))
    assert formats.read(out / "trajectory.npz") == predicted.scaled(2.0)
    assert formats.read(out / "predicted_trajectory.npz") == predicted
    assert result["trajectory"]["path_length"] == pytest.approx(2 * result["predicted"]["path_length"])
    assert {"predicted_transforms", "predicted_trajectory"} <= set(result["files"])
    run_json(capsys, "estimate", film, "--no-refine", "--out", out, "--frames", 9)
    assert not list(out.glob("predicted_*"))  # the earlier run's


def test_estimate_says_why_it_could_not_refine(
    capsys, pipeline: FakePipeline, film: Path, tmp_path: Path, monkeypatch
) -> None:
    unchanged = lambda clip, trajectory, fov: Refinement(trajectory, report("no_parallax"), None, None)  # noqa: E731
    monkeypatch.setattr(scene, "refine", unchanged)
    result = run_json(capsys, "estimate", film, "--out", tmp_path / "out", "--frames", 5)
    assert not result["refined"] and result["refinement"]["outcome"] == "no_parallax"
    assert result["predicted"] is None and "predicted_trajectory" not in result["files"]


def test_estimate_says_where_the_path_hardly_holds_together(
    capsys, pipeline: FakePipeline, film: Path, tmp_path: Path, monkeypatch
) -> None:
    doubtful = dataclasses.replace(report(), weak_joints=((1, 2), (3, 4)))
    monkeypatch.setattr(scene, "refine", lambda clip, trajectory, fov: Refinement(trajectory, doubtful, None, None))
    arguments = ("estimate", film, "--out", tmp_path / "out", "--frames", 5)
    assert run_json(capsys, *arguments)["refinement"]["weak_joints"] == [[1, 2], [3, 4]]
    assert cli.main([*map(str, arguments)]) == 0
    assert "  weak joints: 1 2, 3 4\n" in capsys.readouterr().out
    monkeypatch.setattr(scene, "refine", fake_refine)
    assert cli.main([*map(str, arguments)]) == 0
    assert "weak joints" not in capsys.readouterr().out


def test_a_focal_length_by_exif_is_known(capsys, pipeline: FakePipeline, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 26
    for i in range(5):
        Image.new("RGB", (160, 96), (i, 0, 0)).save(tmp_path / f"{i}.jpg", exif=exif)
    result = run_json(capsys, "estimate", tmp_path, "--frames", 5, "--out", tmp_path / "out")
    assert np.radians(result["clip"]["exif_fov_y_deg"]) == pipeline.tasks[0].fov_y_rad
    run_json(capsys, "estimate", tmp_path, "--frames", 5, "--fov-y-deg", 60, "--out", tmp_path / "out")
    assert pipeline.tasks[1].fov_y_rad == pytest.approx(np.radians(60))


def test_estimate_compares_with_a_reference(capsys, pipeline: FakePipeline, tmp_path: Path) -> None:
    reference = orbit(5, (96, 160)).scaled(3.0)
    (tmp_path / "frames").mkdir()
    for i in range(5):
        Image.new("RGB", (160, 96), (i, 0, 0)).save(tmp_path / f"frames/{i}.png")
    formats.write(tmp_path / "transforms.json", reference, [f"frames/{i}.png" for i in range(5)])
    result = run_json(capsys, "estimate", tmp_path / "frames", "--frames", 5, "--out", tmp_path / "out")
    errors = result["errors"]
    assert errors["pairs"]["auc30"] == 1.0 and errors["pairs"]["rotation_deg_mean"] < 1e-4
    assert errors["path"]["ate"] < 1e-6 and errors["path"]["alignment_scale"] == pytest.approx(3.0 / 2)
    assert result["predicted_errors"]["path"]["alignment_scale"] == pytest.approx(3.0)
    assert "scale-aligned" in errors["path"]["protocol"] and "all frame pairs" in errors["pairs"]["protocol"]


def test_estimate_narrows_a_known_field_of_view_with_the_crop(capsys, pipeline: FakePipeline, tmp_path: Path) -> None:
    write_video(tmp_path / "tall.mp4", np.zeros((5, 128, 64, 3), dtype=np.uint8), 8.0)
    run_json(capsys, "estimate", tmp_path / "tall.mp4", "--fov-y-deg", 60, "--frames", 5, "--out", tmp_path / "out")
    expected = 2 * np.arctan(np.tan(np.radians(30)) * (64 * 160 / 96) / 128)
    assert pipeline.tasks[0].fov_y_rad == pytest.approx(expected)


@pytest.mark.parametrize("name", ["arc-left", "zoom-in"])
def test_generate_along_a_preset(capsys, pipeline: FakePipeline, picture: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    settings = "--amplitude", 0.5, "--guidance", 2, "--temperature", 0.25
    result = run_json(capsys, "generate", picture, "--flat", "--preset", name, *settings, "--out", out)
    lens = 2 * np.arctan(48 / (0.85 * 128))  # a phone's, for nothing is known of it
    asked = preset(name, num_frames=17, image_size=(96, 128), fov_y_rad=lens, amplitude=0.5)
    assert pipeline.tasks[0].trajectory == asked and pipeline.tasks[0].source_indices == (0,)
    assert pipeline.tasks[0].guidance_scale == result["guidance"] == 2
    assert pipeline.tasks[0].temperature == result["temperature"] == 0.25
    assert formats.read(out / "trajectory.npz") == asked
    film = load_clip(out / "video.mp4")
    assert len(film) == 17 and film.image_size == (96, 128) and film.fps == pytest.approx(8.0)
    assert result["path"] == name and result["files"]["video"] == "video.mp4"
    followed = result["followed"]
    assert followed["outcome"] == "too_few_tracks" and "path" not in followed  # a plain picture
    assert len(list((out / "frames").glob("*.png"))) == 17


@pytest.mark.parametrize("suffix", ["transforms.json", "t.npz", "t.tum", "re10k.txt"])
def test_generate_along_a_file(capsys, pipeline: FakePipeline, picture: Path, tmp_path: Path, suffix: str) -> None:
    whole = orbit(20, (128, 128))
    formats.write(tmp_path / suffix, whole)
    result = run_json(
        capsys,
        "generate",
        picture,
        "--flat",
        "--trajectory",
        tmp_path / suffix,
        "--frames",
        9,
        "--out",
        tmp_path / "out",
    )
    used = pipeline.tasks[0].trajectory
    assert len(used) == 9 and used.image_size == (96, 128)
    np.testing.assert_allclose(used.Ts_world_camera[-1], whole.Ts_world_camera[-1], atol=1e-6)
    assert f"{suffix}: its 20 cameras are resampled to 9 frames" in result["notes"]
    if suffix == "transforms.json":  # 128 x 128 cropped to 128 x 96, then to the same width: the focal length stays
        np.testing.assert_allclose(used.intrinsics[0], whole.intrinsics[0] - [0, 0, 0, 16], atol=1e-9)


def test_generate_from_several_pictures(capsys, pipeline: FakePipeline, picture: Path, tmp_path: Path) -> None:
    arguments = "generate", picture, picture, picture, "--preset", "static", "--out", tmp_path / "out"
    assert run_json(capsys, *arguments)["source_indices"] == [0, 8, 16]
    assert run_json(capsys, *arguments, "--at", 4, 0, 2)["source_indices"] == [4, 0, 2]
    assert pipeline.tasks[1].source_frames_u8.shape == (3, 96, 128, 3)


def test_imagine(capsys, pipeline: FakePipeline, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run_json(capsys, "imagine", picture, "--frames", 5, "--out", out)
    assert pipeline.tasks[0].num_frames == 5 and result["trajectory"]["num_frames"] == 5
    assert {path.name for path in out.iterdir()} == {
        "video.mp4", "frames", "raxels", "transforms.json", "trajectory.npz", "result.json",
    }  # fmt: skip


def test_roundtrip(capsys, pipeline: FakePipeline, film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run_json(capsys, "roundtrip", film, "--frames", 5, "--out", out)
    loop, measured = result["closed_loop"], result["measured"]
    assert measured["outcome"] == "no_parallax" and "no parallax" in measured["reason"]  # the fake only slides pictures
    assert measured["path"]["t_err_sum"] > 1 > loop["path"]["t_err_sum"]
    assert loop["path"]["r_err_rad_sum"] < 1e-4 and loop["path"]["t_err_sum"] < 1e-6 and 5 < loop["psnr_db"] < 30
    assert "self-consistency" in loop["protocol"]
    assert formats.read(out / "followed_trajectory.npz") == formats.read(out / "trajectory.npz")


def test_psnr_leaves_the_source_frame_out() -> None:
    frames = np.full((3, 8, 8, 3), 100, dtype=np.uint8)
    other = frames.copy()
    other[1] += 40  # the source
    other[[0, 2]] += 10
    assert roundtrip.psnr_without_source(other, frames, 1) == pytest.approx(20 * np.log10(255 / 10))


def test_check(capsys, tmp_path: Path) -> None:
    formats.write(tmp_path / "transforms.json", orbit(17, (96, 160)))
    result = run_json(capsys, "check", tmp_path / "transforms.json")
    assert result["format"] == "nerfstudio transforms.json" and "OpenGL" in result["convention"] and result["valid"]
    assert result["trajectory"]["num_frames"] == 17 and result["trajectory"]["fov_y_deg"] == pytest.approx(55)
    assert result["first_frame"] == "frames/0000.png"


def test_text_output_is_the_same_result(capsys, pipeline: FakePipeline, film: Path, tmp_path: Path) -> None:
    assert cli.main(["estimate", str(film), "--out", str(tmp_path / "out")]) == 0
    written = capsys.readouterr()
    assert "55.0 degrees of view (vertical)" in written.out and "frames 0, 2, 5" in written.out
    assert f"all figures: {tmp_path / 'out' / 'result.json'}" in written.out.splitlines()
    assert "hash" not in written.out and len(written.out.splitlines()) < 30
    assert "talks on stdout" not in written.out and "talks on stdout" in written.err and "estimate" in written.err


def test_an_earlier_run_is_replaced(capsys, pipeline: FakePipeline, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_json(capsys, "imagine", picture, "--frames", 9, "--out", out)
    run_json(capsys, "imagine", picture, "--frames", 5, "--out", out)
    assert len(list((out / "frames").iterdir())) == 5


def test_folders_that_are_not_ours_are_left_alone(
    capsys, pipeline: FakePipeline, picture: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "transforms.json").write_text("precious")
    assert "holds files that no rap command wrote" in refused(capsys, "imagine", picture, "--out", mine)
    assert "is a file; name a folder" in refused(capsys, "imagine", picture, "--out", picture)
    run_json(capsys, "imagine", picture, "--out", tmp_path / "out")
    again = refused(capsys, "estimate", tmp_path / "out/frames", "--out", tmp_path / "out")
    assert "which would be overwritten; name another folder" in again
    assert [p.name for p in mine.iterdir()] == ["transforms.json"] and len(
        list((tmp_path / "out/frames").iterdir())
    ) == 17


def test_default_folder(capsys, pipeline: FakePipeline, picture: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_json(capsys, "imagine", picture)["out"] == "rap-output/imagine-room"
    assert (tmp_path / "rap-output/imagine-room/video.mp4").is_file()
