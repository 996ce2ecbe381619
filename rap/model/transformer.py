"""RaPTransformer3DModel: Wan's video transformer with a ray branch beside it.

Every Wan parameter keeps its name and every ray parameter is a `ray_*` sibling, so a Wan state dict is a strict subset.
Frames of both branches are lists with explicit times and a timestep each: a clean source frame, a noised target
frame and a known ray map differ in nothing but their numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from diffusers.configuration_utils import register_to_config
from diffusers.models._modeling_parallel import ContextParallelInput, ContextParallelOutput
from diffusers.models.attention import FeedForward
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401  a pipeline's from_pretrained looks for it here
from diffusers.models.transformers.transformer_wan import WanTimeTextImageEmbedding, WanTransformerBlock
from diffusers.utils import BaseOutput
from jaxtyping import Float
from torch import Tensor, nn

from rap.model import attention as attn_lib
from rap.model.attention import Wanted
from rap.model.tokens import (
    PROMPT_TOKENS,
    TIME_COMPRESSION,
    frames_to_latent_time,
    half_resolution_positions,
    patch_tokens,
    rotary_table,
    unpatch_tokens,
)

Rotary = Sequence[Tensor]
"""Cosines and sines, each (B, F, S, 1, d)."""

FLOW_CHANNELS = TIME_COMPRESSION * 2 * 3
"""Of the flow hint: `rap.reconstruction.optical_flow.pack_flow`."""

WARP_MAPS = {"none": (0, 0), "blend": (1, 3), "layers": (3, 5)}
"""Of the warp hint (`rap.views.hints.pack_warp`): pictures with as many channels as the latents, and single maps."""


@dataclass
class RaPTransformerOutput(BaseOutput):
    """Predictions of both branches, in the shape of their inputs.

    `sample` belongs to the video latents, `ray_sample` to the ray latents; whether they are velocities or clean
    samples is the config's `video_prediction` and `ray_prediction`. None is a modality that was not `wanted`.
    """

    sample: Tensor | None
    ray_sample: Tensor | None


class RaPTransformerBlock(WanTransformerBlock):
    """One block: decoupled attention of both branches, text for the video, a feed-forward each.

    The norms have no parameters, so both branches use them; modulation, feed-forward and (if `separate`) attention
    weights are the ray branch's own.
    """

    def __init__(self, dim: int, ffn_dim: int, heads: int, config: dict) -> None:
        super().__init__(dim, ffn_dim, heads, cross_attn_norm=config["cross_attn_norm"], eps=config["eps"])
        self.decoupled = config["attention"] == "decoupled"
        if config["text_dim"] is None:
            self.attn2 = None
            self.norm2 = nn.Identity()
        if config["camera"] == "pluecker":
            return
        self.ray_attn1 = None
        if config["ray_attention"] == "separate":
            self.ray_attn1 = WanTransformerBlock(dim, 8, heads, eps=config["eps"]).attn1
        self.ray_ffn = FeedForward(dim, inner_dim=ffn_dim, activation_fn="gelu-approximate")
        self.ray_scale_shift_table = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)
        if self.decoupled:
            self.cross_gate = nn.Parameter(torch.full((2, dim), float(config["cross_gate_init"])))

    def forward(  # type: ignore[override]
        self,
        hidden_states: Float[Tensor, "B F S D"],
        rays: Float[Tensor, "B G P D"] | None,
        text: Tensor | None,
        temb: Float[Tensor, "B F|1 6 D"],
        ray_temb: Tensor | None,
        rotary: Rotary,
        ray_rotary: Rotary | None,
        wanted: Wanted = "both",
    ) -> tuple[Tensor, Tensor]:
        """Tokens of both branches, or twice those of the only one.

        A branch that is not `wanted` is attended to and comes back as it was.
        """
        mod_z = _modulation(self.scale_shift_table, temb)
        video_qkv = attn_lib.project_qkv(self.attn1, self._modulate(hidden_states, mod_z[1], mod_z[0]), rotary)
        processor = self.attn1.processor
        if rays is None or ray_temb is None or ray_rotary is None:
            out_z = attn_lib.self_attention(video_qkv, processor)
            hidden_states = self._update_video(hidden_states, out_z, text, mod_z)
            return hidden_states, hidden_states  # two tensors, as the hooks of diffusers' context parallel want them
        ray_attn = self.ray_attn1 or self.attn1
        mod_r = _modulation(self.ray_scale_shift_table, ray_temb)
        rays_qkv = attn_lib.project_qkv(ray_attn, self._modulate(rays, mod_r[1], mod_r[0]), ray_rotary)
        if self.decoupled:
            out_z, out_r = attn_lib.decoupled_attention(video_qkv, rays_qkv, self.cross_gate, processor, wanted)
        else:
            out_z, out_r = attn_lib.joint_attention(video_qkv, rays_qkv, processor)
        if out_r is not None and wanted != "video":
            rays = _add_gated(rays, ray_attn.to_out[0](out_r), mod_r[2])
            rays = _add_gated(rays, self.ray_ffn(self._modulate_ff(rays, mod_r[4], mod_r[3])), mod_r[5])
        if out_z is not None and wanted != "rays":
            hidden_states = self._update_video(hidden_states, out_z, text, mod_z)
        return hidden_states, rays

    def _update_video(
        self, hidden_states: Tensor, out_z: Tensor, text: Tensor | None, mod_z: tuple[Tensor, ...]
    ) -> Tensor:
        hidden_states = _add_gated(hidden_states, self.attn1.to_out[0](out_z), mod_z[2])
        if text is not None and self.attn2 is not None:
            query = self.norm2(hidden_states.float()).type_as(hidden_states).flatten(1, 2)
            hidden_states = hidden_states + self.attn2(query, text, None, None).view_as(hidden_states)
        return _add_gated(hidden_states, self.ffn(self._modulate_ff(hidden_states, mod_z[4], mod_z[3])), mod_z[5])

    def _modulate(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return (self.norm1(x.float()) * (1 + scale) + shift).type_as(x).flatten(1, 2)

    def _modulate_ff(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return (self.norm3(x.float()) * (1 + scale) + shift).type_as(x)


def _modulation(table: Tensor, temb: Tensor) -> tuple[Tensor, ...]:
    """Six (B, F|1, 1, D) values: shift, scale, gate of the attention, then of the feed-forward."""
    return (table.unsqueeze(0) + temb.float()).unsqueeze(2).unbind(3)


def _add_gated(x: Tensor, update: Tensor, gate: Tensor) -> Tensor:
    return (x.float() + update.view_as(x).float() * gate).type_as(x)


class RaPTransformer3DModel(WanTransformer3DModel):
    """Joint velocity field of video latents z and ray latents r (Rays as Pixels, arXiv 2604.09429).

    Args beyond `WanTransformer3DModel`:
        text_dim: width of the text states, or None for a model without text.
        ray_attention: "shared" (both branches use the Wan attention weights; 14B + 6B, the paper's size) or "separate".
        attention: "decoupled" (the paper) or "joint" (its ablation: one softmax over all tokens).
        camera: "raxel" (a ray branch at half resolution) or "pluecker" (the paper's baseline: a Plücker map of 2C
            latent channels, concatenated with the video latents, no ray branch).
        ray_frame_stride: a ray map at every such frame; 1 gives a pose per frame, 4 one per latent frame.
        cross_gate_init: start of the gates; 0 keeps a Wan video branch bit-identical, 1 suits training from nothing.
        video_prediction, ray_prediction: "flow" (velocity) or "sample" (clean latents) is what the heads output.
        video_baseline: "none" (the paper), or "source": a predicted sample is a change of the still video of the
            nearest source frame (`LatentCodec.encode_still`), so that a small model need not learn to copy first.
            The pipeline adds it; only with video_prediction "sample". "warp": a change of the warp hint's blended
            colours where there is a hint, else of the still video.
        flow_hint: whether a given video comes with its optical flow (not in the paper; see `rap.views.hints`).
        empty_text: the state (text_dim) of the end of a prompt with nothing before it; then such a prompt stands for
            text that is not given. None: text is left out.
        warp_hint: "none" (the paper), or what of the warped sources comes with given cameras: "blend", or "layers" too.
    """

    _keep_in_fp32_modules = [
        *(WanTransformer3DModel._keep_in_fp32_modules or []),
        "ray_scale_shift_table",
        "cross_gate",
    ]
    _skip_layerwise_casting_patterns = [
        *(WanTransformer3DModel._skip_layerwise_casting_patterns or []),
        "ray_patch_embedding",
        "ray_condition_embedder",
    ]
    _no_split_modules = ["RaPTransformerBlock"]
    _repeated_blocks = ["RaPTransformerBlock"]
    _cp_plan = {  # each process has some tokens of every frame, so that modulation, which is a frame's, is not cut
        "blocks.0": {"hidden_states": ContextParallelInput(2, 4), "rays": ContextParallelInput(2, 4)},
        "blocks.*": {name: [ContextParallelInput(2, 5)] * 2 for name in ("rotary", "ray_rotary")},
        "proj_out": ContextParallelOutput(2, 4),
        "ray_proj_out": ContextParallelOutput(2, 4),
    }

    @register_to_config
    def __init__(
        self,
        patch_size: tuple[int, int, int] = (1, 2, 2),
        num_attention_heads: int = 40,
        attention_head_dim: int = 128,
        in_channels: int = 16,
        out_channels: int = 16,
        text_dim: int | None = 4096,
        freq_dim: int = 256,
        ffn_dim: int = 13824,
        num_layers: int = 40,
        cross_attn_norm: bool = True,
        qk_norm: str | None = "rms_norm_across_heads",
        eps: float = 1e-6,
        image_dim: int | None = None,
        added_kv_proj_dim: int | None = None,
        rope_max_seq_len: int = 1024,
        pos_embed_seq_len: int | None = None,
        ray_attention: str = "shared",
        attention: str = "decoupled",
        camera: str = "raxel",
        ray_frame_stride: int = 1,
        cross_gate_init: float = 0.0,
        video_prediction: str = "flow",
        video_baseline: str = "none",
        ray_prediction: str = "flow",
        flow_hint: bool = False,
        warp_hint: str = "none",
        empty_text: list[float] | None = None,
    ) -> None:
        _check_config(self.config)
        config = dict(self.config)
        super().__init__(  # no blocks: the parent would build Wan's and throw them away
            patch_size=patch_size,
            num_attention_heads=num_attention_heads,
            attention_head_dim=attention_head_dim,
            in_channels=in_channels,
            out_channels=out_channels,
            text_dim=text_dim or 1,
            freq_dim=freq_dim,
            ffn_dim=ffn_dim,
            num_layers=0,
            cross_attn_norm=cross_attn_norm,
            qk_norm=qk_norm,
            eps=eps,
            rope_max_seq_len=rope_max_seq_len,
        )
        self.register_to_config(text_dim=text_dim, num_layers=num_layers)
        dim = num_attention_heads * attention_head_dim
        if text_dim is None:
            self.condition_embedder.text_embedder = None
        self.blocks = nn.ModuleList(
            [RaPTransformerBlock(dim, ffn_dim, num_attention_heads, config) for _ in range(num_layers)]
        )
        self.source_embedding = nn.Parameter(torch.zeros(2, dim))  # the reference, every other source frame
        self._add_ray_branch(dim)
        self._add_hint_embeddings(dim)

    def _add_ray_branch(self, dim: int) -> None:
        """What the rays have of their own before and after the blocks."""
        config = self.config
        channels = config.in_channels if config.camera == "raxel" else 2 * config.in_channels
        patch_size = config.patch_size
        self.ray_patch_embedding = nn.Conv3d(channels, dim, kernel_size=patch_size, stride=patch_size)
        self.ray_condition_embedder = WanTimeTextImageEmbedding(dim, config.freq_dim, dim * 6, 1)
        self.ray_condition_embedder.text_embedder = None
        self.ray_proj_out = nn.Linear(dim, channels * math.prod(patch_size))
        self.ray_scale_shift_table = nn.Parameter(torch.randn(1, 2, dim) / dim**0.5)

    def _add_hint_embeddings(self, dim: int) -> None:
        config = self.config
        pictures, maps = WARP_MAPS[config.warp_hint]
        self.warp_hint_channels = config.in_channels * pictures + maps
        self.flow_hint_embedding = self.warp_hint_embedding = None
        if config.flow_hint:
            self.flow_hint_embedding = _hint_embedding(FLOW_CHANNELS, dim, config.patch_size)
        if config.warp_hint != "none":
            self.warp_hint_embedding = _hint_embedding(self.warp_hint_channels, dim, config.patch_size)

    def forward(  # type: ignore[override]
        self,
        hidden_states: Float[Tensor, "B C F h w"],
        ray_hidden_states: Float[Tensor, "B C G h/2 w/2"],
        timestep: Tensor,
        ray_timestep: Tensor,
        encoder_hidden_states: Tensor | None = None,
        frame_times: Float[Tensor, "B F"] | None = None,
        ray_frame_times: Float[Tensor, "B G"] | None = None,
        num_source_frames: int = 0,
        return_dict: bool = True,
        wanted: Wanted = "both",
        flow_hint: Float[Tensor, "B 24 F h w"] | None = None,
        warp_hint: Float[Tensor, "B K F h w"] | None = None,
    ) -> RaPTransformerOutput | tuple[Tensor | None, Tensor | None]:
        """Predict both modalities.

        Args:
            hidden_states: video latents; the first `num_source_frames` frames are source frames, encoded one by one,
                the first of them the reference whose camera is the world.
            ray_hidden_states: latents of the raxel maps, one per ray frame.
            timestep, ray_timestep: 0 (clean) .. 1000 (noise), (B,) for the clip or (B, F) for each frame.
            encoder_hidden_states: text states (B, L, text_dim); None: an empty prompt's, where `empty_text` knows them.
            frame_times: latent times of the frames (`frames_to_latent_time`); default 0, 1, 2, ...
            ray_frame_times: latent times of the ray frames; default every `ray_frame_stride`-th frame of a clip.
            wanted: "video" or "rays" where the other modality is given: what only its own prediction needs (its half
                of the last block, its head) is left out, and None in the output. The wanted one is not changed.
            flow_hint: optical flow of the video; counts in frames of timestep 0 only.
            warp_hint: what the sources look like from the cameras; counts where every ray timestep is 0 only. Both are
                optional, and 0 in the source frames.

        Raises:
            ValueError: a hint of another shape, or one that this configuration does not take.
        """
        grid, ray_grid = self._grids(hidden_states, ray_hidden_states)
        rotary, ray_rotary = self._rotaries(hidden_states, ray_hidden_states, frame_times, ray_frame_times)
        x = patch_tokens(self.patch_embedding, hidden_states)
        x = self._add_hints(x, hidden_states, flow_hint, warp_hint, timestep, ray_timestep)
        if num_source_frames:
            x = self._mark_sources(x, num_source_frames)
        rays = patch_tokens(self.ray_patch_embedding, ray_hidden_states)
        temb, mod = _embed_time(self.condition_embedder, timestep, x)
        ray_temb, ray_mod = _embed_time(self.ray_condition_embedder, ray_timestep, x)
        text = self._text(x, encoder_hidden_states)

        if self.config.camera == "pluecker":  # channel-wise: the patch embedding of both is the sum of two
            x, mod, temb, rays, ray_mod = x + rays, mod + ray_mod, temb + ray_temb, None, None
            ray_temb = temb
        x, rays = self._through_blocks(x, rays, (text, mod, ray_mod, rotary, ray_rotary), wanted)

        video_out = ray_out = None
        if wanted != "rays":
            video_out = self._head(x, temb, self.scale_shift_table, self.proj_out, grid)
        if wanted != "video":
            ray_out = self._head(rays, ray_temb, self.ray_scale_shift_table, self.ray_proj_out, ray_grid)
        return RaPTransformerOutput(video_out, ray_out) if return_dict else (video_out, ray_out)

    def _through_blocks(
        self, x: Tensor, rays: Tensor | None, rest: tuple[Any, ...], wanted: Wanted
    ) -> tuple[Tensor, Tensor]:
        """Tokens of both branches after all blocks; without a branch of their own (Plücker) the rays are the video's.

        Args:
            rest: what every block is given besides, in its order.
        """
        for i, block in enumerate(self.blocks):
            last = i + 1 == len(self.blocks)
            args = (x, rays, *rest, wanted if last else "both")
            if torch.is_grad_enabled() and self.gradient_checkpointing:
                x, others = self._gradient_checkpointing_func(block, *args)
            else:
                x, others = block(*args)
            rays = None if rays is None else others
        return x, x if rays is None else rays

    def _text(self, x: Tensor, states: Tensor | None) -> Tensor | None:
        """Embedded states of the prompt, (B, L, D)."""
        embedder, empty = self.condition_embedder.text_embedder, self.config.empty_text
        if embedder is None or (states is None and empty is None):
            return None
        if states is None:
            states = x.new_zeros(1, PROMPT_TOKENS, len(empty))
            states[0, 0] = torch.tensor(empty)
        return embedder(states).expand(len(x), -1, -1)

    def _add_hints(
        self,
        x: Tensor,
        latents: Tensor,
        flow_hint: Tensor | None,
        warp_hint: Tensor | None,
        timestep: Tensor,
        ray_timestep: Tensor,
    ) -> Tensor:
        """Embeddings of the hints on top of those of the video, each 0 where what it is made of is noised."""
        if flow_hint is not None:
            embedding = _checked_hint("flow_hint", flow_hint, self.flow_hint_embedding, FLOW_CHANNELS, latents)
            clean = (timestep if timestep.ndim == 2 else timestep[:, None]) == 0
            x = x + patch_tokens(embedding, (flow_hint * clean[:, None, :, None, None]).type_as(latents))
        if warp_hint is not None:
            embedding = _checked_hint(
                "warp_hint", warp_hint, self.warp_hint_embedding, self.warp_hint_channels, latents
            )
            clean = ray_timestep.reshape(len(latents), -1).amax(dim=1) == 0
            x = x + patch_tokens(embedding, (warp_hint * clean.view(-1, 1, 1, 1, 1)).type_as(latents))
        return x

    def _head(self, x: Tensor, temb: Tensor, table: Tensor, proj: nn.Linear, grid: tuple[int, int]) -> Tensor:
        shift, scale = (table.unsqueeze(0) + temb.unsqueeze(2)).unsqueeze(2).unbind(3)
        x = (self.norm_out(x.float()) * (1 + scale) + shift).type_as(x)
        return unpatch_tokens(proj(x), grid, self.config.patch_size)

    def _mark_sources(self, x: Tensor, count: int) -> Tensor:
        rows = self.source_embedding[[0] + [1] * (count - 1)].type_as(x)
        return torch.cat([x[:, :count] + rows[None, :, None], x[:, count:]], dim=1)

    def _grids(self, video: Tensor, rays: Tensor) -> tuple[tuple[int, int], tuple[int, int]]:
        p_t, p_h, p_w = self.config.patch_size
        (h, w), (ray_h, ray_w) = video.shape[-2:], rays.shape[-2:]
        if p_t != 1:
            raise ValueError(f"patch_size must be 1 in time, got {p_t}: frames carry their own timesteps")
        for name, got, step in (("h", h, p_h), ("w", w, p_w), ("ray h", ray_h, p_h), ("ray w", ray_w, p_w)):
            if got % step:
                raise ValueError(f"latent {name} must be a multiple of the patch size {step}, got {got}")
        expected = (h, w) if self.config.camera == "pluecker" else (h // 2, w // 2)
        if (ray_h, ray_w) != expected:
            raise ValueError(
                f"ray_hidden_states must be {expected} for video latents of {(h, w)} "
                f"and camera={self.config.camera!r}, got {(ray_h, ray_w)}"
            )
        grid, ray_grid = (h // p_h, w // p_w), (ray_h // p_h, ray_w // p_w)
        if self._parallel_config is not None:
            self._check_shares(math.prod(grid), math.prod(ray_grid))
        return grid, ray_grid

    def _check_shares(self, tokens: int, ray_tokens: int) -> None:
        """Whether processes can share a clip (`_cp_plan`): heads, and the tokens of a frame, in equal parts."""
        chosen: Any = self._parallel_config.context_parallel_config
        if chosen.ring_degree > 1 or chosen.ulysses_anything:
            raise ValueError("context parallel: give ulysses_degree alone; rings and unequal parts are not built")
        heads, count = self.config.num_attention_heads, chosen.ulysses_degree
        for name, number in (("heads", heads), ("tokens a frame", tokens), ("tokens a map of rays", ray_tokens)):
            if number % count:
                raise ValueError(
                    f"context parallel: {number} {name} have no {count} equal parts; take a divisor, or another size"
                )

    def _rotaries(
        self, video: Tensor, rays: Tensor, frame_times: Tensor | None, ray_frame_times: Tensor | None
    ) -> tuple[Rotary, Rotary | None]:
        _, p_h, p_w = self.config.patch_size
        head, device = self.config.attention_head_dim, video.device
        rows, columns = (torch.arange(n // p, device=device) for n, p in zip(video.shape[-2:], (p_h, p_w), strict=True))
        if frame_times is None:
            frame_times = torch.arange(video.shape[2], device=device)[None]
        rotary = _frame_by_frame(rotary_table(frame_times, rows, columns, head), frame_times)
        if self.config.camera == "pluecker":
            return rotary, None
        if ray_frame_times is None:
            frames = torch.arange(rays.shape[2], device=device)[None] * self.config.ray_frame_stride
            ray_frame_times = frames_to_latent_time(frames)
        ray_rows, ray_columns = (
            half_resolution_positions(n // p, device) for n, p in zip(rays.shape[-2:], (p_h, p_w), strict=True)
        )
        table = rotary_table(ray_frame_times, ray_rows, ray_columns, head)
        return rotary, _frame_by_frame(table, ray_frame_times)

    @classmethod
    def from_wan(cls, wan: WanTransformer3DModel | str | Path, **overrides: object) -> RaPTransformer3DModel:
        """Build from a Wan text-to-video transformer: its weights, its ray branch copied from the video branch.

        Args:
            wan: a loaded `WanTransformer3DModel` or the folder of one.
            overrides: RaP's own config values.

        Raises:
            ValueError: the Wan model conditions on images (`image_dim`, `added_kv_proj_dim`), which RaP does not take.
        """
        if not isinstance(wan, WanTransformer3DModel):
            wan = WanTransformer3DModel.from_pretrained(wan)
        if wan.config.image_dim is not None or wan.config.added_kv_proj_dim is not None:
            raise ValueError("wan must be a text-to-video model, got one with image conditioning (image_dim is set)")
        config = {k: v for k, v in wan.config.items() if not k.startswith("_")}
        model = cls(**{**config, **overrides}).to(dtype=wan.dtype)  # pyright: ignore[reportCallIssue]  decorated
        state = wan.state_dict()
        sources = model.wan_sources({key: tuple(value.shape) for key, value in state.items()})
        model.load_state_dict({key: state[source] for key, source in sources.items()}, strict=False)
        model.silence_new_summand()
        return model

    def wan_sources(self, wan: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
        """Which of Wan's parameters, by name and shape, each of ours begins as: its own, or its sibling's.

        Raises:
            ValueError: Wan has one that has no place here, or of another shape.
        """
        own = {key: tuple(value.shape) for key, value in self.state_dict().items()}
        sources = {key: key for key in own if key in wan}
        for key, shape in own.items():
            twin = key.replace("ray_", "", 1)
            if "ray_" in key and twin in wan and shape == wan[twin]:
                sources[key] = twin
        missing = sorted(set(wan) - set(sources) if self.config.text_dim is not None else ())
        missing += [key for key, source in sources.items() if own[key] != wan[source]]
        if missing:
            raise ValueError(f"wan: {len(missing)} parameters have no place in the model, first {missing[0]!r}")
        return sources

    def silence_new_summand(self) -> None:
        """With Plücker maps the video's embedding is a sum of two, of which Wan has one: the new one starts at 0."""
        if self.config.camera != "pluecker":
            return
        embedder = self.ray_condition_embedder
        for layer in (self.ray_patch_embedding, embedder.time_embedder.linear_2, embedder.time_proj):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)


def _frame_by_frame(table: Rotary, frame_times: Tensor) -> Rotary:
    return [part.unflatten(1, (frame_times.shape[1], -1)) for part in table]


def _hint_embedding(channels: int, dim: int, patch_size: tuple[int, int, int]) -> nn.Conv3d:
    """An input of the video tokens that says nothing at first: a model without it stays what it is."""
    embedding = nn.Conv3d(channels, dim, kernel_size=patch_size, stride=patch_size, bias=False)
    nn.init.zeros_(embedding.weight)
    return embedding


def _checked_hint(name: str, hint: Tensor, embedding: nn.Conv3d | None, channels: int, latents: Tensor) -> nn.Conv3d:
    """The embedding of a hint that fits."""
    if embedding is None:
        raise ValueError(f"{name} was given, but this model was built without it (config.{name}); leave it out")
    expected = (latents.shape[0], channels, *latents.shape[2:])
    if hint.shape != expected:
        raise ValueError(f"{name} must be {expected} for latents of {tuple(latents.shape)}, got {tuple(hint.shape)}")
    return embedding


def _embed_time(embedder: WanTimeTextImageEmbedding, timestep: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Time embedding (B, F|1, D) and modulation (B, F|1, 6, D); one timestep for the clip stays one row, as in Wan."""
    per_frame = timestep.ndim == 2
    flat = embedder.timesteps_proj(timestep.flatten())
    temb = embedder.time_embedder(flat.to(next(embedder.time_embedder.parameters()).dtype)).type_as(like)
    mod = embedder.time_proj(embedder.act_fn(temb)).unflatten(1, (6, -1))
    if per_frame:
        return temb.unflatten(0, timestep.shape), mod.unflatten(0, timestep.shape)
    return temb.unsqueeze(1), mod.unsqueeze(1)


def _check_config(config: dict) -> None:
    choices = {
        "ray_attention": ("shared", "separate"),
        "attention": ("decoupled", "joint"),
        "camera": ("raxel", "pluecker"),
        "video_prediction": ("flow", "sample"),
        "video_baseline": ("none", "source", "warp"),
        "warp_hint": tuple(WARP_MAPS),
        "ray_prediction": ("flow", "sample"),
    }
    for name, allowed in choices.items():
        if config[name] not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, got {config[name]!r}")
    baseline = config["video_baseline"]
    if baseline != "none" and config["video_prediction"] != "sample":
        raise ValueError(f"video_baseline {baseline!r} needs video_prediction 'sample', got 'flow'")
    if baseline == "warp" and config["warp_hint"] == "none":
        raise ValueError("video_baseline 'warp' needs a warp_hint, got 'none'")
    empty, width = config["empty_text"], config["text_dim"]
    if empty is not None and len(empty) != width:
        raise ValueError(f"empty_text must have text_dim = {width} values, got {len(empty)}")
    if config["attention_head_dim"] % 2:
        raise ValueError(f"attention_head_dim must be even, got {config['attention_head_dim']}")
    if config["ray_frame_stride"] not in (1, 2, 4):
        raise ValueError(f"ray_frame_stride must be 1, 2 or 4, got {config['ray_frame_stride']}")
