"""The command that the Keep tab hands over is one that `rap generate` takes."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import clip

from rap import cli
from rap.cli.generate import check_options
from rap.errors import InputError
from rap.geometry import preset
from ui.document import document as doc
from ui.document.document import Document, Settings, Take
from ui.document.state import Geometry, State
from ui.page.command_words import PATH_FILE, generate_command

CLIP = replace(clip(), name="my film; rm -rf ~", frame_indices=tuple(range(4, 21)), upload_frames=40)
PATH = preset("arc-left", image_size=CLIP.image_size)
SETTINGS = Settings(seed=7, steps=12, guidance=2.5, temperature=0.0, side=640, frames=49, fps=24.0)


def made(clip_=CLIP, settings=SETTINGS):
    document = doc.with_prediction(doc.with_clip(Document(), clip_), PATH)
    take = Take(1, "regenerated", Path("a.mp4"), Path("a.npz"), clip_.hash, PATH, settings, 1.0, b"")
    return State(replace(document, takes=(take,), shown_take=1))


def parsed(state):
    program, *words = shlex.split(generate_command(state))
    chosen = cli.parser().parse_args(words)
    check_options(chosen)
    assert program == "rap" and chosen.command == "generate"
    return chosen


def test_path_clip_and_settings_come_back():
    chosen = parsed(made())
    assert [str(path) for path in chosen.images] == [CLIP.name] and str(chosen.trajectory) == PATH_FILE
    assert (chosen.seed, chosen.steps, chosen.guidance, chosen.temperature) == (7, 12, 2.5, 0.0)
    assert (chosen.size, chosen.video_frames, chosen.fps) == (640, 49, 24.0)
    assert (chosen.start, chosen.end, chosen.frames) == (4, 20, 17)
    assert chosen.hints is None and chosen.fov_y_deg is None


def test_what_geometry_is_told_comes_along():
    whole = replace(CLIP, frame_indices=tuple(range(17)), upload_frames=17)
    state = replace(made(whole), geometry=Geometry(known_fov_y_rad=np.radians(48.0), use_on=False))
    chosen = parsed(replace(state, source=("/tmp/gradio/x/walk.mov", "/tmp/gradio/x/walk.transforms.json")))
    assert [str(path) for path in chosen.images] == ["walk.mov"] and chosen.end is None
    assert chosen.hints is False and chosen.fov_y_deg == pytest.approx(48.0, abs=0.01)


def test_what_the_command_does_not_take_is_said():
    with pytest.raises(InputError, match="no path"):
        generate_command(State(Document()))
    state = made()
    with pytest.raises(InputError, match="first frame alone"):
        generate_command(replace(state, document=replace(state.document, sources=(0, 5))))
    with pytest.raises(InputError, match="one film or one picture"):
        generate_command(replace(state, source=("a.jpg", "b.jpg")))
