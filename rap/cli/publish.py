"""`rap publish`: a checkpoint as the hub takes it, checked, for `hf upload NAME OUT` to send; nothing is sent here.

Written are the weights (safetensors, in parts of at most 5 GB), every configuration, the card with its head, what lies
beside the weights, sums of all files, and one short file of code for each part that diffusers does not have: with
`trust_remote_code=True` diffusers loads the model by name wherever this package is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rap.checkpoint import WEIGHTS, check_checkpoint
from rap.cli import model, options, results
from rap.config import KNOWN_PATHS, MOTION_LIMITS, PART_BYTES
from rap.errors import InputError
from rap.writing import write_text

if TYPE_CHECKING:
    from rap.pipeline import RaPPipeline

CODE = {  # file: what it hands on
    "pipeline_rap.py": ("rap.pipeline", "RaPPipeline"),
    "transformer/transformer_rap.py": ("rap.model", "RaPTransformer3DModel"),
    "vae/codec_rap.py": ("rap.model", "PatchAutoencoder"),
}
SAYS_WHERE = '"""The package `rays-as-pixels` has it; this file tells diffusers where."""'
BESIDE = (KNOWN_PATHS, MOTION_LIMITS, "CREDITS.md", "LICENSE")
CARD, SUMS = "README.md", "SHA256SUMS"
HEAD = {"library_name": "diffusers", "pipeline_tag": "image-to-video", "tags": "[rays-as-pixels, camera-pose]"}
LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}")
KEY = re.compile(r"^([a-z_]+):", re.MULTILINE)

USE = """## Use

```python
from diffusers import DiffusionPipeline  # with the package: pip install rays-as-pixels

pipe = DiffusionPipeline.from_pretrained("{name}", trust_remote_code=True)
path = pipe.estimate_trajectory(frames).trajectory  # (T, H, W, 3) uint8, sides multiples of 32, 1 + 4k frames
```

`hf download {name} --local-dir FOLDER`, then `rap app --checkpoint FOLDER`: the editor.
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """`rap publish`"""
    parser = commands.add_parser("publish", help="write a checkpoint in the hub's layout", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="a checkpoint, as rap train writes it")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder")
    parser.add_argument("--name", default="OWNER/NAME", metavar="OWNER/NAME", help="on the hub, for the card")
    parser.add_argument(
        "--licence", type=licence, metavar="ID", help="of the weights, as apache-2.0 (default: what its card says)"
    )
    options.add_json(parser)
    parser.set_defaults(run=run)


def licence(text: str) -> str:
    """An identifier of the hub."""
    if not LICENCE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be an identifier as apache-2.0 or cc-by-4.0, got {text[:40]!r}")
    return text


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Check, write, load back."""
    folder, out = check_checkpoint(chosen.folder), chosen.out
    if out.exists() and any(out.iterdir()):
        raise InputError(f"--out {out}: is not empty; name a new folder")
    text = card(_text(folder / CARD), chosen.licence, chosen.name)
    pipeline = model.load_pipeline(str(folder), "cpu")
    pipeline.save_pretrained(out, max_shard_size=PART_BYTES)
    write_text(out / CARD, text)
    _write_code(out)
    for name in BESIDE:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, out / name)
    _check_same(pipeline, out)
    files = sorted(path for path in out.rglob("*") if path.is_file())
    write_text(out / SUMS, "".join(f"{_sum(path)}  {path.relative_to(out).as_posix()}\n" for path in files))
    return results.finite(
        {
            "command": "publish",
            "input": str(folder),
            "output": str(out),
            "files": len(files) + 1,
            "bytes": sum(path.stat().st_size for path in files),
            "notes": [f"send it with: hf upload {chosen.name} {out}"],
        }
    )


def card(text: str, licence: str | None, name: str) -> str:
    """A card with all that the hub reads of its head, and how the model is loaded.

    Args:
        text: of the card there was; "" where there was none.
        licence: None: the one that it names.

    Raises:
        InputError: no licence is known.
    """
    parts = text.split("---\n", 2) if text.startswith("---\n") else []
    head, body = (parts[1], parts[2]) if len(parts) == 3 else ("", text)
    if licence is not None:
        head = re.sub(r"^license:.*\n", "", head, flags=re.MULTILINE)
        head = f"license: {licence}\n{head}"
    if "license" not in KEY.findall(head):
        raise InputError("the card names no licence; say under which the weights are given: --licence apache-2.0")
    there = KEY.findall(head)
    head += "".join(f"{key}: {value}\n" for key, value in HEAD.items() if key not in there)
    body = body.strip() or f"# {name}\n\nA joint model of videos and camera trajectories (Rays as Pixels)."
    use = "" if "\n## Use\n" in body else f"\n{USE.format(name=name)}"
    return f"---\n{head}---\n\n{body}\n{use}"


def _write_code(out: Path) -> None:
    """Code of the parts that diffusers does not have, and the index that names it."""
    index_file = out / "model_index.json"
    index = json.loads(index_file.read_text(encoding="utf-8"))
    index["_class_name"] = ["pipeline_rap", "RaPPipeline"]
    for file, (module, name) in CODE.items():
        part = Path(file)
        if len(part.parts) == 2:
            if index[part.parts[0]][1] != name:
                continue  # Wan's codec is diffusers' own
            index[part.parts[0]] = [part.stem, name]
        write_text(out / file, f'{SAYS_WHERE}\n\nfrom {module} import {name}\n\n__all__ = ["{name}"]\n')
    write_text(index_file, json.dumps(index, indent=2, sort_keys=True) + "\n")


def _check_same(pipeline: RaPPipeline, out: Path) -> None:
    """What was written is loaded again and must be what was read, bit for bit.

    Raises:
        InputError: it is not, or something there is no safetensors.
    """
    again = model.load_pipeline(str(out), "cpu")
    for module, other in ((pipeline.transformer, again.transformer), (pipeline.vae, again.vae)):
        written = other.state_dict()
        for name, values in module.state_dict().items():
            if not values.equal(written[name]):
                raise InputError(f"{out}: {name} is not what was read; the disk may be damaged, write it elsewhere")
    strange = [path.name for path in out.rglob("*") if path.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl")]
    if strange:
        raise InputError(f"{out}: {strange[0]} is no safetensors file; weights are published as {WEIGHTS} alone")


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _sum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
