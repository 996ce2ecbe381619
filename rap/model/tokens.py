"""Patches and where they stand: tokens, frame positions, fractional rotary positions.

Video tokens stand on Wan's integer grid (latent frame, row, column). Ray tokens stand where the same picture content
stands on that grid: raxel maps have half the resolution and their own frame rate, so their positions are fractional.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

TIME_COMPRESSION = 4
"""Frames per latent frame of the codec, after the first frame, which has a latent frame of its own (Wan 2.1)."""

PROMPT_TOKENS = 512
"""Of text, in every Wan model: a prompt's states, then zeros."""


def frames_to_latent_time(frame_indices: Tensor) -> Tensor:
    """Time of single frames on the latent time axis.

    Frame 0 is latent frame 0; latent frame j >= 1 holds the four frames 4j-3 .. 4j, whose centres lie symmetrically
    about j, so that frame k >= 1 stands at (k + 1.5) / 4.
    """
    k = frame_indices.to(torch.float64)
    return torch.where(k < 0.5, torch.zeros_like(k), (k + 1.5) / TIME_COMPRESSION)


def half_resolution_positions(count: int, device: torch.device | None = None) -> Tensor:
    """Positions of `count` half-resolution rows (or columns) on the full-resolution grid: (i + 0.5) * 2 - 0.5."""
    return (torch.arange(count, device=device, dtype=torch.float64) + 0.5) * 2 - 0.5


def rotary_table(
    frames: Tensor, rows: Tensor, columns: Tensor, head_dim: int, theta: float = 10000.0
) -> tuple[Float[Tensor, "B L 1 d"], Float[Tensor, "B L 1 d"]]:
    """Cosines and sines of the three-axis rotary code at any, also fractional, positions.

    At integer positions this is exactly the table of diffusers' `WanRotaryPosEmbed` (same split of the head into
    time, height and width, angles in float64, then float32).

    Args:
        frames: (B, F) positions on the latent time axis.
        rows, columns: (h,) and (w,) positions.
        head_dim: even width of one attention head.

    Returns:
        cos, sin: each (B, F*h*w, 1, head_dim), each value twice in a row.
    """
    spatial = 2 * (head_dim // 6)
    parts = [_angles(p, d, theta) for p, d in ((frames, head_dim - 2 * spatial), (rows, spatial), (columns, spatial))]
    batch, f = frames.shape
    h, w = len(rows), len(columns)
    angles = torch.cat(
        [
            parts[0][:, :, None, None, :].expand(batch, f, h, w, -1),
            parts[1][None, None, :, None, :].expand(batch, f, h, w, -1),
            parts[2][None, None, None, :, :].expand(batch, f, h, w, -1),
        ],
        dim=-1,
    ).reshape(batch, f * h * w, 1, head_dim)
    return angles.cos().float(), angles.sin().float()


def _angles(positions: Tensor, dim: int, theta: float) -> Tensor:
    rates = 1.0 / (theta ** (torch.arange(0, dim, 2, dtype=torch.float64, device=positions.device) / dim))
    return (positions.to(torch.float64)[..., None] * rates).repeat_interleave(2, dim=-1)


def apply_rotary(x: Float[Tensor, "B L N d"], table: tuple[Tensor, Tensor]) -> Float[Tensor, "B L N d"]:
    """Rotate the pairs (2i, 2i+1) of each head; same arithmetic as Wan's processor."""
    x1, x2 = x.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = table[0][..., 0::2], table[1][..., 1::2]
    return torch.stack((x1 * cos - x2 * sin, x1 * sin + x2 * cos), dim=-1).flatten(-2).type_as(x)


def patch_tokens(embedding: nn.Conv3d, latents: Float[Tensor, "B C F h w"]) -> Float[Tensor, "B F S D"]:
    """Embed patches: S tokens per frame, rows first."""
    return embedding(latents).flatten(3).permute(0, 2, 3, 1).contiguous()


def unpatch_tokens(
    tokens: Float[Tensor, "B F S K"], grid: tuple[int, int], patch_size: tuple[int, int, int]
) -> Float[Tensor, "B C F h w"]:
    """Put predicted patches back: K = p_t p_h p_w C, in Wan's order."""
    batch, frames, _, _ = tokens.shape
    x = tokens.reshape(batch, frames, *grid, *patch_size, -1).permute(0, 7, 1, 4, 2, 5, 3, 6)
    return x.flatten(6, 7).flatten(4, 5).flatten(2, 3)
