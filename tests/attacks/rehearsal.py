"""`python app.py` as on ZeroGPU, with the real `spaces` package: python rehearsal.py [options].

What Hugging Face's machines add is stood in for: the service that lends GPUs by the address in the variable
SPACES_ZERO_DEVICE_API_URL, and CUDA in the lent process by nothing, for there is none here. The queues between the two
processes refuse tensors.
"""

from __future__ import annotations

import sys
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def refuse(tensor):
    """Called by the queues' pickler for every tensor that is to cross."""
    raise TypeError(f"a tensor {tuple(tensor.shape)} was to leave its process; cannot pickle it")


def stand_in() -> None:
    """For what a machine of ZeroGPU has: told that there is no torch, the package leaves CUDA alone."""
    sys.modules["torch"] = None  # type: ignore[assignment]
    import spaces  # noqa: F401

    del sys.modules["torch"]
    import torch
    import torch.multiprocessing  # registers its own way with tensors, which ours replaces

    for kind in (torch.Tensor, torch.nn.Parameter):
        ForkingPickler.register(kind, refuse)


if __name__ == "__main__":
    stand_in()
    from ui import app

    app.main()
