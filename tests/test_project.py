"""Agreements between files of the project."""

import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import check_space
import pytest

from rap.data import load_clip

ROOT = Path(__file__).resolve().parent.parent


def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_checkout_is_a_space_as_it_stands():
    assert list(check_space.problems(ROOT)) == []


def test_what_a_space_would_not_take_is_told():
    said, project = check_space.head((ROOT / "README.md").read_text(encoding="utf-8")), pyproject()["project"]
    for key, value, words in (
        ("sdk_version", "5.0.0", "sdk_version 5.0.0 is not in >=6.30"),
        ("python_version", "3.10", "python_version 3.10 is not in >=3.11"),
        ("colorTo", "teal", "colorTo teal is none of red, yellow"),
        ("short_description", "x" * 61, "longer than 60"),
        ("license", "mit", "not the project's Apache-2.0"),
        ("title", "", "its head has no title"),
    ):
        (sentence,) = check_space.problems_of_head({**said, key: value}, project)
        assert words in sentence
    files = {"app.py": 10, "assets/a.safetensors": 10}
    assert list(check_space.problems_of_files(said, files, {"assets/a.safetensors"})) == []
    wrong = list(check_space.problems_of_files(said, {"weights.bin": 2 * 10**9}, {"assets/a.safetensors"}))
    assert len(wrong) == 4, "no app, no weights, pickled, too much"


def test_readme_holds_the_two_commands_and_no_broken_links():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "pip install -e . && python app.py" in text
    install, tests = re.findall(r"^(pip install .*dev.*) && (pytest.*)$", text, re.MULTILINE)[0]
    steps = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    begin = steps.index(install.replace("install", "install -q"))
    first, second = steps.index(tests, begin), steps.index("pytest -n 3 --dist loadgroup -m slow")
    assert begin < first < second, "what the README says is what runs, then what it leaves out"
    scale = (ROOT / ".ci" / "scale").read_text(encoding="utf-8")
    assert '-m "not slow and not scale"' in tests and "[dev,scale,gpu]" in scale and "pytest -m scale" in scale
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / target).exists(), f"README links to {target}, which is not there"


def test_the_readmes_python_example_runs_as_it_stands(tmp_path, monkeypatch):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "RaPPipeline" in block]
    shutil.copy(ROOT / "assets" / "examples" / "arc_around_a_table.mp4", tmp_path / "clip.mp4")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(code, names)
    assert names["refined"].report.outcome == "refined"
    assert len(load_clip(tmp_path / "arc.mp4")) == 17


def test_torch_is_bounded_by_the_tested_release():
    torch = next(d for d in pyproject()["project"]["dependencies"] if d.startswith("torch"))
    assert torch == "torch>=2.13,<2.14"
    assert "torch==2.13.0" in (ROOT / ".ci" / "lowest").read_text(encoding="utf-8")


def test_the_checks_of_a_commit_and_of_the_server_are_those_of_ci():
    steps = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    entries = re.findall(r"^ +entry: (.+)$", hooks, re.MULTILINE)
    assert entries == ["ruff check .", "ruff format --check .", "lint-imports"] and set(entries) <= set(steps)
    assert "bash .ci/run" in (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")


def test_ci_fails_on_a_skip_that_is_not_for_want_of_a_gpu(tmp_path):
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    skipping = "import pytest\n\n@pytest.mark.skipif(True, reason={!r})\ndef test_it():\n    pass\n"
    (tmp_path / "test_gpu.py").write_text(skipping.format("needs a GPU"))
    (tmp_path / "test_other.py").write_text("import pytest\n\npytest.importorskip('no_such_module')\n")
    (tmp_path / "test_passing.py").write_text("def test_it():\n    pass\n")
    code = (
        "import os, pytest\n"
        "for strict, name in (('1', 'test_gpu.py'), ('1', 'test_other.py'), ('', 'test_other.py')):\n"
        "    os.environ['RAP_STRICT_SKIPS'] = strict\n"
        f"    print('status', int(pytest.main(['-c', {os.devnull!r}, '--rootdir', '.', name, 'test_passing.py'])))\n"
    )  # one process: each would load torch
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True, text=True)
    assert re.findall(r"^status (\d)$", done.stdout, re.MULTILINE) == ["0", "1", "0"]
    assert "RAP_STRICT_SKIPS allows none but 'needs a GPU': test_other.py" in done.stdout


def test_public_names_are_explicit_and_cheap():
    """`import rap` must not bring torch: the command line answers before it is loaded."""
    code = "import sys, rap, rap.config, rap.errors; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("entry", ["app", "rap.cli"])
def test_libraries_are_told_of_their_threads_before_they_are_loaded(entry):
    names = ("OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    code = (
        "import os, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in ('numpy', 'torch'):\n"
        f"            print(*map(os.environ.get, {names}), flush=True)\n"
        "            os._exit(0)\n"
        "sys.meta_path.insert(0, Watch())\n"
        f"import {entry}\n"
    )
    ours = ["1" if platform.machine().lower() in ("x86_64", "amd64") else "None", "PASSIVE", "1000"]
    for given, expected in (((), ours), (("3", "ACTIVE", "7"), ["3", "ACTIVE", "7"])):
        environment = {name: value for name, value in os.environ.items() if name not in names}
        environment |= dict(zip(names, given, strict=False))
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, check=True, cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.stdout.split() == expected


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
