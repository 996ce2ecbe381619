"""The stages of a build on Ray Data: as many side by side as there are cores, on one machine or on a cluster."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

from rap.errors import InputError
from rap.shards.settings import Building, Row

MEGABYTE = 1 << 20

AT_ONCE = 4096
"""Clips that Ray is told of at a time: it keeps word of each."""


def run(
    settings: Building, rows: list[Row], read: Callable[[Row], Row], encoder: Callable[[Building], Any]
) -> Iterator[Row]:
    """Rows after both stages, in the order they went in, so that the same collection makes the same shards.

    Raises:
        InputError: Ray is missing, or there is no cluster at `settings.address`.
    """
    try:
        ray, data = importlib.import_module("ray"), importlib.import_module("ray.data")
    except ImportError as error:
        raise InputError("--workers needs Ray; pip install 'rays-as-pixels[scale]', or leave it out") from error
    _begin(ray, settings)
    try:
        context = data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        for first in range(0, len(rows), AT_ONCE):
            part = rows[first : first + AT_ONCE]
            given = data.from_items(part, override_num_blocks=len(part))
            clips = given.map(read, num_cpus=1, memory=_of_a_clip(settings))
            yield from clips.map(encoder, fn_constructor_args=(settings,), **_share(settings, data)).iter_rows()
    finally:
        ray.shutdown()


def _of_a_clip(settings: Building) -> int:
    """Bytes that reading one takes. Told to Ray as well because it fuses stages of equal needs: encoders would read."""
    return 4 * 3 * settings.frames * settings.size[0] * settings.size[1]


def _share(settings: Building, data: Any) -> dict[str, Any]:
    """Of the machine, for each process that encodes."""
    on_gpu = settings.device.startswith("cuda")
    pool = data.ActorPoolStrategy(size=settings.encoders)
    return {"compute": pool, "num_gpus": int(on_gpu), "num_cpus": int(not on_gpu)}


def _begin(ray: Any, settings: Building) -> None:
    if settings.address:
        try:
            ray.init(address=settings.address, log_to_driver=False)
        except ConnectionError as error:
            raise InputError(f"--address {settings.address}: no Ray cluster answers there") from error
        return
    store = settings.object_store_mb * MEGABYTE or None
    cores = settings.workers + (0 if settings.device.startswith("cuda") else settings.encoders)
    ray.init(num_cpus=cores, object_store_memory=store, include_dashboard=False, log_to_driver=False)
