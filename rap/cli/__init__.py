"""The `rap` command.

Bad input ends it with status 2 and one sentence on stderr; with --json, stdout holds one JSON object. torch and
diffusers are imported only by the commands that run the model, so that `rap --help` and `rap check` answer at once.

`rap.__main__` runs it; `rap app` takes parser and options from here (`ui.serve.startup`), and nobody else imports it. A
command is a file with `add_parser` and `run`; read `check`, the shortest, then `estimate` and `generate` with what they
share: `options`, `model`, `cameras`, `results`. The commands in `DELEGATED` have options of their own.
"""

from __future__ import annotations

import rap.threads  # noqa: F401  before whatever imports NumPy or torch

# isort: split
import argparse
import contextlib
import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from rap.cli import check, codec, convert, estimate, generate, imagine, preview, publish, roundtrip, shards, synthetic
from rap.cli.results import report_lines
from rap.errors import InputError

BAD_INPUT = 2
"""Exit status, as argparse's own."""

DELEGATED = {
    "train": ("rap.train", "train the codec or the model (own options: rap train --help)"),
    "evaluate": ("rap.evaluation", "score a checkpoint on clips of known cameras (own options: rap evaluate --help)"),
    "bench": ("rap.bench", "measure speed and memory (own options: rap bench --help)"),
}
"""Commands with their own parsers: command -> module with `main(argv)`, help."""


class Parser(argparse.ArgumentParser):
    """Argparse with one sentence in place of usage and message."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        sys.exit(BAD_INPUT)


def parser(delegated: Mapping[str, tuple[str, str]] = DELEGATED) -> argparse.ArgumentParser:
    """The options of every command that is not delegated; each command's module adds its own."""
    top = Parser(
        prog="rap",
        description="Rays as Pixels: camera trajectories from videos, videos from camera trajectories, or both.",
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for module in (estimate, preview, generate, imagine, roundtrip, check, convert, codec, synthetic, shards, publish):
        module.add_parser(commands)
    for name, (_, summary) in delegated.items():
        commands.add_parser(name, help=summary, add_help=False)
    return top


def main(argv: Sequence[str] | None = None, delegated: Mapping[str, tuple[str, str]] = DELEGATED) -> int:
    """Run one command; returns the exit status. Errors that are not the user's propagate.

    Args:
        argv: the command and its options; None: those of the process.
        delegated: the commands with parsers of their own, as `DELEGATED`.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments and arguments[0] in delegated:
            module = importlib.import_module(delegated[arguments[0]][0])
            return int(module.main(arguments[1:]) or 0)
        options = parser(delegated).parse_args(arguments)
        # Whatever a library prints must not get between the lines of the result.
        with contextlib.redirect_stdout(sys.stderr):
            result = options.run(options)
    except (ValueError, FileNotFoundError) as error:
        sentence = refusal(error)
        if sentence is None:
            raise
        print(f"rap {arguments[0]}: {sentence}", file=sys.stderr)
        return BAD_INPUT
    print(json.dumps(result, allow_nan=False) if options.json else "\n".join(report_lines(result)))
    return 0


def refusal(error: ValueError | FileNotFoundError) -> str | None:
    """The sentence for the user when an error is about the input, None when it is a fault of the program.

    A ValueError is about the input when our own code raised it: one from inside a library is a fault.
    """
    if isinstance(error, FileNotFoundError):
        if error.filename is not None:
            return f"{error.filename}: no such file or folder"
        return " ".join(str(error).split())
    return " ".join(str(error).split()) if isinstance(error, InputError) or _raised_here(error) else None


def _raised_here(error: BaseException) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__", "")).split(".")[0] == "rap"
