"""The network and its codec: tokens, decoupled attention, the transformer, latents."""

from rap.model.codec import LatentCodec, PatchAutoencoder
from rap.model.transformer import RaPTransformer3DModel, RaPTransformerOutput

__all__ = ["LatentCodec", "PatchAutoencoder", "RaPTransformer3DModel", "RaPTransformerOutput"]
