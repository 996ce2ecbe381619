"""The command line of the app, and whether it can start at all: told in one sentence, with exit status 2.

Nothing here imports Gradio or torch, so that who mistypes an option reads so at once. Gradio's own variables
(GRADIO_SERVER_NAME, GRADIO_SERVER_PORT, GRADIO_ROOT_PATH ...) stand where an option is not given; they are held to the
same rules.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import socket
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rap.checkpoint import check_checkpoint, check_networks
from rap.cli import Parser
from rap.cli.options import add_memory, add_placement, frame_count, natural, positive, steps, use_memory
from rap.config import NUM_FRAMES
from rap.errors import InputError
from rap.generators.kinds import chosen_generator

MAX_PORT = 65_535
LOCAL, CLIENT = "local", "ray://"
KIOSK_QUIET_S = 60
DEVICE = re.compile(r"cpu|mps|cuda(:\d{1,2})?")
ROOT_PATH = re.compile(r"(https?://[A-Za-z0-9.:\[\]-]+)?(/[A-Za-z0-9._~%-]+)*/?")
CLIENT_ADDRESS = re.compile(rf"{CLIENT}[A-Za-z0-9._-]+:\d{{1,5}}")
NUMERIC_HOST = re.compile(r"[0-9.]+|.*:.*")  # looked up as a name, a mistyped address would wait for the network


OPTIONS = (
    (
        "--allowed-host",
        "NAME",
        "name under which the app is reached, *.example.com for all below it; addresses, localhost and this machine's "
        "own name always are",
    ),
    ("--trusted-proxy", "ADDRESS", "address or network of a proxy whose X-Forwarded-For is believed"),
    ("--frame-ancestor", "ORIGIN", "origin whose pages may show the app in a frame"),
    ("--open-route", "PATH", "a path of Gradio's that is closed otherwise, such as /gradio_api/openapi.json"),
)
"""For an app that strangers reach: option, metavar, help. Each may be given several times."""


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options of the app."""
    app = Parser(prog="rap app", description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    app.add_argument("--host", type=host, help="address to listen on (default: this machine only)")
    app.add_argument("--port", type=port, help="port (default: the first free one from 7860)")
    app.add_argument("--root-path", type=root_path, help="sub-path under which a proxy serves the app")
    app.add_argument("--share", action="store_true", help="open Gradio's public tunnel")
    app.add_argument("--device", type=device, help="cpu, cuda, cuda:1, mps (default: the fastest there is)")
    app.add_argument(
        "--checkpoint",
        metavar="NAME",
        help="folder of a checkpoint, or name or folder of a Wan VACE or SANA-WM model, extra gpu (default: the "
        "embedded model)",
    )
    app.add_argument("--prompt", default="", metavar="TEXT", help="what the page starts with, for models that read one")
    app.add_argument("--seed", type=natural, default=0, help="seed the page starts with")
    app.add_argument("--num-frames", type=frame_count, default=NUM_FRAMES, help="frames of a clip, 1 + 4 k")
    app.add_argument(
        "--predict", choices=("at-once", "when-asked"), default="at-once", help="when a film's cameras are found"
    )
    app.add_argument(
        "--depth-model",
        metavar="NAME",
        type=depth_model,
        default="",
        help="another model of a picture's depth, by name or folder, through transformers (extra depth)",
    )
    app.add_argument("--steps", type=steps, help="sampling steps the page starts with (default: the model's own)")
    app.add_argument(
        "--state",
        default=os.environ.get("RAP_STATE") or None,
        metavar="DIR",
        help="folder in which what pages work on outlives tab and app, for a day; RAP_STATE in the environment "
        "(default: rays-as-pixels in the user's cache)",
    )
    app.add_argument(
        "--kiosk",
        type=positive,
        nargs="?",
        const=KIOSK_QUIET_S,
        metavar="SECONDS",
        help="for a demonstration: moves on the number keys, examples while nobody is there, no file dialogs, and a "
        f"new session after so many quiet seconds ({KIOSK_QUIET_S})",
    )
    app.add_argument(
        "--mcp", action="store_true", help="answer agents as well, by the Model Context Protocol (extra mcp)"
    )
    add_memory(app)
    add_placement(app)
    _add_serving(app)
    strangers = app.add_argument_group(
        "behind a proxy, or open to strangers",
        "each may be given several times, or with commas in RAP_ALLOWED_HOST etc.",
    )
    for name, value, words in OPTIONS:
        variable = "RAP_" + name.strip("-").replace("-", "_").upper()  # where nobody types a command line: a Space
        given = [part.strip() for part in os.environ.get(variable, "").split(",") if part.strip()]
        strangers.add_argument(name, action="append", default=given, metavar=value, help=words)
    return app


def _add_serving(app: argparse.ArgumentParser) -> None:
    group = app.add_argument_group("models in processes of their own", "by Ray Serve, extra scale")
    group.add_argument(
        "--serve",
        type=serving,
        nargs="?",
        const=LOCAL,
        metavar="ADDRESS",
        help=f"{LOCAL}: Ray is started here, as without an address; auto: on a machine of a cluster; HOST:6379: of its "
        f"head; {CLIENT}HOST:10001: from outside; rap serve ADDRESS is the same",
    )
    group.add_argument(
        "--replicas", type=replicas, default=(1, 1), metavar="N|MIN-MAX", help="processes; more while tasks wait"
    )
    group.add_argument(
        "--replica-gpus", type=share, default=0.0, metavar="N", help="of each, as 1 or 0.5; 0: it sees none"
    )
    group.add_argument("--replica-cpus", type=share, default=1.0, metavar="N", help="of each")


def check(options: argparse.Namespace) -> None:
    """Refuse what would fail later: an address that cannot be had, a checkpoint that cannot be loaded.

    Args:
        options: as `parser` gives them.

    Raises:
        InputError: the sentence names option or file, value and remedy.
        FileNotFoundError: there is no such checkpoint.
    """
    _from_environment("GRADIO_SERVER_PORT", port)
    _from_environment("GRADIO_NUM_PORTS", positive)
    _from_environment("GRADIO_ROOT_PATH", root_path)
    if options.mcp and find_spec("mcp") is None:
        raise InputError("--mcp: needs mcp, which is not installed; install it with pip install 'rays-as-pixels[mcp]'")
    name = options.host or _from_environment("GRADIO_SERVER_NAME", host) or "127.0.0.1"
    _check_address(name, options.port)
    _check_state(options.state)
    use_memory(options)
    if chosen_generator(options.checkpoint) is None:
        check_checkpoint(options.checkpoint)
    check_networks()


def host(text: str) -> str:
    """An address or a name of this machine."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if NUMERIC_HOST.fullmatch(bare):
        try:
            ipaddress.ip_address(bare)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no address; try 127.0.0.1, or 0.0.0.0 for all") from None
    elif not re.fullmatch(r"[A-Za-z0-9._-]{1,253}", bare):
        raise argparse.ArgumentTypeError(f"{text!r} is neither an address nor a name of this machine")
    return text


def port(text: str) -> int:
    """A TCP port."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"must be a port from 1 to {MAX_PORT}, got {text[:40]!r}")
    return int(text)


def depth_model(text: str) -> str:
    """A name or a folder; whether there is such a model is known when it is loaded."""
    if text and find_spec("transformers") is None:
        raise argparse.ArgumentTypeError(
            "needs transformers, which is not installed; install it with pip install 'rays-as-pixels[depth]'"
        )
    return text


def serving(text: str) -> str:
    """Where Ray is; whether it can be reached is known when the page has begun."""
    if find_spec("ray") is None:
        raise argparse.ArgumentTypeError(
            "needs Ray, which is not installed; install it with pip install 'rays-as-pixels[scale]'"
        )
    if text.startswith(CLIENT) and not CLIENT_ADDRESS.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be {CLIENT}HOST:10001, or the port it has there, got {text[:80]!r}")
    return text


def replicas(text: str) -> tuple[int, int]:
    """A number of processes, or the least and the most."""
    found = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", text)
    least, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= least <= most:
        raise argparse.ArgumentTypeError(f"must be a number from 1, or two as 1-8, got {text[:40]!r}")
    return least, most


def share(text: str) -> float:
    """Processors or GPUs of a process, as Ray counts them."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 64:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 64, got {text[:40]!r}")
    return value


def device(text: str) -> str:
    """The name of a device; whether it is there, torch knows."""
    if not DEVICE.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be cpu, cuda, cuda:1 or the like, or mps, got {text[:40]!r}")
    return text


def root_path(text: str) -> str:
    """A sub-path, or a whole address with one."""
    if not ROOT_PATH.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be a path as /rays, or an address with one, got {text[:40]!r}")
    return text


def _from_environment(name: str, kind: Callable[[str], Any]) -> Any:
    """The value of one of Gradio's variables; None where it is not set."""
    text = os.environ.get(name)
    if not text:
        return None
    try:
        return kind(text)
    except argparse.ArgumentTypeError as error:
        raise InputError(f"{name} in the environment: {error}") from None


def _check_state(named: str | None) -> None:
    """A folder that is named must do; without a name, the app makes do with a temporary one."""
    if not named:
        return
    try:
        Path(named).mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=named).close()
    except (OSError, ValueError) as error:  # the latter: a zero byte
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--state {named}: cannot be written ({reason}); name another folder") from None


def _check_address(name: str, number: int | None) -> None:
    """Bind it once; without a number Gradio looks for a free port itself."""
    try:
        places = socket.getaddrinfo(name.strip("[]"), number or 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        raise InputError(f"--host {name}: no such name here; try 127.0.0.1, or 0.0.0.0 for all addresses") from None
    family, kind, protocol, _, address = places[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: no wait for old connections
        try:
            probe.bind(address)
        except PermissionError:
            raise InputError(f"--port {number}: needs the rights of root here; take one from 1024") from None
        except OSError as error:
            if number is None:
                raise InputError(f"--host {name}: cannot be listened on ({error.strerror}); try 127.0.0.1") from None
            raise InputError(
                f"--port {number}: cannot be had at {name} ({error.strerror}); take another, or end who has it"
            ) from None
