"""`rap publish`: the hub's layout, loaded back without the network by diffusers and by our own commands."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, DiffusionPipeline

from rap.cli import main, publish
from rap.cli.model import load_pipeline
from rap.errors import InputError
from rap.pipeline import EstimateTask

sys.path.insert(0, str(Path(__file__).parents[1]))
from test_pipeline import frames, tiny_pipeline

FRAMES = frames(5)


def path_of(pipe) -> np.ndarray:
    return list(pipe.stream(EstimateTask(FRAMES, steps=1)))[-1].output.trajectory.Ts_world_camera


@pytest.fixture(scope="module", params=["ours", "wan"])
def published(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    codec = None
    if request.param == "wan":
        torch.manual_seed(0)
        sizes = dict(base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
        codec = AutoencoderKLWan(**sizes, temperal_downsample=[False, True, True])
    pipe = tiny_pipeline(codec)
    pipe.save_pretrained(folder / "trained")
    (folder / "trained" / "motion_limits.json").write_text("{}")
    arguments = ["publish", folder / "trained", "--out", folder / "hub", "--name", "me/tiny", "--licence", "mit"]
    assert main(list(map(str, arguments))) == 0
    return pipe, folder / "hub"


@pytest.mark.filterwarnings("ignore")  # diffusers' own, of code in a folder
def test_diffusers_loads_it_by_itself_and_it_is_the_same_model(published, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("diffusers.utils.dynamic_modules_utils.HF_MODULES_CACHE", str(tmp_path))
    pipe, out = published
    found = DiffusionPipeline.from_pretrained(out, trust_remote_code=True)
    np.testing.assert_array_equal(path_of(found), path_of(pipe))


def test_our_commands_load_it_and_run_none_of_its_code(published):
    pipe, out = published
    before = {name: (out / name).read_text() for name in publish.CODE if (out / name).is_file()}
    for name in before:
        (out / name).write_text("raise SystemExit('it was run')\n")
    np.testing.assert_array_equal(path_of(load_pipeline(str(out), "cpu")), path_of(pipe))
    for name, text in before.items():
        (out / name).write_text(text)


def test_the_layout_is_whole_and_every_file_has_its_sum(published):
    _, out = published
    index = json.loads((out / "model_index.json").read_text())
    assert index["_class_name"] == ["pipeline_rap", "RaPPipeline"]
    for part, (module, _) in {k: v for k, v in index.items() if k in ("transformer", "vae", "scheduler")}.items():
        assert module == "diffusers" or (out / part / f"{module}.py").is_file(), part
    assert (out / "motion_limits.json").is_file()
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} - {"SHA256SUMS"}
    sums = dict(reversed(line.split("  ")) for line in (out / "SHA256SUMS").read_text().splitlines())
    assert sums.keys() == names
    assert all(hashlib.sha256((out / name).read_bytes()).hexdigest() == value for name, value in sums.items())
    assert str(out) not in "".join(path.read_text() for path in out.rglob("*.json"))


def test_a_card_keeps_what_it_says_and_gets_what_the_hub_reads():
    old = "---\nlicense: apache-2.0\ntags: [x]\n---\n\n# Mine\n\nSays this.\n"
    new = publish.card(old, None, "me/x")
    assert new.startswith(
        "---\nlicense: apache-2.0\ntags: [x]\nlibrary_name: diffusers\npipeline_tag: image-to-video\n---"
    )
    assert "# Mine\n\nSays this." in new and 'from_pretrained("me/x", trust_remote_code=True)' in new
    assert publish.card(new, None, "me/x") == new, "published again it is the same"
    other = publish.card(old, "cc-by-4.0", "me/x")
    assert "license: cc-by-4.0" in other and "apache" not in other.split("---")[1]
    assert "# me/x" in publish.card("", "mit", "me/x")
    with pytest.raises(InputError, match="names no licence; say under which the weights are given"):
        publish.card("# Mine\n", None, "me/x")


def test_what_cannot_be_published_is_refused(published, tmp_path, capsys):
    _, out = published
    assert main(["publish", str(tmp_path / "no"), "--out", str(tmp_path / "o")]) == 2
    assert main(["publish", str(out), "--out", str(out)]) == 2
    assert "is not empty; name a new folder" in capsys.readouterr().err
    copy = shutil.copytree(out, tmp_path / "copy")
    (copy / "README.md").unlink()
    assert main(["publish", str(copy), "--out", str(tmp_path / "o")]) == 2
    assert "names no licence" in capsys.readouterr().err and not (tmp_path / "o").exists()
    with pytest.raises(SystemExit):
        main(["publish", str(out), "--out", str(tmp_path / "o"), "--licence", "My Own"])
