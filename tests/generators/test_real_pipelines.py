"""The adapters around the real pipelines of diffusers, tiny and random: loaded, shown, stopped. Not their quality."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from stand_ins import HalfScene, path_of
from tiny_models import SAVES

from rap.generators import kinds
from rap.generators.kinds import KINDS, chosen_generator
from rap.generators.loading import load_generator
from rap.generators.request import FilmSettings, film_task
from rap.geometry import scale_motion

pytestmark = [pytest.mark.scale, pytest.mark.filterwarnings("ignore")]  # the libraries' own

SIZES = {"WanVACEPipeline": (64, 96), "SanaWMPipeline": (64, 96)}


@pytest.fixture(scope="module", params=list(SAVES))
def generator(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    SAVES[request.param](folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    found = chosen_generator(str(folder))
    assert found.kind == KINDS[request.param] and found.licence == "apache-2.0"
    return load_generator(replace(found, kind=replace(found.kind, size=SIZES[request.param])), "cpu")


def task_of(generator, path=None, **settings):
    path = path or path_of(9)
    return film_task(HalfScene(path), generator.chosen.kind, path, FilmSettings(**{"steps": 2, **settings}))


def film(generator, task) -> np.ndarray:
    return list(generator.stream(task))[-1].output.frames_u8


def test_a_take_has_the_frames_and_the_size_that_were_asked_for(generator):
    for frames in (5, 9, 10):
        task = task_of(generator, frames=frames)
        words = list(generator.stream(task))
        assert words[-1].output.frames_u8.shape == task.frames_u8.shape and len(task.mask) >= frames
        assert words[-1].steps == 2 and words[-1].output.frames_u8.std() > 0


def test_noise_prompt_and_what_is_shown_all_count_and_nothing_else_does(generator):
    task = task_of(generator, seed=1, prompt="a wall", guidance=4.0)
    first = film(generator, task)
    np.testing.assert_array_equal(first, film(generator, task))
    others = {
        "seed": replace(task, seed=2),
        "prompt": replace(task, prompt="street"),
        "guidance": replace(task, guidance=1.0),
        "film": replace(task, frames_u8=255 - task.frames_u8),
    }
    if generator.chosen.kind.class_name == "WanVACEPipeline":
        others["mask"] = replace(task, mask=~task.mask)
    else:
        others["path"] = replace(task, trajectory=scale_motion(task.trajectory, 3.0))
        lens = task.trajectory.intrinsics * [2, 2, 1, 1]
        others["lens"] = replace(task, trajectory=replace(task.trajectory, intrinsics=lens))
        one, another = film(generator, others["seed"]).astype(float), first.astype(float)
        changes = np.abs(one - another).mean(axis=(1, 2, 3))
        assert changes[0] < changes[-1], "the first frame is held"
    for name, other in others.items():
        assert not np.array_equal(first, film(generator, other)), name


def test_closing_the_stream_stops_the_real_call(generator, monkeypatch):
    decoded = []
    monkeypatch.setattr(generator.pipeline.vae, "decode", lambda *_, **__: decoded.append(1))
    steps = generator.stream(task_of(generator, steps=100))
    next(steps)
    steps.close()
    assert not decoded, "it ended within its steps"
    monkeypatch.undo()
    assert film(generator, task_of(generator)).std() > 0, "and takes the next task"


def test_weights_that_come_layer_by_layer_make_the_same_film(generator):
    chosen = generator.chosen
    placed = load_generator(chosen, "cpu", offload=True)
    task = task_of(generator)
    np.testing.assert_array_equal(film(placed, task), film(generator, task))
    rounded = film(load_generator(chosen, "cpu", cast=True), task)
    assert 0 < np.abs(rounded.astype(float) - film(generator, task)).mean() < 0.05 * 255


def test_the_command_makes_a_take_by_it(generator, tmp_path, monkeypatch, capsys):
    from PIL import Image

    from rap.cli import main

    kind = generator.chosen.kind
    monkeypatch.setitem(kinds.KINDS, kind.class_name, kind)
    pixels = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    arguments = ["generate", tmp_path / "photo.png", "--preset", "arc-left", "--flat", "--frames", 5]
    arguments += [
        "--checkpoint",
        generator.chosen.checkpoint,
        "--prompt",
        "a wall",
        "--out",
        tmp_path / "out",
        "--json",
    ]
    assert main([str(argument) for argument in arguments]) == 0
    result = json.loads(capsys.readouterr().out)
    assert kind.title in result["made_of"] and "apache-2.0" in result["made_of"]
    assert result["trajectory"]["num_frames"] == kind.count(5)
    assert main([*map(str, arguments), "--size", "320"]) == 2
    assert "--size does not go with" in capsys.readouterr().err
