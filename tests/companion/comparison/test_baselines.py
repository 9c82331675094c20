"""Baselines: fresh noise at a price, and moves of the same length in a random direction."""

import pytest
import torch

from companion.comparison import RandomMove, Redrawn
from memlib.mitigation import NoiseAdjustment, Sail, apply, quietly


def test_one_candidate_is_fresh_noise_without_a_pass(trials, model):
    found = apply(model, Redrawn(), trials.prompts, trials.noise, steps=4)
    assert found.record.passes.tolist() == [0, 0, 0]
    given = trials.noise.expand(3, *trials.noise.shape)
    assert (found.noise - given).flatten(2).norm(dim=2).min() > 10  # 256 dimensions: about 22
    assert not found.record.repeated.any()


def test_of_several_the_one_with_the_smallest_difference_is_taken(trials, model):
    few, many = (
        apply(
            model,
            Redrawn(k),
            trials.prompts,
            trials.noise,
            steps=4,
            generator=torch.Generator().manual_seed(1),
        )
        for k in (2, 4)
    )
    t = model.timesteps(4)[0]
    for p, (given, record) in enumerate(zip(many.noise, [many.record] * 3, strict=True)):
        s = model.difference(t, trials.prompts[p : p + 1])(given)
        torch.testing.assert_close(record.objective[p].float(), s.flatten(1).norm(dim=1), rtol=1e-4, atol=0)
    # The first noises of a generator are the same, so more candidates of a caption can only do better.
    assert many.record.objective.mean() < few.record.objective.mean()
    assert many.record.passes.tolist() == [2 * 2 * 4] * 3


def test_the_price_is_that_of_the_method_rounded_to_whole_noises(trials, model):
    with quietly():
        record = apply(model, Sail(1e-9, steps=2, candidates=1), trials.prompts, trials.noise, steps=4).record
    redrawn = Redrawn.at_the_price_of(record)
    assert redrawn.candidates == round(record.passes.sum().item() / 6 / 2)
    spent = apply(model, redrawn, trials.prompts, trials.noise, steps=4).record.passes
    assert spent.sum() == record.passes.sum()


def test_a_random_move_has_the_lengths_of_the_move(trials, model):
    method = NoiseAdjustment(1e-9, steps=3)
    with quietly():
        moved = apply(model, method, trials.prompts, trials.noise, steps=4)
    found = apply(model, RandomMove.like(moved), trials.prompts, trials.noise, steps=4)
    given = trials.noise.expand(3, *trials.noise.shape).flatten(2)
    after, random = moved.noise.flatten(2), found.noise.flatten(2)
    assert (after - given).norm(dim=2).min() > 0.1
    torch.testing.assert_close(
        (random - given).norm(dim=2), (after - given).norm(dim=2), rtol=1e-4, atol=1e-4
    )
    torch.testing.assert_close(random.norm(dim=2), after.norm(dim=2), rtol=1e-5, atol=1e-4)
    cosine = torch.cosine_similarity(random - given, after - given, dim=2)
    assert cosine.abs().max() < 0.9
    assert not torch.equal(random[0], random[1])


def test_a_move_of_other_captions_is_refused(trials, model):
    with quietly():
        moved = apply(model, Sail(1e9), trials.prompts[:1], trials.noise, steps=4)
    with pytest.raises(ValueError, match=r"the moves are of 1 captions and their noises; for '.*' expected"):
        apply(model, RandomMove.like(moved), trials.prompts, trials.noise, steps=4)


def test_no_candidates_are_refused():
    with pytest.raises(ValueError, match="candidates must be at least 1, got 0"):
        Redrawn(0)
