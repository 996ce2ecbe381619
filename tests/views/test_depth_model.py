"""Models of depth of others: what they say, in the units of ours; real ones only where transformers is installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from rap.errors import InputError
from rap.views.depth_model import TransformersDepth, depth_model
from rap.views.monocular import embedded_monocular_depth

FRAME = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
RAMP = torch.linspace(2, 8, 40)[:, None].expand(40, 60)


def says(found: torch.Tensor) -> Any:
    return lambda picture: {"predicted_depth": found}


def test_inverse_depth_has_median_1_and_what_says_0_is_as_far_as_depth_goes():
    found = TransformersDepth(says(RAMP - 2), is_metric=False).predict(FRAME)
    assert found.depth.shape == (40, 60) and np.median(1 / found.depth) == pytest.approx(1, rel=0.05)
    assert found.depth[0].max() == pytest.approx(100) and found.depth[-1].max() < 0.6 and found.unit_m is None


def test_metres_become_the_unit():
    found = TransformersDepth(says(RAMP), is_metric=True).predict(FRAME)
    assert np.median(found.depth) == pytest.approx(1, rel=0.01) and found.unit_m == pytest.approx(5, rel=0.05)
    np.testing.assert_allclose(found.depth * found.unit_m, RAMP, rtol=1e-4)


def test_a_model_that_says_nothing_gives_a_plane_and_one_that_says_nonsense_is_refused():
    flat = TransformersDepth(says(torch.full((40, 60), -1.0)), is_metric=False).predict(FRAME)
    assert (flat.depth == 1).all()
    for wrong in (torch.full((40, 60), torch.nan), torch.ones(20, 30)):
        with pytest.raises(ValueError, match="predicted_depth must be finite, of shape"):
            TransformersDepth(says(wrong), is_metric=False).predict(FRAME)


def stand_in(task: str, model: str, device: str, model_kwargs: dict[str, Any]) -> Any:
    """A pipeline of transformers, of a folder with a config.json."""
    assert task == "depth-estimation" and model_kwargs == {"use_safetensors": True}
    kind = (Path(model) / "config.json").read_text()
    estimate = type("Pipeline", (), {"__call__": lambda self, picture: {"predicted_depth": RAMP}})()
    estimate.model = SimpleNamespace(config=SimpleNamespace(model_type="depth_anything", depth_estimation_type=kind))
    return estimate


def save_stand_in(folder: Path, kind: str) -> None:
    (folder / "config.json").write_text(kind)


def save_random(folder: Path, kind: str) -> None:
    """A real one, of some thousand weights."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessorPil

    stages = [f"stage{k}" for k in range(1, 5)]
    backbone = Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, mlp_ratio=2, image_size=56, patch_size=14,
        out_features=stages, reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, neck_hidden_sizes=[8] * 4, fusion_hidden_size=8,
        head_hidden_size=8, depth_estimation_type=kind, max_depth=10 if kind == "metric" else 1,
    )  # fmt: skip
    DepthAnythingForDepthEstimation(config).eval().save_pretrained(folder)
    processor = DPTImageProcessorPil(size={"height": 56, "width": 56}, ensure_multiple_of=14, keep_aspect_ratio=True)
    processor.save_pretrained(folder)


SAVES = {"stand-in": save_stand_in} | ({"random": save_random} if find_spec("transformers") else {})


@pytest.mark.parametrize("kind", ["relative", "metric"])
@pytest.mark.parametrize("model", SAVES)
def test_a_model_on_disk_is_loaded_once(model: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if model == "stand-in":
        monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(pipeline=stand_in))
    SAVES[model](tmp_path, kind)
    found = depth_model(str(tmp_path))
    assert found is depth_model(str(tmp_path)) and isinstance(found, TransformersDepth)
    told = found.predict(FRAME)
    assert told.depth.shape == (40, 60) and (told.unit_m is None) == (kind == "relative")
    with pytest.raises(InputError, match=r"nowhere: is no model of depth estimation that can be loaded, by name or"):
        depth_model(str(tmp_path / "nowhere"))


def test_without_a_name_it_is_our_own_and_without_transformers_a_name_is_refused(monkeypatch: pytest.MonkeyPatch):
    assert depth_model() is embedded_monocular_depth()
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match="--depth-model x/y: needs transformers; install it with pip install"):
        depth_model("x/y")
