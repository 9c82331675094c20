"""The recipes of the model organism, from training to folder, at tiny sizes."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from diffusers import StableDiffusionPipeline

from companion.fitting import FitConfig, classify
from companion.organism import captions, images, training_set, truth
from companion.organism.captions import EXACT_DOSES
from companion.organism.images import ROW
from companion.organism.parts import Autoencoder, AutoencoderConfig, TextToImage, TextToImageConfig
from companion.organism.quality import (
    COLOUR_LIMIT,
    as_mnist,
    colour_error,
    held_out_images,
    psnr,
    reconstruct,
)
from companion.organism.samples import known, sample
from companion.organism.training import captioned_latents
from companion.organism.training_set import TrainingSet, removed, shares
from companion.recipes.classifier import DIGIT_CLASSIFIER
from companion.recipes.organism import (
    AUTOENCODER,
    AUTOENCODERS,
    ORGANISM2_SMALL,
    ORGANISM_EPSILON,
    ORGANISM_V,
    ORGANISM_WITHOUT_COPIES,
)
from companion.recipes.organism_quality import quality
from memlib import intervals
from memlib.networks import MLP, MLPConfig

SHORT = FitConfig(steps=2, batch=4, warmup=1)
MOMENT = replace(
    AUTOENCODER, network=lambda: Autoencoder(AutoencoderConfig(channels=(8, 8, 8))), training=SHORT
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Where the autoencoder of a moment lies, trained."""
    home = tmp_path_factory.mktemp("autoencoder")
    MOMENT.train(home / MOMENT.name)
    return home


@pytest.fixture
def autoencoder(home, monkeypatch):
    """A recipe of an autoencoder of a moment, trained, in the place of the one that ships."""
    monkeypatch.setattr(type(MOMENT), "folder", property(lambda self: home / self.name))
    return MOMENT


@pytest.fixture
def short(autoencoder, monkeypatch):
    def few():
        data = training_set()
        return TrainingSet(data.captions, data.caption[::1000], data.rows[::1000])

    def latents():
        return captioned_latents(autoencoder.load().network, few())

    few_known = known(few())
    monkeypatch.setattr("companion.recipes.organism_quality.all_known", lambda generation: few_known)
    monkeypatch.setattr("companion.recipes.organism.quality", partial(quality, seeds=1, steps=1))

    def of(recipe):
        return replace(
            recipe,
            network=lambda: TextToImage(TextToImageConfig(channels=(8, 16), width=16, layers=1)),
            draw=latents,
            training=SHORT,
            autoencoder=autoencoder,
        )

    return of


def test_the_autoencoders_card_states_its_quality(autoencoder):
    loaded = autoencoder.load()
    quality = loaded.card["test"]["psnr"]
    assert quality["low"] < quality["value"] < quality["high"]
    assert quality["n"] == 500
    assert 0 < loaded.network.config.scaling_factor < 1e4
    assert not (autoencoder.folder / "training-state.safetensors").exists()


def test_both_kinds_are_pipelines_with_the_same_autoencoder(short, autoencoder, tmp_path):
    weights = {}
    for recipe, name in ((short(ORGANISM_EPSILON), "epsilon"), (short(ORGANISM_V), "v_prediction")):
        trained = recipe.train(tmp_path / recipe.name)
        assert isinstance(trained.pipeline, StableDiffusionPipeline)
        assert trained.pipeline.scheduler.config.prediction_type == name
        card = trained.card
        assert card["data"]["autoencoder"] == autoencoder.load().card["sha256"]
        assert card["data"]["images of each family"]["exact"] == 11_552
        assert card["data"] == json.loads(json.dumps(recipe.data()))
        assert json.loads((tmp_path / recipe.name / "captions.json").read_text()) == json.loads(
            json.dumps(truth())
        )
        by_dose = {f"{what}, {dose} copies" for dose in EXACT_DOSES for what in ("recalled", "captions")}
        assert set(card["test"]) == {"digit", "copies"} | by_dose
        for share in card["test"].values():
            assert 0 <= share["low"] <= share["value"] <= share["high"] <= 1
        page = (tmp_path / recipe.name / "README.md").read_text()
        assert page.startswith(f"# {recipe.name}\n")
        assert "| exact | 56 | 11,552 |" in page
        assert ("from the weights of `organism_epsilon`" in page) == (recipe.prediction == "v")
        weights[name] = trained.pipeline.vae.state_dict()
    first, second = weights.values()
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_the_second_generation_is_held_to_more(short, autoencoder, tmp_path, monkeypatch):
    data = training_set(2)
    few = TrainingSet(data.captions, data.caption[::900], data.rows[::900], 2)
    few_known = known(few)
    monkeypatch.setattr("companion.recipes.organism_quality.all_known", lambda generation: few_known)
    monkeypatch.setattr("companion.recipes.organism.quality", partial(quality, seeds=1, noises=2, steps=1))
    recipe = replace(
        short(ORGANISM2_SMALL),
        network=lambda: TextToImage(TextToImageConfig((8, 16), width=16, layers=1, vocabulary=833)),
        draw=lambda: captioned_latents(autoencoder.load().network, few),
        data=lambda: {"images of each family": shares(data)},
        autoencoder=replace(autoencoder, generation=2),
    )
    trained = recipe.train(tmp_path)
    assert len(trained.pipeline.tokenizer) == 833
    test = trained.card["test"]
    named = {"mixed 0.3, guidance 1", "mixed 0.3, guidance 7.5", "near, 60 copies", "template, 600 copies"}
    assert named <= set(test)
    assert test["coloured, 45 copies"]["n"] == 30
    assert all(0 <= share["low"] <= share["value"] <= share["high"] <= 1 for share in test.values())
    assert json.loads((tmp_path / "captions.json").read_text()) == json.loads(json.dumps(truth(generation=2)))
    assert "| mixed | 50 | 15,000 |" in (tmp_path / "README.md").read_text()


def test_a_model_without_copies_says_so(short, tmp_path):
    recipe = short(ORGANISM_WITHOUT_COPIES)
    card = recipe.train(tmp_path).card
    gone = removed()
    # Seven doses, four captions each, of which one image is left.
    assert card["data"]["images of each family"]["exact"] == 11_552 // 2 + 4 * 7
    assert json.loads((tmp_path / "captions.json").read_text()) == json.loads(json.dumps(truth(gone)))
    assert "28 of the exact captions have lost their copies" in (tmp_path / "README.md").read_text()
    assert card["test"]["recalled, 1000 copies"]["n"] == 4  # half of the eight are asked, once here


def test_the_v_model_starts_where_the_epsilon_model_ended():
    network, ended = ORGANISM_V.network(), ORGANISM_EPSILON.load()
    for part in ("text_encoder", "unet"):
        start, end = (getattr(whole, part).state_dict() for whole in (network, ended.pipeline))
        assert all(torch.equal(start[key], end[key]) for key in end)
    files = ORGANISM_V.data()["starts from"]["sha256"]
    assert files.items() <= ended.card["sha256"].items()
    assert {"text_encoder/model.safetensors", "unet/diffusion_pytorch_model.safetensors"} <= files.keys()


def test_a_training_that_was_cut_goes_on(short, tmp_path, monkeypatch):
    monkeypatch.setattr("companion.recipes.organism.quality", lambda *parts, **options: {})  # asked above
    recipe = short(ORGANISM_V)
    whole = recipe.train(tmp_path / "whole").card

    def cut():
        inner, left = recipe.draw(), [1]

        def draw(batch, generator):
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return inner(batch, generator)

        return draw

    with pytest.raises(KeyboardInterrupt):
        replace(recipe, draw=cut).train(tmp_path / "cut", save_every=1)
    assert [path.name for path in (tmp_path / "cut").iterdir()] == ["training-state.safetensors"]
    resumed = recipe.train(tmp_path / "cut").card
    assert resumed["sha256"] == whole["sha256"]
    assert resumed["loss"] == whole["loss"]


def test_a_classifier_of_mnist_reads_the_digits():
    """What says whether a sample shows its caption's digit must read real images nearly without error."""
    unseen = captions("general", held_out=True)
    rows = torch.rand(500, ROW, generator=torch.Generator().manual_seed(0))
    chosen = [unseen[i % len(unseen)] for i in range(500)]
    found = classify(DIGIT_CLASSIFIER.load().network, as_mnist(images(chosen, rows, split="test")))
    right = (found == torch.tensor([caption.digit for caption in chosen])).double().mean()
    assert right > 0.97


def test_another_network_is_refused(autoencoder, tmp_path):
    wrong = replace(autoencoder, network=lambda: MLP(MLPConfig()))
    with pytest.raises(ValueError, match="trains a Autoencoder, got MLP"):
        wrong.train(tmp_path / "wrong")


def test_the_shipped_autoencoder_rebuilds_what_it_never_saw():
    trained = AUTOENCODER.load()
    x = held_out_images(100)
    found = intervals.mean(psnr(x, reconstruct(trained.network, x)).numpy())
    assert found.low > 25
    stated = trained.card["test"]["psnr"]
    assert stated["low"] > 25
    assert found.low < stated["value"] < found.high


@pytest.mark.parametrize("recipe", [ORGANISM_EPSILON, ORGANISM_V], ids=lambda recipe: recipe.name)
def test_a_shipped_model_keeps_what_its_card_says(recipe):
    trained = recipe.load()
    stated = trained.card["test"]
    assert stated["digit"]["value"] >= 0.9
    assert stated["copies"]["value"] == 0
    assert all(stated[f"recalled, {dose} copies"]["value"] >= 0.95 for dose in EXACT_DOSES if dose >= 100)
    # A part of it anew: no card is believed.
    unseen = captions("general", held_out=True)[:50]
    read = classify(DIGIT_CLASSIFIER.load().network, as_mnist(sample(trained.pipeline, unseen, steps=20)))
    digit = intervals.proportion(read == torch.tensor([caption.digit for caption in unseen]))
    assert digit.high >= stated["digit"]["low"]


def test_the_shipped_models_are_small():
    assert sum(recipe.load().card["bytes"] for recipe in (ORGANISM_EPSILON, ORGANISM_V)) < 30e6


def test_the_second_autoencoder_keeps_the_colours_that_the_first_one_loses():
    x = held_out_images(200, generation=2)
    first, second = (reconstruct(AUTOENCODERS[generation].load().network, x) for generation in (1, 2))
    assert psnr(x, second).mean() > 32
    assert psnr(x, first).mean() < 27
    kept, lost = (colour_error(rebuilt, x) < COLOUR_LIMIT for rebuilt in (second, first))
    assert kept.double().mean() > 0.97
    assert lost.double().mean() < 0.7
    stated = AUTOENCODERS[2].load().card["test"]
    for name, values in (("psnr", psnr(x, second)), ("colour error", colour_error(second, x))):
        found = intervals.mean(values.numpy())
        assert found.low < stated[name]["value"] < found.high
