"""One-step statistics for many prompts: the same numbers with fewer passes."""

import pytest
import torch

from memlib.sharpness import curvature_gain, difference_norm
from memlib.text_to_image import FirstStep, TextToImage, one_step

from .conftest import UNTRAINED

pytestmark = UNTRAINED

CAPTIONS = ["a cat", "cat", "tac", "a", ""]
T = 981


@pytest.fixture
def rows_seen(single, exact):
    """Rows that went through the U-Net."""
    count = []
    hooks = [
        model.unet.register_forward_pre_hook(lambda module, args: count.append(len(args[0])))
        for model in (single, exact)
    ]
    yield count
    for hook in hooks:
        hook.remove()


def test_values_are_those_of_each_prompt_and_noise_alone(exact, generator):
    noise = exact.noise(2, generator)
    for product in ("jvp", "vjp", "difference"):
        found = one_step(exact, exact.encode(CAPTIONS), noise, product=product, rows=4)
        assert (found.t, found.product) == (T, product)
        assert found.difference.shape == found.curvature.shape == (5, 2)
        for p, caption in enumerate(CAPTIONS):
            alone = exact.difference(T, exact.encode([caption]))
            # Forward differences of float64 are good to about 1e-8 of the score.
            rtol, atol = (1e-4, 1e-6) if product == "difference" else (1e-9, 1e-12)
            gain = curvature_gain(alone, noise, product)
            torch.testing.assert_close(found.curvature[p], gain, rtol=rtol, atol=atol)
            torch.testing.assert_close(
                found.difference[p], difference_norm(alone, noise), rtol=1e-9, atol=1e-12
            )
    assert (found.difference[-1] < 1e-12).all()  # the empty caption is the unconditional one


def test_the_unconditional_pass_at_shared_noise_is_made_once(single, generator, rows_seen):
    # Without the empty caption, whose difference is zero, so that nothing is displaced.
    noise, prompts = single.noise(3, generator), single.encode([*CAPTIONS[:4], "t"])
    one_step(single, prompts, noise, rows=6)
    # 3 unconditional; then for 15 rows one conditional pass at the noise and both at the displaced points.
    assert sum(rows_seen) == 3 + 15 + 30
    assert max(rows_seen) == 12


def test_rows_bound_the_batch_but_never_split_a_prompt(exact, generator, rows_seen):
    prompts, noise = exact.encode(CAPTIONS), exact.noise(3, generator)
    whole = one_step(exact, prompts, noise, rows=100)
    assert max(rows_seen) == 30
    rows_seen.clear()
    parts = one_step(exact, prompts, noise, rows=1)
    assert max(rows_seen) == 6
    torch.testing.assert_close(parts.curvature, whole.curvature, rtol=1e-5, atol=1e-6)


def test_known_scores_cost_no_pass_and_change_nothing(single, generator, rows_seen):
    noise, prompts = single.noise(2, generator), single.encode(CAPTIONS[:3])
    plain = FirstStep(single, T, prompts, noise)
    gain, norm = plain.curvature_gain("difference"), plain.difference_norm
    conditional, unconditional = plain.scores
    assert sum(rows_seen) == 2 * 12  # a doubled pass at the noise and one where it is moved to
    rows_seen.clear()
    known = FirstStep(single, T, prompts, noise, conditional=conditional, unconditional=unconditional[:2])
    assert torch.equal(known.difference_norm, norm)
    assert rows_seen == []
    torch.testing.assert_close(known.curvature_gain("difference"), gain, rtol=1e-5, atol=0)
    assert sum(rows_seen) == 12


def test_units_of_the_noise_prediction(exact, generator):
    step = FirstStep(exact, T, exact.encode(CAPTIONS[:2]), exact.noise(2, generator))
    sigma = exact.level(T)["sigma"]
    torch.testing.assert_close(step.noise_difference_norm, sigma * step.difference_norm)


def test_noise_of_another_shape(exact, generator):
    with pytest.raises(ValueError, match="noise must have shape"):
        FirstStep(exact, T, exact.encode(["cat"]), exact.noise(2, generator)[:, :1])


def test_another_time(exact, generator):
    noise, prompts = exact.noise(1, generator), exact.encode(["cat"])
    found = one_step(exact, prompts, noise, t=1, product="vjp")
    expected = difference_norm(exact.difference(1, prompts), noise)
    torch.testing.assert_close(found.difference[0], expected, rtol=1e-9, atol=0)


def test_bad_rows(exact, generator):
    with pytest.raises(ValueError, match="rows must be at least 1, got 0"):
        one_step(exact, exact.encode(["cat"]), exact.noise(1, generator), rows=0)


def test_half_precision_takes_reverse_mode_and_refuses_differences(folders, generator):
    half = TextToImage.load(folders["epsilon"], dtype=torch.bfloat16)
    noise = half.noise(2, generator)
    found = one_step(half, half.encode(CAPTIONS[:2]), noise, product="vjp")
    assert found.curvature.isfinite().all()
    assert (found.difference > 0).all()
    with pytest.raises(ValueError, match=r"in torch.bfloat16 is rounding error; use product='vjp'"):
        one_step(half, half.encode(["cat"]), noise)
