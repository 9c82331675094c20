"""Curvature under captions against dense Jacobians by autograd alone."""

from dataclasses import fields

import pytest
import torch

from companion.under_captions import caption_spectra, columns, conditional_curvature
from companion.under_captions.curvature import Curvature

from ...memlib.text_to_image import oracles

CAPTIONS = ["a cat", "cat", "t"]
T = 481
D = 64
# For what does not depend on the kind of prediction: that enters by the scores alone.
EPSILON = pytest.mark.parametrize("kind", ["epsilon"])


@pytest.fixture
def passes(exact):
    """Rows of every pass through the U-Net, by whether they are under the empty caption."""
    seen = []
    empty = exact.empty.embeddings

    def note(module, args, kwargs):
        text = kwargs["encoder_hidden_states"]
        seen.append((len(args[0]), torch.equal(text, empty.expand_as(text))))

    hook = exact.unet.register_forward_pre_hook(note, with_kwargs=True)
    yield seen
    hook.remove()


def test_everything_is_that_of_the_jacobians(exact, kind, generator):
    x = exact.noise(6, generator).reshape(3, 2, 4, 4, 4)
    found = caption_spectra(exact, T, exact.encode(CAPTIONS), x, at_once=4)
    assert (found.t, found.sigma) == (T, exact.level(T)["sigma"])
    for p, caption in enumerate(CAPTIONS):
        for i in range(2):
            conditional, unconditional = (
                (
                    oracles.jacobian(exact, kind, T, x[p, i], text),
                    oracles.score(exact, kind, T, x[p, i], text),
                )
                for text in (caption, "")
            )
            gap = tuple(a - b for a, b in zip(conditional, unconditional, strict=True))
            kinds = {"conditional": conditional, "unconditional": unconditional, "difference": gap}
            for name, (J, s) in kinds.items():
                of = getattr(found, name)
                eigenvalues = torch.linalg.eigvalsh((J + J.T) / 2)
                torch.testing.assert_close(of.eigenvalues[p, i], eigenvalues, rtol=1e-8, atol=1e-10)
                torch.testing.assert_close(of.diagonal[p, i].flatten(), J.diagonal(), rtol=1e-8, atol=1e-10)
                torch.testing.assert_close(of.norm[p, i], s.detach().norm(), rtol=1e-9, atol=1e-12)
                torch.testing.assert_close(of.asymmetry[p, i], (J - J.T).norm() / J.norm(), rtol=1e-7, atol=0)
                assert of.count[p, i] == of.lower[p, i] == of.upper[p, i] == (eigenvalues >= 0).sum()


@EPSILON
def test_points_joined_are_points_computed_together(exact, generator):
    noise, prompts = exact.noise(3, generator), exact.encode(CAPTIONS)
    whole, *parts = (conditional_curvature(exact, T, prompts, x) for x in (noise, noise[:1], noise[1:]))
    joined = parts[0].with_points(parts[1])
    for field in fields(Curvature):
        a, b = getattr(joined, field.name), getattr(whole, field.name)
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("kind", "krylov"), [("epsilon", 20), ("v", None)])
def test_shared_points_are_the_same_points_for_each_prompt(exact, krylov, generator):
    noise = exact.noise(2, generator)
    prompts = exact.encode(CAPTIONS)
    shared = caption_spectra(exact, T, prompts, noise, krylov=krylov, at_once=4)
    repeated = caption_spectra(exact, T, prompts, noise.expand(3, -1, -1, -1, -1), krylov=krylov, at_once=100)
    for name in ("conditional", "unconditional", "difference"):
        a, b = getattr(shared, name), getattr(repeated, name)
        assert a.eigenvalues.shape == (3, 2, krylov or D)
        # Ritz values, diagonals and asymmetries from random directions belong to a batch: exact ones compare.
        compared = ["norm"] if krylov else [field.name for field in fields(Curvature)]
        for field in compared:
            torch.testing.assert_close(getattr(a, field), getattr(b, field), rtol=1e-8, atol=1e-10)


@EPSILON
def test_the_unconditional_jacobian_at_shared_points_is_computed_once(exact, passes, generator):
    noise, prompts = exact.noise(2, generator), exact.encode(CAPTIONS)
    caption_spectra(exact, T, prompts, noise, at_once=2)
    once = sum(rows for rows, empty in passes if empty)
    passes.clear()
    caption_spectra(exact, T, prompts, noise.expand(3, -1, -1, -1, -1), at_once=2)
    assert sum(rows for rows, empty in passes if empty) == 3 * once > 0


@EPSILON
def test_as_many_krylov_steps_as_dimensions_give_the_whole_spectrum(exact, generator):
    x = exact.noise(3, generator)[:, None]
    prompts = exact.encode(CAPTIONS)
    whole = caption_spectra(exact, T, prompts, x)
    steps = caption_spectra(exact, T, prompts, x, krylov=D)
    for name in ("conditional", "unconditional", "difference"):
        a, b = getattr(whole, name), getattr(steps, name)
        torch.testing.assert_close(b.eigenvalues, a.eigenvalues, rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(b.count, a.count)
        torch.testing.assert_close(b.norm, a.norm)
        assert b.settled.all()
        assert (b.asymmetry / a.asymmetry - 1).abs().max() < 0.5


def test_few_krylov_steps_bound_the_count(exact, generator):
    x = exact.noise(3, generator)[:, None]
    prompts = exact.encode(CAPTIONS)
    whole = caption_spectra(exact, T, prompts, x).difference  # of the difference, half are not negative
    few = caption_spectra(exact, T, prompts, x, krylov=12).difference
    assert (few.lower <= whole.count).all()
    assert (whole.count <= few.upper).all()
    assert not few.settled.any()
    assert (few.eigenvalues[..., 0] >= whole.eigenvalues[..., 0] - 1e-9).all()


@EPSILON
def test_arguments_are_checked(exact, generator):
    prompts, noise = exact.encode(CAPTIONS), exact.noise(2, generator)
    with pytest.raises(ValueError, match="P = 3"):
        caption_spectra(exact, T, prompts, noise[None])
    with pytest.raises(ValueError, match="at least 1"):
        caption_spectra(exact, T, prompts, noise, at_once=0)
    with pytest.raises(ValueError, match="at least 1"):
        caption_spectra(exact, T, prompts, noise, krylov=0)
    with pytest.raises(ValueError, match="NaN"):
        caption_spectra(exact, T, prompts, noise * float("nan"))
    with pytest.raises(ValueError, match="P = 3"):
        conditional_curvature(exact, T, prompts, noise[None])


@pytest.mark.parametrize(
    ("kind", "shared", "krylov"),
    [("epsilon", True, None), ("v", True, 8), ("epsilon", False, 8), ("v", False, None)],
)
def test_curvature_under_the_caption_alone(exact, shared, krylov, passes, generator):
    x = exact.noise(2, generator) if shared else exact.noise(6, generator).reshape(3, 2, 4, 4, 4)
    prompts = exact.encode(CAPTIONS)
    found = conditional_curvature(exact, T, prompts, x, krylov=krylov, at_once=4)
    assert not any(empty for _, empty in passes)
    expected = caption_spectra(exact, T, prompts, x, krylov=krylov, at_once=4).conditional
    for field in fields(Curvature):
        torch.testing.assert_close(getattr(found, field.name), getattr(expected, field.name))


def test_statistics_by_their_definitions(exact, kind, generator):
    x = exact.noise(6, generator).reshape(3, 2, 4, 4, 4)
    spectra = caption_spectra(exact, T, exact.encode(CAPTIONS), x)
    found, scale = spectra.statistics(), exact.level(T)["sigma"] ** 2
    for p, caption in enumerate(CAPTIONS):
        for i in range(2):
            J, s = (of(exact, kind, T, x[p, i], caption) for of in (oracles.jacobian, oracles.score))
            J0, s0 = (of(exact, kind, T, x[p, i], "") for of in (oracles.jacobian, oracles.score))
            values, gap = torch.linalg.eigvalsh((J + J.T) / 2), (J - J0 + (J - J0).T) / 2
            expected = {
                "count": (values >= 0).sum(),
                "largest": values.max() * scale,
                "smallest": values.min() * scale,
                "mean": J.trace() / D * scale,
                "asymmetry": (J - J.T).norm() / J.norm(),
                "score": s.square().sum() * scale / D,
                "unconditional": (torch.linalg.eigvalsh((J0 + J0.T) / 2) >= 0).sum(),
                "shift": gap.trace() / D * scale,
                "gap": (s - s0).square().sum() * scale / D,
                "energy": gap.square().sum() * scale**2,
            }
            assert expected.keys() == found.keys()
            for name, value in expected.items():
                assert found[name][p, i].item() == pytest.approx(value.item(), rel=1e-6, abs=1e-9), name


def test_columns_number_captions_and_noises():
    table = columns({"a": torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])})
    assert {name: column.tolist() for name, column in table.items()} == {
        "a": [1, 2, 3, 4, 5, 6],
        "caption": [0, 0, 1, 1, 2, 2],
        "noise": [0, 1, 0, 1, 0, 1],
    }
