"""Models in processes of their own, by Ray Serve: each replica holds one pipeline, and this process holds none.

A replica does one task at a time; Ray starts more of them while tasks wait, up to a number, and ends those that have
nothing to do. What crosses is what crosses on ZeroGPU, too (`ui.serve.zero_gpu`): NumPy and plain values, an error of
ours as its sentence. No port is opened for requests: the page calls replicas by their handle, from a machine of the
cluster, or from outside through an actor that does so. Ray needs a private network, for whoever reaches it can run
code.

Nothing here is imported before `--serve` asks for it.
"""

from __future__ import annotations

import os

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
os.environ.setdefault("RAY_DISABLE_FAILURE_SIGNAL_HANDLER", "1")  # this process has its own (`ui.serve.ending`)
os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # else what is cancelled late would start Ray anew

# isort: split
import asyncio
import hashlib
import itertools
import json
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Generator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import ray  # pyright: ignore[reportMissingImports]
from ray import exceptions, serve  # pyright: ignore[reportMissingImports]

from rap.errors import InputError
from rap.pipeline.tasks import Progress
from ui.serve.startup import CLIENT, LOCAL
from ui.serve.zero_gpu import Refusal, in_words

logger = logging.getLogger(__name__)

DEPLOYMENT = "pipeline"
ATTEMPTS = 2  # a replica that ends in the middle of a task is replaced once
STORE_BYTES = 200_000_000  # of the object store for each replica, where Ray is started here: a film and its hints
IDLE_S = 600.0  # a replica that nobody has asked for so long is ended, down to the least number
LOOK_S = 0.2  # how soon a task that waits for a replica can be taken back
LOST = exceptions.RayActorError, exceptions.NodeDiedError, exceptions.ObjectLostError  # a process has ended
SILENT: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
BEGUN = "begun"  # a replica's first word


@dataclass(frozen=True)
class Serving:
    """What `--serve` and its options say.

    Attributes:
        address: of Ray's head as "10.0.0.5:6379", "auto" on a machine of a cluster, "ray://10.0.0.5:10001" of its
            server for clients outside, `LOCAL`: Ray is started here.
        least, most: replicas.
        cpus, gpus: of each, as Ray counts them; without a GPU a replica sees none.
        checkpoint, device, placement: as `rap.cli.model.load_any` takes them, on the replica's machine.
    """

    address: str
    least: int = 1
    most: int = 1
    cpus: float = 1.0
    gpus: float = 0.0
    checkpoint: str | None = None
    device: str | None = None
    placement: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> tuple[str | None, str | None, dict[str, Any]]:
        """What a replica is made of; a folder is named in full."""
        folder = self.checkpoint and os.path.isdir(self.checkpoint)
        return os.path.abspath(self.checkpoint or "") if folder else self.checkpoint, self.device, self.placement

    @property
    def app(self) -> str:
        """The name in the cluster: pages of the same model share its replicas."""
        digest = hashlib.sha256(json.dumps(self.model, sort_keys=True).encode())
        return f"rays-as-pixels-{digest.hexdigest()[:12]}"


class Replica:
    """One pipeline in a process. Calls come one at a time (`max_ongoing_requests`)."""

    def __init__(self, checkpoint: str | None, device: str | None, placement: dict[str, Any]) -> None:
        from rap.cli.model import load_any

        self._threads = ThreadPoolExecutor(1, "rap-replica")  # Ray asks after its health meanwhile
        self._pipeline: Any = load_any(checkpoint, device, **placement)

    async def stream(self, task: Any) -> AsyncIterator[Any]:
        """`BEGUN`, then the pipeline's words; a call that is cancelled ends it before its next step."""
        loop, steps = asyncio.get_running_loop(), in_words(self._pipeline, task)
        try:
            yield BEGUN
            while (word := await loop.run_in_executor(self._threads, next, steps, None)) is not None:
                yield word
        finally:
            await asyncio.shield(loop.run_in_executor(self._threads, steps.close))


class Elsewhere(ABC):
    """Models in other processes behind the interface of one pipeline; several tasks may be streamed at once."""

    is_elsewhere = True
    """The memory of this process says nothing of the model."""

    def stream(self, task: Any) -> Generator[Any, None, None]:
        """As the pipeline's own; closing it stops the replica before its next step, or takes back what waits for one.

        Where a replica ends in the middle of a task (a process that was killed, a machine that went away) the task is
        begun again, once, in another one.

        Raises:
            InputError: the pipeline refused the task.
            RuntimeError: the second replica has ended, too.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with closing(self._words(task)) as words:
                    for word in words:
                        if isinstance(word, Refusal):
                            raise InputError(word.sentence)
                        yield word
                return
            except LOST as error:
                logger.warning("a replica was lost: %s", str(error).splitlines()[0])
                if attempt == ATTEMPTS:
                    raise RuntimeError("the model's process has ended, and so has the one after it") from error
            except exceptions.RayTaskError as error:  # its text is a whole traceback
                logger.warning("a replica met an error: %s", error)
                raise error.cause from None

    def close(self) -> None:
        """Leave Ray, in the thread that came to it, else it hangs; where it was begun here the replicas end with it."""
        ray.shutdown()

    @abstractmethod
    def _words(self, task: Any) -> Generator[Any, None, None]:
        """What a replica says; a refusal is its last word."""


class RemotePipeline(Elsewhere):
    """Replicas of the cluster that this process is in.

    Args:
        handle: of the deployment.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle.options(stream=True)

    def _words(self, task: Any) -> Generator[Any, None, None]:
        words = self._handle.stream.remote(task)
        try:
            yield from _waiting(words)
            yield from words
        finally:
            words.cancel()


class Relay:
    """In a cluster, for a page outside it: Ray's client passes calls on but streams nothing, so each word is asked for.

    Calls of one task come one after the other; several tasks are under way at once.
    """

    _replicas: RemotePipeline

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._streams: dict[int, Generator[Any, None, None]] = {}

    def prepare(self) -> Refusal | None:
        """Reach or start the replicas; why that cannot be."""
        try:
            self._replicas = within(self._serving)
        except InputError as error:
            return Refusal(str(error))
        return None

    def begin(self, number: int, task: Any) -> None:
        """A task of that number."""
        self._streams[number] = in_words(self._replicas, task)

    def next(self, number: int) -> Any:
        """Its next word; None after the last."""
        return next(self._streams[number], None)

    def end(self, number: int) -> None:
        """No more of it is wanted."""
        self._streams.pop(number).close()


class RelayedPipeline(Elsewhere):
    """Replicas of a cluster that this process is a client of.

    Raises:
        InputError: the first replica cannot be made.
    """

    def __init__(self, serving: Serving) -> None:
        self._serving, self._numbers = serving, itertools.count()
        self._relay = self._begun()

    def _begun(self) -> Any:
        options = {"num_cpus": 0, "max_concurrency": self._serving.most + 1}
        relay = ray.remote(Relay).options(**options).remote(self._serving)
        refused = ray.get(relay.prepare.remote())
        if refused is not None:
            raise InputError(refused.sentence)
        return relay

    def _words(self, task: Any) -> Generator[Any, None, None]:
        relay, number = self._relay, next(self._numbers)
        try:
            ray.get(relay.begin.remote(number, task))
            while (word := ray.get(relay.next.remote(number))) is not None:
                yield word
        except LOST:
            self._relay = self._begun()
            raise
        finally:
            relay.end.remote(number)


def _waiting(words: Any) -> Generator[Progress, None, None]:
    """Words of no steps, until a replica has begun."""
    with ThreadPoolExecutor(1, "rap-waiting") as thread:
        begun = thread.submit(next, words)
        try:
            while not wait([begun], LOOK_S).done:
                yield Progress(0, 0)
        except GeneratorExit:
            words.cancel()  # the thread ends by it
            raise
        begun.result()


def deployed(serving: Serving) -> Elsewhere:
    """Connect to Ray, or start it, and to the replicas there; where there are none yet they are started.

    Raises:
        InputError: Ray cannot be reached at the address, or the first replica cannot be made.
    """
    _connect(serving)
    return RelayedPipeline(serving) if serving.address.startswith(CLIENT) else within(serving)


def within(serving: Serving) -> RemotePipeline:
    """The replicas of the cluster that this process is in; where there are none yet they are started.

    Raises:
        InputError: the first one cannot be made.
    """
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    serve.start(proxy_location="Disabled", logging_config={"log_level": "WARNING"})
    there = serve.status().applications.get(serving.app)
    if there is None or there.status not in ("RUNNING", "DEPLOYING"):
        return RemotePipeline(start_replicas(serving))
    logger.warning("--serve: this model has replicas there; as many as they were started with")
    return RemotePipeline(serve.get_app_handle(serving.app))


def start_replicas(serving: Serving) -> Any:
    """Start them, or change how many there are; returns their handle once the first one is ready.

    Raises:
        InputError: it cannot be made.
    """
    deployment = serve.deployment(Replica).options(
        name=DEPLOYMENT,
        max_ongoing_requests=1,
        max_constructor_retry_count=1,  # what cannot be loaded is told at once: by itself Ray tries three times
        ray_actor_options={"num_cpus": serving.cpus, "num_gpus": serving.gpus},
        autoscaling_config={
            "min_replicas": serving.least,
            "max_replicas": serving.most,
            "target_ongoing_requests": 1,
            "look_back_period_s": 15.0,  # Ray asks every ten
            "upscale_delay_s": 2.0,
            "downscale_delay_s": IDLE_S,
        },
    )
    try:
        return serve.run(deployment.bind(*serving.model), name=serving.app, route_prefix=None)
    except RuntimeError as error:  # says nothing of what the replica met
        met = serve.status().applications[serving.app].deployments[DEPLOYMENT].message
        serve.delete(serving.app)
        reason = " ".join((met.strip() or str(error)).splitlines()[-1].split())[:300]
        raise InputError(f"--serve {serving.address}: no replica can be started ({reason})") from error


def _connect(serving: Serving) -> None:
    if ray.is_initialized():
        return
    options: dict[str, Any] = {"address": serving.address}
    if serving.address == LOCAL:
        cpus, store = math.ceil(serving.cpus * serving.most), STORE_BYTES * serving.most
        options = {"num_cpus": max(cpus, 1), "object_store_memory": store, "include_dashboard": False}
    try:
        try:
            ray.init(**SILENT, **options)
        except ConnectionAbortedError as error:  # the process that Ray begins there for each client ended as it began
            logger.warning("Ray is asked once more: %s", str(error).splitlines()[0])
            ray.init(**SILENT, **options)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"--serve {serving.address}: Ray cannot be reached ({reason}); begin it with ray start --head, or give "
            f"{LOCAL}; if it wants a token, set RAY_AUTH_MODE=token here"
        ) from error
