import warnings

import torch

from companion.comparison import Trials, joined
from companion.recipes import text_to_image
from memlib.mitigation import AttentionRescaling, NoiseAdjustment, NoMitigation, RandomAddition, Sail


def test_all_trials_share_captions_noises_and_draws(trials):
    twice = {"1": RandomAddition(), "2": RandomAddition()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # captions that lose their end to the words are in the table
        found = trials.all({"none": {"": NoMitigation()}, "words": twice})
    assert found["words", "1"].table["cut"].all()
    assert torch.equal(found["words", "1"].images, found["words", "2"].images)
    assert not torch.equal(found["words", "1"].images, found["none", ""].images)
    table = joined(found)
    assert len(table) == 18
    assert table["method"].tolist() == ["none"] * 6 + ["words"] * 12
    assert table["setting"].tolist() == [""] * 6 + ["1"] * 6 + ["2"] * 6


def test_a_threshold_out_of_reach_is_in_the_table_without_a_warning(trials):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = trials.one(Sail(1e-9, steps=0, candidates=1)).table
    assert (table["step"] == -1).all()
    assert (table["seconds"] > 0).all()


def test_another_model_reads_the_captions_by_itself(trials):
    other = text_to_image.load("organism_v")
    judged = trials.one(NoMitigation(), model=other)
    prompts = other.encode(trials.prompts.captions)
    z = other.sample(prompts, trials.noise.repeat(3, 1, 1, 1), steps=4).samples
    expected = other.decode(z) * 2 - 1
    assert torch.allclose(judged.images.flatten(0, 1), expected, atol=1e-4)


def test_every_method_has_its_baselines_beside_it(trials):
    methods = {
        "adjusted": {"1": NoiseAdjustment(1e-9, steps=2)},
        "attention": {"": AttentionRescaling(1.2)},  # moves no noise and costs nothing beforehand
    }
    found = trials.with_baselines(methods)
    assert list(found) == [
        ("none", ""), ("redrawn", ""), ("adjusted", "1"),
        ("redrawn", "adjusted 1"), ("random move", "adjusted 1"), ("attention", ""),
    ]  # fmt: skip
    table = joined(found).groupby(["method", "setting"])["passes"].sum()
    assert table["redrawn", "adjusted 1"] == table["adjusted", "1"] > 0
    assert table["redrawn", ""] == table["attention", ""] == 0
    moved, random = (
        found[key].table["norm_after"] for key in (("adjusted", "1"), ("random move", "adjusted 1"))
    )
    assert abs(moved - random).max() < 1e-3
    assert (
        found["adjusted", "1"].table["copy"].tolist()
        == trials.one(methods["adjusted"]["1"]).table["copy"].tolist()
    )


def test_captions_may_have_noises_of_their_own(trials, judge):
    noise = torch.stack([trials.noise, -trials.noise, trials.noise])
    own = Trials(trials.model, judge, trials.prompts, noise, steps=4)
    found, shared = own.with_baselines({}), trials.one(NoMitigation())
    assert list(found) == [("none", ""), ("redrawn", "")]
    assert torch.equal(found["none", ""].images[0], shared.images[0])
    assert not torch.allclose(found["none", ""].images[1], shared.images[1], atol=0.1)
