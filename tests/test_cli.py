"""The `rap` command: files, JSON, refusals. All but one test replace the model, at `rap.cli.model.load_pipeline`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from rap import cli, formats, metrics
from rap.cli import cameras, generate, model, options, roundtrip
from rap.config import ASSETS
from rap.data import Clip, load_clip, write_video
from rap.geometry import PRESETS, Trajectory, preset
from rap.pipeline import EstimateTask, GenerateTask, JointTask, Progress, RaPOutput, RoundTrip
from rap.reconstruction.refine import Refinement, RefinementReport
from rap.reconstruction.tracks import PointCloud
from rap.views import scene
from rap.views.hints import VideoHints
from rap.views.scene import Preview


class FakePipeline:
    """Answers every task with an orbit and with greyer copies of the source; remembers the tasks."""

    def __init__(self) -> None:
        self.tasks: list = []

    def stream(self, task) -> Iterator[Progress]:
        self.tasks.append(task)
        steps = task.steps or 2
        for step in range(steps):
            print("a library talks on stdout")
            yield Progress(step, steps)
        if isinstance(task, EstimateTask):
            frames_u8, count = task.frames_u8, len(task.frames_u8)
        else:
            count = task.num_frames if isinstance(task, JointTask) else len(task.trajectory)
            frames_u8 = np.repeat(task.source_frames_u8[:1] // 2 + 64, count, axis=0)
        size = frames_u8.shape[1:3]
        trajectory = task.trajectory if isinstance(task, GenerateTask) else orbit(count, size)
        raxels = np.zeros((count, 3, size[0] // 2, size[1] // 2), dtype=np.float32)
        yield Progress(steps, steps, frames_u8, trajectory, True, RaPOutput(frames_u8, trajectory, raxels))

    def round_trip(self, frames_u8, *, fps: float, steps: int | None, seed: int, fov_y_rad: float | None) -> RoundTrip:
        def last(task) -> RaPOutput:
            return [progress.output for progress in self.stream(task)][-1]

        first = last(EstimateTask(frames_u8, fps=fps, fov_y_rad=fov_y_rad))
        video = last(GenerateTask(frames_u8[:1], first.trajectory, steps=steps, seed=seed))
        return RoundTrip(first, video, last(EstimateTask(video.frames_u8, fps=fps)))


def orbit(count: int, size: tuple[int, int]) -> Trajectory:
    return preset("orbit-left", num_frames=count, image_size=size)


class FakeScene:
    """Shows the left half of every frame; remembers what it was made of and the paths it was asked for."""

    made: list[FakeScene] = []

    def __init__(self, clip: Clip, trajectory: Trajectory, points: PointCloud | None = None, **options) -> None:
        self.clip, self.trajectory, self.points, self.paths = clip, trajectory, points, []
        self.made.append(self)

    def _mask(self, path: Trajectory, size: tuple[int, int]) -> np.ndarray:
        self.paths.append(path)
        return np.broadcast_to(np.arange(size[1]) < size[1] // 2, (len(path), *size))

    def preview(self, path: Trajectory) -> Preview:
        mask = self._mask(path, (134, 224))
        return Preview(np.repeat(mask[..., None], 3, axis=-1).astype(np.uint8) * 200, mask)

    def hints(self, path: Trajectory) -> VideoHints:
        mask = self._mask(path, path.image_size)
        return VideoHints(np.repeat(mask[..., None], 3, axis=-1).astype(np.uint8) * 200, mask.astype(np.float64))

    def coloured_points(self, min_confidence: float) -> tuple[np.ndarray, np.ndarray]:
        xyz = np.random.default_rng(0).normal(size=(50, 3))
        return xyz, np.full((50, 3), int(100 * min_confidence), dtype=np.uint8)


def report(verdict: str = "refined") -> RefinementReport:
    return RefinementReport(verdict, "Because.", "frames", "model", 3.0, 0.4, 900, 200, 1.1, 0.5)  # type: ignore[arg-type]


def fake_refine(clip: Clip, trajectory: Trajectory, known_fov_y_rad: float | None) -> Refinement:
    """Moves twice as far."""
    return Refinement(trajectory.scaled(2.0), report(), None, None)


@pytest.fixture
def geometry(monkeypatch: pytest.MonkeyPatch) -> type[FakeScene]:
    """Refinement that doubles the motion, scenes that show the left half."""
    monkeypatch.setattr(scene, "refine", fake_refine)
    monkeypatch.setattr(scene, "build_scene", FakeScene)
    monkeypatch.setattr(scene, "picture_scene", FakeScene)
    monkeypatch.setattr(FakeScene, "made", [])
    return FakeScene


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch, geometry) -> FakePipeline:
    fake = FakePipeline()
    monkeypatch.setattr(model, "load_pipeline", lambda checkpoint, device: fake)
    return fake


@pytest.fixture
def film(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    write_video(tmp_path / "film.mp4", rng.integers(0, 256, (40, 54, 96, 3), dtype=np.uint8), 20.0)
    return tmp_path / "film.mp4"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (96, 72), (200, 100, 50)).save(tmp_path / "room.png")
    return tmp_path / "room.png"


def run_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert cli.main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """The sentence of a refusal: status 2, nothing on stdout, one line on stderr."""
    try:
        status = cli.main([*map(str, arguments)])
    except SystemExit as stop:
        status = stop.code
    written = capsys.readouterr()
    assert status == 2 and written.out == "" and written.err.count("\n") == 1, written.err
    return written.err.strip()


# --- what each command writes -----------------------------------------------------------------------------------------


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
    assert result["refined"] and result["refinement"] == {**dataclasses.asdict(report()), "weak_joints": []}
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
    assert not result["refined"] and result["refinement"]["verdict"] == "no_parallax"
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
    result = run_json(capsys, "generate", picture, "--preset", name, *settings, "--out", out)
    asked = preset(name, num_frames=17, image_size=(96, 128), amplitude=0.5)
    assert pipeline.tasks[0].trajectory == asked and pipeline.tasks[0].source_indices == (0,)
    assert pipeline.tasks[0].guidance_scale == result["guidance"] == 2
    assert pipeline.tasks[0].temperature == result["temperature"] == 0.25
    assert formats.read(out / "trajectory.npz") == asked
    film = load_clip(out / "video.mp4")
    assert len(film) == 17 and film.image_size == (96, 128) and film.fps == pytest.approx(8.0)
    assert result["path"] == name and result["files"]["video"] == "video.mp4"
    followed = result["followed"]
    assert followed["verdict"] == "too_few_tracks" and "path" not in followed  # a plain picture
    assert len(list((out / "frames").glob("*.png"))) == 17


@pytest.mark.parametrize("suffix", ["transforms.json", "t.npz", "t.tum", "re10k.txt"])
def test_generate_along_a_file(capsys, pipeline: FakePipeline, picture: Path, tmp_path: Path, suffix: str) -> None:
    whole = orbit(20, (128, 128))
    formats.write(tmp_path / suffix, whole)
    result = run_json(
        capsys, "generate", picture, "--trajectory", tmp_path / suffix, "--frames", 9, "--out", tmp_path / "out"
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


# --- geometry ---------------------------------------------------------------------------------------------------------


def test_preview_of_a_film(capsys, pipeline: FakePipeline, geometry, film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run_json(capsys, "preview", film, "--preset", "arc-left", "--frames", 9, "--out", out)
    assert result["coverage"] == 0.5 and result["coverage_of_frames"] == [0.5] * 9 and result["path"] == "arc-left"
    (task,), (made,) = pipeline.tasks, geometry.made
    assert isinstance(task, EstimateTask) and result["cameras"]["refined"]
    refined = orbit(9, (96, 160)).scaled(2.0)
    assert made.trajectory == refined and len(made.clip) == 9
    fov_y_rad = float(refined.fov_y_rad[0])
    assert made.paths == [preset("arc-left", num_frames=9, image_size=(96, 160), fov_y_rad=fov_y_rad)]
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
    truck = preset("truck-left", num_frames=5, image_size=(96, 160))
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


def test_preview_of_a_picture(capsys, pipeline: FakePipeline, geometry, picture: Path, tmp_path: Path) -> None:
    arguments = "preview", picture, "--out", tmp_path / "out"
    result = run_json(capsys, *arguments, "--preset", "truck-left", "--fov-y-deg", 40)
    assert result["coverage"] == 0.5 and result["cameras"] is None and pipeline.tasks == []
    (made,) = geometry.made
    asked = preset("truck-left", num_frames=17, image_size=(96, 128), fov_y_rad=np.radians(40))
    assert made.trajectory == asked and made.paths == [asked] and len(made.clip) == 1
    assert (np.asarray(trimesh.load(tmp_path / "out/points.ply").colors)[:, :3] == 0).all()  # any confidence
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
    assert task.hints.mask.shape == (9, 96, 160) and geometry.made[0].paths == [task.trajectory]
    assert result["hints"]["coverage"] == 0.5 and result["cameras"]["refined"] and result["clip"]["num_frames"] == 9


def test_cameras_that_the_frames_do_not_bear_out_give_no_hints(
    capsys, pipeline: FakePipeline, geometry, film: Path, tmp_path: Path, monkeypatch
) -> None:
    diverged = lambda clip, trajectory, fov: Refinement(trajectory, report("diverged"), None, None)  # noqa: E731
    monkeypatch.setattr(scene, "refine", diverged)
    arguments = film, "--preset", "arc-left", "--out", tmp_path / "out"
    result = run_json(capsys, "generate", *arguments)
    assert result["hints"] is None and pipeline.tasks[-1].hints is None and geometry.made == []
    assert result["notes"] == ["no hints, as the clip's cameras are not known: Because."]
    assert run_json(capsys, "generate", *arguments, "--hints")["hints"] is not None
    assert "the clip's cameras are a guess: Because." in run_json(capsys, "preview", *arguments)["notes"]


def test_generate_by_the_model_only(capsys, pipeline: FakePipeline, geometry, film: Path, tmp_path: Path) -> None:
    arguments = "generate", film, "--preset", "arc-left", "--out", tmp_path / "out"
    result = run_json(capsys, *arguments, "--model-only", "--start", 3)
    (task,) = pipeline.tasks
    assert task.hints is None and geometry.made == [] and result["hints"] is None and result["cameras"] is None
    assert (task.source_frames_u8 == load_clip(film, num_frames=1, start=3, stride=1).frames_u8).all()
    assert "--cameras and --refine belong to the hints" in refused(capsys, *arguments, "--model-only", "--refine")


def test_hints_of_a_picture_are_a_plane(capsys, pipeline: FakePipeline, geometry, picture: Path, tmp_path) -> None:
    arguments = "generate", picture, "--preset", "arc-left", "--out", tmp_path / "out"
    assert run_json(capsys, *arguments)["hints"]["coverage"] == 0.5 and len(geometry.made) == 1
    for blind in (["--model-only"], ["--at", "3"]):
        assert run_json(capsys, *arguments, *blind)["hints"] is None and len(geometry.made) == 1
    assert "of a video or folder" in refused(capsys, *arguments, "--refine")


def test_options_of_hints_that_do_not_fit(capsys, film: Path, picture: Path) -> None:
    start = "generate", picture, picture, "--preset", "static"
    assert "of several pictures the cameras are not known" in refused(capsys, *start, "--hints")
    assert "not of several pictures" in refused(capsys, *start, "--start", 3)
    assert "--at is for pictures" in refused(capsys, "generate", film, "--preset", "static", "--at", 4)
    assert "--amplitude belongs to --preset" in refused(capsys, "preview", film, "--amplitude", 2)


def test_imagine(capsys, pipeline: FakePipeline, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run_json(capsys, "imagine", picture, "--frames", 5, "--out", out)
    assert pipeline.tasks[0].num_frames == 5 and result["trajectory"]["num_frames"] == 5
    assert {path.name for path in out.iterdir()} == {
        "video.mp4", "frames", "raxels", "transforms.json", "trajectory.npz", "result.json",
    }  # fmt: skip


def test_roundtrip(capsys, pipeline: FakePipeline, film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run_json(capsys, "roundtrip", film, "--out", out)
    loop, measured = result["closed_loop"], result["measured"]
    assert measured["verdict"] == "no_parallax" and "no parallax" in measured["reason"]  # the fake only slides pictures
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


# --- the result folder ------------------------------------------------------------------------------------------------


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


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_bad_options(capsys, picture: Path) -> None:
    def sentence(*arguments: object) -> str:
        return refused(capsys, *arguments).split(" (see")[0]

    assert sentence("estimate", "x", "--frames", 20) == (
        "rap estimate: argument --frames: must be 1 + 4 k (5, 9, 13, 17 ...), got 20; nearest: 17 or 21"
    )
    assert sentence("estimate", "x", "--frames", 2).endswith("got 2; nearest: 5")
    assert sentence("estimate", "x", "--start", -1).endswith("argument --start: must be at least 0, got -1")
    assert sentence("estimate", "x", "--stride", 0).endswith("argument --stride: must be at least 1, got 0")
    assert sentence("estimate", "x", "--fov-y-deg", 180).endswith("must lie between 0 and 180 degrees, got 180")
    assert sentence("estimate", "x", "--fov-y-deg", "nan").endswith("must lie between 0 and 180 degrees, got nan")
    assert sentence("estimate", "x", "--seed", "many").endswith("argument --seed: must be a whole number, got 'many'")
    assert "required: VIDEO|FOLDER" in sentence("estimate")
    assert "one of the arguments --trajectory --preset is required" in sentence("generate", picture)
    assert "invalid choice: 'fly'" in sentence("fly")
    assert sentence() == "rap: the following arguments are required: COMMAND"
    assert sentence("generate", picture, "--preset", "fly").startswith(
        "rap generate: --preset fly: no such preset; choose from static, arc-left, arc-right"
    )
    assert "--amplitude belongs to --preset" in sentence("generate", picture, "--trajectory", "x", "--amplitude", 2)
    assert "--at 17: give 1 different frame number(s) from 0 to 16" in sentence(
        "generate", picture, "--preset", "static", "--at", 17
    )


def test_bad_inputs(capsys, film: Path, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("a text\n" * 99)
    (tmp_path / "zero.mp4").touch()
    (tmp_path / "empty").mkdir()
    assert "text.mp4: neither a picture nor a video" in refused(capsys, "estimate", tmp_path / "text.mp4")
    assert "zero.mp4: the file is empty" in refused(capsys, "roundtrip", tmp_path / "zero.mp4")
    assert "none.mp4: no such file or folder" in refused(capsys, "estimate", tmp_path / "none.mp4")
    assert "no pictures in this folder" in refused(capsys, "estimate", tmp_path / "empty")
    assert "a camera path needs at least two" in refused(capsys, "estimate", picture)
    assert "film.mp4: not a picture that can be read" in refused(
        capsys, "generate", picture, film, "--preset", "static"
    )
    assert "the largest usable start is 38" in refused(capsys, "estimate", film, "--start", 40)
    assert "the largest usable stride from there is 2" in refused(capsys, "estimate", film, "--stride", 9)
    assert "no model_index.json" in refused(
        capsys, "imagine", picture, "--checkpoint", tmp_path / "empty", "--out", tmp_path / "o"
    )


def spoiled(tmp_path: Path, spoil) -> Path:
    formats.write(tmp_path / "transforms.json", orbit(3, (96, 160)))
    document = json.loads((tmp_path / "transforms.json").read_text())
    spoil(document)
    (tmp_path / "transforms.json").write_text(json.dumps(document))
    return tmp_path / "transforms.json"


def nan(document: dict) -> None:
    document["frames"][1]["transform_matrix"][0][3] = float("nan")


def mirrored(document: dict) -> None:
    document["frames"][1]["transform_matrix"] = np.diag([-1.0, 1, 1, 1]).tolist()


def no_frames(document: dict) -> None:
    document["frames"] = []


@pytest.mark.parametrize("spoil, word", [(nan, "nan"), (mirrored, "determinant"), (no_frames, "'frames' is []")])
def test_bad_camera_files(capsys, picture: Path, tmp_path: Path, spoil, word: str) -> None:
    path = spoiled(tmp_path, spoil)
    for arguments in (["check", path], ["generate", picture, "--trajectory", path]):
        sentence = refused(capsys, *arguments)
        assert "transforms.json" in sentence and word in sentence


def test_a_device_that_is_not_there(capsys, picture: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(model, "check_checkpoint", lambda name: tmp_path)
    sentence = refused(capsys, "imagine", picture, "--device", "cuda:99", "--out", tmp_path / "o")
    assert "--device cuda:99 cannot be used here" in sentence and sentence.endswith("try --device cpu")


def test_faults_of_the_program_are_not_hidden(picture: Path, tmp_path: Path, monkeypatch) -> None:
    def faulty(checkpoint: str | None, device: str | None) -> None:
        np.zeros(3).reshape(2, 2)  # a ValueError from inside a library

    monkeypatch.setattr(model, "load_pipeline", faulty)
    with pytest.raises(ValueError, match="cannot reshape"):
        cli.main(["imagine", str(picture), "--out", str(tmp_path / "o")])


def test_own_value_errors_are_sentences(capsys, picture: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(model, "load_pipeline", lambda checkpoint, device: preset("no-such-path"))
    assert "no-such-path" in refused(capsys, "imagine", picture, "--out", tmp_path / "o")


# --- the command itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(cli.DELEGATED))
def test_delegated_commands(name: str, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    received = []
    module = types.ModuleType(cli.DELEGATED[name][0])
    module.main = received.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert cli.main([name, "--some-option", "3"]) == 0
    assert received == [["--some-option", "3"]]

    def refusing(argv: list[str]) -> None:
        raise cli.InputError("no data")

    module.main = refusing  # type: ignore[attr-defined]
    assert refused(capsys, name) == f"rap {name}: no data"


def test_help_names_every_command_and_loads_no_torch() -> None:
    code = "import sys; sys.argv = ['rap', '--help']; import rap.cli\ntry: rap.cli.main()\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'diffusers', 'scipy', 'av'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for command in ("estimate", "preview", "generate", "imagine", "roundtrip", "check", "synthetic", "train", "bench"):
        assert any(line.split()[:1] == [command] for line in done.stdout.splitlines())


def test_python_m_rap_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "rap", "check", "none.json"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "" and "Traceback" not in done.stderr
    assert done.stderr.startswith("rap check: ") and "none.json" in done.stderr and done.stderr.count("\n") == 1


def test_every_preset_is_accepted(picture: Path) -> None:
    for name in PRESETS:
        chosen = argparse.Namespace(preset=name, amplitude=None, fov_y_deg=70.0, frames=17, trajectory=None)
        trajectory, notes = generate.chosen_trajectory(chosen, load_clip(picture))
        assert len(trajectory) == 17 and trajectory.image_size == (96, 128) and notes == []


def test_frame_counts() -> None:
    accepted = []
    for count in range(1, 40):
        try:
            accepted.append(options.frame_count(str(count)))
        except argparse.ArgumentTypeError:
            continue
    assert accepted == list(range(5, 40, 4))


def test_preview_shows_the_clip_along_its_own_cameras(capsys, tmp_path: Path) -> None:
    """Nothing is replaced here: tracks, unit of length, depth and warp of a procedural clip under its true cameras."""
    example, out = ASSETS / "examples" / "arc_around_a_table.mp4", tmp_path / "out"
    arguments = "preview", example, "--cameras", example.with_suffix(".transforms.json"), "--out", out, "--frames", 9
    result = run_json(capsys, *arguments)
    assert result["coverage"] > 0.95 and result["cameras"]["refinement"] is None
    clip = load_clip(example, num_frames=9)
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


def test_with_the_embedded_model(capsys, film: Path, picture: Path, tmp_path: Path) -> None:
    estimated = run_json(capsys, "estimate", film, "--frames", 5, "--out", tmp_path / "e")
    assert estimated["trajectory"]["num_frames"] == 5
    path = tmp_path / "e/trajectory.npz"
    made = run_json(
        capsys, "generate", picture, "--trajectory", path, "--frames", 5, "--steps", 2, "--out", tmp_path / "g"
    )
    assert made["clip"]["image_size"] == [96, 128]
    of_a_film = run_json(
        capsys, "generate", film, "--preset", "arc-left", "--frames", 5, "--steps", 1, "--out", tmp_path / "f"
    )
    assert of_a_film["clip"]["num_frames"] == 5 and of_a_film["cameras"]["refinement"] is not None
    of_a_picture = run_json(
        capsys,
        "generate",
        picture,
        "--hints",
        "--preset",
        "zoom-in",
        "--frames",
        5,
        "--steps",
        1,
        "--out",
        tmp_path / "p",
    )
    assert of_a_picture["hints"]["coverage"] > 0.9
    run_json(capsys, "imagine", film, "--frames", 5, "--steps", 1, "--out", tmp_path / "if")
    run_json(capsys, "imagine", picture, "--frames", 5, "--steps", 2, "--out", tmp_path / "i")
    loop = run_json(capsys, "roundtrip", film, "--frames", 5, "--steps", 2, "--out", tmp_path / "r")["closed_loop"]
    assert loop["psnr_db"] is None or loop["psnr_db"] > 5
