"""What a training does with its time: samples per second, and the share of what the machine's matrix products reach."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any, TypeVar

import torch
from torch.utils.flop_counter import FlopCounterMode

from rap.errors import InputError

MATMUL_SIDE = 2048
"""Of the square matrix product whose speed is the measure."""

TRIAL_SIDE, PRODUCT_S = 256, 3.0
"""Of one that tells how long the other would take, and the longest that is waited for it."""

REPORT_EVERY_S = 5.0

T = TypeVar("T")


def checked_device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        InputError: torch knows no such device, or this machine has none.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"--device must be cpu or cuda, got {name!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"--device must be cpu or cuda, got {name!r}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no GPU here; train with --device cpu, or install torch for CUDA")
    return device


def synchronize(device: torch.device) -> None:
    """Wait for what was sent to the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def flop_counter() -> FlopCounterMode:
    """Counts matrix products, convolutions and attentions, forward and backward; what is elementwise is left out."""
    # torch knows the formulas for CUDA's attention kernels only; the CPU's have names of their own.
    forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    return FlopCounterMode(display=False, custom_mapping={forward: attention_flop, backward: attention_backward_flop})


def count_flop(run: Callable[[], object]) -> int:
    """FLOP of one call (`flop_counter`)."""
    with flop_counter() as counter:
        run()
    return counter.get_total_flops()


def attention_flop(query: Sequence[int], key: Sequence[int], *_shapes: Any, **_options: Any) -> int:
    """q k^T and its product with v, for shapes (B, N, L, d); 2 FLOP a multiply-add."""
    batch, heads, queries, width = query
    return 2 * 2 * batch * heads * queries * key[2] * width


def attention_backward_flop(
    _gradient: Sequence[int], query: Sequence[int], key: Sequence[int], *_shapes: Any, **_options: Any
) -> int:
    """Five products of that size: the scores again, and the gradients of v, of the weights, of q and of k."""
    return 5 * attention_flop(query, key) // 2


@lru_cache
def matmul_flop_per_s(device: torch.device, dtype: torch.dtype, repeats: int = 3) -> float:
    """The best of a few MATMUL_SIDE^3 products: what the device reaches, not what else runs on it.

    Measured once a process. Where one product would take long (16 bits on a processor that has no instructions for
    them: 29 times as long as 32 bits), those of TRIAL_SIDE^3 count.
    """
    trial = _best_product(TRIAL_SIDE, device, dtype, repeats)
    if MATMUL_SIDE**3 / trial > PRODUCT_S:
        return 2 * trial
    return 2 * _best_product(MATMUL_SIDE, device, dtype, repeats)


def _best_product(side: int, device: torch.device, dtype: torch.dtype, repeats: int) -> float:
    """Multiply-adds a second of square matrices."""
    a, b = (torch.randn(side, side).to(device, dtype) for _ in range(2))
    return side**3 / min(_seconds(partial(torch.matmul, a, b), device) for _ in range(1 + repeats))


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    synchronize(device)
    began = time.perf_counter()
    run()
    synchronize(device)
    return time.perf_counter() - began


class Throughput:
    """Counts steps, samples and FLOP, and says a line of them every few seconds.

    The FLOP are those of forward and backward; the optimizer's are left out.

    Args:
        peak_flop_per_s: `matmul_flop_per_s` of the device in the step's type.
        say: gets the lines.
    """

    def __init__(
        self, peak_flop_per_s: float, say: Callable[[str], None] = print, every_s: float = REPORT_EVERY_S
    ) -> None:
        self.peak_flop_per_s = peak_flop_per_s
        self.say, self.every_s = say, every_s
        self.total_flop, self.total_samples, self.total_step_s = 0, 0, 0.0
        self._began = time.perf_counter()
        self._start_window()

    def run(self, samples: int, flop: int, step: Callable[[], T]) -> T:
        """Do one step of so many samples and FLOP."""
        began = time.perf_counter()
        result = step()
        spent = time.perf_counter() - began
        self.total_flop += flop
        self.total_samples += samples
        self.total_step_s += spent
        self._flop, self._samples, self._step_s = self._flop + flop, self._samples + samples, self._step_s + spent
        return result

    def report(self, step: int, losses: Sequence[float], remaining_s: float, force: bool = False) -> None:
        """Say a line, if the last one is long enough ago."""
        wall = time.perf_counter() - self._window_began
        if wall < self.every_s and not force:
            return
        wall, inside = max(wall, 1e-9), max(self._step_s, 1e-9)
        self.say(
            f"step {step}: video {losses[0]:.4f}, rays {losses[1]:.4f}, {self._samples / wall:.1f} samples/s, "
            f"{self._flop / inside / self.peak_flop_per_s:.2f} of the matmul peak in steps "
            f"({self._flop / wall / self.peak_flop_per_s:.2f} of all time), {duration(remaining_s)} left"
        )
        self._start_window()

    def summary(self) -> dict[str, float]:
        """Figures of the whole part."""
        wall = max(time.perf_counter() - self._began, 1e-9)
        inside = max(self.total_step_s, 1e-9)
        return {
            "samples_per_s": self.total_samples / wall,
            "matmul_gflop_per_s": self.peak_flop_per_s / 1e9,
            "share_of_matmul_in_steps": self.total_flop / inside / self.peak_flop_per_s,
            "share_of_matmul": self.total_flop / wall / self.peak_flop_per_s,
        }

    def _start_window(self) -> None:
        self._window_began = time.perf_counter()
        self._flop, self._samples, self._step_s = 0, 0, 0.0


class Ahead:
    """What a function gives for 0, 1, 2, ..., made by threads before it is asked for.

    The function must depend on the number alone, so that what comes does not depend on the threads.

    Args:
        workers: threads, and how many are made ahead; 0 calls the function when asked.
    """

    def __init__(self, make: Callable[[int], T], workers: int) -> None:
        self._make, self._workers = make, workers
        self._pool = ThreadPoolExecutor(workers) if workers else None
        self._pending: dict[int, Future] = {}

    def __call__(self, number: int) -> Any:
        """The value of `number`; those after it are begun."""
        if self._pool is None:
            return self._make(number)
        for ahead in range(number, number + self._workers + 1):
            if ahead not in self._pending:
                self._pending[ahead] = self._pool.submit(self._make, ahead)
        return self._pending.pop(number).result()

    def close(self) -> None:
        """Forget what nobody asked for."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


def duration(seconds: float) -> str:
    """As 1:02:03 or 2:03."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
