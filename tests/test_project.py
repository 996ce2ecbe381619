"""Agreements between files of the project."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rap.data import load_clip

ROOT = Path(__file__).resolve().parent.parent


def pyproject() -> dict:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def front_matter() -> dict[str, str]:
    text = (ROOT / "README.md").read_text(encoding="utf-8").split("---")[1]
    return dict(line.split(": ", 1) for line in text.strip().splitlines())


def test_a_space_installs_what_the_project_needs():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == pyproject()["project"]["dependencies"]


def test_front_matter_names_the_app_and_a_gradio_the_project_accepts():
    values = front_matter()
    assert values["sdk"] == "gradio" and (ROOT / values["app_file"]).is_file()
    bound = next(d for d in pyproject()["project"]["dependencies"] if d.startswith("gradio"))
    assert int(values["sdk_version"].split(".")[0]) >= int(re.findall(r"\d+", bound)[0])


def test_readme_holds_the_two_commands_and_no_broken_links():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "pip install -e . && python app.py" in text
    install, tests = re.findall(r"^(pip install .*dev.*) && (pytest.*)$", text, re.MULTILINE)[0]
    steps = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert install.replace("install", "install -q") in steps and steps[-1] == tests, "what the README says is what runs"
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), f"README links to {target}, which is not there"


def test_the_readmes_python_example_runs_as_it_stands(tmp_path, monkeypatch):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "RaPPipeline" in block]
    shutil.copy(ROOT / "assets" / "examples" / "arc_around_a_table.mp4", tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(code, names)
    assert names["refined"].report.verdict == "refined"
    assert len(load_clip(tmp_path / "arc.mp4")) == 17


def test_torch_is_bounded_below_the_untested_release():
    torch = next(d for d in pyproject()["project"]["dependencies"] if d.startswith("torch"))
    assert "<2.14" in torch


def test_public_names_are_explicit_and_cheap():
    """`import rap` must not bring torch: the command line answers before it is loaded."""
    code = "import sys, rap, rap.config, rap.errors; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("entry", ["app", "rap.cli"])
def test_numpy_is_told_of_its_threads_before_it_is_loaded(entry):
    code = (
        "import os, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'numpy':\n"
        "            print(os.environ.get('OPENBLAS_NUM_THREADS'), flush=True)\n"
        "            os._exit(0)\n"
        "sys.meta_path.insert(0, Watch())\n"
        f"import {entry}\n"
    )
    for given, expected in ((None, "1" if platform.machine().lower() in ("x86_64", "amd64") else "None"), ("3", "3")):
        environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
        environment |= {} if given is None else {"OPENBLAS_NUM_THREADS": given}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, check=True, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.stdout.split() == [expected]


def test_weights_fit_and_nothing_is_pickled():
    files = [p for p in (ROOT / "assets").rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 60e6
    assert not [p for p in files if p.suffix in {".pt", ".pth", ".pkl", ".bin", ".ckpt"}]


def test_every_public_name_is_there():
    import rap

    assert all(getattr(rap, name) is not None for name in rap.__all__)


def test_no_machine_paths_in_the_weights():
    for config in (ROOT / "assets").rglob("*.json"):
        assert "_name_or_path" not in config.read_text(encoding="utf-8"), f"{config} tells where it was trained"
