"""`rap convert`: every format by its name or by option, and what is assumed and lost in its notes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_runs import refused, run_json

from rap import formats
from rap.geometry import preset

PATH = preset("arc-left", num_frames=5, image_size=(96, 128))


@pytest.mark.parametrize(
    ("out", "name"),
    [
        ("camera_path.json", "camera_path"), ("my_transforms.json", "nerfstudio"), ("shot.chan", "chan"),
        ("model", "colmap"), ("clip_re10k.txt", "realestate10k"), ("gen3c.npz", "gen3c"), ("x.lyra2.npz", "lyra2"),
        ("seva", "stable_virtual_camera"), ("deep/er/a.npz", "npz"),
    ],
)  # fmt: skip
def test_the_name_of_the_output_says_the_format(capsys, tmp_path: Path, out: str, name: str) -> None:
    formats.write(tmp_path / "in.npz", PATH)
    result = run_json(capsys, "convert", tmp_path / "in.npz", tmp_path / out)
    assert result["output_format"] == formats.FORMATS[name].title and result["output_convention"]
    found = formats.load(tmp_path / out, image_size=(96, 128))
    assert found.format.name == name
    np.testing.assert_allclose(found.trajectory.relative_to(0).Ts_world_camera, PATH.Ts_world_camera, atol=1e-9)


def test_what_is_assumed_and_what_is_lost_is_said(capsys, tmp_path: Path) -> None:
    formats.write(tmp_path / "in.json", PATH, list("abcde"))
    result = run_json(capsys, "convert", tmp_path / "in.json", tmp_path / "out.tum")
    assert result["notes"] == [
        "out.tum: TUM trajectory has no place for: lens (field of view), size of the pictures, names of the frames"
    ]
    result = run_json(capsys, "convert", tmp_path / "out.tum", tmp_path / "back.json")
    assert "55 degrees of view from top to bottom are assumed" in result["notes"][0]
    given = ("--fov-y-deg", "40", "--image-size", "128x96")
    result = run_json(capsys, "convert", tmp_path / "out.tum", tmp_path / "back.json", *given)
    assert result["notes"] == [] and result["trajectory"]["fov_y_deg"] == pytest.approx(40)
    assert result["trajectory"]["image_size"] == [96, 128]


def test_options_go_before_names(capsys, tmp_path: Path) -> None:
    formats.write(tmp_path / "in.dat", PATH, format_name="chan")
    run_json(capsys, "convert", tmp_path / "in.dat", tmp_path / "out.dat", "--from", "chan", "--to", "lyra2")
    assert formats.detect(tmp_path / "out.dat").name == "lyra2"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("in.npz", "out.bvh"), "out.bvh: the suffix .bvh belongs to no format; end the name in .json, .tum"),
        (("in.npz", "out.npy", "--to", "llff"), "cannot be written; choose one of nerfstudio"),
        (("in.npz", "out.x", "--to", "fbx"), "format_name is 'fbx', expected one of nerfstudio"),
        (("none.npz", "out.json"), "none.npz: no such file"),
        (("in.npz", "out.json", "--image-size", "9"), "must be WIDTHxHEIGHT in pixels, as 1920x1080, got '9'"),
    ],
)
def test_what_cannot_be_converted_is_one_sentence(
    capsys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    formats.write("in.npz", PATH)
    sentence = refused(capsys, "convert", *arguments)
    assert words in sentence and sentence.count("\n") == 0
