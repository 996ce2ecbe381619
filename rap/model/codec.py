"""Videos and raxel maps to latents and back, through one autoencoder.

Two autoencoders stand behind one interface (`encode(x).latent_dist.mode()`, `decode(z).sample`, 8x in space, 4x in time
after the first frame): `diffusers.AutoencoderKLWan` at Wan scale, and `PatchAutoencoder` here, whose encoder is linear.
A linear encoder keeps cameras exact at any quality of the pictures, which a small convolutional one does not.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn

from rap.geometry import cameras_to_pluecker, cameras_to_raxels, intrinsics_from_fov
from rap.model.tokens import TIME_COMPRESSION

SPACE_COMPRESSION = 8
RIDGE = 1e-3  # of a latent channel's variance, which is near 1


class _ConvNeXtBlock(nn.Module):
    """Depthwise 7x7, norm, pointwise expansion (ConvNeXt, Liu et al. 2022, figure 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.expand = nn.Linear(width, 4 * width)
        self.project = nn.Linear(4 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Float[Tensor, "N W h w"]) -> Float[Tensor, "N W h w"]:
        """Features of N latent frames, each by itself."""
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.project(nn.functional.gelu(self.expand(y))) * self.scale
        return x + y.permute(0, 3, 1, 2)


class PatchAutoencoder(ModelMixin, ConfigMixin):
    """Patch codec: affine encoder of 8x8 patches (one frame, then four frames at a time), refined linear decoder.

    The bases come from principal components (`fit_bases`); `refiner` is a small convolutional network that adds to the
    linear reconstruction what neighbouring patches tell. Same strides, same first-frame behaviour and the same
    `latents_mean` / `latents_std` as `AutoencoderKLWan`.

    Args:
        z_dim: latent channels k.
        refiner_width, refiner_blocks: size of the convolutional part of the decoder; 0 blocks leave it linear.
        latents_mean, latents_std: per channel, measured on training clips.
    """

    _supports_gradient_checkpointing = False

    @register_to_config
    def __init__(
        self,
        z_dim: int = 32,
        refiner_width: int = 96,
        refiner_blocks: int = 4,
        latents_mean: list[float] | None = None,
        latents_std: list[float] | None = None,
    ) -> None:
        super().__init__()
        if not 9 <= z_dim <= 3 * SPACE_COMPRESSION**2:
            raise ValueError(f"z_dim must lie in 9 .. {3 * SPACE_COMPRESSION**2}, got {z_dim}; nine carry the cameras")
        image_dim = 3 * SPACE_COMPRESSION**2
        for name, dim in (("image", image_dim), ("video", image_dim * TIME_COMPRESSION)):
            self.register_buffer(f"{name}_mean", torch.zeros(dim))
            self.register_buffer(f"{name}_basis", torch.eye(z_dim, dim))
        self.refiner = None
        if refiner_blocks:
            self.refiner = nn.Sequential(
                nn.Conv2d(z_dim, refiner_width, 3, padding=1),
                *(_ConvNeXtBlock(refiner_width) for _ in range(refiner_blocks)),
            )
            self.image_head = nn.Linear(refiner_width, image_dim)
            self.video_head = nn.Linear(refiner_width, image_dim * TIME_COMPRESSION)
            for head in (self.image_head, self.video_head):
                nn.init.zeros_(head.weight)
                nn.init.zeros_(head.bias)

    def encode(self, x: Float[Tensor, "B 3 T H W"], return_dict: bool = True) -> AutoencoderKLOutput | tuple:
        """Latents of a video (or single frames, T = 1) as a distribution without spread."""
        first = self._project(to_patches(x[:, :, :1], 1), self.image_mean, self.image_basis)
        parts = [first]
        if x.shape[2] > 1:
            parts.append(self._project(to_patches(x[:, :, 1:], TIME_COMPRESSION), self.video_mean, self.video_basis))
        mean = torch.cat(parts, dim=1).permute(0, 4, 1, 2, 3)
        dist = DiagonalGaussianDistribution(torch.cat([mean, torch.zeros_like(mean)], dim=1), deterministic=True)
        return AutoencoderKLOutput(latent_dist=dist) if return_dict else (dist,)

    def decode(
        self, z: Float[Tensor, "B k F h w"], return_dict: bool = True, refine: bool = True
    ) -> DecoderOutput | tuple[Tensor]:
        """Frames of latents, not clamped; `refine=False` is the linear reconstruction, exact for raxel maps."""
        tokens = z.permute(0, 2, 3, 4, 1)
        first = tokens[:, :1] @ self.image_basis + self.image_mean
        rest = tokens[:, 1:] @ self.video_basis + self.video_mean
        if refine and self.refiner is not None:
            batch, frames = z.shape[0], z.shape[2]
            features = self.refiner(z.transpose(1, 2).flatten(0, 1))
            features = features.permute(0, 2, 3, 1).unflatten(0, (batch, frames))
            first = first + self.image_head(features[:, :1])
            rest = rest + self.video_head(features[:, 1:])
        x = torch.cat([_from_patches(first, 1), _from_patches(rest, TIME_COMPRESSION)], dim=2)
        return DecoderOutput(sample=x) if return_dict else (x,)

    def _project(self, patches: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
        return (patches - mean) @ basis.T

    @torch.no_grad()
    def fit_bases(self, clips: Float[Tensor, "N 3 T H W"]) -> None:
        """Set means and orthonormal bases from clips in [-1, 1].

        The image basis first spans what a raxel map is made of, constant and linear ramps in each colour, so that
        cameras survive exactly; principal components of the rest fill it up. The video basis holds the principal
        components of four-frame patches, and the image basis is turned inside its own span to agree with it, so that
        the channels of the first and of later latent frames mean the same.
        """
        k = self.config.z_dim
        images = to_patches(clips, 1).flatten(0, 3)
        videos = to_patches(clips[:, :, 1:], TIME_COMPRESSION).flatten(0, 3)
        self.image_mean.copy_(images.mean(0))
        self.video_mean.copy_(videos.mean(0))
        ramps = _ramps()
        centred = images - self.image_mean
        basis = torch.cat([ramps, principal(centred - centred @ ramps.T @ ramps, k - len(ramps))])
        self.video_basis.copy_(principal(videos - self.video_mean, k))
        self.image_basis.copy_(turned_towards(self.video_basis, basis, centred))


def turned_towards(video_basis: Tensor, image_basis: Tensor, images: Tensor) -> Tensor:
    """The image basis turned inside its own span (orthogonal Procrustes), so that still pictures get like latents."""
    still = images.repeat(1, TIME_COMPRESSION) @ video_basis.T
    u, _, vt = torch.linalg.svd(still.T @ (images @ image_basis.T))
    return u @ vt @ image_basis


def _ramps() -> Tensor:
    """(9, 192) orthonormal: constant, x-ramp, y-ramp of an 8x8 patch in each of three channels."""
    n = SPACE_COMPRESSION
    line = torch.arange(n) - (n - 1) / 2
    maps = torch.stack([torch.ones(n, n), line[None].expand(n, n), line[:, None].expand(n, n)]).flatten(1)
    maps = maps / maps.norm(dim=1, keepdim=True)
    return torch.einsum("mp,ce->mcpe", maps, torch.eye(3)).reshape(9, n * n * 3)


def principal(samples: Tensor, count: int) -> Tensor:
    covariance = samples.T @ samples / len(samples)
    _, vectors = torch.linalg.eigh(covariance.double())
    return vectors.flip(1)[:, :count].T.float()


def to_patches(x: Float[Tensor, "B 3 T H W"], frames: int) -> Float[Tensor, "B F h w P"]:
    """Cut into 8x8 patches of `frames` frames; within a patch: frame, row, column, colour."""
    n = SPACE_COMPRESSION
    x = x.unflatten(4, (-1, n)).unflatten(3, (-1, n)).unflatten(2, (-1, frames))  # B 3 F t h n w n
    return x.permute(0, 2, 4, 6, 3, 5, 7, 1).flatten(4)


def _from_patches(patches: Float[Tensor, "B F h w P"], frames: int) -> Float[Tensor, "B 3 T H W"]:
    n = SPACE_COMPRESSION
    x = patches.unflatten(4, (frames, n, n, 3)).permute(0, 7, 1, 4, 2, 5, 3, 6)  # B 3 F t h n w n
    return x.flatten(6, 7).flatten(4, 5).flatten(2, 3)


Autoencoder = PatchAutoencoder | AutoencoderKLWan


def read_autoencoder(folder: Path) -> Autoencoder:
    """Either of the two, as its `config.json` says, without the path that `from_pretrained` would put into exports."""
    kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("_class_name")
    chosen = AutoencoderKLWan if kind == AutoencoderKLWan.__name__ else PatchAutoencoder
    loaded = chosen.from_pretrained(folder)
    model = chosen(**{key: value for key, value in loaded.config.items() if not key.startswith("_")})
    model.load_state_dict(loaded.state_dict())
    return model


class LatentCodec:
    """Normalised latents of videos and of camera maps through one frozen autoencoder.

    Raxels are scaled by `raxel_scale` so that |o + d| stays inside the autoencoder's range; the latents of a canonical
    camera at the world origin are subtracted per position and the rest divided by `ray_latents_std` per channel. What
    the network then sees is how the cameras differ from the canonical one.

    Args:
        autoencoder: `PatchAutoencoder` or `AutoencoderKLWan`.
        camera: "raxel" (3-channel maps at half resolution) or "pluecker" (6-channel maps, as two pictures, at full).
        raxel_scale: factor of raxel values before encoding.
        canonical_fov_y_deg: vertical field of view of the canonical camera.
        ray_latents_std: per latent channel; None divides by one.
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        camera: str = "raxel",
        raxel_scale: float = 0.5,
        canonical_fov_y_deg: float = 55.0,
        ray_latents_std: list[float] | None = None,
    ) -> None:
        self.autoencoder = autoencoder
        self.camera = camera
        self.raxel_scale = raxel_scale
        self.canonical_fov_y_deg = canonical_fov_y_deg
        config = autoencoder.config
        channels = config.z_dim
        self.mean = _channel_vector(config.latents_mean, channels, 0.0, "latents_mean")
        self.std = _channel_vector(config.latents_std, channels, 1.0, "latents_std")
        self.ray_std = _channel_vector(ray_latents_std, channels, 1.0, "ray_latents_std")
        self._canonical: dict[tuple[int, int], Tensor] = {}

    @property
    def channels(self) -> int:
        """Channels of video latents."""
        return int(self.autoencoder.config.z_dim)

    @torch.no_grad()
    def encode_video(self, video: Float[Tensor, "B 3 T H W"]) -> Float[Tensor, "B C F h w"]:
        """Normalised latents of frames in [-1, 1], T = 1 + 4n; F = 1 + n.

        Raises:
            ValueError: sizes that the autoencoder would silently cut.
        """
        _check_video(video)
        return (self._encode(video) - self.mean.to(video)) / self.std.to(video)

    @torch.no_grad()
    def encode_images(self, images: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B C T h w"]:
        """Normalised latents of frames one by one, without temporal compression (source frames)."""
        batch, count = images.shape[:2]
        flat = self.encode_video(images.flatten(0, 1).unsqueeze(2))
        return flat.squeeze(2).unflatten(0, (batch, count)).transpose(1, 2)

    @torch.no_grad()
    def encode_still(
        self, images: Float[Tensor, "B S 3 H W"], source_indices: Tensor, num_frames: int
    ) -> Float[Tensor, "B C F h w"]:
        """Latents of a video in which every frame repeats the source frame nearest in time.

        Args:
            images: source frames in [-1, 1].
            source_indices: (B, S) frames at which they stand.
        """
        frames = torch.arange(num_frames, device=source_indices.device)
        nearest = (source_indices[:, :, None] - frames).abs().argmin(dim=1)  # (B, T)
        rows = torch.arange(len(images), device=images.device)[:, None]
        return self.encode_video(images[rows, nearest].transpose(1, 2))

    @torch.no_grad()
    def decode_video(self, latents: Float[Tensor, "B C F h w"]) -> Float[Tensor, "B 3 T H W"]:
        """Frames in [-1, 1] of normalised latents."""
        z = latents * self.std.to(latents) + self.mean.to(latents)
        return self.autoencoder.decode(z).sample.clamp(-1, 1)

    @torch.no_grad()
    def colour_map(
        self, images: Float[Tensor, "B S 3 H W"], latents: Float[Tensor, "B C S h w"]
    ) -> Float[Tensor, "C+1 3"] | None:
        """The affine map from a latent to its cell's mean colour that fits these pictures best, by ridge regression.

        It makes previews free where the decoder is a deep one; None where decoding is linear anyway.
        """
        if isinstance(self.autoencoder, PatchAutoencoder):
            return None
        z = latents.transpose(1, 2).flatten(0, 1).permute(0, 2, 3, 1).flatten(0, 2).float()
        means = F.avg_pool2d(images.flatten(0, 1).float(), SPACE_COMPRESSION).permute(0, 2, 3, 1).flatten(0, 2)
        A = F.pad(z, (0, 1), value=1.0)
        penalty = RIDGE * len(A) * torch.eye(A.shape[1], device=A.device)
        penalty[-1, -1] = 1e-6 * len(A)  # the mean colour is free
        return torch.linalg.solve(A.T @ A + penalty, A.T @ means)

    @torch.no_grad()
    def preview_video(
        self, latents: Float[Tensor, "B C F h w"], colours: Float[Tensor, "C+1 3"] | None = None
    ) -> Float[Tensor, "B 3 T H W"]:
        """The cheapest picture of latents: by a `colour_map`, else by the linear decoder, else by the full one."""
        if colours is None:
            return self._decode_linear(latents * self.std.to(latents) + self.mean.to(latents)).clamp(-1, 1)
        z = F.pad(latents.movedim(1, -1).float(), (0, 1), value=1.0)
        cells = (z @ colours).movedim(-1, 2)  # (B, F, 3, h, w)
        large = F.interpolate(cells.flatten(0, 1), scale_factor=SPACE_COMPRESSION, mode="bilinear")
        frames = large.unflatten(0, cells.shape[:2]).transpose(1, 2)
        later = frames[:, :, 1:].repeat_interleave(TIME_COMPRESSION, dim=2)
        return torch.cat([frames[:, :, :1], later], dim=2).clamp(-1, 1)

    def camera_maps(self, Ts_world_camera: Tensor, intrinsics: Tensor, size: tuple[int, int]) -> Tensor:
        """Maps (B, T, 3|6, h, w) of cameras whose intrinsics are in pixels of frames of `size` (h, w).

        Raxel maps have half the frames' size, Plücker maps all of it.
        """
        if self.camera == "pluecker":
            return cameras_to_pluecker(Ts_world_camera, intrinsics, size)
        return cameras_to_raxels(Ts_world_camera, intrinsics / 2, (size[0] // 2, size[1] // 2))

    @torch.no_grad()
    def encode_rays(self, maps: Float[Tensor, "B T c h w"]) -> Float[Tensor, "B C T h/8 w/8"]:
        """Normalised latents of camera maps, one by one as single images; six channels become two pictures."""
        _check_sizes(maps.shape[-2], maps.shape[-1], SPACE_COMPRESSION, "camera maps")
        z = self._encode_maps(maps.float()) - self._canonical_latents((maps.shape[-2], maps.shape[-1]), maps)
        return z / self._ray_std_like(z)

    @torch.no_grad()
    def decode_rays(self, latents: Float[Tensor, "B C T h w"]) -> Float[Tensor, "B T c H W"]:
        """Camera maps of normalised ray latents."""
        size = (latents.shape[-2] * SPACE_COMPRESSION, latents.shape[-1] * SPACE_COMPRESSION)
        z = latents.float() * self._ray_std_like(latents) + self._canonical_latents(size, latents)
        batch, _, count = z.shape[:3]
        pictures = z.unflatten(1, (-1, self.channels)).permute(0, 3, 1, 2, 4, 5).flatten(0, 2).unsqueeze(2)
        maps = self._decode_linear(pictures).squeeze(2) / self.raxel_scale
        return maps.unflatten(0, (batch, count, -1)).flatten(2, 3)

    def _encode(self, video: Tensor) -> Tensor:
        return self.autoencoder.encode(video).latent_dist.mode()

    def _decode_linear(self, z: Tensor) -> Tensor:
        if isinstance(self.autoencoder, PatchAutoencoder):
            return self.autoencoder.decode(z, refine=False).sample
        return self.autoencoder.decode(z).sample

    def _encode_maps(self, maps: Tensor) -> Tensor:
        batch, count, channels = maps.shape[:3]
        pictures = maps.unflatten(2, (channels // 3, 3)).flatten(0, 2).unsqueeze(2) * self.raxel_scale
        z = self._encode(pictures.to(self.mean.dtype)).squeeze(2)
        return z.unflatten(0, (batch, count, -1)).permute(0, 2, 3, 1, 4, 5).flatten(1, 2)

    def _canonical_latents(self, size: tuple[int, int], like: Tensor) -> Tensor:
        key = (int(size[0]), int(size[1]))
        if key not in self._canonical:
            full = key if self.camera == "pluecker" else (key[0] * 2, key[1] * 2)
            intrinsics = torch.as_tensor(intrinsics_from_fov(math.radians(self.canonical_fov_y_deg), full)).float()
            maps = self.camera_maps(torch.eye(4)[None, None], intrinsics[None, None], full)
            self._canonical[key] = self._encode_maps(maps.to(like.device))
        return self._canonical[key].to(like.device)

    def _ray_std_like(self, z: Tensor) -> Tensor:
        std = self.ray_std.to(z.device)
        return torch.cat([std] * (z.shape[1] // self.channels), dim=1)


def _channel_vector(values: list[float] | None, channels: int, default: float, name: str) -> Tensor:
    vector = torch.full((channels,), default) if values is None else torch.tensor(values, dtype=torch.float32)
    if vector.shape != (channels,):
        raise ValueError(f"{name} must have one value per latent channel ({channels}), got {tuple(vector.shape)}")
    return vector.view(1, -1, 1, 1, 1)


def _check_video(video: Tensor) -> None:
    if video.ndim != 5 or video.shape[1] != 3:
        raise ValueError(f"video must be (B, 3, T, H, W), got {tuple(video.shape)}")
    if (video.shape[2] - 1) % TIME_COMPRESSION:
        raise ValueError(f"the number of frames must be 1 + 4n (1, 5, 9, 13, 17, ...), got {video.shape[2]}")
    _check_sizes(video.shape[3], video.shape[4], SPACE_COMPRESSION, "video")


def _check_sizes(h: int, w: int, multiple: int, name: str) -> None:
    if h % multiple or w % multiple or not h or not w:
        raise ValueError(f"height and width of the {name} must be multiples of {multiple}, got {(h, w)}")
