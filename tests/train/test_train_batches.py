"""Batches of a training: what is known, and whose camera is the world."""

from __future__ import annotations

from pathlib import Path

import torch
from training_runs import batch_maker


def test_a_batch_s_times_say_what_is_known(shards: Path, codec: Path) -> None:
    maker = batch_maker(shards, codec, per_frame_rate=0.0)
    estimates = generates = 0
    for _ in range(12):
        batch = maker.draw()
        segment = batch.num_source_frames
        assert batch.clean.video.shape[2] == batch.times.video.shape[1] == batch.frame_times.shape[1]
        assert batch.clean.rays.shape[2] == batch.times.rays.shape[1] == batch.ray_frame_times.shape[1]
        assert (batch.times.video[:, :segment] == 0).all()  # source frames are given
        assert batch.times.video.max() <= 1 and batch.times.rays.max() <= 1
        targets = batch.times.video[:, segment + 1 :]  # the first latent frame is known where frame 0 is a source
        assert (targets == targets[:, :1]).all()
        known_video, known_rays = (targets == 0).all(1), (batch.times.rays == 0).all(1)
        assert not (known_video & known_rays).any()  # something is always asked for
        estimates, generates = estimates + int(known_video.sum()), generates + int(known_rays.sum())
    assert 25 < estimates < 75 and 10 < generates < 55  # of 96, at rates 0.5 and 0.35 (less dropped rays)


def test_the_reference_frame_has_the_canonical_ray_map(shards: Path, codec: Path) -> None:
    """World = the first source's camera: its map stands at the frame time that the batch gives the source."""
    maker = batch_maker(shards, codec, reference_first_rate=0.0)
    for _ in range(4):
        batch = maker.draw()
        maps = maker.codec.decode_rays(batch.clean.rays)
        centre = maps.mean((-1, -2))
        for k in range(len(maps)):
            source = int((batch.ray_frame_times[k] - batch.frame_times[k, 0]).abs().argmin())
            assert torch.linalg.norm(centre[k, source, :2]) < 0.02 and centre[k, source, 2] > 0.5
