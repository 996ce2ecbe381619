"""An example of known cameras as a folder of frames, and the model, loaded once."""

import shutil

import pytest

from rap.config import ASSETS, checkpoint_path
from rap.data import load_clip, write_frames
from rap.evaluation import command
from rap.formats import nerfstudio, read
from rap.pipeline import RaPPipeline

EXAMPLE = ASSETS / "examples" / "arc_around_a_table"


@pytest.fixture(scope="session")
def table(tmp_path_factory):
    """The example as a folder of frames with its cameras."""
    table = tmp_path_factory.mktemp("example") / "table"
    clip = load_clip(EXAMPLE.with_suffix(".mp4"), size=(192, 240))
    names = tuple(f"frames/{name}" for name in write_frames(table / "frames", clip.frames_u8))
    nerfstudio.write(table / "transforms.json", read(EXAMPLE.with_suffix(".transforms.json")), names)
    return table


@pytest.fixture
def folder(tmp_path, table):
    """The frames of a copy."""
    return shutil.copytree(table, tmp_path / "table") / "frames"


@pytest.fixture(scope="session")
def embedded():
    pipe = RaPPipeline.from_pretrained(checkpoint_path())
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def one_load(monkeypatch, embedded):
    """The command takes the model that is loaded already."""
    monkeypatch.setattr(command, "_pipeline", lambda options: embedded)
