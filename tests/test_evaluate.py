"""`rap evaluate` on an example clip of known cameras."""

import json

import pytest

from rap import evaluate
from rap.config import ASSETS
from rap.data import load_clip, write_frames
from rap.errors import InputError
from rap.formats import nerfstudio, read

EXAMPLE = ASSETS / "examples" / "arc_around_a_table"


@pytest.fixture
def folder(tmp_path):
    """The example as a folder of frames with its cameras."""
    clip = load_clip(EXAMPLE.with_suffix(".mp4"), size=(256, 320))
    names = tuple(f"frames/{name}" for name in write_frames(tmp_path / "frames", clip.frames_u8))
    nerfstudio.write(tmp_path / "transforms.json", read(EXAMPLE.with_suffix(".transforms.json")), names)
    return tmp_path / "frames"


def test_figures_of_a_clip_and_of_doing_nothing(folder, capsys):
    assert evaluate.main([str(folder), "--stride", "1", "--steps", "1", "--ray-steps", "1"]) == 0
    report = json.loads(capsys.readouterr().out)
    (row,) = report.values()
    assert row["clips"] == 1 and row["identity_auc30"] == 0.0
    assert 0 <= row["pose1_auc30"] <= 1 and row["pose1_rotation_deg_median"] < row["identity_rotation_deg_median"]
    assert {"pose1_focal_error_percent", "generate_psnr_db", "repeat_psnr_db", "follow_auc30"} <= set(row)


def test_generation_can_be_left_out(folder, capsys):
    evaluate.main([str(folder), "--stride", "1", "--steps", "0", "--ray-steps", "1"])
    (row,) = json.loads(capsys.readouterr().out).values()
    assert not any(key.startswith(("generate", "follow")) for key in row)


def test_nothing_to_evaluate_and_unknown_cameras_are_refused(folder):
    with pytest.raises(InputError, match="nothing to evaluate"):
        evaluate.main([])
    (folder.parent / "transforms.json").unlink()
    with pytest.raises(InputError, match="no known cameras"):
        evaluate.main([str(folder), "--stride", "1"])
