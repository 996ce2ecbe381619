"""`rap bench picture`: its contact sheets, the figures of frames and fills, and one run on an example clip."""

import json

import cv2
import numpy as np
import pytest
import torch

from rap.bench import picture
from rap.bench.picture_frames import fill_figures, fill_row, fills, frames_figures
from rap.bench.picture_sheets import picture_of, sheet, write_sheets
from rap.config import ASSETS
from rap.data import load_clip, write_frames
from rap.errors import InputError
from rap.formats import nerfstudio, read
from rap.views.efficientnet import Encoder
from rap.views.monocular import MonocularConfig, PictureDepth

EXAMPLE = ASSETS / "examples" / "arc_around_a_table"


def halves(frame_u8):
    """The left half nearer than the right."""
    depth = np.ones(frame_u8.shape[:2], np.float32)
    depth[:, : frame_u8.shape[1] // 2] = 0.5
    return PictureDepth(depth, 0.9)


@pytest.fixture
def photograph(tmp_path):
    noise_u8 = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    path = tmp_path / "here" / "scene.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), cv2.resize(noise_u8, (96, 72), interpolation=cv2.INTER_CUBIC))
    return path


def test_a_sheet_shows_picture_depth_and_the_ends_of_every_preset(photograph):
    given = picture_of(photograph)
    assert given.shape == (72, 96, 3)
    found = sheet(given, halves)
    assert found.shape == (6 * 72, 2 * 96, 3)
    np.testing.assert_array_equal(found[:72, :96], given)
    shade = found[:72, 96:, 0]
    assert shade[:, :48].min() > 1.9 * shade[:, 48:].max()
    ends = [found[72 * row : 72 * (row + 1), 96:].astype(int) for row in range(2, 6)]
    assert all(np.abs(a - b).mean() > 5 for i, a in enumerate(ends) for b in ends[:i]), "four presets, four views"


def test_sheets_of_the_same_name_are_told_apart(photograph, tmp_path):
    other = tmp_path / "there" / "scene.png"
    other.parent.mkdir()
    other.write_bytes(photograph.read_bytes())
    written = write_sheets([photograph, other], tmp_path / "sheets", halves)
    assert [path.name for path in written] == ["here_scene.jpg", "there_scene.jpg"]
    assert all(cv2.imread(str(path)).shape == (432, 192, 3) for path in written)
    with pytest.raises(InputError):
        picture_of(tmp_path / "none.png")


def test_what_is_invented_right_has_no_distance_and_what_is_smooth_is_not_sharp():
    config = MonocularConfig()
    torch.manual_seed(0)
    encoder = Encoder(config.stages, config.stem_width).eval()
    truth_u8 = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), np.uint8)
    hole = np.zeros((2, 64, 64), bool)
    hole[:, 8:40, 8:40] = True
    right = fill_row(truth_u8, truth_u8, hole, encoder)
    assert right["features"] == 0 and right["ssim"] == pytest.approx(1) and right["sharpness"] == pytest.approx(1)
    grey = fill_row(np.full_like(truth_u8, 128), truth_u8, hole, encoder)
    assert grey["share"] == 0.25 and grey["sharpness"] == 0 and grey["features"] > 0.05 and grey["psnr"] < 12
    assert fill_row(truth_u8, truth_u8, hole & False, encoder) == {"share": 0.0}


@pytest.mark.parametrize("name", list(fills()))
def test_fills_leave_what_is_known(name):
    colour = np.random.default_rng(2).uniform(size=(48, 64, 3)).astype(np.float32)
    known = np.ones((48, 64), bool)
    known[20:28, 30:38] = False
    found = fills()[name](colour, known, np.ones((48, 64), np.float32))
    assert np.array_equal(found[known], colour[known])
    assert (name == "push-pull") == np.array_equal(found, colour)


def test_the_gap_closed_is_that_of_the_means_and_fills_count_where_something_is_invented():
    row = {"plane": 12.0, "depth": 13.2, "multi-view": 14.0, "take": 13.4, "take_ssim": 0.5, "depth_ssim": 0.51}
    depth, take, ssim = frames_figures({"clips/a": row, "clips/b": {**row, "plane": 10.0}})
    assert depth.value == pytest.approx(2.2 / 3) and depth.reached and depth.figures["a, take"] == 13.4
    assert take.value == pytest.approx(0.2) and not take.reached and not ssim.reached
    invented = {"share": 0.1, "sharpness": 0.8}
    (figure,) = fill_figures({"a": {"exemplar": invented}, "b": {"exemplar": {"share": 0.0}}})
    assert figure.value == 0.8 and figure.reached and "1 clips" in figure.what
    assert fill_figures({}) == []


@pytest.mark.slow
def test_an_example_clip_is_measured(tmp_path, capsys):
    clip = load_clip(EXAMPLE.with_suffix(".mp4"), size=(128, 160))
    names = tuple(f"frames/{name}" for name in write_frames(tmp_path / "clips" / "arc" / "frames", clip.frames_u8))
    cameras = read(EXAMPLE.with_suffix(".transforms.json")).resized((128, 160))
    nerfstudio.write(tmp_path / "clips" / "arc" / "transforms.json", cameras, names)
    picture.main(["--frames", str(tmp_path / "clips" / "arc"), "--json"])
    found = json.loads(capsys.readouterr().out)["benchmarks"]
    means = found["frames, held out, depth"]["figures"]
    assert means["multi-view"] > means["depth"] > means["repeat"]
    fill = found["fill"]["figures"]
    assert fill["exemplar, sharpness"] > 1.2 * fill["push-pull, sharpness"]
