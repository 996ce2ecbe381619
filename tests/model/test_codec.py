"""Codec: sizes, first-frame behaviour, and cameras that survive encode and decode."""

import math

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan

from rap.geometry import intrinsics_from_fov, raxels_to_cameras, se3
from rap.model.codec import LatentCodec, PatchAutoencoder, _from_patches, to_patches


def smooth_clips(count: int = 8, frames: int = 9, size: int = 64, seed: int = 0) -> torch.Tensor:
    """Moving low-frequency pictures in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = 0.4 * torch.randn(count, 3, 4, 4, 4, generator=generator)
    video = torch.nn.functional.interpolate(coarse, (frames, size, size), mode="trilinear", align_corners=True)
    return (video + 0.02 * torch.randn(video.shape, generator=generator)).clamp(-1, 1)


@pytest.fixture(scope="module")
def patch_autoencoder() -> PatchAutoencoder:
    model = PatchAutoencoder(z_dim=16, refiner_width=8, refiner_blocks=1)
    model.fit_bases(smooth_clips())
    return model.eval()


def tiny_wan_vae() -> AutoencoderKLWan:
    torch.manual_seed(0)
    return AutoencoderKLWan(
        base_dim=8, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, latents_mean=[0.0] * 4, latents_std=[1.0] * 4
    ).eval()


def test_patches_are_a_permutation():
    x = torch.randn(2, 3, 8, 16, 24)
    patches = to_patches(x, 4)
    assert patches.shape == (2, 2, 2, 3, 4 * 192)
    torch.testing.assert_close(_from_patches(patches, 4), x, rtol=0, atol=0)


def test_bases_are_orthonormal_and_channels_agree_between_first_and_later_frames(patch_autoencoder):
    for basis in (patch_autoencoder.image_basis, patch_autoencoder.video_basis):
        torch.testing.assert_close(basis @ basis.T, torch.eye(16), atol=1e-4, rtol=0)
    still = smooth_clips(2, 1).expand(-1, -1, 5, -1, -1)
    z = patch_autoencoder.encode(still).latent_dist.mode()
    first, later = z[:, :, 0].flatten(2).transpose(0, 1).flatten(1), z[:, :, 1].flatten(2).transpose(0, 1).flatten(1)
    strongest = first.std(1).topk(4).indices
    assert torch.nn.functional.cosine_similarity(first[strongest], later[strongest], dim=1).min() > 0.9


def test_single_frame_and_first_latent_agree_exactly(patch_autoencoder):
    video = smooth_clips(1)
    codec = LatentCodec(patch_autoencoder)
    assert torch.equal(codec.encode_video(video)[:, :, :1], codec.encode_video(video[:, :, :1]))
    assert torch.equal(codec.encode_images(video.transpose(1, 2)[:, :2])[:, :, :1], codec.encode_video(video)[:, :, :1])


def test_a_still_video_repeats_the_source_frame_nearest_in_time(patch_autoencoder):
    codec, images = LatentCodec(patch_autoencoder), smooth_clips(1, 9).transpose(1, 2)[:, [0, 8]]
    latents = codec.encode_still(images, torch.tensor([[0, 8]]), 9)
    by_hand = images[:, [0] * 5 + [1] * 4].transpose(1, 2)  # frame 4 is as near to either: the first one listed
    assert torch.equal(latents, codec.encode_video(by_hand))


def test_smooth_video_survives(patch_autoencoder):
    video = smooth_clips(2, seed=1)
    codec = LatentCodec(patch_autoencoder)
    assert (codec.decode_video(codec.encode_video(video)) - video).abs().mean() < 0.05


def random_cameras(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    xi = rng.normal(size=(count, 6)) * ([0.4] * 3 + [0.5] * 3)
    xi[0] = 0
    fov = rng.uniform(math.radians(35), math.radians(80))
    intrinsics = np.tile(intrinsics_from_fov(fov, (128, 128)), (count, 1))
    return torch.from_numpy(se3.exp(xi)).float()[None], torch.from_numpy(intrinsics).float()[None]


@pytest.mark.parametrize("seed", range(4))
def test_cameras_survive_the_patch_codec(patch_autoencoder, seed):
    Ts, K = random_cameras(5, seed)
    codec = LatentCodec(patch_autoencoder, ray_latents_std=[0.2] * 16)
    maps = codec.camera_maps(Ts, K, (128, 128))
    assert maps.shape == (1, 5, 3, 64, 64)
    latents = codec.encode_rays(maps)
    assert latents.shape == (1, 16, 5, 8, 8)
    Ts_back, K_back = raxels_to_cameras(codec.decode_rays(latents)[0].double())
    relative = Ts_back[:, :3, :3].transpose(1, 2) @ Ts[0, :, :3, :3].double()
    angle = torch.rad2deg(torch.acos(((relative.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1)))
    assert angle.max() < 0.1
    assert (K_back[0, 0] * 2 / K[0, 0, 0] - 1).abs() < 0.005


@pytest.mark.parametrize("camera", ["raxel", "pluecker"])
def test_camera_maps_go_through_the_same_interface_with_the_wan_autoencoder(camera):
    codec = LatentCodec(tiny_wan_vae(), camera=camera)
    Ts, K = random_cameras(5, 0)
    maps = codec.camera_maps(Ts, K, (64, 64))
    latents = codec.encode_rays(maps)
    assert latents.shape == ((1, 4, 5, 4, 4) if camera == "raxel" else (1, 8, 5, 8, 8))
    assert codec.decode_rays(latents).shape == maps.shape
    canonical = codec.encode_rays(codec.camera_maps(torch.eye(4)[None, None], K[:, :1], (64, 64)))
    assert canonical.abs().max() < latents.abs().max()


def test_wan_autoencoder_video_shapes():
    codec = LatentCodec(tiny_wan_vae())
    z = codec.encode_video(smooth_clips(1, 5, 32))
    assert z.shape == (1, 4, 2, 4, 4)
    assert codec.decode_video(z).shape == (1, 3, 5, 32, 32)


def test_previews_of_the_wan_autoencoder_decode_nothing(monkeypatch):
    codec = LatentCodec(tiny_wan_vae())
    video = smooth_clips(1, 5, 64)
    images, z = video.transpose(1, 2)[:, [0, 2, 4]], codec.encode_video(video)
    colours = codec.colour_map(images, codec.encode_images(images))
    assert colours.shape == (5, 3)
    monkeypatch.setattr(codec.autoencoder, "decode", None)
    preview = codec.preview_video(z, colours)
    assert preview.shape == video.shape and torch.equal(preview[:, :, 1], preview[:, :, 4])
    grey = images.mean(dim=(1, 3, 4))[:, :, None, None]
    error, plain = (preview[:, :, 0] - video[:, :, 0]).square().mean(), (grey - video[:, :, 0]).square().mean()
    assert error < plain, "the weights are random: little is known of a cell"


def test_a_colour_map_finds_the_map_there_is():
    """Latents that are an affine map of their cells' mean colours, and one channel of noise."""
    codec = LatentCodec(tiny_wan_vae())
    images = smooth_clips(1, 9, 64).transpose(1, 2)
    means = torch.nn.functional.avg_pool2d(images.flatten(0, 1), 8).unflatten(0, (1, -1)).transpose(1, 2)
    generator = torch.Generator().manual_seed(0)
    mix = torch.tensor([[2.0, 0.3, 0.0], [0.0, 1.5, -0.5], [0.4, 0.0, 3.0]])
    mixed = torch.einsum("ij,bjshw->bishw", mix, means) + 0.3
    z = torch.cat([mixed, torch.randn(mixed[:, :1].shape, generator=generator)], dim=1)
    found = torch.einsum("bcshw,cr->brshw", z, codec.colour_map(images, z)[:-1])
    found = found + codec.colour_map(images, z)[-1][None, :, None, None, None]
    assert (found - means).abs().mean() < 0.02
    assert torch.isfinite(codec.colour_map(torch.zeros_like(images), torch.zeros_like(z))).all()


def test_the_patch_codec_needs_no_colour_map(patch_autoencoder):
    images = smooth_clips(1, 5, 32).transpose(1, 2)
    codec = LatentCodec(patch_autoencoder)
    assert codec.colour_map(images, codec.encode_images(images)) is None


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 3, 6, 64, 64), "number of frames must be 1 \\+ 4n"),
        ((1, 3, 5, 60, 64), "multiples of 8"),
        ((1, 4, 5, 64, 64), r"\(B, 3, T, H, W\)"),
    ],
)
def test_sizes_a_codec_would_cut_are_refused(patch_autoencoder, shape, words):
    with pytest.raises(ValueError, match=words):
        LatentCodec(patch_autoencoder).encode_video(torch.zeros(shape))


def test_statistics_of_the_wrong_length_are_refused(patch_autoencoder):
    with pytest.raises(ValueError, match="ray_latents_std must have one value per latent channel"):
        LatentCodec(patch_autoencoder, ray_latents_std=[1.0] * 3)


def test_safetensors_round_trip(patch_autoencoder, tmp_path):
    patch_autoencoder.save_pretrained(tmp_path)
    again = PatchAutoencoder.from_pretrained(tmp_path)
    video = smooth_clips(1)
    assert torch.equal(again.encode(video).latent_dist.mode(), patch_autoencoder.encode(video).latent_dist.mode())
