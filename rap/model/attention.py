"""Decoupled self-cross attention (the paper's DSCA): marginals by self-attention, conditionals by cross-attention.

    o_z = A(q_z, k_z, v_z) + g_z * A(q_z, k_r, v_r)        video tokens z
    o_r = A(q_r, k_r, v_r) + g_r * A(q_r, k_z, v_z)        ray tokens r

Queries and keys of the cross-attention carry the rotary positions of their own tokens, so a video token meets the ray
token of its own place. The paper does not say how the two terms are mixed; a gate per channel, 0 when built from Wan
weights, leaves the pretrained video branch untouched at the start and still receives a gradient.
"""

from __future__ import annotations

from typing import Literal

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from diffusers.models.transformers.transformer_wan import WanAttention
from torch import Tensor

from rap.model.tokens import apply_rotary

QKV = tuple[Tensor, Tensor, Tensor]
Wanted = Literal["both", "video", "rays"]


def project_qkv(attn: WanAttention, tokens: Tensor, rotary: tuple[Tensor, Tensor]) -> QKV:
    """Queries, keys and values (B, L, N, d) of one branch, normalised and rotated as Wan does."""
    query = attn.norm_q(attn.to_q(tokens)).unflatten(2, (attn.heads, -1))
    key = attn.norm_k(attn.to_k(tokens)).unflatten(2, (attn.heads, -1))
    value = attn.to_v(tokens).unflatten(2, (attn.heads, -1))
    return apply_rotary(query, rotary), apply_rotary(key, rotary), value


def decoupled_attention(
    video: QKV, rays: QKV, gates: Tensor, backend: object = None, wanted: Wanted = "both"
) -> tuple[Tensor | None, Tensor | None]:
    """Both lines of the module's formula, or the one `wanted`.

    Args:
        video, rays: (q, k, v), each (B, L, N, d).
        gates: (2, N*d), the gates g_z and g_r.
        wanted: the line of the other branch is not computed and None.

    Returns:
        o_z (B, L_z, N*d), o_r (B, L_r, N*d), before the output projection.
    """
    out_z = None if wanted == "rays" else _marginal_and_conditional(video, rays, gates[0], backend)
    out_r = None if wanted == "video" else _marginal_and_conditional(rays, video, gates[1], backend)
    return out_z, out_r


def joint_attention(video: QKV, rays: QKV, backend: object = None) -> tuple[Tensor, Tensor]:
    """The ablation "no decoupled attention": one softmax over the tokens of both branches."""
    query, key, value = (torch.cat(pair, dim=1) for pair in zip(video, rays, strict=True))
    out = _attend(query, key, value, backend)
    return out[:, : video[0].shape[1]], out[:, video[0].shape[1] :]


def self_attention(video: QKV, backend: object = None) -> Tensor:
    """Plain attention inside one branch."""
    return _attend(*video, backend)


def _marginal_and_conditional(own: QKV, other: QKV, gate: Tensor, backend: object) -> Tensor:
    query, key, value = own
    return _attend(query, key, value, backend) + (gate * _attend(query, *other[1:], backend)).type_as(query)


def _attend(query: Tensor, key: Tensor, value: Tensor, backend: object) -> Tensor:
    return dispatch_attention_fn(query, key, value, backend=backend).flatten(2, 3).type_as(query)  # type: ignore[arg-type]
