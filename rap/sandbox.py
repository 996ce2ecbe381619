"""Reading in a process that can be killed: what strangers give is decoded by a copy that has nothing to lose.

A template process imports the readers and forks for every read, so that a read costs milliseconds and begins with a
clean process. The copy has a limit of memory and of wall time, which the kernel holds whatever a decoder does, and
ends as soon as nobody listens any more. What goes over the socket is JSON and raw arrays, never a pickle: who has taken
over a copy can send wrong pictures, and no more.

It is no jail: a copy runs as the same user and sees the same files. Where there is no fork (Windows) reading happens in
the caller's process, under the limits that the readers themselves hold.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rap.errors import InputError
from rap.guard import reading
from rap.limits import READ_BYTES, READ_SECONDS, READS

DECODERS = ("cv2", "av")
"""Imported by readers when they need them; the template has them ready."""

Packed = tuple[Any, Mapping[str, np.ndarray]]
"""Values that JSON knows, and arrays by name."""

LENGTH = struct.Struct("<Q")
MODULE_BYTES = 128  # of a module's name
ANSWER_BYTES = 64 << 20  # of JSON
GRACE_S = 5.0
SINGLE_THREADED = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

logger = logging.getLogger(__name__)

_turns = threading.BoundedSemaphore(READS.value)


def call(function: Callable[..., Packed], name: str, **arguments: Any) -> Packed:
    """Run a reader in a process of its own.

    Args:
        function: of a module, takes values that JSON knows and gives values and arrays.
        name: of what is read, for a refusal.

    Raises:
        InputError: what is given cannot be used, takes too long, or takes the process down.
        ValueError: the reader was called wrongly.
    """
    if not hasattr(os, "fork"):
        return function(**arguments)
    if not _turns.acquire(timeout=READ_SECONDS.value):
        raise InputError(f"{name}: others' files are being read, and it is not its turn yet; try again in a minute")
    try:
        request = {
            "call": f"{function.__module__}:{function.__qualname__}",
            "arguments": arguments,
            "name": name,
            "seconds": READ_SECONDS.value,
            "bytes": READ_BYTES.value,
        }
        began = time.monotonic()
        try:
            with _template.connection(function.__module__) as connection:
                connection.settimeout(READ_SECONDS.value + GRACE_S)
                _send(connection, json.dumps(request).encode())
                answer, arrays = _received(connection)
        except (EOFError, OSError) as error:
            seconds = time.monotonic() - began
            logger.warning("%s: its reader ended after %.1f s (%s)", name, seconds, error)
            raise InputError(_ended(name, seconds)) from None
    finally:
        _turns.release()
    if "refused" in answer:
        raise InputError(answer["refused"])
    if "wrong" in answer:
        raise ValueError(answer["wrong"])
    return answer["values"], arrays


def _ended(name: str, seconds: float) -> str:
    if seconds >= READ_SECONDS.value:
        return f"{name}: takes longer than {READ_SECONDS.value} seconds to read; give a shorter or smaller one"
    return f"{name}: ends the program that reads it, so it is damaged or far too large; export it again, or smaller"


# --- the template, seen from outside ----------------------------------------------------------------------------------


class _Template:
    """The process that forks; started when it is first needed, and again when it has ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def connection(self, module: str) -> socket.socket:
        """One end of a new socket, the other with a fresh copy that has imported a module."""
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            for _ in range(2):
                if self._process is None or self._process.poll() is not None:
                    self._start()
                assert self._control is not None
                try:
                    socket.send_fds(self._control, [module.encode().ljust(MODULE_BYTES)], [theirs.fileno()])
                    return ours
                except OSError:
                    self._end()
        ours.close()
        raise OSError("the program that reads files does not start")

    def _start(self) -> None:
        self._end()
        self._control, theirs = socket.socketpair()
        command = [sys.executable, "-m", "rap.sandbox", str(theirs.fileno())]
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        environment = {**os.environ, **SINGLE_THREADED, "PYTHONPATH": path}
        with theirs:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], env=environment
            )

    def close(self) -> None:
        """End the template; copies of it end when their own sockets are closed."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._control = None


_template = _Template()
atexit.register(_template.close)


def warm_up(*modules: str) -> None:
    """Start the template and let it import readers, so that the first read need not wait for that."""
    for module in modules if hasattr(os, "fork") else ():
        _template.connection(module).close()


# --- the template, seen from inside -----------------------------------------------------------------------------------


def serve(control: socket.socket) -> None:
    """Fork for every socket that comes, until nobody sends any more."""
    for module in DECODERS:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the copies
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the app, which then closes the socket
    while True:
        message, handles, _, _ = socket.recv_fds(control, MODULE_BYTES, 1)
        if not message:
            return
        importlib.import_module(message.decode().strip())
        for handle in handles:
            with socket.socket(fileno=handle) as connection:
                if os.fork() == 0:
                    control.close()
                    _live(connection)


def _live(connection: socket.socket) -> None:
    """A copy's whole life."""
    try:
        request = json.loads(_receive(connection, ANSWER_BYTES))
        _take_limits(request["seconds"], request["bytes"])
        threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
        _answer(connection, request)
    finally:
        os._exit(0)  # no handlers and no buffers of the template's


def _take_limits(seconds: int, most_bytes: int) -> None:
    import resource

    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the kernel ends the process, in whatever code it is
    signal.alarm(seconds)
    held = _held_bytes()
    for limit, value in (
        (resource.RLIMIT_DATA, held + most_bytes),  # not the address space: threads reserve more than they use
        (resource.RLIMIT_FSIZE, most_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # a lower limit is set already
            resource.setrlimit(limit, (value, value))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # where memory is short all the same, it is not the app that ends


def _held_bytes() -> int:
    """What counts against a limit of data and is there already; nothing where the kernel does not tell."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _end_with(connection: socket.socket) -> None:
    """Nothing more is sent to a copy, so that this waits until the socket is closed: nobody wants the answer."""
    with contextlib.suppress(OSError):
        connection.recv(1)
    os._exit(0)


def _answer(connection: socket.socket, request: dict[str, Any]) -> None:
    module, name = request["call"].split(":")
    values, arrays, answer = None, {}, {}
    try:
        function = getattr(importlib.import_module(module), name)
        try:
            values, arrays = function(**request["arguments"])
        except ValueError as error:
            answer = {"refused" if isinstance(error, InputError) else "wrong": str(error)}
        except Exception:
            with reading(request["name"]):
                raise
    except InputError as error:
        answer = {"refused": str(error)}
    arrays = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
    heads = [[key, array.dtype.str, array.shape] for key, array in arrays.items()]
    _send(connection, json.dumps({"values": values, "arrays": heads, **answer}).encode())
    for array in arrays.values():
        connection.sendall(array.reshape(-1).view(np.uint8).data)


# --- the socket -------------------------------------------------------------------------------------------------------


def _send(connection: socket.socket, data: bytes) -> None:
    connection.sendall(LENGTH.pack(len(data)) + data)


def _receive(connection: socket.socket, most: int) -> bytes:
    (length,) = LENGTH.unpack(_exactly(connection, LENGTH.size))
    if length > most:
        raise OSError(f"an answer of {length} bytes")
    return bytes(_exactly(connection, length))


def _exactly(connection: socket.socket, length: int) -> bytearray:
    data = bytearray(length)
    view, got = memoryview(data), 0
    while got < length:
        count = connection.recv_into(view[got:])
        if count == 0:
            raise EOFError("it ended without an answer")
        got += count
    return data


def _received(connection: socket.socket) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    answer = json.loads(_receive(connection, ANSWER_BYTES))
    arrays, left = {}, READ_BYTES.value
    for key, kind, shape in answer.pop("arrays"):
        dtype = np.dtype(kind)
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        left -= size
        if dtype.kind not in "biufU" or size < 0 or left < 0:
            raise OSError(f"an answer with {kind} of {shape}")
        arrays[key] = np.frombuffer(_exactly(connection, size), dtype).reshape(shape)
    return answer, arrays


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
