"""Fine-tunes as files: what changes in the base, and that the same seed gives the same."""

import importlib.util

import pytest
import torch

from companion.fine_tuning import loaded
from companion.organism.fine_tune_set import fine_tune_set
from companion.recipes import text_to_image
from companion.recipes.fine_tunes import EVERYWHERE, FINE_TUNES, LORA, fine_tune
from memlib.audit.against_base import check_related

needs_peft = pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="peft is not installed")


def short(rank=None):
    """A fine-tune of two steps on four captions."""
    recipe = fine_tune("short", "For a test", fine_tune_set(1), rank=rank)
    return recipe.with_training(steps=2, batch=4, warmup=1)


@pytest.fixture(scope="module")
def base():
    return text_to_image.load("organism_epsilon")


def changed(model, base):
    """Names of the weights of the U-Net that differ, by the end of the name."""
    ours, theirs = model.denoiser.state_dict(), base.denoiser.state_dict()
    return {name for name in ours if not torch.equal(ours[name], theirs[name])}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return short().train(tmp_path_factory.mktemp("whole")).path


def test_all_weights_of_the_unet_are_trained_and_nothing_else(whole, base):
    model = loaded(whole)
    assert len(changed(model, base)) > 100
    kept = check_related(model, base)
    assert 0 < kept.same < kept.tensors
    ours, theirs = (one.pipeline.text_encoder.state_dict() for one in (model, base))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@needs_peft
@pytest.mark.filterwarnings("ignore")
def test_a_lora_changes_the_layers_that_it_adapts(base, tmp_path):
    recipe = short(rank=2)
    file = recipe.train(tmp_path).path
    assert file.name == LORA
    assert recipe.read(tmp_path).path == file
    names = {name.removesuffix(".weight") for name in changed(loaded(file), base)}
    assert len(names) > 50
    assert all(name.endswith(EVERYWHERE) for name in names)


def test_the_same_seed_gives_the_same_weights(whole, tmp_path):
    again = short().train(tmp_path / "again").path
    ours, theirs = (loaded(path).denoiser.state_dict() for path in (whole, again))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_images_are_seen_as_often_with_and_without_repeats():
    once = FINE_TUNES["deduplicated"].shown.times
    assert set(once) == {1}
    for recipe in FINE_TUNES.values():
        entries = len(recipe.shown.pairs)
        assert recipe.training.steps == -(-40 * entries // recipe.training.batch)
    assert len(FINE_TUNES["lora"].shown.pairs) == 10 * (10 + 3 + 1 + 1)
