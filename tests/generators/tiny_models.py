"""The real classes of diffusers and transformers, random and some thousand weights large."""

from __future__ import annotations

from pathlib import Path

import torch

WORDS = ["<pad>", "</s>", "<unk>", "<bos>", "a", "wall", "street"]


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    known = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    known.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=known, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", bos_token="<bos>"
    )


def save_vace(folder: Path) -> None:
    from diffusers import (
        AutoencoderKLWan,
        FlowMatchEulerDiscreteScheduler,
        WanVACEPipeline,
        WanVACETransformer3DModel,
    )
    from transformers import UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    text = UMT5EncoderModel(UMT5Config(vocab_size=16, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2))
    vae = AutoencoderKLWan(
        base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )
    transformer = WanVACETransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, text_dim=16, freq_dim=32, ffn_dim=32, num_layers=2,
        vace_layers=[0, 1], vace_in_channels=96, rope_max_seq_len=64,
    )  # fmt: skip
    with torch.no_grad():  # zero in a new one: what is shown would change nothing
        for block in transformer.vace_blocks:
            torch.nn.init.normal_(block.proj_out.weight, std=0.1)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    WanVACEPipeline(tokenizer(), text.eval(), vae.eval(), scheduler, transformer=transformer.eval()).save_pretrained(
        folder
    )


def save_sana(folder: Path) -> None:
    from diffusers import (
        AutoencoderKLLTX2Video,
        FlowMatchEulerDiscreteScheduler,
        SanaWMPipeline,
        SanaWMTransformer3DModel,
    )
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(0)
    text = Gemma2ForCausalLM(
        Gemma2Config(
            vocab_size=16,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=3,
        )  # fmt: skip
    )
    vae = AutoencoderKLLTX2Video(
        latent_channels=8, block_out_channels=(8, 16, 16, 16), decoder_block_out_channels=(8, 16, 32),
        layers_per_block=(1, 1, 1, 1, 1), decoder_layers_per_block=(1, 1, 1, 1), spatial_compression_ratio=32,
        temporal_compression_ratio=8,
    )  # fmt: skip
    transformer = SanaWMTransformer3DModel(
        in_channels=8, num_layers=2, hidden_size=48, num_attention_heads=2, softmax_every_n=2, linear_head_dim=24,
        caption_channels=16, mlp_ratio=2.0,
    )  # fmt: skip
    with torch.no_grad():  # as above
        torch.nn.init.normal_(transformer.plucker_embedder.proj.weight, std=0.1)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    SanaWMPipeline(tokenizer(), text.eval(), vae.eval(), transformer.eval(), scheduler).save_pretrained(folder)


SAVES = {"WanVACEPipeline": save_vace, "SanaWMPipeline": save_sana}
