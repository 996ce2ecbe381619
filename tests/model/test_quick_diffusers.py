"""The stand-in for torch's compiler while diffusers is imported."""

import sys

import torch

from rap import quick_diffusers
from rap.model import RaPTransformer3DModel


def test_what_is_marked_is_as_it_was():
    def function():
        return 1

    assert quick_diffusers.unmarked(function) is function
    assert quick_diffusers.unmarked(recursive=False, reason="for its own sake")(function) is function
    assert quick_diffusers.unmarked(RaPTransformer3DModel) is RaPTransformer3DModel


def test_the_compiler_itself_is_there_for_who_asks():
    """The stand-in is gone after the import; what torch then loads is its own."""
    standing = sys.modules.get(quick_diffusers.COMPILER)
    assert standing is None or standing.__file__.startswith(torch.__path__[0])


def test_what_no_compiler_was_loaded_for_counts_as_not_compiled(monkeypatch):
    """diffusers' own question loads the compiler; it is put where there is one, and answered as ever."""
    asking = sys.modules[quick_diffusers.ASKS]
    assert hasattr(asking, quick_diffusers.QUESTION), "diffusers asks in another place: see quick_diffusers"
    asked = []
    monkeypatch.delitem(sys.modules, quick_diffusers.COMPILER, raising=False)
    assert not quick_diffusers.is_compiled(asked.append, "a part") and asked == []
    monkeypatch.setitem(sys.modules, quick_diffusers.COMPILER, sys)
    assert quick_diffusers.is_compiled(str.isalpha, "part") and not quick_diffusers.is_compiled(str.isalpha, "a part")


def test_where_diffusers_is_there_already_nothing_is_done(monkeypatch):
    monkeypatch.delitem(sys.modules, quick_diffusers.COMPILER, raising=False)
    assert "diffusers" in sys.modules
    quick_diffusers.import_diffusers()
    assert quick_diffusers.COMPILER not in sys.modules


def test_a_release_that_wants_more_of_the_compiler_is_imported_with_it(monkeypatch):
    """What has been imported of it by then is left to be imported anew, and other packages stay as they are."""

    class Wants:
        def find_spec(self, name, path=None, target=None):
            if name == "diffusers":
                sys.modules["diffusers.half"] = sys
                raise ImportError("no module named torch._dynamo.config")

    kept = dict(sys.modules)
    for name in [name for name in kept if name.split(".")[0] == "diffusers" or name == quick_diffusers.COMPILER]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Wants(), *sys.meta_path])
    quick_diffusers.import_diffusers()
    assert not {"diffusers", "diffusers.half", quick_diffusers.COMPILER} & set(sys.modules)
    assert sys.modules["torch"] is torch
