"""A viser server that listens nowhere.

viser serves on a TCP port, with the scene and all commands for whoever finds it: any process of the machine, and any
web page, for it asks nobody for their origin. Here nothing is bound at all. `connect` makes a pair of sockets, gives
viser's protocol one end and the caller the other; who does not hold this object has nothing to connect to.

viser offers no such way, so two things of viser 1.1 are replaced: the class that `ViserServer` takes for its server,
and, of that server's own event loop, what binds. Where another release does otherwise, `start` finds that nothing was
handed over, and refuses to serve.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

import viser
import viser.infra

START_S = 20.0  # on a busy machine; it takes some hundredths
NOT_BOUND = f"viser {viser.__version__} would open a port of its own; install the tested release (1.1)"


def _in_one_line(record: logging.LogRecord) -> bool:
    """What fails at a stranger's bytes is said without its traceback: they would fill the log, and it names folders."""
    if record.exc_info and record.exc_info[0] is not None:
        record.msg, record.args = f"viewport: {record.getMessage()}: {record.exc_info[0].__name__}", ()
        record.exc_info = None
    return True


logging.getLogger("websockets.server").addFilter(_in_one_line)  # viser's; uvicorn has its server log elsewhere


class _NotListening:
    """In the place of the asyncio server that websockets would accept connections from."""

    sockets = ()

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._is_serving = loop, True

    def close(self) -> None:
        self._is_serving = False

    async def wait_closed(self) -> None:
        return None

    def is_serving(self) -> bool:
        return self._is_serving

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop


class InnerServer(viser.infra.WebsockServer):
    """viser's WebSocket server, reached through `connect` alone."""

    _protocol: Callable[[], asyncio.BaseProtocol] | None = None
    _failure: BaseException | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    @property
    def _background_event_loop(self) -> asyncio.AbstractEventLoop | None:
        return self._loop

    @_background_event_loop.setter
    def _background_event_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """viser's thread has made its loop, and will serve on it next."""
        self._loop = loop
        if loop is not None:
            loop.create_server = self._take_protocol  # type: ignore[method-assign]

    async def _take_protocol(self, protocol: Callable[[], asyncio.BaseProtocol], *_: Any, **__: Any) -> Any:
        assert self._loop is not None
        self._protocol = protocol
        return _NotListening(self._loop)

    def start(self) -> None:
        """Start the server's thread.

        Raises:
            OSError: the process has no descriptors left for an event loop.
            RuntimeError: this viser opens a port.
        """
        ready = threading.Semaphore(0)
        self._server_thread = threading.Thread(target=self._work, args=(ready,), name="viewport", daemon=True)
        self._server_thread.start()
        if not ready.acquire(timeout=START_S):
            self._failure = self._failure or OSError(errno.ETIMEDOUT, "the viewport's server did not start in time")
        if self._failure is not None:
            raise self._failure
        if self._protocol is None:
            self.stop()
            raise RuntimeError(NOT_BOUND)

    def _work(self, ready: threading.Semaphore) -> None:
        try:
            self._background_worker(ready)
        except OSError as error:  # no descriptor for the loop: viser's own `start` would wait for it without end
            self._failure = error
            ready.release()

    def connect(self) -> socket.socket:
        """One end of a new connection; the other is the server's.

        Raises:
            OSError: the server has stopped, or there are no descriptors left.
        """
        if self._protocol is None or self._loop is None or self._loop.is_closed():
            raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        accepted = asyncio.run_coroutine_threadsafe(
            self._loop.connect_accepted_socket(self._protocol, theirs),  # type: ignore[arg-type]
            self._loop,
        )
        try:
            accepted.result(timeout=START_S)
        except BaseException as error:
            ours.close()
            theirs.close()
            raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)) from error
        return ours


def inner_server() -> viser.ViserServer:
    """A viser server on an `InnerServer`.

    Raises:
        OSError, RuntimeError: as `InnerServer.start`.
    """
    with _MAKING, mock.patch.object(viser.infra, "WebsockServer", InnerServer):
        return viser.ViserServer(host="127.0.0.1", port=0, verbose=False)


def connect(server: viser.ViserServer) -> socket.socket:
    """As `InnerServer.connect`, of the server that `inner_server` has made."""
    inner = server._websock_server
    assert isinstance(inner, InnerServer)
    return inner.connect()


_MAKING = threading.Lock()  # what is replaced meanwhile is the module's
