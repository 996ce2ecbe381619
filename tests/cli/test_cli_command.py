"""The command itself: help, delegated commands, its options, and one run of everything with the embedded model."""

from __future__ import annotations

import argparse
import subprocess
import sys
import types
from functools import partial
from pathlib import Path

import pytest
from cli_runs import refused, run_json

from rap import cli
from rap.cli import generate, options
from rap.data import load_clip
from rap.geometry import PRESETS
from rap.views import scene
from rap.views.fill import smooth_fill
from rap.views.layers import lift


@pytest.mark.parametrize("name", sorted(cli.DELEGATED))
def test_delegated_commands(name: str, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    received = []
    module = types.ModuleType(cli.DELEGATED[name][0])
    module.main = received.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    assert cli.main([name, "--some-option", "3"]) == 0
    assert received == [["--some-option", "3"]]

    def refusing(argv: list[str]) -> None:
        raise cli.InputError("no data")

    module.main = refusing  # type: ignore[attr-defined]
    assert refused(capsys, name) == f"rap {name}: no data"


def test_help_names_every_command_and_loads_no_torch() -> None:
    code = "import sys; sys.argv = ['rap', '--help']; import rap.cli\ntry: rap.cli.main()\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'diffusers', 'scipy', 'av', 'ray'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = "estimate preview generate imagine roundtrip check convert synthetic shards train bench"
    for command in names.split():
        assert any(line.split()[:1] == [command] for line in done.stdout.splitlines())


def test_python_m_rap_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "rap", "check", "none.json"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "" and "Traceback" not in done.stderr
    assert done.stderr.startswith("rap check: ") and "none.json" in done.stderr and done.stderr.count("\n") == 1


def test_every_preset_is_accepted(picture: Path) -> None:
    for name in PRESETS:
        chosen = argparse.Namespace(preset=name, amplitude=None, fov_y_deg=70.0, frames=17, trajectory=None)
        trajectory, notes = generate.chosen_trajectory(chosen, load_clip(picture))
        assert len(trajectory) == 17 and trajectory.image_size == (96, 128) and notes == []


def test_frame_counts() -> None:
    accepted = []
    for count in range(1, 40):
        try:
            accepted.append(options.frame_count(str(count)))
        except argparse.ArgumentTypeError:
            continue
    assert accepted == list(range(5, 40, 4))


def test_with_the_embedded_model(capsys, film: Path, picture: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(scene, "lift", partial(lift, fill=smooth_fill))  # how pictures are filled is tested elsewhere
    estimated = run_json(capsys, "estimate", film, "--frames", 5, "--out", tmp_path / "e")
    assert estimated["trajectory"]["num_frames"] == 5
    path = tmp_path / "e/trajectory.npz"
    made = run_json(
        capsys, "generate", picture, "--trajectory", path, "--frames", 5, "--steps", 2, "--out", tmp_path / "g"
    )
    assert made["clip"]["image_size"] == [96, 128]
    of_a_film = run_json(
        capsys, "generate", film, "--preset", "arc-left", "--frames", 5, "--steps", 1, "--out", tmp_path / "f"
    )
    assert of_a_film["clip"]["num_frames"] == 5 and of_a_film["cameras"]["refinement"] is not None
    of_a_picture = run_json(
        capsys,
        "generate",
        picture,
        "--hints",
        "--preset",
        "zoom-in",
        "--frames",
        5,
        "--steps",
        1,
        "--out",
        tmp_path / "p",
    )
    assert of_a_picture["hints"]["coverage"] > 0.9
    run_json(capsys, "imagine", film, "--frames", 5, "--steps", 1, "--out", tmp_path / "if")
    run_json(capsys, "imagine", picture, "--frames", 5, "--steps", 2, "--out", tmp_path / "i")
    loop = run_json(capsys, "roundtrip", film, "--frames", 5, "--steps", 2, "--out", tmp_path / "r")["closed_loop"]
    assert loop["psnr_db"] is None or loop["psnr_db"] > 5
