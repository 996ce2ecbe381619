"""What the `rap` command refuses, in one sentence each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli_runs import orbit, refused

from rap import cli, formats
from rap.cli import model
from rap.geometry import preset
from rap.reconstruction import colmap


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


def test_colmap_without_its_extra(capsys, film: Path, monkeypatch) -> None:
    assert "finds other cameras than the model's" in refused(
        capsys, "estimate", film, "--with", "colmap", "--no-refine"
    )
    monkeypatch.setattr(colmap, "is_installed", lambda: False)
    sentence = refused(capsys, "estimate", film, "--with", "colmap-global")
    assert "--with colmap-global: COLMAP needs pycolmap" in sentence and "rays-as-pixels[eval]" in sentence


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
    def faulty(checkpoint: str | None, device: str | None, **placement: object) -> None:
        np.zeros(3).reshape(2, 2)  # a ValueError from inside a library

    monkeypatch.setattr(model, "load_pipeline", faulty)
    with pytest.raises(ValueError, match="cannot reshape"):
        cli.main(["imagine", str(picture), "--out", str(tmp_path / "o")])


def test_own_value_errors_are_sentences(capsys, picture: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(model, "load_pipeline", lambda checkpoint, device, **_: preset("no-such-path"))
    assert "no-such-path" in refused(capsys, "imagine", picture, "--out", tmp_path / "o")
