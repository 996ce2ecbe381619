"""Models of others behind the pipeline's seam: which are known, what they are asked, how their stream goes and ends."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
from stand_ins import SANA, VACE, CalledPipeline, HalfScene, chosen, path_of

from rap.checkpoint import check_checkpoint
from rap.data import fit_trajectory
from rap.errors import InputError
from rap.generators import kinds, loading, sana_wm, vace
from rap.generators.adapter import FilmGenerator
from rap.generators.kinds import Chosen, chosen_generator
from rap.generators.request import FilmSettings, FilmTask, film_shape, film_task, nested_box
from rap.geometry import filmed
from rap.pipeline import EstimateTask, JointTask


def folder_of(path, class_name, card=""):
    path.mkdir(exist_ok=True)
    (path / "model_index.json").write_text(json.dumps({"_class_name": class_name}))
    (path / "README.md").write_text(card)
    return path


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\ntags: [x]\n---\nlicense: mit\n", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: its-own\n---\n", "its-own"),
        ("no head\nlicense: mit\n", ""),
        ("", ""),
    ],
)
def test_a_folder_is_told_by_its_index_and_its_licence_by_its_card(tmp_path, card, licence):
    found = chosen_generator(str(folder_of(tmp_path / "tiny", "SanaWMPipeline", card)))
    assert found == Chosen(SANA, str(tmp_path / "tiny"), licence)
    assert found.title == "SANA-WM (tiny)" and (licence or "names no licence") in found.words


def test_what_is_no_model_of_others_is_left_to_who_knows_it(tmp_path):
    assert chosen_generator(None) is None and chosen_generator(str(tmp_path / "nowhere")) is None
    other = folder_of(tmp_path / "other", "FluxPipeline")
    assert chosen_generator(str(other)) is None
    with pytest.raises(InputError, match="is of a FluxPipeline, not of a RaPPipeline"):
        check_checkpoint(other)
    (other / "model_index.json").write_text("[1")
    assert chosen_generator(str(other)) is None


def test_a_name_is_asked_of_the_hub_and_what_it_answers_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path / "kept", "WanVACEPipeline", "---\nlicense: apache-2.0\n---\n")
    monkeypatch.setattr(kinds, "_fetched", lambda name, file: tmp_path / "kept" / file)
    assert chosen_generator("some/model") == Chosen(VACE, "some/model", "apache-2.0")
    folder_of(tmp_path / "kept", "FluxPipeline")
    with pytest.raises(InputError, match="some/model: is a model that cannot be used by name; by name are Wan VACE"):
        chosen_generator("some/model")
    monkeypatch.undo()
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda name, file: 1 / 0)
    with pytest.raises(InputError, match="some/model: is no folder here, and model_index.json of a model of that name"):
        chosen_generator("some/model")


@pytest.mark.parametrize("frames", [1, 2, 8, 9, 10, 16, 17, 18, 81])
def test_frames_are_as_many_as_were_asked_or_the_next_that_are_taken(frames):
    for kind, stride in ((VACE, 4), (SANA, 8)):
        count = kind.count(frames)
        assert count % stride == 1 and max(frames, stride + 1) <= count < max(frames, stride + 1) + stride


@pytest.mark.parametrize("image_size", [(128, 128), (96, 128), (128, 96), (96, 160), (160, 96), (32, 512)])
def test_sizes_are_those_the_model_takes(image_size):
    h, w = VACE.size_for(image_size)
    assert h % 16 == w % 16 == 0 and h * w <= 480 * 832 and h / w == pytest.approx(image_size[0] / image_size[1], 0.1)
    assert SANA.size_for(image_size) == (704, 1280)


def small(kind, h, w):
    return replace(kind, size=(h, w))


def test_a_film_is_cropped_as_the_path_then_as_the_model_and_its_cameras_with_it():
    path = path_of(6)
    scene, settings = HalfScene(path), FilmSettings(prompt="a street", steps=3, seed=4)
    task = film_task(scene, small(SANA, 32, 96), path, settings)
    assert task.frames_u8.shape == (9, 32, 96, 3) and film_shape(small(SANA, 32, 96), path, settings) == (9, 32, 96)
    assert (task.prompt, task.steps, task.seed, task.unit_m) == ("a street", 3, 4, None)
    assert task.trajectory == fit_trajectory(filmed(path, 9), (32, 96))
    assert task.trajectory.intrinsics[0, 0] == pytest.approx(path.intrinsics[0, 0]), "as wide as the path's images"
    assert (task.frames_u8[0] == 200).all() and task.mask[0].all(), "the source frame itself"
    assert (task.frames_u8[3] == 30).all()
    assert task.mask[3, :, :48].all() and not task.mask[3, :, 48:].any()


def test_a_source_frame_under_another_lens_is_not_put_into_the_film():
    path = path_of(5)
    zoomed = replace(path, intrinsics=path.intrinsics * [1.5, 1.5, 1, 1])
    task = film_task(HalfScene(path), small(VACE, 64, 96), zoomed, FilmSettings())
    assert (task.frames_u8[0] == 0).all() and not task.mask[0].all()


def test_boxes_within_boxes_are_centred():
    assert nested_box((60, 120), (60, 96), (32, 96)) == pytest.approx((12, 14, 108, 46))
    assert nested_box((60, 120), (60, 96), (60, 60)) == pytest.approx((30, 0, 90, 60))
    assert nested_box((600, 1200), (60, 96), (32, 96)) == pytest.approx((120, 140, 1080, 460))


def test_a_film_that_is_too_large_or_says_too_much_is_refused():
    with pytest.raises(InputError, match="the take has .* pixels in all"):
        film_shape(SANA, path_of(9), FilmSettings(frames=257))
    with pytest.raises(InputError, match="the prompt has 1,001 characters"):
        film_task(HalfScene(path_of(5)), small(VACE, 32, 48), path_of(5), FilmSettings(prompt="x" * 1001))
    task = film_task(HalfScene(path_of(5)), small(VACE, 32, 48), path_of(5), FilmSettings())
    with pytest.raises(ValueError, match="frames_u8 and mask must be"):
        replace(task, mask=task.mask[1:])


def task_of(kind, **settings) -> FilmTask:
    path = path_of(9)
    return film_task(HalfScene(path), kind, path, FilmSettings(**settings))


def test_vace_is_given_grey_where_it_invents_and_a_mask_that_is_white_there():
    called = vace.arguments(task_of(small(VACE, 48, 64), guidance=3.0), VACE)
    film, mask = called["video"], called["mask"]
    assert film.shape == mask.shape == (1, 9, *called["video"].shape[2:4], 3) and film.dtype == np.float32
    assert (mask[0, 3, :, :20] == 0).all() and (film[0, 3, :, :20] == np.float32(30 / 255)).all()
    assert (mask[0, 3, :, -20:] == 1).all() and (film[0, 3, :, -20:] == 0.5).all()
    assert called["guidance_scale"] == 3.0 and called["num_inference_steps"] == VACE.steps
    assert called["num_frames"] == 9 and (called["height"], called["width"]) == film.shape[2:4]


def test_sana_is_given_cameras_in_metres_from_its_first_frame():
    task = task_of(small(SANA, 32, 96), prompt="a hall")
    called = sana_wm.arguments(task, SANA)
    assert called["c2w"].shape == (9, 4, 4) and called["image"].size == (96, 32) and called["prompt"] == "a hall"
    np.testing.assert_allclose(called["c2w"][0], np.eye(4), atol=1e-6)
    moved = np.linalg.norm(task.trajectory.centres[-1])
    assert np.linalg.norm(called["c2w"][-1, :3, 3]) == pytest.approx(sana_wm.USUAL_UNIT_M * moved, rel=1e-5)
    np.testing.assert_allclose(called["intrinsics"], task.trajectory.intrinsics, rtol=1e-6)
    known = sana_wm.arguments(replace(task, unit_m=7.0), SANA)["c2w"]
    assert np.linalg.norm(known[-1, :3, 3]) == pytest.approx(7 * moved, rel=1e-5)
    late = replace(task, trajectory=task.trajectory.relative_to(4))
    np.testing.assert_allclose(sana_wm.arguments(late, SANA)["c2w"], called["c2w"], atol=1e-5)


@pytest.mark.parametrize("kind", [small(VACE, 48, 64), small(SANA, 32, 96)])
def test_a_take_is_a_stream_of_its_steps_and_ends_with_the_film(kind):
    pipeline, task = CalledPipeline(), task_of(kind, steps=3, seed=9)
    words = list(FilmGenerator(pipeline, chosen(kind)).stream(task))
    assert [word.done for word in words] == [False] * (len(words) - 1) + [True]
    assert words[-1].step == words[-1].steps == 3 and [w.step for w in words] == sorted(w.step for w in words)
    assert words[-1].output.frames_u8.shape == task.frames_u8.shape and (words[-1].output.frames_u8 == 128).all()
    assert words[-1].output.trajectory is task.trajectory and pipeline.freed == 1
    assert pipeline.called["generator"].initial_seed() == 9


def test_closing_the_stream_ends_the_call_at_its_next_step():
    gate = threading.Semaphore(0)
    pipeline = CalledPipeline(gate)
    steps = FilmGenerator(pipeline, chosen()).stream(task_of(small(VACE, 48, 64), steps=50))
    assert next(steps).step == 0
    threading.Timer(0.05, gate.release, args=(2,)).start()
    steps.close()
    assert pipeline.steps_done == 1 and pipeline.freed == 1, "told at the first step, it does not take the second"


def test_what_goes_wrong_within_the_call_is_raised_by_the_stream():
    pipeline = CalledPipeline()
    pipeline.__class__ = type("Broken", (CalledPipeline,), {"__call__": lambda self, **_: 1 / 0})
    with pytest.raises(ZeroDivisionError):
        list(FilmGenerator(pipeline, chosen()).stream(task_of(small(VACE, 48, 64))))


def test_cameras_are_found_by_tracks_alone_and_nothing_is_imagined(monkeypatch):
    frames = np.random.default_rng(0).integers(0, 255, (5, 32, 48, 3), dtype=np.uint8)
    large = np.zeros((5, 64, 96, 3), np.uint8)
    asked = {}

    def refined(frames_u8, start, known_fov_y_rad=None):
        asked.update(frames=frames_u8, start=start, known=known_fov_y_rad)
        return type("Found", (), {"trajectory": path_of(5, image_size=(64, 96))})()

    monkeypatch.setattr("rap.generators.adapter.refine_trajectory", refined)
    generator = FilmGenerator(CalledPipeline(), chosen())
    task = EstimateTask(frames, fps=4.0, source=2, fov_y_rad=0.7, flow_frames_u8=large)
    found = list(generator.stream(task))[-1].output.trajectory
    assert asked["frames"] is large and asked["known"] == 0.7 and asked["start"].source == 2
    assert np.ptp(asked["start"].Ts_world_camera, axis=0).max() == 0 and asked["start"].fps == 4.0
    assert found.image_size == (32, 48) and len(found) == 5
    with pytest.raises(InputError, match="takes cameras and makes none: it cannot do a JointTask; apply a preset"):
        list(generator.stream(JointTask(frames[:1])))


def test_a_search_for_cameras_tells_how_far_it_is_and_is_stopped(monkeypatch):
    from rap.reconstruction.progress import beat, tell

    going, stopped = threading.Event(), []

    def endless(*_, **__):
        try:
            tell("follow", 0.5)
            while going.wait(5):
                beat()
        except BaseException as error:
            stopped.append(type(error).__name__)
            raise

    monkeypatch.setattr("rap.generators.adapter.refine_trajectory", endless)
    steps = FilmGenerator(CalledPipeline(), chosen()).stream(EstimateTask(np.zeros((5, 32, 32, 3), np.uint8)))
    while next(steps).step < 10:
        pass
    going.set()
    steps.close()
    assert stopped == ["Stopped"]


def test_what_is_missing_of_an_installation_is_told(monkeypatch):
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"Wan VACE needs more .*transformers and ftfy.*rays-as-pixels\[gpu\]"):
        loading.load_generator(chosen(), "cpu")
    monkeypatch.setattr(loading, "find_spec", lambda name: True)
    monkeypatch.setitem(sys.modules, "diffusers", type("Old", (), {"__version__": "0.37.0"}))
    with pytest.raises(InputError, match="diffusers 0.37.0 has no SanaWMPipeline, 0.42 has"):
        loading.load_generator(chosen(SANA), "cpu")
