"""The network and its codec: tokens, decoupled attention, the transformer, latents.

It knows `rap.geometry` and no task, clip or sampler; the names below are for the pipeline and the trainings, which also
take single functions from the files. Read `tokens`, `attention`, `transformer` (the paper's figure), then `codec`;
`latent_cache` keeps what was encoded.
"""

import rap.quick_diffusers  # noqa: F401  before whatever imports diffusers

# isort: split
from rap.model.codec import LatentCodec, PatchAutoencoder, read_autoencoder
from rap.model.transformer import RaPTransformer3DModel, RaPTransformerOutput

__all__ = ["LatentCodec", "PatchAutoencoder", "RaPTransformer3DModel", "RaPTransformerOutput", "read_autoencoder"]
