"""SAIL as printed and as released against transcriptions for one latent, and the loop that was released."""

import pytest
import torch

from companion.comparison import SailPrinted, SailReleased, objectives
from memlib.mitigation import apply
from memlib.mitigation.objectives import RowDifference, unit

from ...memlib.mitigation.conftest import CAPTIONS, exact, folders, generator, kind, models, task
from ...memlib.mitigation.test_methods import LARGE, SMALL, model_noise, unreached
from ...memlib.mitigation.test_objectives import check, points

__all__ = ["exact", "folders", "generator", "kind", "models", "points", "task"]


@pytest.mark.parametrize("penalty", ["norm", "squared"])
def test_sail_as_printed(points, penalty):
    _, difference, x, s = points

    def formula(latent, caption):
        direction = s(latent, caption)
        moved = s(latent + direction / direction.norm(), caption)
        size = latent.norm() if penalty == "norm" else (latent * latent).sum()
        return ((moved - direction) ** 2).sum() + 0.05 * size

    method = SailPrinted(1.0, penalty=penalty)
    check(lambda x, rows: method.objective(difference, x, rows), formula, x)


def test_sail_with_the_score_difference(points):
    _, difference, x, s = points
    method = SailPrinted(1.0, alpha=0.01, term="difference")
    check(
        lambda x, rows: method.objective(difference, x, rows),
        lambda latent, caption: (s(latent, caption) ** 2).sum() + 0.01 * latent.norm(),
        x,
    )


def test_sail_as_released(points):
    """In units of the noise prediction, the direction from where the round began, nothing subtracted."""
    model, difference, x, s = points
    t = model.timesteps(50)[0]
    a = model.scheduler.alphas_cumprod.double()[t]

    def released(latent, caption):  # eps_c - eps_u; the formula for v in the code is the score's
        gap = s(latent, caption)
        return gap if model.prediction == "v" else -(1 - a).sqrt() * gap

    start = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(3), dtype=x.dtype)

    def formula(latent, caption):
        i = next(i for i in range(len(x)) if torch.equal(x[i], latent.detach()) and names[i] == caption)
        began = start[i].clone().requires_grad_()
        direction = released(began, caption)
        direction = direction / direction.norm()
        value = released(latent + direction.detach(), caption).norm() + 0.05 * latent.norm()
        # The code's first pass reads the noise of the round's beginning, but hands its gradient to x.
        loss = released(latent.detach() + direction, caption).norm()
        (through,) = torch.autograd.grad(loss, began)
        return value + ((latent - latent.detach()) * through).sum()

    names = [caption for caption in CAPTIONS for _ in range(2)]
    method = SailReleased(1.0)
    check(lambda x, rows: method.objective(difference, x, start, rows), formula, x)


def test_released_moves_against_the_score_difference_of_an_epsilon_model(points):
    model, difference, x, _ = points
    rows = torch.arange(len(x))
    found = SailReleased(1.0, alpha=1e-12).objective(difference, x, x, rows)
    sign, scale = (1, 1) if model.prediction == "v" else (-1, difference.sigma)
    with torch.no_grad():
        moved = difference(x + sign * unit(difference(x, rows)), rows)
    torch.testing.assert_close(found.detach(), scale * moved.flatten(1).norm(dim=1), rtol=1e-9, atol=1e-9)


def test_a_prompt_without_text_has_no_difference_and_a_gradient_of_zero(task):
    model, _, noise = task
    difference = RowDifference(model, 500, model.empty.repeated(2))
    x = noise.clone().requires_grad_()
    value = SailPrinted(1.0, alpha=1e-9).objective(difference, x, torch.arange(2))
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert torch.isfinite(slope).all()
    assert slope.abs().max() < 1e-8


def test_the_objective_of_more_noises_than_a_pool_holds(task):
    model, prompts, _ = task
    noise = model_noise(model, 9)
    found = objectives(model, prompts, noise)["SAIL released"]
    difference = RowDifference(model, model.timesteps()[0], prompts.repeated(27))
    x = prompts.tiled(noise)
    expected = SailReleased(SMALL, alpha=0.0).objective(difference, x, x, torch.arange(27)).detach()
    torch.testing.assert_close(found, expected.reshape(3, 9), rtol=1e-9, atol=0)


class TestReleased:
    """The retry loop of the released code, slips and all."""

    def test_takes_the_same_candidate_again(self, task):
        model, prompts, _ = task
        noise = model_noise(model, 3)
        start = apply(model, SailReleased(LARGE, pool=3, steps=1), prompts[[0]], noise).record.objective[0]
        least, second, _ = start.sort().values.tolist()
        only_one = (least + second) / 2  # of the pool comes under it: rounds have one step, judged before it
        found = apply(model, SailReleased(only_one, pool=3, steps=1), prompts[[0]], noise)
        chosen = int(start.argmin())
        assert found.record.candidate[0].tolist() == [chosen] * 3
        assert found.record.repeated[0].tolist() == [False, True, True]
        assert torch.equal(found.record.threshold[0], torch.full((3,), only_one, dtype=torch.float64))
        assert found.record.passes.item() == 4 * 3 * 3  # three rounds of one step

    def test_the_threshold_rises_after_every_third_round_and_is_recorded(self, task):
        model, prompts, noise = task
        start = float(apply(model, SailReleased(LARGE, pool=2), prompts[[0]], noise).record.objective.max())
        method = SailReleased(SMALL, pool=2, steps=1, rise=start / 2.5, learning_rate=1e-9, rounds=60)
        record = apply(model, method, prompts[[0]], noise).record
        assert record.reached.all()
        rises = (record.threshold[0] - SMALL) / (start / 2.5)
        torch.testing.assert_close(rises, rises.round())
        assert (rises > 0).all()
        assert (record.candidate[0] >= 2).all()  # noises drawn anew
        assert (record.step == 0).all()

    @unreached
    def test_rounds_from_one_pool_are_run_again_and_cost_again(self, task):
        model, prompts, noise = task
        method = SailReleased(SMALL, pool=3, steps=2, rise=0.0, rounds=5)
        record = apply(model, method, prompts[[0]], noise).record
        assert record.passes.item() == 4 * 3 * 2 * 5
        assert record.backward.item() == 4 * 3 * 2 * 5

    @unreached
    def test_fewer_candidates_than_images(self, task):
        model, prompts, _ = task
        record = apply(
            model, SailReleased(SMALL, pool=2, steps=1, rounds=1), prompts, model_noise(model, 5)
        ).record
        assert record.repeated.sum(1).tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: SailPrinted(1.0, learning_rate=0.0),
        lambda: SailPrinted(1.0, term="trace"),
        lambda: SailReleased(1.0, rounds=0),
        lambda: SailReleased(1.0, rise=-0.1),
    ],
)
def test_bad_settings(wrong):
    with pytest.raises(ValueError, match=r"must|got"):
        wrong()
