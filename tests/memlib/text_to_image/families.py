"""Tiny random pipelines of the families that diffusers has, built by its own classes and saved by them."""

from __future__ import annotations

import json
from pathlib import Path

import diffusers
import torch
import transformers

from .conftest import NOISE, autoencoder, clip, write_tokenizer

LETTERS = [chr(code) for code in range(97, 123)]


def clip_tokenizer(folder: Path):
    if not folder.exists():
        write_tokenizer(folder)
    return transformers.CLIPTokenizer.from_pretrained(folder)


def t5_tokenizer():
    pieces = ["<pad>", "</s>", "<unk>", *("▁" + letter for letter in LETTERS), *LETTERS, "▁cat"]
    vocabulary = [(piece, -float(index)) for index, piece in enumerate(pieces)]
    return transformers.T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=32)


def t5(words, width=16):
    config = transformers.T5Config(
        vocab_size=words,
        d_model=width,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
    )
    return transformers.T5EncoderModel(config)


def sd3(home: Path, **scheduler):
    tokenizer, third = clip_tokenizer(home), t5_tokenizer()
    words = len(tokenizer)
    projected = transformers.CLIPTextModelWithProjection
    return diffusers.StableDiffusion3Pipeline(
        transformer=diffusers.SD3Transformer2DModel(
            sample_size=4,
            patch_size=2,
            in_channels=4,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=32,
            caption_projection_dim=16,
            pooled_projection_dim=32,
            out_channels=4,
            pos_embed_max_size=8,
            dual_attention_layers=(0,),
            qk_norm="rms_norm",
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(**{"shift": 3.0} | scheduler),
        vae=autoencoder(shift_factor=0.06, scaling_factor=1.5),
        text_encoder=clip(projected, words),
        tokenizer=tokenizer,
        text_encoder_2=clip(projected, words),
        tokenizer_2=clip_tokenizer(home),
        text_encoder_3=t5(len(third), 32),
        tokenizer_3=third,
    )


def sdxl(home: Path, scheduler=None, **more):
    tokenizer = clip_tokenizer(home)
    words = len(tokenizer)
    return diffusers.StableDiffusionXLPipeline(
        unet=diffusers.UNet2DConditionModel(
            sample_size=4,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=2,
            norm_num_groups=4,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 16,
        ),
        scheduler=scheduler
        or diffusers.EulerDiscreteScheduler(**NOISE, timestep_spacing="leading", steps_offset=1),
        vae=autoencoder(),
        text_encoder=clip(transformers.CLIPTextModel, words),
        tokenizer=tokenizer,
        text_encoder_2=clip(transformers.CLIPTextModelWithProjection, words),
        tokenizer_2=clip_tokenizer(home),
        **more,
    )


def pixart(home: Path):
    tokenizer = t5_tokenizer()
    return diffusers.PixArtSigmaPipeline(
        transformer=diffusers.PixArtTransformer2DModel(
            sample_size=4,
            patch_size=2,
            in_channels=4,
            out_channels=8,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            cross_attention_dim=16,
            caption_channels=16,
            norm_num_groups=4,
            use_additional_conditions=False,
        ),
        scheduler=diffusers.DPMSolverMultistepScheduler(),
        vae=autoencoder(),
        text_encoder=t5(len(tokenizer)),
        tokenizer=tokenizer,
    )


def sana(home: Path):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["<pad>", "<eos>", "<bos>", "<unk>", *LETTERS, *LETTERS]
    vocabulary = {word: index for index, word in enumerate(dict.fromkeys([*words, "cat", "prompt"]))}
    inner = Tokenizer(models.WordLevel(vocabulary, "<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        **{f"{mark}_token": f"<{mark}>" for mark in ("unk", "pad", "eos", "bos")},
        padding_side="left",
        model_max_length=512,
    )
    encoder = transformers.Gemma2Model(
        transformers.Gemma2Config(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            sliding_window=512,
        )
    )
    return diffusers.SanaPipeline(
        transformer=diffusers.SanaTransformer2DModel(
            patch_size=1,
            in_channels=4,
            out_channels=4,
            num_layers=1,
            num_attention_heads=2,
            attention_head_dim=4,
            num_cross_attention_heads=2,
            cross_attention_head_dim=4,
            cross_attention_dim=8,
            caption_channels=16,
            sample_size=4,
        ),
        scheduler=diffusers.DPMSolverMultistepScheduler(
            use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0
        ),
        vae=diffusers.AutoencoderDC(
            in_channels=3,
            latent_channels=4,
            attention_head_dim=2,
            encoder_block_types="ResBlock",
            decoder_block_types="ResBlock",
            encoder_block_out_channels=(8,) * 4,
            decoder_block_out_channels=(8,) * 4,
            encoder_qkv_multiscales=((),) * 4,
            decoder_qkv_multiscales=((),) * 4,
            encoder_layers_per_block=(1,) * 4,
            decoder_layers_per_block=(1,) * 4,
            downsample_block_type="conv",
            upsample_block_type="interpolate",
            decoder_norm_types="rms_norm",
            decoder_act_fns="silu",
            scaling_factor=0.41407,
        ),
        text_encoder=encoder,
        tokenizer=tokenizer,
    )


def flux(home: Path, **config):
    tokenizer, second = clip_tokenizer(home), t5_tokenizer()
    return diffusers.FluxPipeline(
        transformer=diffusers.FluxTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=16,
            pooled_projection_dim=16,
            axes_dims_rope=(4, 4, 8),
            **{"guidance_embeds": True} | config,
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=autoencoder(shift_factor=0.06, scaling_factor=1.5),
        text_encoder=clip(transformers.CLIPTextModel, len(tokenizer)),
        tokenizer=tokenizer,
        text_encoder_2=t5(len(second)),
        tokenizer_2=second,
    )


def dit(home: Path):
    return diffusers.DiTPipeline(
        transformer=diffusers.DiTTransformer2DModel(
            sample_size=4,
            patch_size=2,
            in_channels=4,
            out_channels=8,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            norm_num_groups=4,
            num_embeds_ada_norm=1000,
        ),
        vae=autoencoder(),
        scheduler=diffusers.DDIMScheduler(clip_sample=False),
    )


def pixels(home: Path, kind="DDPM"):
    unet = diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        norm_num_groups=4,
    )
    scheduler = getattr(diffusers, f"{kind}Scheduler")()
    return getattr(diffusers, f"{kind}Pipeline")(unet=unet, scheduler=scheduler)


BUILDERS = {
    "sd3": sd3,
    "sdxl": sdxl,
    "pixart": pixart,
    "sana": sana,
    "flux": flux,
    "dit": dit,
    "ddpm": pixels,
}


def louder(pipeline, scale=0.5):
    """At their initial scale the layers of text hardly move the output, and some final ones are zero."""
    network = getattr(pipeline, "transformer", None) or pipeline.unet
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim > 1:
                weight.add_(torch.randn_like(weight) * scale / weight[0].numel() ** 0.5)
    return pipeline


def write(folder: Path, name: str, tuned: bool = False, **more) -> Path:
    """Build a pipeline with seeded random weights and save it; a tuned one is a little beside it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        pipeline = louder(BUILDERS[name](folder.parent / "clip", **more))
        louder(pipeline, 0.1 if tuned else 0).save_pretrained(folder)
    if name == "dit":  # as published; save_pretrained leaves the names out
        path = folder / "model_index.json"
        names = {"id2label": {str(index): f"thing {index}, object {index}" for index in range(1000)}}
        path.write_text(json.dumps(json.loads(path.read_text()) | names))
    return folder
