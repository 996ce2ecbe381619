"""RaPPipeline: three tasks of one model, each a walk of the same sampler over what is known and what is noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan, DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from jaxtyping import Float
from torch import Tensor

from rap import flow
from rap.flow import Pair
from rap.geometry import Trajectory, intrinsics_from_fov, pluecker_to_cameras, raxels_to_cameras
from rap.model import LatentCodec, PatchAutoencoder, RaPTransformer3DModel
from rap.model.latent_cache import LatentCache, content
from rap.model.tokens import TIME_COMPRESSION, frames_to_latent_time
from rap.pipeline.problem import BoundNetwork, Problem
from rap.pipeline.tasks import (
    EstimateTask,
    Frames,
    GenerateTask,
    JointTask,
    Progress,
    RaPOutput,
    RoundTrip,
    Task,
    check_count,
    check_indices,
    check_sources,
    checked_flow_frames,
    checked_frames,
)
from rap.reconstruction.optical_flow import flow_features
from rap.views.hints import VideoHints, WarpMaps, cell_means, pack_warp, plane_hints


class RaPPipeline(DiffusionPipeline):
    """Videos and camera trajectories by one cached model.

    Args:
        transformer: the joint velocity field.
        vae: the codec of both modalities.
        scheduler, ray_scheduler: hold the shift of either schedule; the sampler itself is `rap.flow.sample`.
        raxel_scale, canonical_fov_y_deg, ray_latents_std: see `LatentCodec`.
        default_steps, default_estimate_steps, default_ray_steps, default_guidance_scale, default_hint_level,
            default_temperature: what a task's None means for these weights: steps of the video, of an estimate, of the
            rays in joint sampling. The paper estimates in two steps; under-trained weights do as well in one.
    """

    model_cpu_offload_seq = "transformer->vae"

    def __init__(
        self,
        transformer: RaPTransformer3DModel,
        vae: PatchAutoencoder | AutoencoderKLWan,
        scheduler: FlowMatchEulerDiscreteScheduler,
        ray_scheduler: FlowMatchEulerDiscreteScheduler,
        raxel_scale: float = 0.5,
        canonical_fov_y_deg: float = 55.0,
        ray_latents_std: list[float] | None = None,
        num_frames: int = 17,
        default_steps: int = 20,
        default_estimate_steps: int = 2,
        default_ray_steps: int = 2,
        default_guidance_scale: float = 1.0,
        default_hint_level: float = 0.0,
        default_temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.register_modules(transformer=transformer, vae=vae, scheduler=scheduler, ray_scheduler=ray_scheduler)
        self.register_to_config(
            raxel_scale=raxel_scale,
            canonical_fov_y_deg=canonical_fov_y_deg,
            ray_latents_std=ray_latents_std,
            num_frames=num_frames,
            default_steps=default_steps,
            default_estimate_steps=default_estimate_steps,
            default_ray_steps=default_ray_steps,
            default_guidance_scale=default_guidance_scale,
            default_hint_level=default_hint_level,
            default_temperature=default_temperature,
        )
        channels = transformer.config.in_channels
        if vae.config.z_dim != channels:
            raise ValueError(f"vae has {vae.config.z_dim} latent channels but the transformer takes {channels}")
        self.codec = LatentCodec(vae, transformer.config.camera, raxel_scale, canonical_fov_y_deg, ray_latents_std)
        self._latents = LatentCache()

    @property
    def num_frames(self) -> int:
        """Frames of a clip the weights were trained on."""
        return int(self.config.num_frames)

    def estimate_trajectory(self, frames_u8: Frames, **options: Any) -> RaPOutput:
        """Cameras of a clip; options are the fields of `EstimateTask`."""
        return self._finish(EstimateTask(frames_u8, **options))

    def generate_video(self, source_frames_u8: Frames, trajectory: Trajectory, **options: Any) -> RaPOutput:
        """Video along a trajectory; options are the fields of `GenerateTask`."""
        return self._finish(GenerateTask(source_frames_u8, trajectory, **options))

    def generate_joint(self, source_frames_u8: Frames, **options: Any) -> RaPOutput:
        """Camera motion and video from images; options are the fields of `JointTask`."""
        return self._finish(JointTask(source_frames_u8, **options))

    def round_trip(
        self, frames_u8: Frames, *, fps: float = 8.0, steps: int | None = None, seed: int = 0, **estimate: Any
    ) -> RoundTrip:
        """Estimate the cameras of a clip, generate along them from its source frame, estimate the result's cameras."""
        first = self.estimate_trajectory(frames_u8, fps=fps, seed=seed, **estimate)
        assert first.trajectory is not None
        source = first.trajectory.source
        generated = self.generate_video(
            frames_u8[source : source + 1], first.trajectory, source_indices=(source,), steps=steps, seed=seed
        )
        assert generated.frames_u8 is not None
        again = self.estimate_trajectory(generated.frames_u8, fps=fps, seed=seed, **estimate)
        return RoundTrip(estimate=first, generated=generated, re_estimate=again)

    def forget_latents(self) -> None:
        """Encode anew what has been encoded before: for who measures, or has changed the codec's weights in place."""
        self._latents = LatentCache()

    def stream(self, task: Task) -> Iterator[Progress]:
        """Run a task step by step; closing the generator cancels it before the next network call.

        Raises:
            ValueError: frames or trajectory of a size the model does not take, named with the remedy.
        """
        if isinstance(task, JointTask) and self.transformer.config.warp_hint != "none":
            yield from self._stream_hinted_joint(task)
        else:
            problem = self._problem(task)
            yield from self._walk(problem, self._levels(problem))

    def _levels(self, problem: Problem) -> list[tuple[float, float]]:
        shifts = self.scheduler.shift, self.ray_scheduler.shift
        levels = flow.plan(problem.mode, problem.steps, problem.ray_steps, *shifts)
        return levels if problem.hint is None else flow.snapped(levels, problem.hint.level)

    def _stream_hinted_joint(self, task: JointTask) -> Iterator[Progress]:
        """p(r | source), then p(z | r, source) with the sources as planes at unit depth under these cameras."""
        problem = self._problem(task)
        cameras, total = self._levels(problem)[: problem.ray_steps + 1], problem.ray_steps + problem.steps
        found = None
        for progress in self._walk(problem, cameras):
            found = progress.output
            yield replace(progress, steps=total, done=False, output=None)
        assert found is not None and found.trajectory is not None
        sources = checked_frames(task.source_frames_u8, "source_frames_u8")
        following = GenerateTask(
            sources,
            found.trajectory,
            task.source_indices,
            steps=task.steps,
            guidance_scale=task.guidance_scale,
            seed=task.seed,
            hints=plane_hints(sources, task.source_indices, found.trajectory),
        )
        problem = self._problem(following)
        for progress in self._walk(problem, self._levels(problem)):
            yield replace(progress, step=progress.step + len(cameras) - 1, steps=total)

    def _walk(self, problem: Problem, levels: list[tuple[float, float]]) -> Iterator[Progress]:
        sampler = flow.sample(
            self._network(problem),
            problem.noise,
            problem.clean,
            problem.known,
            levels,
            flow.Prediction(self.transformer.config.video_prediction, self.transformer.config.ray_prediction),
            problem.guidance_scale,
            problem.null_rays,
            problem.hint,
        )
        last = None
        try:
            for last in _without_grad(sampler):
                if last.step < last.steps:
                    yield self._progress(problem, last)
        finally:
            sampler.close()
        assert last is not None
        output = self._output(problem, last.estimate)
        yield Progress(last.steps, last.steps, output.frames_u8, output.trajectory, True, output)

    def _finish(self, task: Task) -> RaPOutput:
        for progress in self.progress_bar(self.stream(task)):
            if progress.output is not None:
                return progress.output
        raise RuntimeError("the sampler ended without a result")

    def _problem(self, task: Task) -> Problem:
        if isinstance(task, EstimateTask):
            return self._estimate_problem(task)
        if isinstance(task, GenerateTask):
            return self._generate_problem(task)
        return self._joint_problem(task)

    def _estimate_problem(self, task: EstimateTask) -> Problem:
        frames = checked_frames(task.frames_u8, "frames_u8")
        count = len(frames)
        check_count(count)
        check_indices((task.source,), count)
        sources = frames[[task.source]]
        problem = self._blank("estimate", task, frames.shape[1:3], count, (task.source,), sources)
        problem = problem.with_video(self._cached(("clip", content(frames)), partial(self._encode_clip, frames)))
        if task.fov_y_rad is not None:
            if not 0 < task.fov_y_rad < math.pi:
                raise ValueError(f"fov_y_rad must lie in (0, pi), got {task.fov_y_rad}; degrees?")
            intrinsics = np.tile(intrinsics_from_fov(task.fov_y_rad, problem.size), (count, 1))
            poses = np.tile(np.eye(4), (count, 1, 1))
            problem = problem.with_rays(self._encode_cameras(poses, intrinsics, problem), only=task.source)
        if self.transformer.config.flow_hint:
            problem = replace(problem, flow_hint=self._flow_hint(task, frames, problem))
        return replace(problem, frames_u8=frames, fov_y_rad=task.fov_y_rad)

    def _flow_hint(self, task: EstimateTask, frames: Frames, problem: Problem) -> Tensor:
        detailed = frames if task.flow_frames_u8 is None else checked_flow_frames(task.flow_frames_u8, frames)
        grid = (problem.noise.video.shape[-2], problem.noise.video.shape[-1])
        features = flow_features(detailed, task.source, grid)[None].to(problem.noise.video)
        return F.pad(features, (0, 0, 0, 0, problem.segment, 0))

    def _generate_problem(self, task: GenerateTask) -> Problem:
        sources = checked_frames(task.source_frames_u8, "source_frames_u8")
        count = len(task.trajectory)
        check_count(count)
        check_sources(sources, task.source_indices, count)
        size = sources.shape[1:3]
        problem = self._blank("generate", task, size, count, task.source_indices, sources)
        temperature = _or(task.temperature, self.config.default_temperature)
        if not 0 <= temperature <= 1:
            raise ValueError(f"temperature must lie in [0, 1], got {temperature}")
        problem = replace(problem, noise=Pair(temperature * problem.noise.video, problem.noise.rays))
        trajectory = task.trajectory.relative_to(task.source_indices[0]).resized(size)
        rays = self._encode_cameras(trajectory.Ts_world_camera, trajectory.intrinsics, problem)
        problem = replace(problem.with_rays(rays), trajectory=trajectory)
        return problem if task.hints is None else self._hinted(task, task.hints, problem)

    def _hinted(self, task: GenerateTask, hints: VideoHints, problem: Problem) -> Problem:
        """With the warped frames: as the network's input where it takes one, and held where that is asked."""
        shape = (problem.count, *problem.size)
        frames, mask = np.asarray(hints.frames_u8), np.asarray(hints.mask)
        if frames.shape != (*shape, 3) or frames.dtype != np.uint8 or mask.shape != shape:
            raise ValueError(
                f"hints must be (T, H, W, 3) uint8 frames and a (T, H, W) mask with (T, H, W) = {shape}, got "
                f"{frames.shape} {frames.dtype} and {mask.shape}; render them along this trajectory at this size"
            )
        level = _or(task.hint_level, self.config.default_hint_level)
        if not 0 <= level <= 1:
            raise ValueError(f"hint_level must lie in [0, 1], got {level}")
        maps = WarpMaps.of_hints(hints, self._execution_device)
        kind = self.transformer.config.warp_hint
        packed = pack_warp(maps, self.codec, "blend" if kind == "none" else kind)
        packed = F.pad(packed, (0, 0, 0, 0, problem.segment, 0)).to(self.transformer.dtype)
        latents = packed[:, : self.codec.channels]
        if level < 1:
            weight = F.pad(cell_means(maps.mask), (0, 0, 0, 0, problem.segment, 0)).to(latents)
            problem = replace(problem, hint=flow.Hint(latents, weight, float(level)))
        if kind == "none":
            return problem
        baseline = latents if self.transformer.config.video_baseline == "warp" else problem.baseline
        return replace(problem, warp_hint=packed, hinted_baseline=baseline)

    def _joint_problem(self, task: JointTask) -> Problem:
        sources = checked_frames(task.source_frames_u8, "source_frames_u8")
        check_count(task.num_frames)
        check_sources(sources, task.source_indices, task.num_frames)
        return self._blank("joint", task, sources.shape[1:3], task.num_frames, task.source_indices, sources)

    def _blank(
        self, mode: flow.Mode, task: Any, size: tuple[int, int], count: int, indices: tuple[int, ...], sources: Frames
    ) -> Problem:
        """Everything noise but the source frames: a segment of their own, and frame 0, which the codec keeps apart."""
        config = self.transformer.config
        device, dtype = self._execution_device, self.transformer.dtype
        pictures = content(sources)
        latents = self._cached(("sources", pictures), partial(self._encode_sources, sources))
        segment, channels = latents.shape[2], latents.shape[1]
        grid = (size[0] // 8, size[1] // 8)
        targets = 1 + (count - 1) // TIME_COMPRESSION
        ray_frames, ray_shape = self._ray_layout(indices, count, channels, grid)
        guidance = self._guidance(task)
        generator = torch.Generator().manual_seed(task.seed)
        shapes = (1, channels, segment + targets, *grid), ray_shape, ray_shape
        video, rays, null = (torch.randn(s, generator=generator).to(device, dtype) for s in shapes)
        clean = torch.zeros_like(video)
        clean[:, :, :segment] = latents
        known = torch.zeros(1, segment + targets, dtype=torch.bool, device=device)
        known[:, :segment] = True
        if 0 in indices:
            clean[:, :, segment] = latents[:, :, indices.index(0)]
            known[:, segment] = True
        index_row = torch.tensor([indices], device=device)
        baseline = torch.zeros_like(video) if config.video_baseline != "none" else None
        if baseline is not None:
            key = ("still", pictures, indices, count)
            baseline[:, :, segment:] = self._cached(key, partial(self._encode_still, sources, indices, count))
        return Problem(
            mode=mode,
            size=(int(size[0]), int(size[1])),
            count=count,
            segment=segment,
            source=indices[0],
            fps=getattr(task, "fps", 8.0),
            steps=_or(getattr(task, "steps", None), self.config.default_steps),
            ray_steps=self._ray_steps(task),
            guidance_scale=guidance,
            noise=Pair(video, rays),
            clean=Pair(clean, torch.zeros_like(rays)),
            known=Pair(known, torch.zeros(1, len(ray_frames), dtype=torch.bool, device=device)),
            null_rays=null,
            baseline=baseline,
            colours=self.codec.colour_map(self._to_model(sources).transpose(1, 2), latents),
            frame_times=torch.cat(
                [frames_to_latent_time(index_row), torch.arange(targets, device=device)[None]], dim=1
            ),
            ray_frames=ray_frames,
        )

    def _ray_layout(
        self, indices: tuple[int, ...], count: int, channels: int, grid: tuple[int, int]
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Which frames have a map of rays, and the shape (1, C, G, h, w) of the latents of these maps."""
        if self.transformer.config.camera == "pluecker":  # one for each latent frame, at its last frame
            frames = (*indices, *range(0, count, TIME_COMPRESSION))
            return frames, (1, 2 * channels, len(frames), *grid)
        frames = tuple(range(0, count, self.transformer.config.ray_frame_stride))
        return frames, (1, channels, len(frames), grid[0] // 2, grid[1] // 2)

    def _guidance(self, task: Any) -> float:
        scale = float(_or(getattr(task, "guidance_scale", None), self.config.default_guidance_scale))
        if not (math.isfinite(scale) and scale >= 0):
            raise ValueError(f"guidance_scale must be a finite number from 0 on (1 is off), got {scale}")
        return scale

    def _ray_steps(self, task: Any) -> int:
        if isinstance(task, EstimateTask):
            return _or(task.steps, self.config.default_estimate_steps)
        return _or(getattr(task, "ray_steps", None), self.config.default_ray_steps)

    def _network(self, problem: Problem) -> flow.Network:
        return BoundNetwork(self.transformer, problem)

    def _cached(self, key: tuple[Any, ...], encode: Callable[[], Tensor]) -> Tensor:
        """Latents by the content they are of, on the device and in the type in which they are used."""
        return self._latents.get((*key, str(self._execution_device), self.transformer.dtype), encode)

    def _encode_clip(self, frames_u8: Frames) -> Tensor:
        return self.codec.encode_video(self._to_model(frames_u8)).to(self.transformer.dtype)

    def _encode_sources(self, frames_u8: Frames) -> Tensor:
        images = self._to_model(frames_u8).transpose(1, 2)
        return self.codec.encode_images(images).to(self.transformer.dtype)

    def _encode_still(self, frames_u8: Frames, indices: tuple[int, ...], count: int) -> Tensor:
        images, at = self._to_model(frames_u8).transpose(1, 2), torch.tensor([indices], device=self._execution_device)
        return self.codec.encode_still(images, at, count).to(self.transformer.dtype)

    def _to_model(self, frames_u8: Frames) -> Tensor:
        """(1, 3, T, H, W) in [-1, 1]."""
        video = torch.from_numpy(np.array(frames_u8)).to(self._execution_device).float() / 127.5 - 1
        return video.permute(3, 0, 1, 2)[None].to(self.vae.dtype)

    def _encode_cameras(self, poses: np.ndarray, intrinsics: np.ndarray, problem: Problem) -> Tensor:
        picked = list(problem.ray_frames)
        cameras = poses[picked], intrinsics[picked]
        key = ("cameras", content(*cameras), problem.size)
        return self._cached(key, partial(self._encode_picked, *cameras, problem.size))

    def _encode_picked(self, poses: np.ndarray, intrinsics: np.ndarray, size: tuple[int, int]) -> Tensor:
        Ts, K = (torch.from_numpy(values).to(self._execution_device).float()[None] for values in (poses, intrinsics))
        return self.codec.encode_rays(self.codec.camera_maps(Ts, K, size)).to(self.transformer.dtype)

    def _progress(self, problem: Problem, state: flow.Sample) -> Progress:
        frames = trajectory = None
        if problem.mode != "estimate":
            latents = state.estimate.video[:, :, problem.segment :].to(self.vae.dtype)
            frames = _to_u8(self.codec.preview_video(latents, problem.colours))
        if problem.mode == "joint":  # of an estimate's one or two steps only the last is worth the time
            trajectory, _ = self._decode_cameras(problem, state.estimate.rays)
        return Progress(state.step, state.steps, frames, trajectory)

    def _output(self, problem: Problem, latents: Pair) -> RaPOutput:
        frames, trajectory = problem.frames_u8, problem.trajectory
        if problem.mode != "estimate":
            frames = _to_u8(self.codec.decode_video(latents.video[:, :, problem.segment :].to(self.vae.dtype)))
        if trajectory is None:
            trajectory, maps = self._decode_cameras(problem, latents.rays)
        else:
            maps = self.codec.decode_rays(latents.rays)[0]
        return RaPOutput(frames_u8=frames, trajectory=trajectory, raxels=maps.float().cpu().numpy())

    def _decode_cameras(self, problem: Problem, rays: Tensor) -> tuple[Trajectory, Tensor]:
        maps = self.codec.decode_rays(rays)[0]
        frames = np.asarray(problem.ray_frames)
        if self.codec.camera == "pluecker":  # a map for each latent frame, those of the sources first
            Ts, K = (x[problem.segment :] for x in pluecker_to_cameras(maps.double(), reference=0))
            frames, reference = frames[problem.segment :], 0
        else:
            reference = int(np.argmin(np.abs(frames - problem.source)))
            # The network errs smoothly: Cauchy weights cost as much as a step of it and change no error by 1 %.
            Ts, K = raxels_to_cameras(maps.double(), reference=reference, robust=False)
        scale = problem.size[0] / maps.shape[-2]
        keys = Trajectory(
            Ts_world_camera=Ts.cpu().numpy(),
            intrinsics=K.cpu().numpy() * scale,
            image_size=problem.size,
            fps=problem.fps,
            source=reference,
        )
        if problem.fov_y_rad is not None:
            fixed = np.tile(intrinsics_from_fov(problem.fov_y_rad, problem.size), (len(keys), 1))
            keys = replace(keys, intrinsics=fixed)
        if len(keys) == problem.count:
            return keys, maps
        dense = keys.interpolated(np.interp(np.arange(problem.count), frames, np.arange(len(keys))))
        return replace(dense, source=0).relative_to(problem.source), maps


def _without_grad(samples: Iterator[flow.Sample]) -> Iterator[flow.Sample]:
    """Step a sampler under no_grad without holding the mode while the consumer runs."""
    while True:
        with torch.no_grad():
            state = next(samples, None)
        if state is None:
            return
        yield state


def _to_u8(video: Float[Tensor, "1 3 T H W"]) -> Frames:
    frames = ((video[0].float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return frames.permute(1, 2, 3, 0).cpu().numpy()


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value
