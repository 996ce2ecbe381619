"""Two processes that cut one network between them (FSDP2 over gloo) train what one trains alone, killed or not."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from processes import arguments, completed, rows, started
from safetensors import safe_open
from safetensors.torch import load_file

import rap.train.model
from rap import train
from rap.train.state import saved_step

pytestmark = pytest.mark.scale

STEPS = ("--steps", 20, "--save-every", 5)
EQUAL = 1e-4
WAN = dict(
    num_attention_heads=2, attention_head_dim=12, in_channels=16, out_channels=16, text_dim=8, ffn_dim=40, num_layers=2
)


@pytest.fixture(scope="module")
def alone(shards: Path, codec: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone")
    trained_here(arguments(shards, codec, out, *STEPS))
    return out


def trained_here(words: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rap.train.model, "LOG_EVERY", 1)
        assert train.main(words) == 0


def assert_same_training(a: Path, b: Path, rel: float = EQUAL) -> None:
    assert len(rows(a)) == 20
    for one, other in zip(rows(a), rows(b), strict=True):
        assert one == pytest.approx(other, rel=rel)
    weights = "pipeline/transformer/diffusion_pytorch_model.safetensors"
    first, second = load_file(a / weights), load_file(b / weights)
    assert first.keys() == second.keys()
    assert all(torch.allclose(first[key], second[key], rtol=1e-3, atol=rel) for key in first)


def test_two_processes_train_as_one(alone: Path, shards: Path, codec: Path, tmp_path: Path) -> None:
    completed(2, arguments(shards, codec, tmp_path, *STEPS, "--activation-checkpointing"))
    assert_same_training(alone, tmp_path)
    with safe_open(tmp_path / "state" / "model-00001-of-00002.safetensors", "pt") as file:
        assert file.get_slice("blocks.0.ffn.net.2.weight").get_shape() == [12, 96]  # half of the rows


def test_a_killed_process_ends_all_and_the_training_goes_on_from_its_state(alone, shards, codec, tmp_path) -> None:
    """On as many processes as before, and on one: the state of two is read by any number."""
    words = arguments(shards, codec, tmp_path / "two", *STEPS)
    ended = started(2, words, DIE_RANK="1", DIE_IN="12")
    assert ended[1].returncode == -signal.SIGKILL and ended[0].returncode != 0
    assert saved_step(tmp_path / "two") == 10 and len(rows(tmp_path / "two")) == 12
    subprocess.run(["cp", "-r", tmp_path / "two", tmp_path / "one"], check=True)
    completed(2, [*words, "--resume"])
    assert_same_training(alone, tmp_path / "two")
    trained_here(arguments(shards, codec, tmp_path / "one", *STEPS, "--resume"))
    assert_same_training(alone, tmp_path / "one")


def test_what_one_process_began_two_go_on_with(alone, shards, codec, tmp_path, monkeypatch) -> None:
    whole, left = rap.train.model.train_step, [11]

    def cut(*given):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return whole(*given)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(rap.train.model, "train_step", cut)
        trained_here(arguments(shards, codec, tmp_path, *STEPS))
    assert saved_step(tmp_path) == 10
    completed(2, arguments(shards, codec, tmp_path, *STEPS, "--resume"))
    assert_same_training(alone, tmp_path)


def test_two_processes_begin_with_wans_weights_row_by_row(shards: Path, codec: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    WanTransformer3DModel(**WAN).save_pretrained(tmp_path / "wan", max_shard_size="20KB")  # several files
    flags = ("--wan", tmp_path / "wan", "--text-width", 8, "--ffn-width", 40, "--optimizer", "adamw", *STEPS)
    trained_here(arguments(shards, codec, tmp_path / "one", *flags))
    completed(2, arguments(shards, codec, tmp_path / "two", *flags))
    assert_same_training(tmp_path / "one", tmp_path / "two")


def test_torchrun_trains_in_bfloat16(alone: Path, shards: Path, codec: Path, tmp_path: Path) -> None:
    words = arguments(shards, codec, tmp_path, *STEPS, "--bf16")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = str(Path(__file__).with_name("processes.py"))
    done = subprocess.run([*command, script, *words], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert_same_training(alone, tmp_path, rel=0.05)
