"""`rap train ablations`: the paper's ablations, each variant trained as long as the others, several seeds of each.

"full" is the paper's model at small size, without the hints that depart from it; "joint attention" has one softmax over
all tokens, "no cosine" leaves that term out of the loss, "pluecker" gives cameras as Pluecker maps beside the video's
channels. Each is trained by as many steps, which are the same on every machine, or by the same minutes of its process's
own work, and judged on the same held-out clips by the protocols of `rap.evaluation`: poses, generation and the closed
loop. One training after the other, a seed of all variants before the next seed; what was cut goes on, what is finished
is kept, and the table is made of what is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rap.errors import InputError
from rap.evaluation import datasets, protocols
from rap.evaluation.protocols import Protocol
from rap.pipeline import RaPPipeline
from rap.train.model import train_model
from rap.train.settings import ModelTraining
from rap.train.state import PROGRESS, STATE, saved_seconds, write_json
from rap.train.validate import VALIDATION_SEED

VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "joint-attention": {"attention": "joint"},
    "no-cosine": {"cosine_weight": 0.0},
    "pluecker": {"camera": "pluecker"},
}
FIGURES, TABLE = "figures.json", "table.md"

COLUMNS = (
    ("pose", "auc30", "poses: AUC@30"),
    ("pose", "rotation_deg_median", "rotation (deg)"),
    ("generate", "psnr_db", "generation: PSNR (dB)"),
    ("generate", "model_r_err", "R_err (rad)"),
    ("generate", "model_t_err", "T_err"),
    ("loop", "model_r_err", "closed loop: R_err (rad)"),
    ("loop", "model_t_err", "T_err"),
)
"""Protocol, measure and title."""


@dataclass(frozen=True)
class AblationTraining:
    """Settings of `rap train ablations`. `steps` of each training; `minutes` above 0 end it by its CPU time instead.
    `only` is one of the trainings, as "full/0".

    `table` trains nothing and makes the table of what is there.
    """

    REQUIRED: ClassVar[tuple[str, ...]] = ("data", "codec", "validation")

    data: str = ""
    codec: str = ""
    validation: str = ""
    out: str = "runs/ablations"
    width: int = 128
    heads: int = 4
    layers: int = 6
    batch: int = 16
    steps: int = 1200
    minutes: float = 0.0
    seeds: int = 3
    validation_clips: int = 32
    only: str = ""
    table: bool = False
    threads: int = 1

    def training(self, variant: str, seed: int) -> ModelTraining:
        """That of one variant and seed; all else is the same for all."""
        return ModelTraining(
            data=self.data, codec=self.codec, out=str(self.folder(variant, seed)), width=self.width, heads=self.heads,
            layers=self.layers, batch=self.batch, steps=self.steps, minutes=self.minutes, cpu_time=True, seed=seed,
            threads=self.threads, resume=True, **VARIANTS[variant],
        )  # fmt: skip

    def folder(self, variant: str, seed: int) -> Path:
        return Path(self.out) / variant / str(seed)

    def runs(self) -> Iterator[tuple[str, int]]:
        """Variant and seed of each training in turn."""
        yield from ((variant, seed) for seed in range(self.seeds) for variant in VARIANTS)


def run_ablations(settings: AblationTraining, say: Callable[[str], None] = print) -> None:
    """Train and judge what is not finished, then write the table.

    Raises:
        InputError: there is no such run, its figures are of other settings, or whatever `train_model` refuses.
    """
    if settings.minutes < 0:
        raise InputError(f"--minutes must not be negative, got {settings.minutes}: 0 ends each training by --steps")
    if settings.only and settings.only not in {f"{variant}/{seed}" for variant, seed in settings.runs()}:
        names = ", ".join(VARIANTS)
        raise InputError(f"--only must be VARIANT/SEED of {names} and 0 to {settings.seeds - 1}, got {settings.only!r}")
    for variant, seed in settings.runs():
        is_wanted = not settings.table and settings.only in ("", f"{variant}/{seed}")
        if is_wanted and _finished(settings, variant, seed) is None:
            say(f"{variant}, seed {seed}")
            train_model(settings.training(variant, seed), say)
            write_json(settings.folder(variant, seed) / FIGURES, _judged(settings, variant, seed))
    text = table(settings)
    Path(settings.out).mkdir(parents=True, exist_ok=True)
    (Path(settings.out) / TABLE).write_text(text + "\n", encoding="utf-8")
    say(text)


def _budget(settings: AblationTraining) -> dict[str, Any]:
    """What must be the same of all runs of a table."""
    names = ("width", "heads", "layers", "batch", "minutes" if settings.minutes else "steps", "validation_clips")
    return {name: getattr(settings, name) for name in names}


def _finished(settings: AblationTraining, variant: str, seed: int) -> dict[str, Any] | None:
    """What was found of a run; None where it is not finished."""
    path = settings.folder(variant, seed) / FIGURES
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["budget"] != _budget(settings):
        raise InputError(f"{path}: is of a run by {found['budget']}, not {_budget(settings)}; name another --out")
    return found


def _judged(settings: AblationTraining, variant: str, seed: int) -> dict[str, Any]:
    """Means over the held-out clips, which are the same for all runs."""
    folder = settings.folder(variant, seed)
    pipe = RaPPipeline.from_pretrained(folder / "pipeline")
    pipe.set_progress_bar_config(disable=True)
    chosen = Protocol(ray_steps=(1,), given=("none",), seed=VALIDATION_SEED)
    method = {"pose": "model, 1 step", "generate": "model", "loop": "model"}
    rows: dict[str, list[float]] = {}
    for window in datasets.synthetic(Path(settings.validation), settings.validation_clips, VALIDATION_SEED):
        clip = window.read()
        for protocol in method:
            figures, _ = protocols.measure(protocol, pipe, clip, chosen)
            for of, measure, _title in COLUMNS:
                value = figures.get(f"{method[protocol]}/{measure}") if of == protocol else None
                if value is not None:
                    rows.setdefault(f"{of}/{measure}", []).append(value)
    steps = json.loads((folder / STATE / PROGRESS).read_text(encoding="utf-8"))["step"]
    means = {name: float(np.mean(values)) for name, values in rows.items()}
    minutes = saved_seconds(folder) / 60
    return {"budget": _budget(settings), "steps": steps, "cpu_minutes": minutes, "figures": means}


def table(settings: AblationTraining) -> str:
    """Of every variant the mean over its finished seeds, with the least and the most of them; in Markdown."""
    head = ["variant", "seeds", "steps", "CPU minutes", *(title for _, _, title in COLUMNS)]
    lines = [head, ["---"] * len(head)]
    for variant in VARIANTS:
        seeds = (_finished(settings, variant, seed) for seed in range(settings.seeds))
        found = [one for one in seeds if one is not None]
        cells = [_spread([one[name] for one in found], 0) for name in ("steps", "cpu_minutes")]
        for of, measure, _title in COLUMNS:
            values = [one["figures"][name] for one in found if (name := f"{of}/{measure}") in one["figures"]]
            cells.append(_spread(values, 2))
        lines.append([variant, str(len(found)), *cells])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _spread(values: list[float], digits: int) -> str:
    if not values:
        return ""
    told = f"{np.mean(values):.{digits}f}"
    return told if len(values) == 1 else f"{told} [{min(values):.{digits}f}, {max(values):.{digits}f}]"
