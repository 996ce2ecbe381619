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


def test_where_diffusers_is_there_already_nothing_is_done(monkeypatch):
    monkeypatch.delitem(sys.modules, quick_diffusers.COMPILER, raising=False)
    assert "diffusers" in sys.modules
    quick_diffusers.import_diffusers()
    assert quick_diffusers.COMPILER not in sys.modules
