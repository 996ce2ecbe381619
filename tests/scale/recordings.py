"""Collections as they lie on disk, made up: a rendered scene in every layout, and some worth nothing."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import torch
from diffusers import AutoencoderKLWan
from PIL import Image

from rap import formats
from rap.formats import realestate10k
from rap.geometry import Trajectory
from rap.shards.scenes import Frames
from rap.synthetic.clips import SyntheticConfig, plan_clip, render_plan
from rap.synthetic.textures import texture_bank

SIZE = (96, 160)
FPS = 8
UNIT = 3.7
"""Of the files, in units of the rendered scene: any will do."""


def rendered(kind: str = "truck") -> Frames:
    """A table top seen from a camera that goes past it, or that does not move."""
    return rendered_with_depth(kind)[0]


@lru_cache
def rendered_with_depth(kind: str = "truck", count: int = 9) -> tuple[Frames, np.ndarray]:
    """The same, and (T, h, w) depth in the unit of its cameras."""
    config = SyntheticConfig(size=SIZE, num_frames=count, texture_size=64, photometric=False)
    bank = texture_bank(config.textures, config.texture_size, "cpu")
    rng = np.random.default_rng(2)
    made = render_plan(plan_clip(rng, config, bank, family="table", kind=kind), rng, config, bank)
    Ts = made.Ts_world_camera[0].numpy().copy()
    Ts[:, :3, 3] *= UNIT
    clip = Frames(made.frames_u8[0].numpy(), Trajectory(Ts, made.intrinsics[0].numpy(), SIZE, fps=FPS))
    assert made.depth is not None
    return clip, UNIT * made.depth[0].numpy()


def dl3dv(root: Path, clip: Frames, name: str = "1K/a1b2") -> Path:
    """Pictures a quarter as large as `transforms.json` says, in `images_4`."""
    folder = root / name
    names = write_pictures(folder / "images_4", clip.frames_u8)
    whole = clip.cameras.resized((SIZE[0] * 4, SIZE[1] * 4))
    formats.write(folder / "transforms.json", whole, [f"images/{one}" for one in names])
    return folder


def colmap(root: Path, clip: Frames, name: str = "house") -> Path:
    names = write_pictures(root / name / "images", clip.frames_u8)
    formats.write(root / name / "sparse" / "0", clip.cameras, names, format_name="colmap")
    return root / name


def real_estate(root: Path, films: Path, clip: Frames, name: str = "train/0001") -> Path:
    path = root / f"{name}.txt"
    realestate10k.write(path, clip.cameras, url="https://films.example/watch?v=abcd")
    write_film(films / "abcd.mp4", clip.frames_u8)
    return path


def write_pictures(folder: Path, frames_u8: np.ndarray) -> list[str]:
    folder.mkdir(parents=True)
    names = [f"frame_{i:05d}.png" for i in range(len(frames_u8))]
    for name, frame in zip(names, frames_u8, strict=True):
        Image.fromarray(frame).save(folder / name)
    return names


def write_film(path: Path, frames_u8: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        stream.options = {"crf": "4", "preset": "ultrafast"}
        for frame in frames_u8:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def collection(root: Path) -> tuple[Path, Path]:
    """One scene in each layout, one where nothing moves, two that are damaged; the folder of the films with it."""
    good, films = rendered(), root / "films"
    dl3dv(root / "all", good)
    colmap(root / "all", good)
    real_estate(root / "all", films, good)
    colmap(root / "all", rendered("still"), "still")
    (dl3dv(root / "all", good, "poison/json") / "transforms.json").write_text('{"frames": [')
    broken = dl3dv(root / "all", good, "poison/picture") / "images_4" / "frame_00003.png"
    broken.write_bytes(broken.read_bytes()[:200])
    return root / "all", films


def random_text_encoder(folder: Path, width: int = 8) -> Path:
    """An encoder of chance of Wan's kind, and a tokenizer that ends every prompt as Wan's does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

    known = Tokenizer(models.WordLevel({"<pad>": 0, "</s>": 1, "<unk>": 2, "street": 3}, unk_token="<unk>"))
    known.pre_tokenizer = pre_tokenizers.Whitespace()
    known.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokens = PreTrainedTokenizerFast(tokenizer_object=known, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
    tokens.save_pretrained(folder / "tokenizer")
    torch.manual_seed(0)
    shape = UMT5Config(vocab_size=16, d_model=width, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    UMT5EncoderModel(shape).save_pretrained(folder / "text_encoder")
    return folder


def random_vae(folder: Path, channels: int = 4) -> Path:
    """A Wan autoencoder of chance, as `--codec` takes it."""
    torch.manual_seed(0)
    vae = AutoencoderKLWan(
        base_dim=8,
        z_dim=channels,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.0] * channels,
        latents_std=[1.0] * channels,
    )
    vae.save_pretrained(folder / "vae")
    return folder
