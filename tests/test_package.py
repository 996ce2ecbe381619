"""The installed package: built and installed from a copy of the checkout, used from another folder."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
from pathlib import Path

import pytest

from rap.config import ASSETS

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py")
FOLDERS = ("rap", "ui", "assets", "benchmarks", "docs", "tests")
PATIENCE_S = 120.0
pytestmark = pytest.mark.slow  # packs 40 MB of weights twice, loads the model, starts the app: 20 s of CPU


def clean_environment(**more: str) -> dict[str, str]:
    """Nothing of the checkout on the path, whoever started the tests."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | more


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source distribution, made in a copy: what earlier builds left in the checkout must not mend it."""
    copy, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("dist")
    for name in SOURCES:
        shutil.copy(ROOT / name, copy)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(out)!r})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=copy, env=clean_environment(), capture_output=True)
    (found,) = out.iterdir()
    return found


@pytest.fixture(scope="module")
def target(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare folder with the project alone, by way of a wheel; what it needs comes from the tests' environment."""
    folder = tmp_path_factory.mktemp("target")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder)]
    command = [sys.executable, "-m", "pip", "install", *options, str(archive)]
    subprocess.run(command, check=True, cwd=folder, env=clean_environment())
    return folder


@pytest.fixture
def environment(target: Path) -> dict[str, str]:
    return clean_environment(PYTHONPATH=str(target))


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_archive_holds_packages_and_assets_and_all_of_them_is_installed(archive, target):
    with tarfile.open(archive) as tar:
        names = [name.split("/", 1)[1] for name in tar.getnames() if "/" in name]
    assert {name.split("/")[0] for name in names if "/" in name} == {"rap", "ui", "assets", "rays_as_pixels.egg-info"}
    assert files_below(target / "rap" / "assets") == files_below(ASSETS)
    for package in ("rap", "ui"):
        modules = {name for name in files_below(ROOT / package) if name.endswith(".py")}
        assert modules and modules <= files_below(target / package)
        assert (target / package / "py.typed").is_file()
    assert {path.name for path in target.iterdir() if path.suffix != ".dist-info"} == {"rap", "ui", "bin"}


def test_commands_and_the_page_run_from_another_folder(target, environment, tmp_path):
    example = target / "rap" / "assets" / "examples" / "arc_around_a_table.jpg"
    command = [target / "bin" / "rap", "imagine", example, "--frames", "5", "--steps", "1", "--out", "made", "--json"]
    done = subprocess.run(command, check=True, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    assert json.loads(done.stdout)["trajectory"]["num_frames"] == 5
    assert (tmp_path / "made" / "transforms.json").is_file()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    log = tmp_path / "log"
    command = [target / "bin" / "rap", "app", "--port", str(port)]
    with log.open("w") as out, subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=out, stderr=out) as app:
        try:
            config = json.loads(_answer(f"http://127.0.0.1:{port}/config", app, log))
        finally:
            app.terminate()
    assert (ASSETS / "app.css").read_text(encoding="utf-8").splitlines()[0] in json.dumps(config, ensure_ascii=False)
    (examples,) = [part for part in config["components"] if part["props"].get("elem_id") == "rap-examples"]
    assert examples["props"]["value"].count("data:image/jpeg") == len(list((ASSETS / "examples").glob("*.jpg")))


def _answer(url: str, process: subprocess.Popen, log: Path) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with opener.open(url, timeout=5) as response:
                return response.read().decode()
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"no page at {url}:\n{log.read_text()}")
