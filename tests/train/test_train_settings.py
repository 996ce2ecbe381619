"""Settings of a training: flags over a config, refusals before anything is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rap import cli, train


def test_flags_win_over_the_config(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"data": "d", "codec": "c", "steps": 5, "learning_rate": 1, "resume": True}))
    settings = train.read_settings(train.ModelTraining, config, {"steps": 7, "batch": None})
    assert (settings.steps, settings.batch, settings.learning_rate, settings.resume) == (7, 16, 1, True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"stepz": 3, "data": "d"}', "unknown settings ['stepz']"),
        ('{"steps": "many"}', "steps must be of type int, got 'many'"),
        ('{"steps": true}', "steps must be of type int, got True"),
        ("[1]", "must hold one JSON object of settings, got list"),
        ("steps: 3", "is no JSON"),
    ],
)
def test_bad_configs_are_sentences(content: str, words: str, tmp_path: Path, capsys) -> None:
    (tmp_path / "config.json").write_text(content)
    assert cli.main(["train", "model", "--config", str(tmp_path / "config.json")]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--data is missing"),
        (("--data", "nowhere"), "--codec is missing"),
        (("--data", "nowhere", "--codec", "none"), "nowhere holds no shards of clips"),
        (("--data", "{shards}", "--codec", "none"), "none holds no trained codec (no vae/config.json)"),
        (("--data", "d", "--codec", "c", "--steps", "0"), "--steps must be at least 1, got 0"),
        (("--data", "d", "--codec", "c", "--width", "100"), "--width must be a multiple of --heads, got 100 and 3"),
        (("--config", "absent.json"), "absent.json: no such file"),
    ],
)
def test_missing_input_is_refused_and_leaves_nothing(arguments, words, shards: Path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "model", *(a.format(shards=shards) for a in arguments)]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
