"""`rap evaluate` on an example clip of known cameras."""

import json

import pytest

from rap import evaluate
from rap.config import ASSETS
from rap.data import load_clip, write_frames
from rap.errors import InputError
from rap.formats import nerfstudio, read
from rap.geometry import Trajectory
from rap.views.scene import measured

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


def test_refinement_and_hints_have_figures_of_their_own(folder, capsys):
    flags = ["--stride", "1", "--steps", "2", "--ray-steps", "1", "--refine", "--hints"]
    assert evaluate.main([str(folder), *flags]) == 0
    (row,) = json.loads(capsys.readouterr().out).values()
    assert row["refined1_share"] == 1.0
    assert row["refined1_rotation_deg_median"] < row["pose1_rotation_deg_median"]
    assert row["leave_hinted_psnr_db"] > row["leave_alone_psnr_db"] + 1
    assert 0.5 < row["leave_seen_share"] < 1 and row["leave_warp_psnr_db"] > row["leave_alone_psnr_db"]


def test_cameras_of_a_file_are_brought_to_median_depths(folder):
    """Whatever the file's unit is: that of the points which the first frame sees."""
    cameras, ends = read(folder.parent / "transforms.json"), []
    for scale in (1.0, 7.0):
        names = [f"frames/{i:04d}.png" for i in range(len(cameras))]
        nerfstudio.write(folder.parent / "transforms.json", cameras.scaled(scale), names)
        (clip,) = evaluate._real(folder, 1)
        assert measured(clip, clip.trajectory)[2] == pytest.approx(1, rel=1e-3)
        ends.append(clip.trajectory.centres[-1])
    assert ends[1] == pytest.approx(ends[0], rel=1e-3)


def test_nothing_to_evaluate_and_unknown_cameras_are_refused(folder):
    with pytest.raises(InputError, match="nothing to evaluate"):
        evaluate.main([])
    (folder.parent / "transforms.json").unlink()
    with pytest.raises(InputError, match="no known cameras"):
        evaluate.main([str(folder), "--stride", "1"])


def test_a_broken_frame_is_named_instead_of_shortening_the_clip(folder):
    for i in range(17, 25):  # a second window of 17
        (folder / f"{i:04d}.png").write_bytes((folder / f"{i - 16:04d}.png").read_bytes())
    cameras = read(folder.parent / "transforms.json")
    again = list(range(17)) + list(range(1, 9))
    longer = Trajectory(cameras.Ts_world_camera[again], cameras.intrinsics[again], cameras.image_size)
    nerfstudio.write(folder.parent / "transforms.json", longer, [f"frames/{i:04d}.png" for i in range(25)])
    assert [clip.frame_indices[0] for clip in evaluate.windows(folder, 1)] == [0, 8]
    (folder / "0024.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"^0024\.png: not a picture"):
        list(evaluate.windows(folder, 1))
