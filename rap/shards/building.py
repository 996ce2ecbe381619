"""Collections to shards of latents, in stages: read and judge a clip (cores), encode it (a GPU or cores), write it.

A stage takes a row and gives the next; Ray Data runs them side by side, on the cores of one machine or on a cluster,
and without it they run one after the other in this process. A clip that cannot be read is a row that says why.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rap.errors import InputError
from rap.geometry import Trajectory
from rap.model import LatentCodec, read_autoencoder
from rap.shards.archive import Made, ShardWriter
from rap.shards.judge import measured, refusal
from rap.shards.latents import DIRECTIONS, codec_sha256, encoded, pack, unpack
from rap.shards.scenes import Cut, Frames, Scene, cuts, read_frames, scene_length, scenes_below
from rap.shards.settings import Building, Row
from rap.shards.text import write_empty_prompt


def build(settings: Building, say: Callable[[str], None] = print) -> Mapping[str, Any]:
    """Build what is not there yet; returns the manifest.

    Raises:
        InputError: no collection, no codec, shards of another kind in `out`, or Ray is missing.
    """
    about = {
        "licence": settings.licence,
        "codec_sha256": codec_sha256(settings.codec),
        **{name: getattr(settings, name) for name in ("frames", "stride", "ray_frame_stride")},
        "size": list(settings.size),
        "limits": asdict(settings.limits),
    }
    writer = ShardWriter(settings.out, about, settings.clips_per_shard)
    if settings.text_encoder:
        write_empty_prompt(settings.text_encoder, settings.out)
    began, before = time.monotonic(), len(writer.done)
    for row in _run(settings, [job for job in jobs(settings) if job["key"] not in writer.done]):
        writer.add(_made(row))
    writer.flush()
    for line in lines(writer.manifest, before, time.monotonic() - began):
        say(line)
    return writer.manifest


def jobs(settings: Building) -> Iterator[Row]:
    """Every clip of a collection, to be read; a scene that cannot be looked into is one row that says why."""
    for scene in scenes_below(settings.root):
        try:
            length = scene_length(scene)
            chosen = cuts(length, settings.frames, settings.stride, settings.size, settings.clips_per_scene)
            refused = "" if chosen else f"short: {length} frames"
        except Exception as error:  # whatever is wrong with one scene must not end the others; it is reported
            chosen, refused = [], _told(error)
        if refused:
            yield _row(f"{_key(scene)}-all", refused)
        for cut in chosen:
            job = {"name": scene.name, "kind": scene.kind, "cameras": str(scene.cameras), "start": cut.start}
            yield {**_row(f"{_key(scene)}-{cut.start:06d}"), "job": json.dumps(job)}


def read_and_judge(row: Row, settings: Building) -> Row:
    """The first stage: the frames with their cameras, and whether they are kept."""
    if row["refusal"]:
        return row
    job, began = json.loads(row["job"]), time.perf_counter()
    scene = Scene(job["name"], job["kind"], Path(job["cameras"]))
    try:
        clip = read_frames(scene, Cut(job["start"], settings.stride, settings.frames, settings.size), settings.films)
        read = time.perf_counter()
        found = measured(clip)
        refused = refusal(found, settings.limits)
    except Exception as error:  # a poisoned clip is reported in the manifest, and the others go on
        return {**row, "refusal": _told(error)}
    seconds = {"read": read - began, "judge": time.perf_counter() - read}
    row = {**row, "refusal": refused, "seconds": json.dumps(seconds)}
    if found is None:
        return row
    row["figures"] = json.dumps(found.figures())
    if not refused:
        poses, lenses = clip.cameras.Ts_world_camera, clip.cameras.intrinsics
        arrays = {"frames": clip.frames_u8, "poses": poses, "intrinsics": lenses, "depth": found.median_depth}
        row["clip"] = pack(arrays)
    return row


class Encoder:
    """The second stage: latents of both directions. Holds the autoencoder, once a process."""

    def __init__(self, settings: Building) -> None:
        self._settings = settings
        autoencoder = read_autoencoder(settings.codec / "vae").eval()
        torch.nn.Module.to(autoencoder, settings.device)  # diffusers decorates its own, which hides its type
        self._codec = LatentCodec(autoencoder)

    def __call__(self, row: Row) -> Row:
        if row["refusal"]:
            return {**row, "clip": b""}
        began = time.perf_counter()
        arrays = unpack(row["clip"])
        cameras = Trajectory(arrays["poses"], arrays["intrinsics"], self._settings.size)
        clip, stride, device = Frames(arrays["frames"], cameras), self._settings.ray_frame_stride, self._settings.device
        try:
            made = [
                pack(encoded(self._codec, clip, arrays["depth"], stride, direction == "backward", device))
                for direction in DIRECTIONS
            ]
        except (ValueError, RuntimeError) as error:  # reported like any other
            return {**row, "clip": b"", "refusal": _told(error)}
        seconds = {**json.loads(row["seconds"]), "encode": time.perf_counter() - began}
        forward, backward = made
        return {**row, "clip": b"", "forward": forward, "backward": backward, "seconds": json.dumps(seconds)}


def lines(manifest: Mapping[str, Any], before: int, spent_s: float) -> Iterator[str]:
    """What was built, and the throughput of every stage."""
    found = manifest.get("filter", {"kept": 0, "left_out": {}})
    left_out = ", ".join(f"{count} {reason}" for reason, count in sorted(found["left_out"].items())) or "none"
    yield f"{found['kept']} clips in {len(manifest['shards'])} shards; left out: {left_out}"
    done = found["kept"] + sum(found["left_out"].values())
    yield f"{done - before} clips in {spent_s:.1f} s; {before} were there from an earlier run"
    for stage, spent in manifest["stages"].items():
        rate = spent["clips"] / max(spent["seconds"], 1e-9)
        yield f"{stage:>7}: {spent['clips']:6d} clips, {spent['seconds']:9.1f} s of work, {rate:8.2f} clips/s a worker"


def _run(settings: Building, rows: list[Row]) -> Iterable[Row]:
    if not settings.workers or not rows:
        encode = Encoder(settings) if rows else None
        return (encode(read_and_judge(row, settings)) for row in rows) if encode else ()
    from rap.shards.on_ray import run

    return run(settings, rows, partial(read_and_judge, settings=settings), Encoder)


def _row(key: str, refusal: str = "") -> Row:
    empty = {"figures": "{}", "seconds": "{}", "clip": b"", "forward": b"", "backward": b"", "job": "{}"}
    return {"key": key, "refusal": refusal, **empty}


def _made(row: Row) -> Made:
    latents = () if row["refusal"] else (row["forward"], row["backward"])
    return Made(row["key"], row["refusal"], json.loads(row["figures"]), json.loads(row["seconds"]), latents)


def _key(scene: Scene) -> str:
    """A name without dots, which end a sample's name for webdataset; its hash keeps two apart."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", scene.name).strip("_")[-60:]
    return f"{plain or 'scene'}-{hashlib.sha256(scene.name.encode()).hexdigest()[:8]}"


def _told(error: Exception) -> str:
    words = " ".join(str(error).split())
    return f"damaged: {words}" if isinstance(error, InputError) else f"damaged: {type(error).__name__}: {words}"
