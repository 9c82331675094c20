"""The networks, as the pipeline that ships runs them."""

from dataclasses import replace

import diffusers
import pytest
import torch

from companion.organism.folder import save_pipeline
from companion.photographs import captions, training_set
from companion.photographs.parts import (
    AutoencoderConfig,
    FlowConfig,
    FlowTransformer,
    PhotographAutoencoder,
    pipeline,
    tokenizer,
)
from companion.photographs.samples import copied, known, part_recalled, recalled, sample
from companion.photographs.training import caption_tokens, captioned_latents, fresh_photographs
from companion.photographs.training_set import photographs
from memlib import detection
from memlib.text_to_image import TextToImage

TEXTS = [caption.text for caption in captions("exact")[:2]]


@pytest.fixture(scope="module")
def parts():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = FlowTransformer(FlowConfig(width=32, heads=2, depth=2, text_width=16))
        for name, weight in network.named_parameters():
            if name.startswith("transformer.") and weight.dim() > 1:  # some layers start at zero
                torch.nn.init.normal_(weight, std=0.2)
        autoencoder = PhotographAutoencoder(AutoencoderConfig((8, 8, 16)))
    autoencoder.model.register_to_config(shift_factor=0.1, scaling_factor=1.3)
    return network.eval(), autoencoder.model.eval()


@pytest.fixture(scope="module")
def folder(parts, tmp_path_factory):
    network, autoencoder = parts
    folder = tmp_path_factory.mktemp("flow") / "model"
    made = pipeline(network, autoencoder)
    save_pipeline(folder, made, {"name": "tiny"})
    for part in (network, autoencoder):
        part.float()
    return folder


def test_one_token_that_counts_256_times_is_what_the_pipeline_does_with_256_zeros(parts):
    network, autoencoder = parts
    made = pipeline(network.double(), autoencoder)
    made.text_encoder_3.double()
    states, _, pooled, _ = made.encode_prompt(TEXTS, None, None, do_classifier_free_guidance=False)
    assert states.shape[1] == 16 + 256
    assert not states[:, 16:].any()
    x, level = torch.randn(2, 8, 8, 8, dtype=torch.float64), torch.tensor([0.3, 0.9], dtype=torch.float64)
    with torch.no_grad():
        theirs = made.transformer(
            hidden_states=x, timestep=level * 1000, encoder_hidden_states=states, pooled_projections=pooled
        ).sample
        tokens = tokenizer()(TEXTS, padding="max_length", return_tensors="pt").input_ids
        ours = network(x, level, tokens)
        fewer = network(x, level, tokens.flip(0))
    network.float()
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(fewer, theirs, atol=1e-3)


def test_the_folder_loads_without_arguments_and_samples(folder):
    loaded = diffusers.StableDiffusion3Pipeline.from_pretrained(folder)
    assert {part.dtype for part in (loaded.transformer, loaded.vae, loaded.text_encoder)} == {torch.float32}
    loaded.set_progress_bar_config(disable=True)
    drawn = sample(loaded, captions("exact")[:3], steps=2)
    assert drawn.shape == (3, 3, 32, 32)
    assert drawn.isfinite().all()
    assert torch.equal(drawn, sample(loaded, captions("exact")[:3], steps=2))


def test_memlib_reads_the_folder(folder):
    model = TextToImage.load(str(folder))
    noise = model.noise(2, torch.Generator().manual_seed(0))
    assert model.sample_shape == (8, 8, 8)
    statistics = {"jeon": detection.SharpnessGain("vjp"), "wen": detection.ScoreDifferenceNorm(1)}
    found = detection.measure(model, model.encode(TEXTS), noise, statistics, steps=2)
    assert all(values.shape == (2, 2) and (values > 0).all() for values in found.values())


def test_an_untrained_network_gives_batches_their_captions(parts):
    _, autoencoder = parts
    data = training_set()
    tokens = caption_tokens(data)
    assert len(tokens) == len(data.captions) + 1
    few = replace(data, caption=data.caption[:40], photograph=data.photograph[:40], changes=data.changes[:40])
    x0, drawn = captioned_latents(autoencoder, few)(2000, torch.Generator().manual_seed(0))
    assert x0.shape == (2000, 8, 8, 8)
    empty = (drawn == tokens[-1]).all(1).double().mean().item()
    assert 0.07 < empty < 0.13  # one in ten


def test_the_autoencoder_sees_no_copy():
    data = training_set()
    copied_numbers = data.copied()
    shown, _ = fresh_photographs(data)(3000, torch.Generator().manual_seed(0))
    gone = photographs("train")[copied_numbers[copied_numbers >= 0]]
    assert torch.cdist(shown.flatten(1), gone.flatten(1)).min() > 0


def test_a_copy_is_recalled_under_its_own_caption_only():
    data, among = training_set(), known()
    some = [caption for caption in data.captions if caption.copies][:4]
    images = photographs("train")[[among.copied[caption] for caption in some]]
    assert recalled(images, some, among).tolist() == [True] * 4
    assert recalled(images, [*some[1:], some[0]], among).tolist() == [False] * 4
    assert copied(images, among).all()
    assert not recalled(images[:1], captions("general")[:1], among).any()


def test_a_template_is_recalled_by_its_half_alone():
    data, among = training_set(), known()
    template, other = captions("template")[:2]
    place = data.captions.index(template)
    images = data.images((data.caption == place).nonzero()[:5, 0])
    assert part_recalled(images, template, among).all()
    assert not part_recalled(images, other, among).any()
    half_of_another = torch.where(template.fixed, photographs("train")[among.copied[other]], images)
    assert not part_recalled(half_of_another, template, among).any()
