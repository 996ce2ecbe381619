"""RaPPipeline with a tiny random model: the three tasks, what is known, errors, save and load."""

import math

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler

from rap.flow import Pair
from rap.geometry import Trajectory, preset, se3
from rap.model import PatchAutoencoder, RaPTransformer3DModel
from rap.pipeline import EstimateTask, GenerateTask, JointTask, RaPPipeline
from rap.views.hints import VideoHints, plane_hints


def tiny_pipeline(vae=None, **config) -> RaPPipeline:
    torch.manual_seed(0)
    vae = vae or PatchAutoencoder(z_dim=16, refiner_width=8, refiner_blocks=1)
    channels = vae.config.z_dim
    if isinstance(vae, PatchAutoencoder):
        vae.fit_bases(torch.rand(2, 3, 5, 32, 32) * 2 - 1)
    transformer = RaPTransformer3DModel(
        **{
            **dict(num_attention_heads=2, attention_head_dim=12, in_channels=channels, out_channels=channels),
            **dict(text_dim=None, freq_dim=32, ffn_dim=48, num_layers=1, cross_gate_init=1.0),
            **config,
        }
    )
    schedulers = (FlowMatchEulerDiscreteScheduler(shift=1.0) for _ in range(2))
    pipe = RaPPipeline(transformer.eval(), vae.eval(), *schedulers, default_steps=3)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def pipe() -> RaPPipeline:
    return tiny_pipeline()


def frames(count: int = 9, size: tuple[int, int] = (64, 96), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def arc(count: int = 9) -> Trajectory:
    return preset("arc-left", num_frames=count, image_size=(64, 96))


class OracleTransformer(torch.nn.Module):
    """Stands in for the transformer: predicts given clean latents exactly."""

    def __init__(self, config, clean: Pair) -> None:
        super().__init__()
        self.config, self.clean = config, clean
        self.device, self.dtype = torch.device("cpu"), torch.float32

    def forward(self, video, rays, t_video, t_rays, **_):
        def velocity(x, data, t):
            return (x - data) / (t / 1000).clamp(min=1e-6)[:, None, :, None, None]

        return velocity(video, self.clean.video, t_video), velocity(rays, self.clean.rays, t_rays)


def with_oracle(video: np.ndarray, trajectory: Trajectory, source: int, monkeypatch) -> RaPPipeline:
    """A pipeline whose network knows the clip and its cameras."""
    pipe = tiny_pipeline()
    problem = pipe._generate_problem(GenerateTask(video[source], trajectory, (source,)))
    clean = problem.clean.video.clone()
    clean[:, :, 1:] = pipe.codec.encode_video(pipe._to_model(video))
    oracle = OracleTransformer(pipe.transformer.config, Pair(clean, problem.clean.rays))
    monkeypatch.setattr(pipe, "transformer", oracle)
    return pipe


@pytest.mark.parametrize("source", [0, 5])
def test_each_task_with_an_oracle_recovers_the_oracles_data(monkeypatch, source):
    video, path = frames(), arc()
    pipe = with_oracle(video, path, source, monkeypatch)
    truth = path.relative_to(source)
    decoded = pipe.codec.decode_video(pipe.codec.encode_video(pipe._to_model(video)))
    expected_u8 = ((decoded[0].permute(1, 2, 3, 0).numpy() + 1) * 127.5).round()
    estimate = pipe.estimate_trajectory(video, source=source)
    generated = pipe.generate_video(video[source], path, source_indices=(source,))
    joint = pipe.generate_joint(video[source], source_indices=(source,), num_frames=9)
    for output in (estimate, joint):
        assert output.trajectory.source == source
        np.testing.assert_allclose(output.trajectory.Ts_world_camera, truth.Ts_world_camera, atol=2e-3)
        np.testing.assert_allclose(output.trajectory.fov_y_rad, truth.fov_y_rad, rtol=2e-3)
    for output in (generated, joint):
        assert np.abs(output.frames_u8.astype(float) - expected_u8).max() <= 2
    assert np.array_equal(estimate.frames_u8, video) and generated.trajectory == truth


@pytest.mark.parametrize("config", [{}, {"ray_frame_stride": 4}, {"camera": "pluecker"}, {"attention": "joint"}])
def test_every_task_runs_with_every_switch(config):
    pipe = tiny_pipeline(**config)
    for output in (
        pipe.estimate_trajectory(frames()),
        pipe.generate_video(frames(1), arc()),
        pipe.generate_joint(frames(2), source_indices=(4, 8), num_frames=9),
    ):
        assert output.frames_u8.shape == (9, 64, 96, 3) and output.frames_u8.dtype == np.uint8
        assert len(output.trajectory) == 9 and output.trajectory.image_size == (64, 96)
        source = output.trajectory.source
        np.testing.assert_allclose(output.trajectory.Ts_world_camera[source], np.eye(4), atol=1e-9)
        assert np.isfinite(output.raxels).all()


def test_wan_autoencoder_stands_behind_the_same_pipeline():
    torch.manual_seed(0)
    vae = AutoencoderKLWan(
        base_dim=8, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, latents_mean=[0.0] * 4, latents_std=[1.0] * 4
    )
    pipe = tiny_pipeline(vae)
    assert pipe.estimate_trajectory(frames(5)).raxels.shape == (5, 3, 32, 48)
    assert pipe.generate_video(frames(1), arc(5), steps=1).frames_u8.shape == (5, 64, 96, 3)


def test_stream_yields_progress_and_the_current_estimate(pipe):
    states = list(pipe.stream(JointTask(frames(1), num_frames=9, steps=3, ray_steps=2)))
    assert [s.step for s in states] == [1, 2, 3, 4, 5] and all(s.steps == 5 for s in states)
    assert all(s.frames_u8.shape == (9, 64, 96, 3) and len(s.trajectory) == 9 for s in states)
    assert [s.done for s in states] == [False] * 4 + [True] and states[-1].output.trajectory is states[-1].trajectory


def test_closing_the_stream_cancels(pipe, monkeypatch):
    calls = []
    original = pipe.transformer.forward
    monkeypatch.setattr(pipe.transformer, "forward", lambda *a, **k: calls.append(1) or original(*a, **k))
    stream = pipe.stream(GenerateTask(frames(1), arc(), steps=10))
    next(stream)
    stream.close()
    assert len(calls) == 1 and torch.is_grad_enabled()


def test_with_a_baseline_a_silent_network_returns_the_still_video():
    pipe = tiny_pipeline(video_prediction="sample", video_baseline="source")
    torch.nn.init.zeros_(pipe.transformer.proj_out.weight)
    torch.nn.init.zeros_(pipe.transformer.proj_out.bias)
    sources = frames(2)
    made = pipe.generate_video(sources, arc(), source_indices=(0, 8), steps=2).frames_u8
    still = np.concatenate([sources[:1].repeat(5, 0), sources[1:].repeat(4, 0)])
    decoded = pipe.codec.decode_video(pipe.codec.encode_video(pipe._to_model(still)))
    expected = ((decoded[0].permute(1, 2, 3, 0).numpy() + 1) * 127.5).round()
    assert np.abs(made.astype(float) - expected).max() <= 1


def hints(mask: float, seed: int = 3) -> VideoHints:
    smooth = np.kron(frames(9, (8, 12), seed), np.ones((1, 8, 8, 1), dtype=np.uint8))
    return VideoHints(smooth, np.full((9, 64, 96), mask, dtype=np.float32))


def test_hints_that_know_everything_are_the_video_but_for_the_source_frame(pipe):
    given = hints(1.0)
    made = pipe.generate_video(frames(1), arc(), hints=given).frames_u8
    clean = pipe.codec.encode_video(pipe._to_model(given.frames_u8))
    clean[:, :, :1] = pipe.codec.encode_video(pipe._to_model(frames(1)))
    expected = ((pipe.codec.decode_video(clean)[0].permute(1, 2, 3, 0).numpy() + 1) * 127.5).round()
    assert np.abs(made.astype(float) - expected).max() <= 1


def test_hints_hold_only_what_they_have_seen(pipe):
    given = hints(1.0)
    given.mask[:, :, 48:] = 0
    video = {}
    for level in (0.0, 0.9):
        problem = pipe._generate_problem(GenerateTask(frames(1), arc(), hints=given, hint_level=level))
        assert problem.hint.level == level and problem.hint.weight.shape == (1, 1, 4, 8, 12)
        assert problem.hint.weight[:, :, 0].max() == 0  # the segment of the source frames
        assert problem.hint.weight[0, 0, 1:, :, :6].min() == 1 and problem.hint.weight[..., 6:].max() == 0
        video[level] = pipe.generate_video(frames(1), arc(), hints=given, hint_level=level).frames_u8
    assert not np.array_equal(video[0.0], video[0.9])


def test_blind_hints_are_the_model_alone(pipe):
    blind = pipe.generate_video(frames(1), arc(), hints=hints(0.0)).frames_u8
    assert np.array_equal(blind, pipe.generate_video(frames(1), arc()).frames_u8)


def hinted_pipeline(**config) -> RaPPipeline:
    pipe = tiny_pipeline(
        video_prediction="sample",
        **{**dict(video_baseline="warp", flow_hint=True, warp_hint="layers"), **config},
    )
    pipe.register_to_config(default_hint_level=1.0)
    for embedding in (pipe.transformer.flow_hint_embedding, pipe.transformer.warp_hint_embedding):
        torch.nn.init.normal_(embedding.weight, std=0.1)
    return pipe


def test_a_network_of_no_opinion_returns_the_warp():
    """With the baseline "warp", a prediction of zero is the hint's own picture, but for the source frame."""
    pipe = hinted_pipeline()
    torch.nn.init.zeros_(pipe.transformer.proj_out.weight)
    torch.nn.init.zeros_(pipe.transformer.proj_out.bias)
    given = hints(1.0)
    made = pipe.generate_video(frames(1), arc(), hints=given, steps=2).frames_u8
    clean = pipe.codec.encode_video(pipe._to_model(given.frames_u8))
    clean[:, :, :1] = pipe.codec.encode_video(pipe._to_model(frames(1)))
    expected = ((pipe.codec.decode_video(clean)[0].permute(1, 2, 3, 0).numpy() + 1) * 127.5).round()
    assert np.abs(made.astype(float) - expected).max() <= 1


def test_a_hinted_network_sees_the_warp_and_nothing_is_held():
    pipe = hinted_pipeline()
    problem = pipe._generate_problem(GenerateTask(frames(1), arc(), hints=hints(1.0)))
    assert problem.hint is None and problem.warp_hint.shape == (1, 3 * 16 + 5, 4, 8, 12)
    assert problem.warp_hint[:, :, 0].abs().max() == 0  # the segment of the source frames
    assert pipe._generate_problem(GenerateTask(frames(1), arc(), hints=hints(1.0), hint_level=0.5)).hint.level == 0.5
    alone, with_hint = (pipe.generate_video(frames(1), arc(), hints=h, steps=2).frames_u8 for h in (None, hints(1.0)))
    assert not np.array_equal(alone, with_hint)


def test_guidance_compares_with_the_model_that_sees_no_warp():
    """The unconditional branch has rays of noise, so neither the warp nor its baseline may enter it."""
    pipe = hinted_pipeline()
    problem = pipe._generate_problem(GenerateTask(frames(1), arc(), hints=hints(1.0)))
    network, x = pipe._network(problem), problem.noise
    noise, clean = torch.ones_like(problem.known.rays, dtype=torch.float32), torch.zeros_like(problem.known.rays)
    times = torch.ones(1, problem.noise.video.shape[2])
    blind = pipe._network(pipe._generate_problem(GenerateTask(frames(1), arc())))
    with torch.no_grad():
        assert torch.equal(network(x, Pair(times, noise)).video, blind(x, Pair(times, noise)).video)
        assert not torch.equal(network(x, Pair(times, clean.float())).video, blind(x, Pair(times, clean.float())).video)


@pytest.mark.parametrize("scale", [-1.0, float("nan"), float("inf")])
def test_guidance_is_a_number_from_0_on(scale):
    with pytest.raises(ValueError, match="guidance must be 0 to 20, got"):
        hinted_pipeline()._generate_problem(GenerateTask(frames(1), arc(), guidance_scale=scale))


def test_temperature_scales_the_noise_a_video_starts_from(pipe):
    warm, cool = (pipe._generate_problem(GenerateTask(frames(1), arc(), temperature=t)) for t in (None, 0.25))
    assert torch.equal(cool.noise.video, 0.25 * warm.noise.video) and torch.equal(cool.noise.rays, warm.noise.rays)
    cold = [pipe.generate_video(frames(1), arc(), steps=2, seed=s, temperature=0.0).frames_u8 for s in (1, 2)]
    warm = [pipe.generate_video(frames(1), arc(), steps=2, seed=s).frames_u8 for s in (1, 2)]
    assert np.array_equal(*cold) and not np.array_equal(*warm)


def test_the_checkpoint_has_a_temperature_of_its_own():
    pipe = hinted_pipeline()
    pipe.register_to_config(default_temperature=0.5)
    own = pipe._generate_problem(GenerateTask(frames(1), arc())).noise.video
    assert torch.equal(own, pipe._generate_problem(GenerateTask(frames(1), arc(), temperature=0.5)).noise.video)


@pytest.mark.parametrize("temperature", [-0.1, 1.5, float("nan")])
def test_a_temperature_lies_in_0_to_1(pipe, temperature):
    with pytest.raises(ValueError, match="temperature must be 0 to 1, got"):
        pipe._generate_problem(GenerateTask(frames(1), arc(), temperature=temperature))


def test_flow_is_looked_for_in_the_best_frames_there_are():
    pipe = hinted_pipeline()
    small = frames(9)
    large = small.repeat(2, axis=1).repeat(2, axis=2)
    own = pipe._estimate_problem(EstimateTask(small, source=3)).flow_hint
    detailed = pipe._estimate_problem(EstimateTask(small, source=3, flow_frames_u8=large)).flow_hint
    assert own.shape == detailed.shape == (1, 24, 4, 8, 12) and not torch.equal(own, detailed)
    assert own[:, :, 0].abs().max() == 0 and own.abs().max() > 0
    with pytest.raises(ValueError, match="cropped as the frames are"):
        pipe.estimate_trajectory(small, flow_frames_u8=large[:, :, :128])
    with pytest.raises(ValueError, match="the clip's 9 frames"):
        pipe.estimate_trajectory(small, flow_frames_u8=large[:5])


@pytest.mark.parametrize("indices", [(0,), (4, 8)])
def test_joint_sampling_hands_its_own_cameras_a_plane(indices):
    """What joint sampling ends with is generation along the cameras it found, with the sources as planes."""
    pipe = hinted_pipeline()
    sources = frames(len(indices))
    task = JointTask(sources, indices, num_frames=9, steps=3, ray_steps=2, seed=5)
    states = list(pipe.stream(task))
    assert [s.step for s in states] == [1, 2, 3, 4, 5] and all(s.steps == 5 for s in states)
    assert [s.done for s in states] == [False] * 4 + [True] and states[-2].output is None
    output = states[-1].output
    given = plane_hints(sources, indices, output.trajectory)
    again = pipe.generate_video(sources, output.trajectory, source_indices=indices, hints=given, steps=3, seed=5)
    assert np.array_equal(output.frames_u8, again.frames_u8)
    blind = pipe.generate_video(sources, output.trajectory, source_indices=indices, steps=3, seed=5)
    assert not np.array_equal(output.frames_u8, blind.frames_u8)


def test_seed_decides(pipe):
    a, b, c = (pipe.generate_video(frames(1), arc(), seed=s).frames_u8 for s in (1, 1, 2))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_the_source_frame_comes_out_as_the_codec_has_it(pipe):
    video = frames(1)
    out = pipe.generate_video(video, arc(), steps=2).frames_u8[0]
    decoded = pipe.codec.decode_video(pipe.codec.encode_video(pipe._to_model(video)))
    expected = ((decoded[0, :, 0].permute(1, 2, 0).numpy() + 1) * 127.5).round()
    assert np.abs(out.astype(float) - expected).max() <= 1


def test_a_given_field_of_view_is_kept(pipe):
    output = pipe.estimate_trajectory(frames(), fov_y_rad=math.radians(40), source=3)
    np.testing.assert_allclose(output.trajectory.fov_y_rad, math.radians(40))


def test_the_world_of_the_given_trajectory_does_not_matter(pipe):
    moved = se3.exp(np.array([0.3, -0.2, 0.5, 0.1, 0.4, -0.3]))
    path = arc()
    elsewhere = Trajectory(moved @ path.Ts_world_camera, path.intrinsics, path.image_size, path.fps)
    a, b = (pipe.generate_video(frames(1), p).frames_u8.astype(int) for p in (path, elsewhere))
    assert np.abs(a - b).max() <= 1


def test_round_trip(pipe):
    loop = pipe.round_trip(frames(), steps=1)
    assert loop.generated.trajectory == loop.estimate.trajectory
    assert len(loop.re_estimate.trajectory) == 9


def test_save_and_load_give_the_same_answers(pipe, tmp_path):
    pipe.save_pretrained(tmp_path)
    again = RaPPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert np.array_equal(pipe.estimate_trajectory(frames()).raxels, again.estimate_trajectory(frames()).raxels)
    assert again.config.default_steps == 3


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (EstimateTask(frames(8)), r"5, 9, 13, 17, ... \(1 \+ 4k\) frames, got 8"),
        (EstimateTask(frames(9, (60, 64))), r"multiples of 32, got \(60, 64\)"),
        (EstimateTask(frames(9).astype(np.float32)), "uint8"),
        (EstimateTask(frames(9), source=9), "source frame 9 lies outside"),
        (EstimateTask(frames(9), fov_y_rad=60.0), "degrees?"),
        (GenerateTask(frames(2), arc()), "different frame for each of the 2 source frames"),
        (GenerateTask(frames(1), arc(6)), "got 6"),
        (JointTask(frames(1), num_frames=16), "got 16"),
        (GenerateTask(frames(1), arc(5), hints=hints(1.0)), r"hints must be .* = \(5, 64, 96\), got \(9, 64, 96, 3\)"),
        (GenerateTask(frames(1), arc(), hints=hints(1.0), hint_level=2.0), r"hint_level must lie in \[0, 1\], got 2"),
    ],
)
def test_wrong_input_is_refused_by_name(pipe, task, words):
    with pytest.raises(ValueError, match=words):
        next(pipe.stream(task))


def test_settings_outside_the_limits_are_refused_where_a_task_is_made():
    with pytest.raises(ValueError, match="steps must be 1 to 200, got 0"):
        GenerateTask(frames(1), arc(), steps=0)


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="vae has 12 latent channels but the transformer takes 16"):
        tiny_pipeline(PatchAutoencoder(12, 8, 0), in_channels=16)


def test_regenerating_encodes_only_what_the_edit_has_changed(monkeypatch):
    pipe, calls = hinted_pipeline(), []
    for name in ("encode_images", "encode_still", "encode_rays", "encode_video"):
        monkeypatch.setattr(pipe.codec, name, counted(calls, name, getattr(pipe.codec, name)))
    first = pipe.generate_video(frames(1), arc(), steps=2)
    assert {"encode_images", "encode_still", "encode_rays"} <= set(calls)
    calls.clear()
    assert np.array_equal(pipe.generate_video(frames(1), arc(), steps=2).frames_u8, first.frames_u8) and not calls
    pipe.generate_video(frames(1), arc().scaled(1.5), steps=2)
    assert calls == ["encode_rays"]
    calls.clear()
    pipe.estimate_trajectory(frames(9), seed=0)
    assert "encode_video" in calls
    calls.clear()
    pipe.estimate_trajectory(frames(9), seed=1)
    assert "encode_video" not in calls and "encode_images" not in calls
    pipe.forget_latents()
    pipe.estimate_trajectory(frames(9), seed=1)
    assert {"encode_video", "encode_images"} <= set(calls)


def counted(calls, name, function):
    """The function, and its name in `calls` whenever it is called."""

    def call(*arguments):
        calls.append(name)
        return function(*arguments)

    return call
