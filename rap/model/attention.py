"""Decoupled self-cross attention (the paper's DSCA): marginals by self-attention, conditionals by cross-attention.

    o_z = A(q_z, k_z, v_z) + g_z * A(q_z, k_r, v_r)        video tokens z
    o_r = A(q_r, k_r, v_r) + g_r * A(q_r, k_z, v_z)        ray tokens r

Queries and keys of the cross-attention carry the rotary positions of their own tokens, so a video token meets the ray
token of its own place. The paper does not say how the two terms are mixed; a gate per channel, 0 when built from Wan
weights, leaves the pretrained video branch untouched at the start and still receives a gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from diffusers.models.attention_dispatch import SeqAllToAllDim, dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttention
from torch import Tensor

from rap.model.tokens import apply_rotary

QKV = tuple[Tensor, Tensor, Tensor]
Wanted = Literal["both", "video", "rays"]


def project_qkv(attn: WanAttention, tokens: Tensor, rotary: Sequence[Tensor]) -> QKV:
    """Queries, keys and values (B, L, N, d) of one branch, normalised and rotated as Wan does.

    Args:
        rotary: cosines and sines (B, F, S, 1, d) of the L = F * S tokens, frames first.
    """
    table = rotary[0].flatten(1, 2), rotary[1].flatten(1, 2)
    query = attn.norm_q(attn.to_q(tokens)).unflatten(2, (attn.heads, -1))
    key = attn.norm_k(attn.to_k(tokens)).unflatten(2, (attn.heads, -1))
    value = attn.to_v(tokens).unflatten(2, (attn.heads, -1))
    return apply_rotary(query, table), apply_rotary(key, table), value


def decoupled_attention(
    video: QKV, rays: QKV, gates: Tensor, processor: Any = None, wanted: Wanted = "both"
) -> tuple[Tensor | None, Tensor | None]:
    """Both lines of the module's formula, or the one `wanted`.

    Args:
        video, rays: (q, k, v), each (B, L, N, d).
        gates: (2, N*d), the gates g_z and g_r.
        processor: of the attention layer: it knows diffusers' backend, and the processes that share a clip.
        wanted: the line of the other branch is not computed and None.

    Returns:
        o_z (B, L_z, N*d), o_r (B, L_r, N*d), before the output projection.
    """
    video, rays = _by_heads(video, processor), _by_heads(rays, processor)
    out_z = None if wanted == "rays" else _marginal_and_conditional(video, rays, gates[0], processor)
    out_r = None if wanted == "video" else _marginal_and_conditional(rays, video, gates[1], processor)
    return out_z, out_r


def joint_attention(video: QKV, rays: QKV, processor: Any = None) -> tuple[Tensor, Tensor]:
    """The ablation "no decoupled attention": one softmax over the tokens of both branches."""
    video, rays = _by_heads(video, processor), _by_heads(rays, processor)
    query, key, value = (torch.cat(pair, dim=1) for pair in zip(video, rays, strict=True))
    out_z, out_r = _attend(query, key, value, processor).split([video[0].shape[1], rays[0].shape[1]], dim=1)
    return _by_tokens(out_z, processor), _by_tokens(out_r, processor)


def self_attention(video: QKV, processor: Any = None) -> Tensor:
    """Plain attention inside one branch."""
    return _by_tokens(_attend(*_by_heads(video, processor), processor), processor)


def _marginal_and_conditional(own: QKV, other: QKV, gate: Tensor, processor: Any) -> Tensor:
    query, key, value = own
    marginal = _by_tokens(_attend(query, key, value, processor), processor)
    conditional = _by_tokens(_attend(query, *other[1:], processor), processor)
    return marginal + (gate * conditional).type_as(query)


def _attend(query: Tensor, key: Tensor, value: Tensor, processor: Any) -> Tensor:
    backend = getattr(processor, "_attention_backend", None)
    return dispatch_attention_fn(query, key, value, backend=backend).type_as(query)


def _by_heads(qkv: QKV, processor: Any) -> QKV:
    """Of processes that share a clip, each comes with its tokens and goes on with all tokens of its heads (Ulysses).

    Not by diffusers' own attention of that name, whose backward takes keys to be as many as queries.
    """
    group = _sharing(processor)
    if group is None:
        return qkv
    query, key, value = (SeqAllToAllDim.apply(group, part, 2, 1) for part in qkv)
    return query, key, value


def _by_tokens(out: Tensor, processor: Any) -> Tensor:
    """The way back: this process's tokens (B, L, N*d) with all heads."""
    group = _sharing(processor)
    return (out if group is None else SeqAllToAllDim.apply(group, out, 1, 2)).flatten(2, 3)


def _sharing(processor: Any) -> Any:
    """The processes that share a clip; None where each has its own."""
    parallel = getattr(processor, "_parallel_config", None)
    return None if parallel is None else parallel.context_parallel_config._ulysses_mesh.get_group()
