"""`rap codec` on the committed checkpoint: the project's gate of its codec, by the command that reports it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rap import cli, formats, metrics
from rap.cli import results
from rap.config import ASSETS, EMBEDDED_CHECKPOINT
from rap.data import load_clip
from rap.pipeline import RaPPipeline

FIRST_DB, LATER_DB = 43.0, 28.5
"""Limits a little below what the committed codec scores on the worst of the example clips (45.3 and 29.4 dB)."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The example clips as folders of frames with their cameras."""
    made = []
    for path in sorted((ASSETS / "examples").glob("*.mp4")):
        folder = tmp_path_factory.mktemp(path.stem)
        frames_u8 = load_clip(path).detailed_u8
        for i, frame in enumerate(frames_u8):
            Image.fromarray(frame).save(folder / f"{i:03d}.png")
        cameras = formats.read(path.with_suffix(".transforms.json")).resized(frames_u8.shape[1:3])
        formats.write(folder / "transforms.json", cameras, [f"{i:03d}.png" for i in range(len(frames_u8))])
        made.append(folder)
    return made


def run_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert cli.main(["codec", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_committed_codec_passes_its_gate(capsys, folders: list[Path]) -> None:
    clips = run_json(capsys, *folders)["clips"]
    assert len(clips) == 4
    for name, row in clips.items():
        assert row["windows"] == 1 and row["rotation_deg"] < 0.1 and row["focal_percent"] < 0.5, name
        assert row["psnr_first_db"] > FIRST_DB and row["psnr_later_db"] > LATER_DB, (name, row)


def test_its_figures_are_those_of_the_frames(capsys, folders: list[Path]) -> None:
    clip = load_clip(folders[0])
    pipe = RaPPipeline.from_pretrained(EMBEDDED_CHECKPOINT)
    video = pipe._to_model(clip.frames_u8)
    decoded = (pipe.codec.decode_video(pipe.codec.encode_video(video))[0].permute(1, 2, 3, 0).numpy() + 1) * 127.5
    row = run_json(capsys, folders[0])["clips"][str(folders[0])]
    expected = metrics.psnr(decoded.round().astype(np.uint8)[1:], clip.frames_u8[1:])
    assert abs(row["psnr_later_db"] - expected) < 0.01


def test_a_folder_is_printed_as_it_is_called_and_a_size_width_first() -> None:
    lines = results.report_lines({"clips": {"my_room": {"size": [96, 128], "psnr_first_db": 45.31}}})
    assert lines == ["clips:", "  my_room:", "    size: 128 x 96 px", "    psnr first db: 45.31"]


def test_bad_folders_are_sentences(capsys, folders: list[Path], tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in folders[0].glob("*.png"):
        (bare / path.name).write_bytes(path.read_bytes())
    for folder, words in ((bare, "no known cameras"), (tmp_path / "none", "no such folder")):
        assert cli.main(["codec", str(folder)]) == 2
        written = capsys.readouterr()
        assert written.out == "" and words in written.err
