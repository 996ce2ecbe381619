"""`rap preview`, and the geometry behind `rap generate`: cameras of a clip, hints, what is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from cli_runs import FakePipeline, orbit, refused, report, run_json
from PIL import Image

from rap import formats, metrics
from rap.cli import cameras
from rap.config import ASSETS
from rap.data import Clip, load_clip
from rap.data.video import open_video
from rap.geometry import Trajectory, preset
from rap.pipeline import EstimateTask
from rap.reconstruction.refine import Refinement
from rap.views import scene


def test_preview_of_a_film(capsys, pipeline: FakePipeline, geometry, film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run_json(capsys, "preview", film, "--preset", "arc-left", "--frames", 9, "--out", out)
    assert result["coverage"] == 0.5 and result["coverage_of_frames"] == [0.5] * 9 and result["path"] == "arc-left"
    (task,), (made,) = pipeline.tasks, geometry.made
    assert isinstance(task, EstimateTask) and result["cameras"]["refined"]
    refined = orbit(9, (96, 160)).scaled(2.0)
    assert made.trajectory == refined and len(made.clip) == 9
    lens = {"image_size": (96, 160), "fov_y_rad": float(refined.fov_y_rad[0])}
    arc = preset("arc-left", num_frames=9, pivot_distance=1.25, **lens)
    assert made.paths == [arc], "about what is in the middle"
    assert formats.read(out / "clip_trajectory.npz") == refined and len(list((out / "clip").glob("*.png"))) == 9
    assert formats.read(out / "predicted_clip_trajectory.npz") == orbit(9, (96, 160))
    assert formats.read(out / "trajectory.npz").image_size == (134, 224) and (out / "video.mp4").is_file()
    assert np.asarray(Image.open(out / "frames/0003.png"))[0, [0, 223]].tolist() == [[200] * 3, [0] * 3]
    cloud = trimesh.load(out / "points.ply")
    assert b"format binary" in (out / "points.ply").read_bytes()[:40]
    np.testing.assert_allclose(cloud.vertices, made.coloured_points(0.5)[0], atol=1e-6)
    assert (np.asarray(cloud.colors)[:, :3] == 50).all()


def test_preview_along_the_own_path(capsys, pipeline: FakePipeline, geometry, film: Path, tmp_path: Path) -> None:
    result = run_json(capsys, "preview", film, "--frames", 5, "--no-refine", "--out", tmp_path / "out")
    assert geometry.made[0].paths == [orbit(5, (96, 160))] and result["path"] == "own"


def test_preview_under_cameras_of_a_file(
    capsys, pipeline: FakePipeline, geometry, film: Path, tmp_path: Path, monkeypatch
) -> None:
    """They are used as they are, but for the unit of length: paths from files come along, presets do not."""
    measured: list[Trajectory] = []

    def found_at_four(clip: Clip, trajectory: Trajectory) -> cameras.ClipCameras:
        measured.append(trajectory)
        return cameras.ClipCameras(trajectory.scaled(0.25), scale=0.25)

    monkeypatch.setattr(cameras, "_measured", found_at_four)
    given = orbit(5, (96, 160)).scaled(3.0)
    formats.write(tmp_path / "cameras.npz", given)
    arguments = "preview", film, "--frames", 5, "--cameras", tmp_path / "cameras.npz", "--out", tmp_path / "out"
    result = run_json(capsys, *arguments, "--trajectory", tmp_path / "cameras.npz")
    assert pipeline.tasks == [] and result["cameras"]["refinement"] is None
    np.testing.assert_allclose(measured[0].Ts_world_camera, given.Ts_world_camera, atol=1e-12)
    (made,) = geometry.made  # the same file twice is the clip's own path
    np.testing.assert_array_equal(made.paths[0].Ts_world_camera, made.trajectory.Ts_world_camera)
    run_json(capsys, *arguments, "--preset", "truck-left")
    truck = preset("truck-left", num_frames=5, image_size=(96, 160), pivot_distance=1.25)  # what is in the middle
    np.testing.assert_allclose(geometry.made[1].paths[0].centres, truck.centres, atol=1e-12)
    assert run_json(capsys, *arguments, "--refine")["cameras"]["refined"]


def test_cameras_of_every_frame_of_the_input(
    capsys, pipeline: FakePipeline, geometry, film: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(cameras, "_measured", lambda clip, trajectory: cameras.ClipCameras(trajectory))
    whole = orbit(40, (540, 960))
    formats.write(tmp_path / "cameras.npz", whole)
    arguments = "preview", film, "--cameras", tmp_path / "cameras.npz", "--out", tmp_path / "out"
    result = run_json(capsys, *arguments, "--frames", 5, "--start", 4, "--stride", 8)
    expected = whole.relative_to(4).Ts_world_camera[[4, 12, 20, 28, 36]]
    np.testing.assert_allclose(geometry.made[0].trajectory.Ts_world_camera, expected, atol=1e-9)
    assert result["notes"] == ["cameras.npz: its 40 cameras are taken to be those of the input's frames"]
    formats.write(tmp_path / "cameras.npz", orbit(20, (540, 960)))
    assert "has 20 cameras, but the clip has 17 frames, up to number 39 of the input" in refused(capsys, *arguments)


def test_cameras_are_matched_by_name(capsys, pipeline: FakePipeline, geometry, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(cameras, "_measured", lambda clip, trajectory: cameras.ClipCameras(trajectory))
    (tmp_path / "some").mkdir()
    for i in range(3, 8):  # of ten pictures the cameras are known, five of them are given
        Image.new("RGB", (160, 96), (i, 0, 0)).save(tmp_path / f"some/{i}.png")
    whole = orbit(10, (96, 160))
    formats.write(tmp_path / "transforms.json", whole, [f"images/{i}.png" for i in range(10)])
    arguments = "preview", tmp_path / "some", "--cameras", tmp_path / "transforms.json", "--out", tmp_path / "out"
    assert "of its 10 cameras those of the same names" in run_json(capsys, *arguments, "--frames", 5)["notes"][0]
    expected = whole.relative_to(3).Ts_world_camera[3:8]
    np.testing.assert_allclose(geometry.made[0].trajectory.Ts_world_camera, expected, atol=1e-9)


def test_preview_of_a_picture(
    capsys, pipeline: FakePipeline, geometry, picture: Path, film: Path, tmp_path: Path, monkeypatch
) -> None:
    arguments = "preview", picture, "--out", tmp_path / "out"
    result = run_json(capsys, *arguments, "--preset", "truck-left", "--fov-y-deg", 40)
    assert result["coverage"] == 0.5 and result["cameras"] is None and pipeline.tasks == []
    (made,) = geometry.made
    lens = {"num_frames": 17, "image_size": (96, 128), "fov_y_rad": np.radians(40)}
    assert made.trajectory == preset("truck-left", **lens) and len(made.clip) == 1 and not made.options["flat"]
    assert made.paths == [preset("truck-left", **lens, pivot_distance=1.25)], "about what is in the middle"
    assert (np.asarray(trimesh.load(tmp_path / "out/points.ply").colors)[:, :3] == 50).all()  # what is sure
    assert result["notes"] == []
    with Image.open(tmp_path / "out" / result["files"]["depth"]) as depth:
        assert depth.size == (128, 96) and depth.getextrema() == (2000, 2000)
        assert depth.text["Vertical field of view"] == f"{np.degrees(2 * np.arctan(48 / 90)):.2f} degrees"
    assert "depth" not in run_json(capsys, *arguments, "--preset", "truck-left", "--flat")["files"]
    assert geometry.made[1].options["flat"]
    assert (np.asarray(trimesh.load(tmp_path / "out/points.ply").colors)[:, :3] == 0).all()  # any confidence
    focal = geometry.made[1].trajectory.intrinsics[0, 0]
    assert focal == pytest.approx(0.85 * 128), "nothing is known of the lens: the usual one, of the long side"
    for depth in (["--flat"], ["--depth-model", "x/y"]):
        assert f"{depth[0]} is for one picture" in refused(capsys, "preview", film, "--preset", "static", *depth)
    assert "give one of them" in refused(capsys, *arguments, "--preset", "static", "--flat", "--depth-model", "x/y")
    monkeypatch.setattr(geometry, "unit_m", 3.25)
    notes = run_json(capsys, *arguments, "--preset", "truck-left", "--fov-y-deg", 40, "--depth-model", "x/y")["notes"]
    assert notes == ["the unit of length is 3.25 m, as --depth-model says"]
    assert [made.options["depth_by"] for made in geometry.made] == ["", "", "x/y"]
    assert "one picture has no path of its own; give --preset or --trajectory" in refused(capsys, *arguments)
    assert "one picture is its own world" in refused(capsys, *arguments, "--preset", "static", "--refine")


def test_generate_hands_the_clip_on_as_hints(
    capsys, pipeline: FakePipeline, geometry, film: Path, tmp_path: Path
) -> None:
    arguments = "generate", film, "--preset", "arc-left", "--frames", 9, "--out", tmp_path / "out"
    result = run_json(capsys, *arguments, "--steps", 7)
    estimate, task = pipeline.tasks
    assert (estimate.steps, task.steps) == (None, 7)
    assert (task.source_frames_u8 == load_clip(film, num_frames=9).frames_u8[:1]).all()
    assert geometry.made[0].clip.film is not None, "all of the film serves to find its cameras"
    assert task.hints.mask.shape == (9, 96, 160) and geometry.made[0].paths == [task.trajectory]
    assert result["hints"]["coverage"] == 0.5 and result["cameras"]["refined"] and result["clip"]["num_frames"] == 9
    ((path, content),) = geometry.made[0].walked
    assert path == task.trajectory and content.frames_u8.shape == (9, 96, 160, 3), "the model's, for the holes"
    assert "the film's own frames" in result["made_of"] and result["trajectory"]["image_size"] == [32, 64]


def test_along_a_path_that_leaves_the_film_the_model_is_not_asked(
    capsys, pipeline: FakePipeline, geometry, film: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(geometry, "is_left", True)
    result = run_json(capsys, "generate", film, "--preset", "arc-left", "--frames", 9, "--out", tmp_path / "out")
    assert result["made_of"].startswith("one frame of the film alone") and len(pipeline.tasks) == 1, "its cameras"
    assert "made 67% of its usual size" in " ".join(result["notes"])


@pytest.mark.parametrize("command", ["generate", "preview"])
def test_of_a_film_that_only_turns_the_first_frame_is_seen_by_a_depth_of_its_own(
    capsys, pipeline: FakePipeline, geometry, film: Path, tmp_path: Path, monkeypatch, command: str
) -> None:
    turned = Refinement(orbit(9, (96, 160)), report("no_parallax"), None, None)
    monkeypatch.setattr(scene, "refine", lambda clip, trajectory, known: turned)
    result = run_json(capsys, command, film, "--preset", "arc-left", "--frames", 9, "--out", tmp_path / "out")
    (made,) = geometry.made
    assert len(made.clip) == 1 and made.options["flat"] is False and "The camera only turns" in result["notes"][-1]
    assert made.trajectory.fov_y_rad[0] == pytest.approx(turned.trajectory.fov_y_rad[0])
    assert result["cameras"]["refinement"]["outcome"] == "no_parallax"


def test_a_take_has_the_size_the_frames_and_the_rate_that_were_asked_for(
    capsys, pipeline: FakePipeline, geometry, film: Path, tmp_path: Path
) -> None:
    arguments = "generate", film, "--preset", "arc-left", "--frames", 5, "--out", tmp_path / "out"
    result = run_json(capsys, *arguments, "--size", 320, "--video-frames", 12, "--fps", 24)
    assert result["trajectory"]["num_frames"] == 12 and result["trajectory"]["image_size"] == [16, 32]
    video = open_video(tmp_path / "out" / "video.mp4")
    assert (video.count, video.fps) == (12, 24) and len(list((tmp_path / "out" / "frames").iterdir())) == 12
    assert "size must be 64 to 1,920" in refused(capsys, *arguments, "--size", 4000)
    assert "frames must be 2 to 257" in refused(capsys, *arguments, "--video-frames", 300)
    assert "at most 60" in refused(capsys, *arguments, "--fps", 99)


def test_a_take_for_two_eyes_and_its_depth(
    capsys, pipeline: FakePipeline, geometry, film: Path, tmp_path: Path
) -> None:
    arguments = "generate", film, "--preset", "arc-left", "--frames", 5, "--out", tmp_path / "out"
    more = "--stereo", "anaglyph", "side-by-side", "--depth-video", "--baseline", 0.02
    result = run_json(capsys, *arguments, *more)
    assert "eyes 0.06 apart, what is 3 away lies in the screen" in result["notes"][-1]
    assert {"anaglyph", "side_by_side", "depth", "depth_frames"} <= result["files"].keys()
    red, _, blue = load_clip(tmp_path / "out" / "anaglyph.mp4", num_frames=5, stride=1).frames_u8[0].mean(axis=(0, 1))
    assert blue > red + 60, "red is the left eye's"
    widths = [load_clip(tmp_path / "out" / name).upload_size[1] for name in ("side_by_side.mp4", "video.mp4")]
    assert widths[0] == 2 * widths[1]
    depth = np.asarray(Image.open(tmp_path / "out" / "depth" / "0004.png"))
    assert depth.dtype == np.uint16 and depth[0, 0] == 4000 and depth[0, -1] == 1000
    assert "need depth: leave out --model-only" in refused(capsys, *arguments, *more, "--model-only")
    assert "above 0 and at most 1" in refused(capsys, *arguments, "--stereo", "anaglyph", "--baseline", 0)


def test_where_cameras_are_not_borne_out_the_first_frame_is_seen_by_a_depth_of_its_own(
    capsys, pipeline: FakePipeline, geometry, film: Path, tmp_path: Path, monkeypatch
) -> None:
    diverged = lambda clip, trajectory, fov: Refinement(trajectory, report("diverged"), None, None)  # noqa: E731
    monkeypatch.setattr(scene, "refine", diverged)
    arguments = film, "--preset", "arc-left", "--frames", 5, "--out", tmp_path / "out"
    result = run_json(capsys, "generate", *arguments)
    assert len(geometry.made[-1].clip) == 1 and result["made_of"] == "the picture"
    assert "The film's cameras are not known (Because): its first frame alone" in result["notes"][-1]
    assert "To use all of it, give the field of view, if you know it" in result["notes"][-1]
    assert run_json(capsys, "generate", *arguments, "--hints")["made_of"].startswith("the film's own frames")
    assert "its first frame alone" in run_json(capsys, "preview", *arguments)["notes"][-2]
    own = run_json(capsys, "preview", film, "--frames", 5, "--out", tmp_path / "own")
    assert own["notes"] == ["the clip's cameras are a guess: Because."]


def test_generate_by_the_model_only(capsys, pipeline: FakePipeline, geometry, film: Path, tmp_path: Path) -> None:
    arguments = "generate", film, "--preset", "arc-left", "--frames", 5, "--out", tmp_path / "out"
    result = run_json(capsys, *arguments, "--model-only", "--start", 3)
    (task,) = pipeline.tasks
    assert task.hints is None and geometry.made == [] and result["hints"] is None and result["cameras"] is None
    assert (task.source_frames_u8 == load_clip(film, num_frames=1, start=3, stride=1).frames_u8).all()
    assert "--cameras and --refine belong to the hints" in refused(capsys, *arguments, "--model-only", "--refine")


def test_hints_of_a_picture(capsys, pipeline: FakePipeline, geometry, picture: Path, tmp_path, monkeypatch) -> None:
    arguments = "generate", picture, "--preset", "arc-left", "--out", tmp_path / "out"
    assert run_json(capsys, *arguments)["hints"]["coverage"] == 0.5 and len(geometry.made) == 1
    (made,) = geometry.made
    ((path, content),) = made.walked
    assert not made.options["flat"] and made.paths == [path] and content is None
    assert pipeline.tasks == [], "its layers show all of the path"
    for blind in (["--model-only"], ["--at", "3"]):
        assert "--flat is for the hints of one picture" in refused(capsys, *arguments, *blind, "--flat")
    for blind in (["--model-only"], ["--at", "3"]):
        assert run_json(capsys, *arguments, *blind)["hints"] is None and len(geometry.made) == 1
    assert "of a video or folder" in refused(capsys, *arguments, "--refine")
    monkeypatch.setattr(geometry, "clearance", lambda self, path: np.array([1.0, 0.5, 0, *[0] * 14]))
    lens, note = run_json(capsys, *arguments, "--amplitude", 2)["notes"]
    assert "48 degrees from top to bottom are assumed" in lens
    assert note.startswith("From frame 2 on the path leads through what the picture shows")
    (note,) = run_json(capsys, *arguments, "--fov-y-deg", 40)["notes"]
    assert note.startswith("arc-left is made 17% of its usual size")


def test_options_of_hints_that_do_not_fit(capsys, film: Path, picture: Path) -> None:
    start = "generate", picture, picture, "--preset", "static"
    assert "of several pictures the cameras are not known" in refused(capsys, *start, "--hints")
    assert "not of several pictures" in refused(capsys, *start, "--start", 3)
    assert "--at is for pictures" in refused(capsys, "generate", film, "--preset", "static", "--at", 4)
    assert "--amplitude belongs to --preset" in refused(capsys, "preview", film, "--amplitude", 2)


def test_preview_shows_the_clip_along_its_own_cameras(capsys, tmp_path: Path) -> None:
    """Nothing is replaced here: tracks, unit of length, depth and warp of a procedural clip under its true cameras."""
    example, out = ASSETS / "examples" / "arc_around_a_table.mp4", tmp_path / "out"
    arguments = "preview", example, "--cameras", example.with_suffix(".transforms.json"), "--out", out
    result = run_json(capsys, *arguments, "--frames", 9, "--stride", 1)
    assert result["coverage"] > 0.95 and result["cameras"]["refinement"] is None
    clip = load_clip(example, num_frames=9, stride=1)
    shown = load_clip(out / "frames", num_frames=9, size=clip.image_size).frames_u8
    hidden = [1, 3, 5, 7]  # the others were lifted
    assert (
        metrics.psnr(shown[hidden], clip.frames_u8[hidden])
        > metrics.psnr(clip.frames_u8[:8:2], clip.frames_u8[hidden]) + 3
    )
    cloud = np.asarray(trimesh.load(out / "points.ply").vertices)
    depths = cloud[:, 2]  # the world is the first camera, and its median depth the unit
    assert len(cloud) > 1000 and 0.6 < np.median(depths) < 1.6
    assert np.mean(depths > 0) > 0.999  # what the last camera alone sees may lie beside the first


def test_a_preview_of_a_size_has_the_pixels_of_the_frames_themselves(capsys, tmp_path: Path) -> None:
    example, out = ASSETS / "examples" / "arc_around_a_table.mp4", tmp_path / "out"
    given = "preview", example, "--cameras", example.with_suffix(".transforms.json"), "--frames", 5, "--stride", 1
    result = run_json(capsys, *given, "--size", "own", "--out", out)
    clip = load_clip(example, num_frames=5, stride=1, full=True)
    shown = load_clip(out / "frames", num_frames=5, full=True)
    assert shown.full_size == clip.full_size == (256, 320) and result["coverage"] > 0.95
    assert all(metrics.psnr(shown.full_frame(i)[None], clip.full_frame(i)[None]) > 30 for i in (0, 2, 4))
    assert formats.read(out / "trajectory.npz").image_size == (256, 320)
    assert "size must be 64 to 1,920" in refused(capsys, *given, "--size", 20)
    assert "--memory-gb must be at least 0.25" in refused(capsys, *given, "--memory-gb", 0.1)
    large = "generate", example, "--preset", "static", "--video-frames", 257, "--memory-gb", 0.25
    assert "257 frames of 320 x 256 need 0.3 GB" in refused(capsys, *large)
    wide = tmp_path / "wide"
    wider = run_json(capsys, *given, "--preset", "zoom-out", "--amplitude", 0.3, "--size", 320, "--out", wide)
    last = np.asarray(Image.open(wide / "frames/0004.png"))
    assert wider["coverage"] < 0.99 and set(last[0, 160]) | set(last[-1, -1]) <= {52, 68}, "holes stay open"
