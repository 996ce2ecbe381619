"""A plain install stays light: packages of the extras are imported where they are asked for, and not before."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = {"pyyaml": "yaml", "usd-core": "pxr"}
"""What a package is imported as, where that is not its name."""

OPTIONAL = {"tensorboard", "wandb"}
"""In no extra: `rap train model --report` asks for them by name."""

BROUGHT = {"yaml", "diffusers"}
"""Of extras, but there in a plain install as well: with huggingface-hub, and in an older version."""


ASKED_FOR = "ui/serve/replicas.py"
"""Made of Ray throughout, so that it is imported as Ray is: by `--serve`."""


def modules_of(requirements: list[str]) -> set[str]:
    names = [re.split(r"[\[<>=]", requirement)[0] for requirement in requirements]
    return {MODULES.get(name, name.replace("-", "_")) for name in names}


def extras() -> dict[str, set[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {name: modules_of(needed) for name, needed in project["optional-dependencies"].items()}


def of_users() -> set[str]:
    return OPTIONAL.union(*(found for name, found in extras().items() if name != "dev")) - BROUGHT


def imports_below(node: ast.AST) -> Iterator[str]:
    """Dotted names that are imported outside functions."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from imports_below(child)


def imported_at_once(path: Path, modules: set[str]) -> set[str]:
    """Which of the modules, or of what is in them, a file imports when it is itself imported: outside functions."""
    text = path.read_text(encoding="utf-8")
    if not any(name.split(".")[-1] in text for name in modules):  # parsing takes a hundred times as long
        return set()
    found = {f"{name}." for name in imports_below(ast.parse(text))}
    return {module for module in modules if any(name.startswith(f"{module}.") for name in found)}


def test_no_file_imports_an_extra_at_once():
    files = [ROOT / "app.py", *(ROOT / "rap").rglob("*.py"), *(ROOT / "ui").rglob("*.py")]
    packages = of_users()
    assert {"ray", "pycolmap", "transformers"} <= packages and len(files) > 200
    assert [path for path in files if imported_at_once(path, packages)] == [ROOT / ASKED_FOR]
    asked = ASKED_FOR.removesuffix(".py").replace("/", ".")
    assert [path for path in files if imported_at_once(path, {asked})] == []


def test_ci_does_not_look_into_tests_that_it_has_no_packages_for():
    """Its first step installs dev and eval, and takes a skip for a failure."""
    known = extras()
    absent = (known["scale"] | known["gpu"]) - known["dev"] - known["eval"] - BROUGHT
    tests = ROOT / "tests"
    needs = runpy.run_path(str(tests / "conftest.py"))["NEEDS"]
    for path in tests.rglob("test_*.py"):
        needed = imported_at_once(path, absent)
        named = [packages for pattern, packages in needs.items() if fnmatch(str(path), str(tests / pattern))]
        assert needed <= set().union(*named), f"{path} imports {needed}, which NEEDS in tests/conftest.py must name"


@pytest.mark.scale  # where the extras are there, and could be imported
def test_all_of_the_package_is_imported_without_an_extra():
    code = (
        "import importlib, pkgutil, sys\n"
        "import app, rap, ui\n"
        "for package in (rap, ui):\n"
        "    for found in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        f"        if not found.name.endswith(('__main__', {Path(ASKED_FOR).stem!r})):\n"
        "            importlib.import_module(found.name)\n"
        "print(*{name.split('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    loaded = set(done.stdout.split())
    assert {"rap", "ui", "torch", "diffusers"} <= loaded
    brought = {"transformers", "mcp"}  # by diffusers and by Gradio themselves, where they are there
    assert loaded & of_users() <= brought
