"""Statistics against the base: by autograd, and only between models of which one began from the other."""

import copy

import pytest
import torch

from memlib.audit import against_base
from memlib.audit.against_base import STATISTICS, WITHOUT_BASE, AgainstBase
from memlib.text_to_image import TextToImage, generate

from ..text_to_image import families

TEXTS = ["a cat", "cat", "x"]


@pytest.fixture
def noise(fine_tuned):
    return fine_tuned[0].noise(2, torch.Generator().manual_seed(1))


def naive(model, base, text, x, t):
    """Every statistic of one caption at one point, by the dense Jacobian."""
    score = model.score(t, model.encode([text]))
    free, theirs, theirs_free = model.score(t), base.score(t, base.encode([text])), base.score(t)
    sigma, shape = model.level(t)["sigma"], x.shape

    def flat(fn):
        return lambda v: fn(v.reshape(1, *shape)).flatten()

    def product(one, other):
        def difference(v):
            return flat(one)(v) - flat(other)(v)

        v = x.flatten()
        return torch.autograd.functional.jacobian(difference, v) @ difference(v)

    norm = torch.linalg.vector_norm
    d, d_base = (
        flat(a)(x.flatten()) - flat(b)(x.flatten()) for a, b in ((score, free), (theirs, theirs_free))
    )
    return {
        "excess": sigma * (norm(d) - norm(d_base)),
        "shift": sigma * norm(flat(score)(x.flatten()) - flat(theirs)(x.flatten())),
        "shift_curvature": norm(product(score, theirs)),
        "difference": sigma * norm(d),
        "gain": norm(product(score, free)),
    }


@pytest.mark.parametrize(("product", "tolerance"), [("difference", 1e-5), ("jvp", 1e-9)])
def test_every_statistic_is_what_its_formula_says(fine_tuned, noise, product, tolerance):
    model, base = fine_tuned
    task = AgainstBase(model, base, noise, product=product)
    found = task(model.encode(TEXTS)).values
    assert list(task.statistics) == list(STATISTICS)
    assert set(found) == set(STATISTICS)
    for row, text in enumerate(TEXTS):
        for column, x in enumerate(noise):
            for name, expected in naive(model, base, text, x, task.t).items():
                assert found[name][row, column].item() == pytest.approx(
                    expected.item(), rel=tolerance, abs=tolerance
                ), name


def test_of_several_steps_it_is_the_mean_where_the_sampling_of_the_model_has_come_to(fine_tuned, noise):
    model, base = fine_tuned
    task = AgainstBase(model, base, noise, average_steps=2, num_inference_steps=5, guidance=3.0)
    prompts = model.encode(TEXTS[:2])
    found = task(prompts).values
    path = generate(model, prompts, noise, steps=5, first_steps=2, guidance=3.0)
    assert (path.states[1, 0] != path.states[1, 1]).any()
    for row, text in enumerate(TEXTS[:2]):
        for column in range(2):
            each = [
                naive(model, base, text, path.states[k, row, column], t) for k, t in enumerate(path.times)
            ]
            for name in STATISTICS:
                expected = sum(one[name].item() for one in each) / 2
                assert found[name][row, column].item() == pytest.approx(expected, rel=1e-5, abs=1e-5), name


def test_more_steps_than_a_sampling_has_are_refused(fine_tuned, noise):
    with pytest.raises(ValueError, match=r"average_steps must lie in \[1, 5\], got 6"):
        AgainstBase(*fine_tuned, noise, average_steps=6, num_inference_steps=5)


def test_what_a_fine_tune_has_left_alone_is_counted(fine_tuned):
    model, base = fine_tuned
    kept = against_base.check_related(model, base)
    varied = [name for name, weight in model.denoiser.state_dict().items() if weight.min() < weight.max()]
    moved = sum("attn2" in name for name in varied)
    assert kept.tensors - kept.same == moved > 0
    assert kept.of_denoiser == len(varied) - moved


def test_constants_do_not_make_a_base(fine_tuned, models):
    """Networks of one kind share ones and zeros, whatever they were trained on."""
    stranger, model = models["v", torch.float64], fine_tuned[0]
    same = [
        name for name, weight in stranger.denoiser.state_dict().items()
        if torch.equal(weight, model.denoiser.state_dict()[name])
    ]  # fmt: skip
    assert same
    with pytest.raises(ValueError, match="no weight of the fine-tune is that of"):
        against_base.check_related(model, stranger)


def test_what_both_models_do_alike_cancels(fine_tuned, noise):
    base = fine_tuned[1]
    found = AgainstBase(base, base, noise)(base.encode(TEXTS)).values
    assert found["excess"].abs().max() == 0
    assert found["shift"].abs().max() == 0
    assert found["difference"].min() > 0


def test_without_a_base_two_statistics_are_left(fine_tuned, noise):
    model = fine_tuned[0]
    task = AgainstBase(model, None, noise)
    assert tuple(task.statistics) == WITHOUT_BASE
    assert set(task(model.encode(TEXTS)).values) == set(WITHOUT_BASE)


def test_a_base_that_is_none_is_refused(fine_tuned):
    model, base = fine_tuned
    against_base.check_related(model, base)
    with pytest.raises(ValueError, match=r"all weights of .* are those of"):
        against_base.check_related(base, base)
    stranger = copy.copy(base)
    stranger.pipeline = copy.deepcopy(base.pipeline)
    with torch.no_grad():
        for part in stranger.pipeline.components.values():
            for weight in part.state_dict().values() if isinstance(part, torch.nn.Module) else ():
                weight.add_(1)
    with pytest.raises(ValueError, match="no weight of the fine-tune is that of"):
        against_base.check_related(model, stranger)


def test_models_of_other_latents_or_noise_levels_are_refused(fine_tuned, noise):
    model, base = fine_tuned
    small = copy.copy(base)
    small.sample_shape = (4, 2, 2)
    with pytest.raises(ValueError, match=r"the model has latents .*, the base \(4, 2, 2\)"):
        AgainstBase(model, small, noise)
    other = copy.copy(base)
    other.level = lambda t: {"alpha": 0.5, "sigma": 0.5}
    with pytest.raises(ValueError, match="expected one noise schedule"):
        AgainstBase(model, other, noise)


@pytest.mark.parametrize("kind", ["sd3", "sana"])
def test_flows_against_their_base(tmp_path, kind):
    """At and near pure noise, where what differs is the predicted image."""
    folder = families.write(tmp_path / kind, kind)
    base, model = (TextToImage.load(folder) for _ in range(2))
    with torch.no_grad():
        for number, weight in enumerate(model.denoiser.parameters()):
            weight.add_(
                0.05
                * torch.randn(weight.shape, generator=torch.Generator().manual_seed(number))
                / weight.numel() ** 0.5
            )
    noise = model.noise(2, torch.Generator().manual_seed(1))
    task = AgainstBase(model, base, noise, product="vjp")
    prompts = model.encode(TEXTS)
    found = task(prompts).values
    t, x = task.t, prompts.tiled(noise)
    level = model.level(t)
    assert level["alpha"] < 1e-3
    with torch.no_grad():
        moved = model.predict(t, x, prompts.repeated(6)) - base.predict(t, x, prompts.repeated(6))
    unit = level["alpha"] / level["sigma"] ** 2 if level["alpha"] else 1.0
    expected = (
        level["sigma"] * unit * torch.linalg.vector_norm(level["sigma"] * moved.flatten(1).double(), dim=1)
    )
    torch.testing.assert_close(found["shift"], prompts.grouped(expected), rtol=1e-3, atol=0)
    assert all(values.isfinite().all() for values in found.values())
    assert (found["shift_curvature"] > 0).all()
