"""What is wrong at the start is said at once, in one sentence, with status 2: options, addresses, weights."""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from app_process import ROOT, STARTS_S, environment, free_port, refused

import rap.__main__
from rap.checkpoint import SUMS, check_checkpoint, check_networks
from rap.cli.model import load_pipeline
from rap.config import ASSETS, EMBEDDED_CHECKPOINT
from rap.errors import InputError
from ui.serve import startup

SHARD = "transformer/diffusion_pytorch_model-00001-of-00003.safetensors"
NOTHING_HEAVY = (
    "import sys\n"
    "class Watch:\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        assert name not in ('torch', 'gradio', 'viser', 'starlette', 'ray'), name\n"
    "sys.meta_path.insert(0, Watch())\n"
    "import app\n"
    "app.main(sys.argv[1:])\n"
)


def sentence(status: int, words: str) -> str:
    """The one line that was said."""
    assert status == 2, words
    lines = words.splitlines()
    assert len(lines) == 1 and len(lines[0]) < 400, words
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "99999"], "argument --port: must be a port from 1 to 65535, got '99999'"),
        (["--port", "0"], "from 1 to 65535, got '0'"),
        (["--port", "7_860"], "from 1 to 65535, got '7_860'"),
        (["--port", "9" * 5000], "from 1 to 65535"),
        (["--device", "banana"], "must be cpu, cuda, cuda:1 or the like, or mps, got 'banana'"),
        (["--host", "256.1.1.1"], "'256.1.1.1' is no address; try 127.0.0.1"),
        (["--host", "fe80:::1"], "is no address"),
        (["--host", "a b; rm"], "neither an address nor a name"),
        (["--host", "203.0.113.7"], "--host 203.0.113.7: cannot be listened on"),
        (["--num-frames", "1000001"], "must be at most 257 frames, got 1000001"),
        (["--num-frames", "16"], "must be 1 + 4 k"),
        (["--steps", "-3"], "must be at least 1, got -3"),
        (["--steps", "1e308"], "must be a whole number, got '1e308'"),
        (["--steps", "201"], "must be at most 200 steps, got 201"),
        (["--seed", "-1"], "must be at least 0, got -1"),
        (["--seed", "1e3"], "must be a whole number"),
        (["--root-path", "rays"], "must be a path as /rays"),
        (["--root-path", '/a"><script>'], "must be a path as /rays"),
        (["--checkpoint", "/no/such/folder"], "/no/such/folder holds no model_index.json"),
        (["--checkpoint", str(ASSETS)], "holds no model_index.json"),
        (["--state", str(ASSETS / "app.css")], "app.css: cannot be written (File exists); name another folder"),
        (["--state", "/proc/state"], "--state /proc/state: cannot be written (No such file or directory)"),
        (["--state", "/" + "a" * 300], "cannot be written (File name too long)"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_heavy_is_loaded(arguments, said):
    words = sentence(*refused(*arguments, program=("-c", NOTHING_HEAVY)))
    assert said in words


def test_where_models_run_is_refused_in_a_sentence(monkeypatch):
    for kind, texts in ((startup.replicas, ("0", "8-1", "1-2-3", "-1", "")), (startup.share, ("-1", "nan", "65", "a"))):
        for text in texts:
            with pytest.raises(argparse.ArgumentTypeError, match=f"must be a number .*got '{text}'"):
                kind(text)
    assert (startup.replicas("2"), startup.replicas("1-8"), startup.share("0.5")) == ((2, 2), (1, 8), 0.5)
    monkeypatch.setattr(startup, "find_spec", lambda name: None)
    with pytest.raises(argparse.ArgumentTypeError, match="needs Ray, which is not installed"):
        startup.serving("local")
    monkeypatch.setattr(startup, "find_spec", lambda name: name)
    for text in ("ray://10.0.0.5", "ray://", "ray://a/b:1"):
        with pytest.raises(argparse.ArgumentTypeError, match=f"must be ray://HOST:10001.* got '{text}'"):
            startup.serving(text)
    for text in ("10.0.0.5:6379", "ray://10.0.0.5:10001", "auto"):
        assert startup.serving(text) == text


@pytest.mark.parametrize(
    ("words", "serve"),
    [(["serve"], "local"), (["serve", "--seed", "1"], "local"), (["serve", "auto"], "auto"), (["app"], None)],
)
def test_rap_serve_is_rap_app_with_models_elsewhere(words, serve, monkeypatch):
    monkeypatch.setattr(startup, "find_spec", lambda name: name)
    found = []
    monkeypatch.setattr("ui.app.main", lambda argv: found.append(startup.parser(None).parse_args(argv).serve))
    monkeypatch.setattr(sys, "argv", ["rap", *words])
    assert rap.__main__.main() == 0 and found == [serve]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"GRADIO_SERVER_PORT": "banana"}, "GRADIO_SERVER_PORT in the environment: must be a port"),
        ({"GRADIO_SERVER_NAME": "256.1.1.1"}, "GRADIO_SERVER_NAME in the environment: '256.1.1.1' is no address"),
        ({"GRADIO_ROOT_PATH": "rays"}, "GRADIO_ROOT_PATH in the environment: must be a path"),
        ({"RAP_STATE": "/dev/null/state"}, "--state /dev/null/state: cannot be written (Not a directory)"),
        ({"GRADIO_NUM_PORTS": "-1"}, "GRADIO_NUM_PORTS in the environment: must be at least 1"),
    ],
)
def test_variables_are_held_to_the_same_rules(variables, said):
    assert said in sentence(*refused(program=("-c", NOTHING_HEAVY), **variables))


def test_a_busy_port_is_told_before_anything_heavy_is_loaded():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        words = sentence(*refused("--port", str(port), program=("-c", NOTHING_HEAVY)))
    assert f"--port {port}: cannot be had at 127.0.0.1 (Address already in use)" in words


def test_a_range_of_busy_ports_is_told():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        words = sentence(*refused(GRADIO_SERVER_PORT=port, GRADIO_NUM_PORTS="1"))
    assert "Cannot find empty port" in words


@pytest.fixture
def copied(tmp_path) -> Path:
    """The embedded model somewhere else: held to what its own files say, not to the sums."""
    return Path(shutil.copytree(EMBEDDED_CHECKPOINT, tmp_path / "model"))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def cut_in_the_header(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def garble_the_header(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[8:40] = bytes(range(200, 232))
    file.write_bytes(data)


def pointer(file: Path) -> None:
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 14771200\n")


def remove(file: Path) -> None:
    file.unlink()


def no_json(file: Path) -> None:
    file.write_text("{oops")


def another_kind(file: Path) -> None:
    file.write_text("[]")


def foreign(file: Path) -> None:
    file.write_text(json.dumps({"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet"]}))


DAMAGES = [
    (SHARD, cut, "has 14,770,200 bytes where its header says 14,771,200"),
    (SHARD, cut_in_the_header, "is cut off"),
    (SHARD, empty, "is cut off"),
    (SHARD, garble_the_header, "no safetensors header"),
    (SHARD, pointer, "Git LFS pointer, run git lfs pull"),
    (SHARD, remove, "No such file"),
    ("vae/diffusion_pytorch_model.safetensors", cut, "where its header says"),
    ("vae/config.json", remove, "No such file"),
    ("transformer/config.json", no_json, "is no JSON"),
    ("scheduler/scheduler_config.json", another_kind, "holds no JSON object"),
    ("transformer/diffusion_pytorch_model.safetensors.index.json", no_json, "is no JSON"),
    ("transformer/diffusion_pytorch_model.safetensors.index.json", another_kind, "holds no JSON object"),
    ("model_index.json", foreign, "is of a StableDiffusionPipeline, not of a RaPPipeline"),
]


@pytest.mark.parametrize(("name", "damage", "said"), DAMAGES, ids=[f"{n}-{d.__name__}" for n, d, _ in DAMAGES])
def test_damaged_weights_are_named_with_the_remedy(copied, name, damage, said):
    assert check_checkpoint(copied) == copied
    damage(copied / name)
    with pytest.raises(InputError) as refusal:
        check_checkpoint(copied)
    words = str(refusal.value)
    assert said in words and str(copied / name) in words
    assert "copy the checkpoint again" in words or "give a folder" in words


def test_a_shard_of_another_model_is_named(copied):
    shutil.copy(copied / "vae" / "diffusion_pytorch_model.safetensors", copied / SHARD)
    with pytest.raises(InputError, match="lacks .* tensors"):
        check_checkpoint(copied)


def test_the_app_does_not_come_up_with_damaged_weights(copied):
    cut(copied / SHARD)
    assert SHARD in sentence(*refused("--checkpoint", str(copied), program=("-c", NOTHING_HEAVY)))


def without_numbers(file: Path, value: bytes = b"\xff") -> None:
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2] + value * (len(data) - len(data) // 2))


@pytest.mark.parametrize("value", [b"\xff", b"\x7f"])
def test_weights_that_hold_no_numbers_are_refused_when_they_are_loaded(copied, value):
    without_numbers(copied / SHARD, value)
    with pytest.raises(InputError, match="holds no numbers; copy the checkpoint again"):
        load_pipeline(str(copied), "cpu")


def test_a_configuration_of_another_size_is_refused_when_it_is_loaded(copied):
    config = json.loads((copied / "transformer" / "config.json").read_text())
    config["num_layers"] += 1
    (copied / "transformer" / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="copy the checkpoint again, or give another"):
        load_pipeline(str(copied), "cpu")


@pytest.mark.slow  # loads torch in a process of its own
def test_what_only_loading_finds_ends_the_app(copied):
    """The page is up by then; it goes away again with the reason, rather than let its visitors wait for takes."""
    without_numbers(copied / SHARD)
    wrong = {
        "holds no numbers": ["--checkpoint", str(copied)],
        "--device cuda:42 cannot be used here": ["--device", "cuda:42"],
    }
    apps = [
        subprocess.Popen(
            [sys.executable, "app.py", "--port", str(free_port()), *given],
            cwd=ROOT, env=environment(copied.parent), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for given in wrong.values()
    ]  # fmt: skip
    for app, words in zip(apps, wrong, strict=True):
        _, said = app.communicate(timeout=STARTS_S)
        assert app.returncode == 2 and words in said and "Traceback" not in said


def test_zeros_in_the_weights_that_come_with_the_project_are_found(tmp_path, monkeypatch):
    """The right size and a whole header: as a file system leaves it that lost power."""
    assets = Path(shutil.copytree(ASSETS, tmp_path / "assets"))
    monkeypatch.setattr("rap.checkpoint.ASSETS", assets)
    folder = assets / "rap-embedded"
    assert check_checkpoint(folder) == folder
    with (folder / SHARD).open("r+b") as file:
        file.seek(8_000_000)
        file.write(bytes(4096))
    with pytest.raises(InputError, match="differs from what SHA256SUMS says of it; check it out again"):
        check_checkpoint(folder)


def test_the_sums_are_those_of_the_weights():
    """Written anew with: cd assets && sha256sum rap-*/*.safetensors rap-*/*/*.safetensors > SHA256SUMS"""
    check_checkpoint()
    check_networks()
    listed = {line.split(maxsplit=1)[1] for line in SUMS.read_text().splitlines()}
    assert listed == {file.relative_to(ASSETS).as_posix() for file in ASSETS.rglob("*.safetensors")}


def test_a_model_of_depth_without_what_loads_it_is_refused_at_once(monkeypatch, capsys):
    monkeypatch.setattr(startup, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        startup.parser(None).parse_args(["--depth-model", "deep-eye"])
    assert ended.value.code == 2 and "argument --depth-model: needs transformers" in capsys.readouterr().err
    monkeypatch.setattr(startup, "find_spec", lambda name: object())
    assert startup.parser(None).parse_args(["--depth-model", "deep-eye"]).depth_model == "deep-eye"
