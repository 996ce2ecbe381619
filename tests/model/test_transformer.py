"""RaPTransformer3DModel: equals Wan when built from it, and the promises of its interface."""

import pytest
import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed

from rap.model import RaPTransformer3DModel
from rap.model.attention import decoupled_attention
from rap.model.tokens import PROMPT_TOKENS, frames_to_latent_time, half_resolution_positions, rotary_table
from rap.model.transformer import FLOW_CHANNELS

WAN = dict(
    num_attention_heads=2,
    attention_head_dim=12,
    in_channels=4,
    out_channels=4,
    text_dim=16,
    freq_dim=32,
    ffn_dim=48,
    num_layers=2,
)


def tiny(**overrides) -> RaPTransformer3DModel:
    torch.manual_seed(0)
    model = RaPTransformer3DModel(**{**WAN, "text_dim": None, "cross_gate_init": 1.0, **overrides})
    torch.nn.init.normal_(model.source_embedding)
    return model.eval()


def inputs(batch: int = 2, camera: str = "raxel", seed: int = 0) -> dict:
    g = torch.Generator().manual_seed(seed)
    rays = (batch, 4, 9, 4, 4) if camera == "raxel" else (batch, 8, 3, 8, 8)
    return dict(
        hidden_states=torch.randn(batch, 4, 3, 8, 8, generator=g),
        ray_hidden_states=torch.randn(rays, generator=g),
        timestep=torch.rand(batch, 3, generator=g) * 1000,
        ray_timestep=torch.rand(batch, rays[2], generator=g) * 1000,
    )


@pytest.mark.parametrize("overrides", [{}, {"ray_attention": "separate"}, {"camera": "pluecker"}])
@torch.no_grad()
def test_equals_wan_bit_for_bit_when_built_from_it(overrides):
    torch.manual_seed(0)
    wan = WanTransformer3DModel(**WAN).eval()
    model = RaPTransformer3DModel.from_wan(wan, **overrides).eval()
    args = inputs(camera=overrides.get("camera", "raxel"))
    text, t = torch.randn(2, 5, 16), torch.tensor([400.0, 0.0])
    args.update(timestep=t, ray_timestep=t / 2)
    ours = model(**args, encoder_hidden_states=text)
    assert torch.equal(ours.sample, wan(args["hidden_states"], t, text).sample)
    assert torch.isfinite(ours.ray_sample).all() and ours.ray_sample.std() > 0


def test_from_wan_copies_the_ray_branch_and_its_gates_get_a_gradient():
    torch.manual_seed(0)
    wan = WanTransformer3DModel(**WAN)
    model = RaPTransformer3DModel.from_wan(wan)
    assert torch.equal(model.blocks[1].ray_ffn.net[2].weight, wan.blocks[1].ffn.net[2].weight)
    assert torch.equal(model.ray_patch_embedding.weight, wan.patch_embedding.weight)
    assert set(wan.state_dict()) <= set(model.state_dict())
    model(**inputs(), encoder_hidden_states=torch.randn(2, 5, 16)).sample.square().mean().backward()
    assert model.blocks[0].cross_gate.grad[0].abs().max() > 0


@torch.no_grad()
def test_an_empty_prompt_stands_for_text_that_is_not_given():
    state = torch.randn(16)
    states = torch.cat([state[None], torch.zeros(PROMPT_TOKENS - 1, 16)]).expand(2, -1, -1)
    without, model = tiny(text_dim=16), tiny(text_dim=16, empty_text=state.tolist())
    model.load_state_dict(without.state_dict())
    expected = without(**inputs(), encoder_hidden_states=states)
    torch.testing.assert_close(model(**inputs()).sample, expected.sample)
    assert (without(**inputs()).sample - expected.sample).abs().max() > 1e-4
    given = torch.randn(2, 5, 16)
    a, b = (one(**inputs(), encoder_hidden_states=given).sample for one in (model, without))
    assert torch.equal(a, b)
    with pytest.raises(ValueError, match="empty_text must have text_dim = 16 values, got 3"):
        tiny(text_dim=16, empty_text=[0.0] * 3)


def test_image_conditioned_wan_is_refused():
    wan = WanTransformer3DModel(**{**WAN, "image_dim": 8, "added_kv_proj_dim": 24})
    with pytest.raises(ValueError, match="text-to-video"):
        RaPTransformer3DModel.from_wan(wan)


def test_rotary_table_equals_wans_at_integer_positions():
    wan = WanRotaryPosEmbed(12, (1, 2, 2), 64)
    cos, sin = wan(torch.zeros(1, 4, 3, 8, 10))
    ours = rotary_table(torch.arange(3)[None], torch.arange(4), torch.arange(5), 12)
    assert torch.equal(ours[0], cos) and torch.equal(ours[1], sin)


def test_positions_of_single_frames_and_half_resolution_rays():
    times = frames_to_latent_time(torch.tensor([0, 1, 2, 3, 4, 5]))
    assert times.tolist() == [0, 0.625, 0.875, 1.125, 1.375, 1.625]
    assert times[1:5].mean() == 1  # frames 1..4 share latent frame 1
    assert half_resolution_positions(2).tolist() == [0.5, 2.5]  # centres of the pairs of rows (0, 1) and (2, 3)


@torch.no_grad()
def test_per_frame_times_that_agree_equal_one_time_for_the_clip():
    model, args = tiny(), inputs()
    args.update(timestep=torch.tensor([300.0, 800.0]), ray_timestep=torch.tensor([500.0, 10.0]))
    once = model(**args)
    args.update(timestep=args["timestep"][:, None].expand(2, 3))
    args.update(ray_timestep=args["ray_timestep"][:, None].expand(2, 9))
    per_frame = model(**args)
    torch.testing.assert_close(once.sample, per_frame.sample)
    torch.testing.assert_close(once.ray_sample, per_frame.ray_sample)


@pytest.mark.parametrize(
    "overrides", [{}, {"attention": "joint"}, {"camera": "pluecker"}, {"ray_attention": "separate"}]
)
@torch.no_grad()
def test_batch_of_two_equals_two_singles_and_each_modality_sees_the_other(overrides):
    model, args = tiny(**overrides), inputs(camera=overrides.get("camera", "raxel"))
    both = model(**args, num_source_frames=1)
    for i in range(2):
        one = model(**{k: v[i : i + 1] for k, v in args.items()}, num_source_frames=1)
        torch.testing.assert_close(both.sample[i : i + 1], one.sample)
        torch.testing.assert_close(both.ray_sample[i : i + 1], one.ray_sample)
    for name, output in (("hidden_states", "ray_sample"), ("ray_hidden_states", "sample")):
        changed = model(**{**args, name: args[name] + 1}, num_source_frames=1)
        assert (changed[output] - both[output]).abs().max() > 1e-4


@pytest.mark.parametrize(
    "overrides", [{}, {"attention": "joint"}, {"camera": "pluecker"}, {"ray_attention": "separate"}]
)
@torch.no_grad()
def test_leaving_out_a_modality_does_not_change_the_other(overrides):
    model, args = tiny(**overrides), inputs(camera=overrides.get("camera", "raxel"))
    both = model(**args)
    video, rays = model(**args, wanted="video"), model(**args, wanted="rays")
    assert torch.equal(video.sample, both.sample) and video.ray_sample is None
    assert torch.equal(rays.ray_sample, both.ray_sample) and rays.sample is None


@torch.no_grad()
def test_the_reference_is_told_from_other_sources():
    model, args = tiny(), inputs()
    times = torch.tensor([[0.0, 1.0, 2.0]]).expand(2, 3)
    order = [1, 0, 2]
    swapped = dict(args, hidden_states=args["hidden_states"][:, :, order], timestep=args["timestep"][:, order])
    a = model(**args, frame_times=times, num_source_frames=2).ray_sample
    b = model(**swapped, frame_times=times[:, order], num_source_frames=2).ray_sample
    assert (a - b).abs().max() > 1e-4
    torch.nn.init.zeros_(model.source_embedding)  # without the mark the order of frames means nothing
    a = model(**args, frame_times=times, num_source_frames=2).ray_sample
    b = model(**swapped, frame_times=times[:, order], num_source_frames=2).ray_sample
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_decoupled_attention_against_its_slow_twin():
    g = torch.Generator().manual_seed(0)
    video, rays = (tuple(torch.randn(1, n, 2, 4, generator=g) for _ in range(3)) for n in (5, 3))
    gates = torch.randn(2, 8, generator=g)
    out_z, out_r = decoupled_attention(video, rays, gates)
    torch.testing.assert_close(out_z, attend(video, video) + gates[0] * attend(video, rays))
    torch.testing.assert_close(out_r, attend(rays, rays) + gates[1] * attend(rays, video))


def attend(queries, keys) -> torch.Tensor:
    out = torch.zeros_like(queries[0])
    for head in range(out.shape[2]):
        for i in range(out.shape[1]):
            logits = torch.stack([queries[0][0, i, head] @ k for k in keys[1][0, :, head]]) / 2  # sqrt(4)
            out[0, i, head] = logits.softmax(0) @ keys[2][0, :, head]
    return out.flatten(2)


@torch.no_grad()
def test_dict_and_tuple_and_safetensors_round_trip(tmp_path):
    model, args = tiny(ray_frame_stride=2), inputs()
    args.update(ray_hidden_states=args["ray_hidden_states"][:, :, :5], ray_timestep=args["ray_timestep"][:, :5])
    model.save_pretrained(tmp_path)
    again = RaPTransformer3DModel.from_pretrained(tmp_path).eval()
    assert again.config.text_dim is None and again.config.num_layers == 2
    expected, got = model(**args), again(**args, return_dict=False)
    assert torch.equal(expected.sample, got[0]) and torch.equal(expected.ray_sample, got[1])


def test_gradient_checkpointing_gives_the_same_gradient():
    gradients = []
    for checkpointing in (False, True):
        model = tiny().train()
        if checkpointing:
            model.enable_gradient_checkpointing()
        model(**inputs()).ray_sample.square().mean().backward()
        gradients.append(model.blocks[0].ray_ffn.net[2].weight.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_states": torch.zeros(1, 4, 3, 7, 8)}, "latent h must be a multiple of the patch size 2, got 7"),
        ({"ray_hidden_states": torch.zeros(1, 4, 9, 8, 8)}, r"ray_hidden_states must be \(4, 4\)"),
    ],
)
def test_wrong_sizes_are_refused_by_name(change, words):
    with pytest.raises(ValueError, match=words):
        tiny()(**{**inputs(1), **change})


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"attention": "cross"}, "attention must be one of"),
        ({"video_baseline": "source"}, "needs video_prediction 'sample'"),
        ({"ray_frame_stride": 3}, "ray_frame_stride must be 1, 2 or 4, got 3"),
        ({"attention_head_dim": 13}, "attention_head_dim must be even"),
    ],
)
def test_wrong_configs_are_refused_by_name(config, words):
    with pytest.raises(ValueError, match=words):
        tiny(**config)


def hints(model: RaPTransformer3DModel, seed: int = 1) -> dict:
    g = torch.Generator().manual_seed(seed)
    channels = {"flow_hint": FLOW_CHANNELS, "warp_hint": model.warp_hint_channels}
    return {name: torch.randn(2, count, 3, 8, 8, generator=g) for name, count in channels.items()}


def hinted(**overrides) -> RaPTransformer3DModel:
    model = tiny(flow_hint=True, warp_hint="layers", **overrides)
    torch.nn.init.normal_(model.flow_hint_embedding.weight, std=0.1)
    torch.nn.init.normal_(model.warp_hint_embedding.weight, std=0.1)
    return model


def outputs(model: RaPTransformer3DModel, args: dict, **more) -> tuple[torch.Tensor, ...]:
    return model(**{**args, **more}, return_dict=False)


@torch.no_grad()
def test_new_hints_leave_a_model_as_it_was():
    model, plain = tiny(flow_hint=True, warp_hint="blend"), tiny()
    model.load_state_dict(plain.state_dict(), strict=False)
    args = inputs()
    args.update(timestep=torch.zeros(2), ray_timestep=torch.zeros(2))
    for a, b in zip(outputs(model, args, **hints(model)), outputs(plain, args), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name,other", [("flow_hint", "timestep"), ("warp_hint", "ray_timestep")])
@torch.no_grad()
def test_a_hint_counts_where_its_modality_is_clean(name, other):
    """Flow is made of the video, a warp of the cameras: of noise nobody has them."""
    model, args = hinted(), inputs()
    given = hints(model)[name]
    noised = outputs(model, args)
    assert all(torch.equal(a, b) for a, b in zip(noised, outputs(model, args, **{name: given}), strict=True))
    args[other] = torch.zeros_like(args[other])
    clean = outputs(model, args)
    assert not any(torch.equal(a, b) for a, b in zip(clean, outputs(model, args, **{name: given}), strict=True))


@torch.no_grad()
def test_flow_counts_frame_by_frame_and_a_warp_only_under_all_cameras():
    model, args = hinted(), inputs()
    given = hints(model)
    args["timestep"][:, 1] = 0
    only = torch.zeros_like(given["flow_hint"])
    only[:, :, 1] = given["flow_hint"][:, :, 1]
    a, b = (outputs(model, args, flow_hint=flow) for flow in (given["flow_hint"], only))
    assert torch.equal(a[0], b[0]) and not torch.equal(a[0], outputs(model, args)[0])
    args["ray_timestep"][:, :-1] = 0
    assert torch.equal(outputs(model, args, warp_hint=given["warp_hint"])[0], outputs(model, args)[0])


def test_hints_that_do_not_fit_are_sentences():
    args = inputs()
    with pytest.raises(ValueError, match="built without it"):
        tiny()(**args, flow_hint=torch.zeros(2, FLOW_CHANNELS, 3, 8, 8))
    with pytest.raises(ValueError, match=r"warp_hint must be \(2, 7, 3, 8, 8\)"):
        tiny(warp_hint="blend")(**args, warp_hint=torch.zeros(2, 9, 3, 8, 8))
    with pytest.raises(ValueError, match="needs a warp_hint"):
        tiny(video_baseline="warp", video_prediction="sample")
