"""The model and the geometry replaced, at `rap.cli.model.load_pipeline` and `rap.views.scene`; a film and a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_runs import FakePipeline, FakeScene, fake_refine
from PIL import Image

from rap.cli import model
from rap.data import write_video
from rap.views import scene


@pytest.fixture
def geometry(monkeypatch: pytest.MonkeyPatch) -> type[FakeScene]:
    """Refinement that doubles the motion, scenes that show the left half."""
    monkeypatch.setattr(scene, "refine", fake_refine)
    monkeypatch.setattr(scene, "build_scene", FakeScene)
    monkeypatch.setattr(scene, "picture_scene", FakeScene)
    monkeypatch.setattr(FakeScene, "made", [])
    return FakeScene


@pytest.fixture
def pipeline(monkeypatch: pytest.MonkeyPatch, geometry) -> FakePipeline:
    fake = FakePipeline()
    monkeypatch.setattr(model, "load_pipeline", lambda checkpoint, device, **_: fake)
    return fake


@pytest.fixture
def film(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    write_video(tmp_path / "film.mp4", rng.integers(0, 256, (40, 54, 96, 3), dtype=np.uint8), 20.0)
    return tmp_path / "film.mp4"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (96, 72), (200, 100, 50)).save(tmp_path / "room.png")
    return tmp_path / "room.png"
