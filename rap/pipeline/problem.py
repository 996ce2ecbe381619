"""A task in latents, and the transformer bound to it as the network that `rap.flow` walks with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from rap import flow
from rap.flow import Pair
from rap.geometry import Trajectory
from rap.model import RaPTransformer3DModel
from rap.model.tokens import frames_to_latent_time


@dataclass(frozen=True)
class Problem:
    """A task in latents: what is noise, what is known, and where everything stands."""

    mode: flow.Mode
    size: tuple[int, int]
    count: int
    segment: int
    source: int
    fps: float
    steps: int
    ray_steps: int
    guidance_scale: float
    noise: Pair
    clean: Pair
    known: Pair
    null_rays: Tensor
    baseline: Tensor | None
    frame_times: Tensor
    ray_frames: tuple[int, ...]
    frames_u8: np.ndarray | None = None
    trajectory: Trajectory | None = None
    fov_y_rad: float | None = None
    colours: Tensor | None = None  # of latents, for previews (`LatentCodec.colour_map`)
    hint: flow.Hint | None = None
    flow_hint: Tensor | None = None
    warp_hint: Tensor | None = None
    hinted_baseline: Tensor | None = None  # in place of `baseline` where the warp hint counts

    def with_video(self, latents: Tensor) -> Problem:
        """All target frames known."""
        clean = self.clean.video.clone()
        clean[:, :, self.segment :] = latents.to(clean)
        return replace(
            self,
            clean=Pair(clean, self.clean.rays),
            known=Pair(torch.ones_like(self.known.video), self.known.rays),
        )

    def with_rays(self, latents: Tensor, only: int | None = None) -> Problem:
        """All ray frames known, or the one of frame `only`, where the rays have it."""
        known = torch.ones_like(self.known.rays)
        if only is not None:
            known = torch.tensor([[frame == only for frame in self.ray_frames]], device=known.device)
        return replace(self, clean=Pair(self.clean.video, latents), known=Pair(self.known.video, known))


class BoundNetwork:
    """The transformer as `flow.Network`, bound to the frame times of one problem."""

    def __init__(self, transformer: RaPTransformer3DModel, problem: Problem) -> None:
        self.transformer = transformer
        self.segment, self.problem = problem.segment, problem
        self.frame_times = problem.frame_times
        frames = torch.tensor([problem.ray_frames], device=problem.frame_times.device)
        self.ray_frame_times = frames_to_latent_time(frames)

    def __call__(self, x: Pair, t: Pair) -> Pair:
        """A modality that is at time 0 in every frame is given: it is not predicted but returned as it is."""
        noised = [bool(times.any()) for times in t]
        video, rays = self.transformer(
            x.video,
            x.rays,
            t.video * 1000,
            t.rays * 1000,
            frame_times=self.frame_times,
            ray_frame_times=self.ray_frame_times,
            num_source_frames=self.segment,
            return_dict=False,
            wanted="both" if all(noised) else "video" if noised[0] else "rays",
            flow_hint=self.problem.flow_hint,
            warp_hint=self.problem.warp_hint,
        )
        # Under rays of noise (guidance) the transformer does not see the warp, so it does not change it either.
        hinted = self.problem.hinted_baseline is not None and not noised[1]
        baseline = self.problem.hinted_baseline if hinted else self.problem.baseline
        if video is not None and baseline is not None:
            video = video + baseline
        return Pair(x.video if video is None else video, x.rays if rays is None else rays)
