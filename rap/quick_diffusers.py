"""Import this before diffusers: it saves half of that import, 2 of 5 seconds of work on a slow machine.

diffusers marks a few classes and functions for torch's compiler when it is imported, and asks for every part of a
pipeline whether it was compiled. For either it loads that compiler, 800 modules. Nothing here is compiled. During the
import two marks that do nothing stand in the compiler's place, and what no compiler was loaded for counts as not
compiled; the compiler is loaded, as ever, by whoever asks for it (torch's optimizers, `torch.compile`). A program that
compiles diffusers' own classes does well to import diffusers, or `torch._dynamo`, before `rap`: then nothing is done.
Measured on two CPU cores (diffusers 0.42, torch 2.13, warm): `import rap.pipeline` 5.0 CPU seconds as it was, 2.7 now.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
ASKS = "diffusers.pipelines.pipeline_loading_utils"  # the module that asks whether a part was compiled
QUESTION = "is_compiled_module"


def unmarked(target: Any = None, *_: Any, **__: Any) -> Any:
    """What is marked, as it is; called with settings alone, as a decorator, the mark itself."""
    return unmarked if target is None else target


def is_compiled(asked: Callable[[Any], bool], module: Any) -> bool:
    """Whether a part was compiled, asked as diffusers does only where there is a compiler that may have done so."""
    return COMPILER in sys.modules and asked(module)


def import_diffusers() -> None:
    """Import diffusers without the compiler; as usual where either is there already or this is not how it is marked."""
    if COMPILER in sys.modules or "diffusers" in sys.modules:
        return
    stand_in = ModuleType(COMPILER, "Stands in for torch's compiler while diffusers is imported.")
    stand_in.allow_in_graph = stand_in.disable = unmarked  # type: ignore[attr-defined]
    sys.modules[COMPILER] = stand_in
    try:
        from diffusers import AutoencoderKLWan, DiffusionPipeline, WanTransformer3DModel  # noqa: F401
    except (ImportError, AttributeError, RuntimeError):  # a release that wants more of the compiler: start over with it
        for name in [name for name in sys.modules if name.split(".")[0] == "diffusers"]:
            del sys.modules[name]
    finally:
        del sys.modules[COMPILER]
    asking = sys.modules.get(ASKS)
    if hasattr(asking, QUESTION):
        setattr(asking, QUESTION, partial(is_compiled, getattr(asking, QUESTION)))


import_diffusers()
