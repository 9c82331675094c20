"""What every method promises: nothing changed where nothing is asked, what was done counted, seeds kept."""

import math
from dataclasses import replace

import pytest
import torch

from companion.comparison import SailPrinted, SailReleased
from memlib.mitigation import (
    METHODS,
    NEVER,
    AttentionRescaling,
    NoiseAdjustment,
    NoMitigation,
    PromptEmbedding,
    RandomAddition,
    Sail,
    apply,
    objective,
)
from memlib.mitigation.record import repeats

SMALL, LARGE = 1e-6, 1e6
BY_THRESHOLD = ("sail", "noise-adjustment", "prompt-embedding")
unreached = pytest.mark.filterwarnings("ignore::memlib.mitigation.UnreachedWarning")
gradual = {
    "han": lambda threshold: NoiseAdjustment(threshold, steps=3),
    "printed": lambda threshold: SailPrinted(threshold, steps=3),
    "difference": lambda threshold: SailPrinted(threshold, steps=3, term="difference"),
    "corrected": lambda threshold: Sail(threshold, steps=3, candidates=2),
    "released": lambda threshold: SailReleased(threshold, steps=3, pool=3, rounds=4),
    "wen": lambda threshold: PromptEmbedding(threshold, steps=3),
}
others = {
    "none": NoMitigation(),
    "token": RandomAddition("token", 2),
    "number": RandomAddition("number", 1),
    "attention": AttentionRescaling(),
}


@pytest.fixture
def kind():
    """One kind of prediction: that enters by the objectives, whose tests take both."""
    return "v"


by_gradient = pytest.mark.parametrize("method", gradual.values(), ids=gradual.keys())


def test_none_changes_nothing(task):
    model, prompts, noise = task
    found = apply(model, NoMitigation(), prompts, noise, steps=4)
    assert torch.equal(found.noise, noise.expand(3, -1, -1, -1, -1))
    assert torch.equal(found.prompts.embeddings, prompts.embeddings)
    expected = model.sample(prompts, noise.repeat(3, 1, 1, 1), steps=4).samples
    assert torch.equal(found.sample(), expected.unflatten(0, (3, 2)))
    assert found.record.passes.sum() == found.record.backward.sum() == 0
    assert found.record.reached.all()
    assert found.record.objective.isnan().all()


@by_gradient
def test_a_threshold_met_at_once_changes_nothing(task, method):
    model, prompts, noise = task
    found = apply(model, method(LARGE), prompts, noise)
    assert torch.equal(found.noise, noise.expand(3, -1, -1, -1, -1))
    assert torch.equal(found.prompts.embeddings, prompts.embeddings)
    assert (found.record.step == 0).all()
    assert torch.equal(found.record.norm_before, found.record.norm_after)
    assert found.record.backward.sum() == 0
    assert not found.record.repeated.any()


@by_gradient
def test_a_threshold_out_of_reach_is_said_and_the_loop_ends(task, method):
    model, prompts, noise = task
    with pytest.warns(UserWarning, match=r"was not reached for 6 of 6 images, of the prompts \[0, 1, 2\]"):
        found = apply(model, method(SMALL), prompts, noise)
    assert (found.record.step == NEVER).all()
    assert (found.record.objective > SMALL).all()
    at_start = apply(model, method(LARGE), prompts, noise)
    assert (found.record.objective < at_start.record.objective).all()  # it went down
    moved = (found.noise - noise).abs().amax() + (found.prompts.embeddings - prompts.embeddings).abs().amax()
    assert moved > 0.01


@by_gradient
def test_the_objective_is_told_without_a_threshold(task, method):
    model, prompts, noise = task
    given = method(SMALL)
    found = objective(model, given, prompts, noise)
    accepting = replace(given, threshold=LARGE)
    torch.testing.assert_close(found, apply(model, accepting, prompts, noise).record.objective)
    assert given.threshold == SMALL
    assert found.unique().numel() > 1


def test_a_method_that_minimises_nothing_has_no_objective(task):
    model, prompts, noise = task
    with pytest.raises(ValueError, match="attention re-scaling has no threshold"):
        objective(model, AttentionRescaling(), prompts, noise)


@unreached
@by_gradient
def test_passes_are_those_of_the_network(task, method, counted):
    model, prompts, noise = task
    start = apply(model, method(LARGE), prompts, noise).record
    between = float(start.objective.median())  # some at once, some later or never
    for threshold in (SMALL, between, LARGE):
        with counted(model.unet) as seen:
            record = apply(model, method(threshold), prompts, noise).record
        assert record.passes.sum() == seen["passes"]
        assert record.backward.sum() == seen["backward"]
    assert (start.passes > 0).all()


@unreached
@pytest.mark.parametrize(
    "method", [*(make(0.5) for make in gradual.values()), *others.values()], ids=[*gradual, *others]
)
def test_the_same_seed_gives_the_same_whatever_stands_beside(task, method):
    model, prompts, noise = task

    def run(rows=64, seed=1):
        return apply(model, method, prompts, noise, rows=rows, generator=torch.Generator().manual_seed(seed))

    first, again, apart = run(), run(), run(rows=1)
    assert torch.equal(first.noise, again.noise)
    assert torch.equal(first.prompts.embeddings, again.prompts.embeddings)
    assert first.prompts.captions == apart.prompts.captions
    torch.testing.assert_close(first.noise, apart.noise, rtol=0, atol=1e-9)
    torch.testing.assert_close(first.prompts.embeddings, apart.prompts.embeddings, rtol=0, atol=1e-9)
    assert torch.equal(first.record.step, apart.record.step)
    assert torch.equal(first.record.passes, apart.record.passes)
    assert torch.equal(first.prompts.lengths, apart.prompts.lengths)


@unreached
def test_what_is_drawn_depends_on_the_text_and_not_on_the_place(task):
    model, prompts, noise = task
    runs = [
        apply(model, Sail(SMALL, steps=0, candidates=3), some, noise)
        for some in (prompts, prompts[[2, 0]], prompts[[0, 0, 1]])
    ]
    assert (runs[0].record.candidate > 1).any()
    for run, rows in zip(runs[1:], ([2, 0], [0, 0, 1]), strict=True):
        torch.testing.assert_close(run.noise, runs[0].noise[rows], rtol=0, atol=1e-9)
        assert torch.equal(run.record.candidate, runs[0].record.candidate[rows])
    words = [
        apply(model, RandomAddition("token", 2), some, noise).prompts for some in (prompts, prompts[[2, 0]])
    ]
    assert words[1].captions == (words[0].captions[2], words[0].captions[0])
    assert (
        len({text.replace(c, "") for text, c in zip(words[0].captions, prompts.captions, strict=True)}) == 3
    )


@unreached
def test_another_seed_draws_other_noises(task):
    model, prompts, noise = task
    found = [
        apply(
            model,
            Sail(SMALL, steps=0, candidates=4),
            prompts,
            noise,
            generator=torch.Generator().manual_seed(s),
        )
        for s in (1, 2)
    ]
    assert not torch.equal(found[0].noise, found[1].noise)


@unreached
def test_corrected_sail_stays_on_the_sphere(task):
    model, prompts, noise = task
    radius = math.sqrt(noise[0].numel())
    on = apply(model, Sail(SMALL, steps=3, candidates=1), prompts, noise)
    off = apply(model, Sail(SMALL, steps=3, candidates=1, project=False), prompts, noise)
    moved = (on.noise - noise).flatten(2).norm(dim=2) > 0
    assert moved.any()
    torch.testing.assert_close(
        on.record.norm_after[moved], torch.full_like(on.record.norm_after[moved], radius)
    )
    assert (off.record.norm_after - radius).abs().min() > 1e-6


@unreached
def test_selection_alone_takes_the_best_of_the_noises(task):
    model, prompts, noise = task
    many = apply(model, Sail(SMALL, steps=0, candidates=5), prompts, noise).record
    one = apply(model, Sail(SMALL, steps=0, candidates=1), prompts, noise).record
    assert (many.objective <= one.objective).all()
    assert (many.candidate > 1).any()
    assert torch.equal(many.objective == one.objective, many.candidate == torch.arange(2))
    assert not many.repeated.any()
    assert many.backward.sum() == 0
    assert many.passes.tolist() == [4 * 5 * 2] * 3


def test_selection_stops_at_the_first_noise_under_the_threshold(task):
    model, prompts, noise = task
    start = apply(model, Sail(LARGE, steps=0), prompts, noise).record.objective
    threshold = float(start[0].sort().values.mean())
    record = apply(model, Sail(threshold, steps=0, candidates=200), prompts[[0]], noise).record
    assert (record.objective <= threshold).all()
    kept = start[0] <= threshold
    assert torch.equal(record.candidate[0] == torch.arange(2), kept)


def test_every_method_has_a_name():
    made = [make(1.0) if name in BY_THRESHOLD else make() for name, make in METHODS.items()]
    assert {type(method) for method in made} == {
        *(type(make(1.0)) for make in gradual.values()),
        *map(type, others.values()),
    } - {SailPrinted, SailReleased}
    assert len({method.name for method in made}) == len(METHODS)


def model_noise(model, count):
    return model.noise(count, torch.Generator().manual_seed(7))


def test_repeats_by_hand():
    x = torch.randn(2, 4, 3, 2, generator=torch.Generator().manual_seed(0))
    x[0, 2] = x[0, 0] * (1 + 1e-5)
    x[1, 3] = x[0, 0]
    assert repeats(x).tolist() == [[False, False, True, False], [False] * 4]


@unreached
def test_in_single_precision_it_is_nearly_the_same(exact, single, generator):
    noise = exact.noise(2, generator)
    for method in (Sail(SMALL, steps=1, candidates=1), NoiseAdjustment(SMALL, steps=1)):
        a = apply(exact, method, exact.encode(["a cat"]), noise).record.objective
        b = apply(single, method, single.encode(["a cat"]), noise.float()).record.objective
        torch.testing.assert_close(a, b, rtol=1e-2, atol=1e-4)


def test_bad_input(task):
    model, prompts, noise = task
    with pytest.raises(ValueError, match=r"noise must be \(n, 4, 4, 4\) for all prompts"):
        apply(model, NoMitigation(), prompts, noise.expand(2, -1, -1, -1, -1))
    with pytest.raises(ValueError, match="rows must be at least 1"):
        apply(model, NoMitigation(), prompts, noise, rows=0)
    with pytest.raises(ValueError, match="NaN"):
        apply(model, NoMitigation(), prompts, noise * torch.nan)
    with pytest.raises(ValueError, match="empty"):
        apply(model, NoMitigation(), prompts, noise[:0])
    for wrong in (
        lambda: Sail(0.0),
        lambda: Sail(1.0, candidates=0),
        lambda: Sail(1.0, displacement=0.0),
        lambda: NoiseAdjustment(-1.0),
        lambda: PromptEmbedding(1.0, steps=-1),
        lambda: RandomAddition("word"),
        lambda: RandomAddition(count=0),
        lambda: AttentionRescaling(0.0),
    ):
        with pytest.raises(ValueError, match=r"must|got"):
            wrong()
