"""Named settings of `rap train model`: what `--config NAME` sets; flags win over them.

`embedded` is the model that comes with the app, as its card says. The others are the paper's at the size of a Wan 2.1
text-to-video model: begin with its weights (`--wan FOLDER`). Their rates, batch and length are ours, as the paper does
not tell them; nobody has trained them yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PAPER = {
    "text_width": 4096,
    "ray_frame_stride": 4,
    "video_prediction": "flow",
    "video_baseline": "none",
    "ray_prediction": "flow",
    "optimizer": "adamw",
    "learning_rate": 1e-5,
    "ray_loss_weight": 1.0,
    "ema_decay": 0.9999,
    "warmup": 500,
    "steps": 20000,
    "save_every": 250,
    "batch": 1,
    "micro_batches": 32,
    "short_clip_rate": 0.0,
    "generate_steps": 50,
    "estimate_steps": 2,
    "shift": 3.0,
    "bf16": True,
    "activation_checkpointing": True,
    "device": "cuda",
}

CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "embedded": {
        "width": 384,
        "heads": 6,
        "layers": 6,
        "flow_hint": True,
        "warp_hint": "blend",
        "video_baseline": "warp",
        "batch": 64,
        "short_clip_rate": 0.3,
        "warmup": 150,
        "decay_share": 0.35,
        "ema_decay": 0.999,
    },
    "wan-1.3b": {**_PAPER, "width": 1536, "heads": 12, "layers": 30, "ffn_width": 8960},
    "wan-14b": {**_PAPER, "width": 5120, "heads": 40, "layers": 40, "ffn_width": 13824},
}
"""By name: settings that differ from the defaults."""
