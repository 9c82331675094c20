"""The ladder: whose images, which rungs, how it resumes, and that every rung is measured as written."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch

from companion import onset
from companion.datasets import cifar10
from companion.onset import Settings
from companion.recipes.onset import ONSET, PASSES, SEEDS, SIZES, held_out_images, run, rungs, training_images
from memlib.networks.unet import UNet, UNetConfig

TINY = UNetConfig(image_channels=3, image_size=16, patch=4, channels=(8, 8), blocks=1, classes=1)
SMALL = Settings(
    samples=4, steps=2, losses=(100,), images=4, times=(100,), points=2, krylov=2, smallest=2, middle=100
)


def short(**changes):
    recipe = replace(run(8, 1), network=partial(UNet, TINY), first=2, settings=SMALL, **changes)
    return recipe.with_training(steps=6, batch=4)


def test_runs_see_their_images_equally_often_and_no_two_seeds_share_one():
    assert len(ONSET) == 12
    assert {recipe.training.steps * recipe.training.batch / recipe.count for recipe in ONSET} == {PASSES}
    assert all(
        recipe.training.rate(step) == 1e-3 for recipe in ONSET for step in (99, recipe.training.steps - 1)
    )
    everything = torch.cat([training_images(SIZES[-1], seed) for seed in SEEDS])
    assert len(everything.flatten(1).unique(dim=0)) == len(everything) == 3 * 512
    assert torch.equal(training_images(64, 2), training_images(512, 2)[:64])
    assert torch.equal(ONSET[0].images(), training_images(64, 0))
    first = cifar10.load("train", 1)[0]
    assert training_images(1, 0)[0, 0, 0, 0] == pytest.approx(first[0, 0, :2, :2].mean().item(), abs=1e-6)
    assert held_out_images().shape == (1000, 3, 16, 16)


def test_rungs_are_half_doublings_up_to_the_last_step():
    for recipe in ONSET:
        assert recipe.rungs[0] == 64
        assert recipe.rungs[-1] == recipe.training.steps
        ratios = [b / a for a, b in zip(recipe.rungs, recipe.rungs[1:], strict=False)]
        assert all(abs(ratio - 2**0.5) < 0.02 for ratio in ratios)
    assert rungs(10, 2) == (2, 3, 4, 6, 8)


@pytest.mark.parametrize(("count", "seed"), [(0, 0), (513, 0), (64, 9), (64, -1)])
def test_images_that_no_run_has_are_refused(count, seed):
    with pytest.raises(ValueError, match="a run takes"):
        training_images(count, seed)


def weights(ladder, step):
    return torch.cat([w.flatten() for w in ladder.load(step).network.state_dict().values()])


def test_a_ladder_is_trained_measured_and_goes_on_after_any_kill(tmp_path, monkeypatch):
    ladder = short().train(tmp_path / "whole")
    assert ladder.steps == (2, 3, 4, 6)
    found = onset.read(tmp_path / "whole")
    assert list(found) == [2, 3, 4, 6]
    assert ladder.card["rungs"] == [2, 3, 4, 6]
    assert ladder.card["data"]["images"] == "512 to 519"
    assert not torch.equal(weights(ladder, 2), weights(ladder, 6))
    # What is recorded is what the weights in the file give.
    again = onset.measure(ladder.load(4), training_images(8, 1), held_out_images(), SMALL)
    assert {name: found[4][name] for name in again} == again

    class PowerCutError(Exception):
        pass

    from companion.recipes import onset as module

    kept = module.save_checkpoint
    for cut in (2, 3, 4, 6):  # killed as each rung is written

        def save(folder, *rest, at=cut):
            if folder.name.endswith(f"{at}") and not (tmp_path / f"{at}").exists():
                (tmp_path / f"{at}").touch()
                raise PowerCutError
            return kept(folder, *rest)

        monkeypatch.setattr(module, "save_checkpoint", save)
        with pytest.raises(PowerCutError):
            short().train(tmp_path / "parts", save_every=1)
    monkeypatch.setattr(module, "save_checkpoint", kept)
    parts = short().train(tmp_path / "parts", save_every=1)
    assert all(torch.equal(weights(ladder, step), weights(parts, step)) for step in ladder.steps)
    assert {p.name for p in (tmp_path / "parts").iterdir()} == {
        "card.json", "rungs.json", "step-000002", "step-000003", "step-000004", "step-000006",
    }  # fmt: skip


def test_a_finished_ladder_is_not_trained_again(tmp_path):
    ladder = short().train(tmp_path)
    card = (tmp_path / "card.json").read_text()
    (tmp_path / "rungs.json").unlink()  # measured anew, from the weights
    again = short(draw=None).train(tmp_path)
    assert json.loads(card) == again.card
    assert list(onset.read(tmp_path)) == list(ladder.steps)
    with pytest.raises(ValueError, match="holds the weights after"):
        ladder.load(5)


def test_what_ships_is_the_record_and_a_few_weights_of_the_first_seed(tmp_path, monkeypatch):
    from companion.recipes import onset as module

    monkeypatch.setattr(module, "SHIPPED_PASSES", (1, 3))
    recipe = short()
    recipe.train(tmp_path / "trained")
    assert module.ship(recipe, tmp_path / "trained", tmp_path / "other").steps == ()
    shipped = module.ship(replace(recipe, spectra=True), tmp_path / "trained", tmp_path / "first")
    assert shipped.steps == (2, 6)
    assert shipped.card == recipe.read(tmp_path / "trained").card
    assert onset.read(tmp_path / "first") == onset.read(tmp_path / "trained")
    longer = recipe.with_training(steps=8)
    with pytest.raises(ValueError, match=r"after \[8\] steps"):
        module.ship(longer, tmp_path / "trained", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_whole_ladder_ships_below_thirty_megabytes():
    """Weights in half precision, and records of at most 40 kB a rung with spectra and 20 kB without."""
    from companion.recipes.onset import SHIPPED_PASSES

    size = sum(weight.numel() for weight in ONSET[0].network().parameters())
    weights = 2 * size * len(SHIPPED_PASSES) * sum(recipe.spectra for recipe in ONSET)
    records = sum(len(recipe.rungs) * (40_000 if recipe.spectra else 20_000) for recipe in ONSET)
    assert weights + records < 30e6
    for recipe in ONSET:
        assert {passes * recipe.count // recipe.training.batch for passes in SHIPPED_PASSES} <= set(
            recipe.rungs
        )
