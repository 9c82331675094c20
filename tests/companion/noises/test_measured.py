"""Noises followed to their end on the shipped model: what is measured is what other functions say."""

import pytest
import torch

from companion.noises import SIGNS, measured
from companion.organism import captions
from companion.recipes import text_to_image
from memlib.text_to_image import one_step

NOISES, STEPS = 3, 4


@pytest.fixture(scope="module")
def model():
    return text_to_image.load("organism_epsilon")


@pytest.fixture(scope="module")
def chosen():
    return captions("exact")[-2:]


def bright(x, _caption):
    return x.mean((1, 2, 3)) > 0


@pytest.fixture(scope="module")
def noise(model):
    return model.noise(2 * NOISES, torch.Generator().manual_seed(3)).unflatten(0, (2, NOISES))


@pytest.fixture(scope="module")
def table(model, chosen, noise):
    return measured(
        model, chosen, bright, noise, guidance=(1.0, 7.5), at=(0, 2),
        steps=STEPS, probes=2, lanczos_steps=4,
    )  # fmt: skip


def rows(table, caption, guidance, step):
    some = table["caption"].eq(caption) & table["guidance"].eq(guidance) & table["step"].eq(step)
    return table[some]


def test_there_is_a_row_for_every_caption_guidance_step_and_noise(table, model):
    assert len(table) == 2 * 2 * 2 * NOISES
    assert not table.duplicated(["caption", "guidance", "step", "noise"]).any()
    times = model.timesteps(STEPS)
    assert set(zip(table["step"], table["t"], strict=True)) == {(0, times[0]), (2, times[2])}
    assert table.loc[table["step"] == 0, list(SIGNS)].notna().all(axis=None)


def test_on_the_way_only_the_score_difference_is_told(table):
    later = table[table["step"] == 2]
    assert later[["difference", "gain"]].notna().all(axis=None)
    assert later[["trace", "smallest", "count"]].isna().all(axis=None)


def test_the_first_step_is_that_of_one_step(table, model, chosen, noise):
    t = model.timesteps(STEPS)[0]
    sigma = model.level(t)["sigma"]
    for p, caption in enumerate(chosen):
        found = one_step(model, model.encode([caption.text]), noise[p], t=t)
        here = rows(table, p, 1.0, 0)
        assert here["difference"].tolist() == pytest.approx((sigma * found.difference[0]).tolist(), rel=1e-4)
        assert here["gain"].tolist() == pytest.approx((sigma**3 * found.curvature[0]).tolist(), rel=1e-2)


def test_the_noise_knows_no_guidance_but_the_path_does(table):
    first, later = ([rows(table, 0, scale, k)["difference"].tolist() for scale in (1.0, 7.5)] for k in (0, 2))
    assert first[0] == first[1]
    assert later[0] != later[1]


@pytest.mark.parametrize("guidance", [1.0, 7.5])
def test_the_ends_are_those_of_the_sampler(table, model, chosen, noise, guidance):
    for p, caption in enumerate(chosen):
        prompts = model.encode([caption.text])
        end = model.sample(prompts, noise[p], steps=STEPS, guidance=guidance).samples
        expected = bright(model.decode(end) * 2 - 1, caption)
        assert rows(table, p, guidance, 0)["copy"].tolist() == expected.tolist()
        assert rows(table, p, guidance, 2)["copy"].tolist() == expected.tolist()
