"""Each statistic against its formula written out for one prompt and one seed."""

import dataclasses
import math

import pytest
import torch

from memlib.detection import (
    Anisotropy,
    AttentionEntropy,
    BrightEnding,
    Curvature,
    CurvatureDifference,
    HessianScoreGap,
    LateScoreDifference,
    LayerEntropy,
    ScoreDifferenceNorm,
    SharpnessGain,
    TiledDistance,
    UpdateNorms,
    asthana,
    chen,
    huang,
    kim,
    measure,
    statistic,
)
from memlib.text_to_image import TextToImage, cross_attention, generate

from ..text_to_image import oracles
from ..text_to_image.conftest import UNTRAINED

pytestmark = UNTRAINED

CAPTIONS = ["a cat", "cat", "tac a"]
CELLS = [(p, i) for p in range(3) for i in range(2)]


def each(found, formula, rtol=1e-9):
    """Compare `found (P, n)` with `formula(p, i)` in every cell."""
    assert found.shape == (3, 2)
    assert found.dtype == torch.float64
    expected = torch.tensor([[float(formula(p, i)) for i in range(2)] for p in range(3)], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=rtol, atol=1e-12)
    assert found.unique().numel() == 6  # or a mistaken order of prompts and seeds could pass


def noise_gap(generation, kind, step, p, i):
    """eps(x_t, c) - eps(x_t) with the U-Net's own output."""
    t, x = generation.times[step], generation.states[step, p, i]
    a = generation.model.scheduler.alphas_cumprod.double()[t]
    with torch.no_grad():
        return -(1 - a).sqrt() * oracles.difference(generation.model, kind, t, x, CAPTIONS[p])


JACOBIANS = {}


def jacobian(generation, kind, step, p, i, caption):
    """The dense Jacobian of one score, computed once for all tests."""
    key = kind, step, i, caption, p if step else None  # at first all prompts are at the same noise
    if key not in JACOBIANS:
        t, x = generation.times[step], generation.states[step, p, i]
        JACOBIANS[key] = oracles.jacobian(generation.model, kind, t, x, caption)
    return JACOBIANS[key]


@pytest.mark.parametrize("steps", [1, 4])
def test_wen(generation, kind, steps):
    each(
        ScoreDifferenceNorm(steps)(generation),
        lambda p, i: sum(noise_gap(generation, kind, k, p, i).norm() for k in range(steps)) / steps,
    )


def test_no_differences_of_steps_that_are_not_averaged(generation):
    assert len(statistic.noise_predictions(generation, 2)) == 2
    assert torch.equal(
        statistic.noise_predictions(generation, 2), statistic.noise_predictions(generation)[:2]
    )


@pytest.mark.parametrize("product", ["jvp", "vjp"])
def test_jeon(generation, kind, product):
    def formula(p, i):
        x, t = generation.states[0, p, i], generation.times[0]
        conditional, free = (jacobian(generation, kind, 0, p, i, caption) for caption in (CAPTIONS[p], ""))
        J = conditional - free
        with torch.no_grad():
            s = oracles.difference(generation.model, kind, t, x, CAPTIONS[p]).flatten()
        return ((J if product == "jvp" else J.T) @ s).square().sum()

    each(SharpnessGain(product)(generation), formula, rtol=1e-8)


def test_jeon_by_a_difference_is_jeon_by_jvp(generation):
    torch.testing.assert_close(
        SharpnessGain()(generation), SharpnessGain("jvp")(generation), rtol=1e-4, atol=0
    )


def test_gap(generation, kind):
    model, t = generation.model, generation.times[0]

    def product(p, i, caption):
        x = generation.states[0, p, i]
        with torch.no_grad():
            s = oracles.score(model, kind, t, x, caption).flatten()
        return jacobian(generation, kind, 0, p, i, caption) @ s

    def formula(p, i):
        return (product(p, i, CAPTIONS[p]) - product(p, i, "")).square().sum()

    each(HessianScoreGap("jvp")(generation), formula, rtol=1e-7)


def test_anisotropy(generation, kind):
    model = generation.model
    assert model.timesteps(10)[-1] == 1

    def formula(p, i):
        x = generation.states[0, p, i]
        with torch.no_grad():
            late = oracles.difference(model, kind, 1, x, CAPTIONS[p]).flatten()
            free = oracles.score(model, kind, 1, x, "").flatten()
            early = oracles.difference(model, kind, generation.times[0], x, CAPTIONS[p])
        return 0.7 * late @ free / (late.norm() * free.norm()) + 0.3 * early.norm()

    each(Anisotropy(0.7, 0.3)(generation), formula)


def test_anisotropy_of_parts_at_hand(generation):
    weighted = Anisotropy(0.7, 0.3)
    assert torch.equal(weighted.of(*asthana.parts(generation)), weighted(generation))


def test_anisotropy_needs_only_the_first_step(generation):
    noise = generation.states[0, 0]
    first = generate(generation.model, generation.prompts, noise, steps=10, first_steps=1)
    statistic = Anisotropy(1.0, 2.0)
    torch.testing.assert_close(statistic(first), statistic(generation), rtol=1e-9, atol=0)


def test_weights_of_the_anisotropy_follow_what_separates():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 2 == 0
    signal = labels.double()[:, None] + 0.1 * torch.randn(40, 3, generator=generator, dtype=torch.float64)
    noise = torch.randn(40, 3, generator=generator, dtype=torch.float64)
    by_cosine, by_norm = Anisotropy.fit(-signal, noise, labels), Anisotropy.fit(noise, signal, labels)
    assert by_cosine.cosine < -1
    assert by_norm.norm > 1
    assert abs(by_cosine.norm) < 0.5 > abs(by_norm.cosine)
    with pytest.raises(ValueError, match="labels of one kind"):
        Anisotropy.fit(signal, noise, torch.ones(40, dtype=torch.bool))


def test_tiled_distance(generation):
    model = generation.model
    images = torch.stack([model.decode(generation.samples[p]) for p in range(3)]).double()

    def formula(p, i):
        other = images[p, 1 - i]
        tiles = [(slice(4 * a, 4 * a + 4), slice(4 * b, 4 * b + 4)) for a in range(2) for b in range(2)]
        return max((images[p, i][:, y, x] - other[:, y, x]).norm() for y, x in tiles)

    found = TiledDistance(tiles=2)(generation)
    for p, i in CELLS:
        assert found[p, i].item() == pytest.approx(float(formula(p, i)), rel=1e-6)
    assert not TiledDistance().higher_is_memorized


def test_tiled_distance_over_several_seeds():
    images = torch.rand(2, 4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    found = TiledDistance(tiles=3).of(images)
    for p in range(2):
        for i in range(4):
            over = []
            for j in set(range(4)) - {i}:
                tiles = (images[p, i] - images[p, j]).double().unfold(1, 2, 2).unfold(2, 2, 2)
                over.append(tiles.square().sum(dim=(0, 3, 4)).sqrt().max())
            assert found[p, i].item() == pytest.approx(torch.stack(over).mean().item(), rel=1e-12)
    copies = images[:, :1].expand(-1, 4, -1, -1, -1) + 1e-9 * images.double()
    assert (TiledDistance(tiles=3).of(copies) < 1e-8).all()


def test_tiled_distance_refuses():
    with pytest.raises(ValueError, match="at least 2 seeds"):
        TiledDistance().of(torch.zeros(1, 1, 3, 8, 8))
    with pytest.raises(ValueError, match="6 x 8 pixels do not divide into 4 tiles"):
        TiledDistance().of(torch.zeros(1, 2, 3, 6, 8))


def entropy(weights):
    return -sum(a * math.log(a) for a in weights.tolist() if a > 0)


def weights_at(generation, step, p, i):
    """`layers x (pixels, L)`: the attention of one sample's conditional pass."""
    model, x = generation.model, generation.states[step, p, i]
    with torch.no_grad(), cross_attention(model.unet) as seen:
        model.score(generation.times[step], generation.prompts[[p]])(x[None])
    return {name: layer[0].double() for name, layer in seen.maps.items()}


@pytest.mark.parametrize("layer", [0, 2])
def test_layer_entropy(generation, layer):
    def formula(p, i):
        return entropy(list(weights_at(generation, 0, p, i).values())[layer].mean(0))

    each(LayerEntropy(layer)(generation), formula, rtol=1e-5)


@pytest.mark.parametrize("absolute", [True, False])
def test_attention_entropy(generation, absolute):
    def formula(p, i):
        end = generation.prompts.lengths[p] - 1
        mean = [
            sum(layer.mean(0) for layer in weights_at(generation, k, p, i).values()) / 4 for k in range(10)
        ]
        first = entropy(mean[0][end:])
        moved = [entropy(mean[k][end:]) - first for k in (8, 9)]
        moved = [abs(m) for m in moved] if absolute else moved
        return (entropy(mean[8]) + entropy(mean[9]) + sum(moved)) / 2

    each(AttentionEntropy(absolute)(generation), formula, rtol=1e-5)


@pytest.mark.parametrize("kind", ["epsilon"])  # what depends on it are the gaps, as in the tests above
def test_bright_ending(generation, kind):
    def formula(p, i):
        layers = weights_at(generation, 9, p, i)
        end = generation.prompts.lengths[p] - 1
        inside = [layer[:, end] for name, layer in layers.items() if name.startswith("down_blocks.0")]
        m = (sum(inside) / len(inside)).reshape(4, 4)
        norms = [(noise_gap(generation, kind, k, p, i) * m).norm() for k in range(10)]
        return sum(norms) / 10 / m.mean()

    each(BrightEnding()(generation), formula, rtol=1e-5)


def test_bright_ending_without_layers_of_the_latents_size(generation):
    maps = {"down_blocks.1.attn2": torch.zeros(3, 2, 4, 12)}
    with pytest.raises(ValueError, match=r"no cross-attention at 4 x 4"):
        chen.ending(dataclasses.replace(generation, last_attention=maps))


def test_curvature_difference(generation, kind):
    """Hutchinson's estimate against the exact diagonal: within five of its own standard errors per entry."""
    probes, sigma = 400, generation.sigma[-1]
    found = kim.curvature_map(generation, probes=probes)
    assert found.shape == (3, 2, 4, 4)
    for p, i in CELLS[::5]:
        conditional, free = (jacobian(generation, kind, 9, p, i, caption) for caption in (CAPTIONS[p], ""))
        J = conditional - free
        exact = (-sigma * J.diagonal()).clamp(min=0).reshape(4, 4, 4).sum(0)
        # The transpose has the same diagonal; an entry's variance is the sum of its column's other squares.
        spread = sigma * (J.square().sum(0) - J.diagonal().square()).sqrt() / math.sqrt(probes)
        assert ((found[p, i] - exact).abs() < 5 * spread.reshape(4, 4, 4).sum(0)).all()
        assert (found[p, i] - exact).abs().mean() < 0.5 * exact.mean()
    values = CurvatureDifference(probes=4)(generation)
    torch.testing.assert_close(values, kim.curvature_map(generation, probes=4).mean(dim=(2, 3)))
    assert values.unique().numel() == 6


def test_curvature_alone(generation, kind):
    """As above without the second term."""
    probes, sigma = 400, generation.sigma[-1]
    found = kim.curvature_map(generation, probes=probes, relative=False)
    for p, i in CELLS[::5]:
        J = jacobian(generation, kind, 9, p, i, CAPTIONS[p])
        exact = (-sigma * J.diagonal()).clamp(min=0).reshape(4, 4, 4).sum(0)
        spread = sigma * (J.square().sum(0) - J.diagonal().square()).sqrt() / math.sqrt(probes)
        assert ((found[p, i] - exact).abs() < 5 * spread.reshape(4, 4, 4).sum(0)).all()
    few = kim.curvature_map(generation, probes=4, relative=False)
    torch.testing.assert_close(Curvature(probes=4)(generation), few.mean(dim=(2, 3)))


def test_the_proxy_of_the_curvature_difference(generation, kind):
    torch.testing.assert_close(
        LateScoreDifference()(generation), kim.score_map(generation).mean(dim=(2, 3)), rtol=1e-12, atol=0
    )
    found = kim.score_map(generation)
    sigma = generation.sigma[-1]
    for p, i in CELLS:
        expected = (noise_gap(generation, kind, 9, p, i) / sigma).square().sum(0)
        torch.testing.assert_close(found[p, i], expected, rtol=1e-8, atol=1e-12)


def test_update_norms(generation):
    norms = huang.update_norms(generation)
    assert norms.shape == (10, 3, 2)
    for step in (0, 9):
        for p, i in CELLS:
            moved = generation.states[step + 1, p, i] - generation.states[step, p, i]
            assert norms[step, p, i].item() == pytest.approx(moved.norm().item(), rel=1e-12)
    other = generate(
        generation.model,
        generation.model.encode(["t", "act", "a a"]),
        generation.states[0, 0],
        steps=10,
        first_steps=3,
    )
    statistic = UpdateNorms.calibrate(other)
    assert statistic.first_steps == 3
    reference = huang.update_norms(other).flatten(1).numpy()

    def formula(p, i):
        z = [(norms[k, p, i].item() - reference[k].mean()) / reference[k].std(ddof=1) for k in range(3)]
        return sum(z) / 3

    each(statistic(generation), formula)
    one = dataclasses.replace(other, states=other.states[:, :1, :1])
    with pytest.raises(ValueError, match="a calibration needs samples that differ, got 1"):
        UpdateNorms.calibrate(one)


STATISTICS = {
    "wen_1": ScoreDifferenceNorm(),
    "wen_5": ScoreDifferenceNorm(5),
    "jeon": SharpnessGain("vjp"),
    "gap": HessianScoreGap("vjp"),
    "le": LayerEntropy(0),
    "anisotropy": Anisotropy(1.0, 1.0),
}
WHOLE = {
    "tiles": TiledDistance(tiles=2),
    "ae": AttentionEntropy(),
    "be": BrightEnding(),
    "kim": CurvatureDifference(probes=2),
    "late": LateScoreDifference(),
}


def test_measured_together_and_in_parts_as_alone(generation):
    model, prompts, noise = generation.model, generation.prompts, generation.states[0, 0]
    found = measure(model, prompts, noise, STATISTICS | WHOLE, steps=10, rows=4)
    for name, alone in (STATISTICS | WHOLE).items():
        if name == "kim":  # its probes are drawn for the batch at hand
            continue
        torch.testing.assert_close(found[name], alone(generation), rtol=1e-6, atol=1e-9)


def test_no_more_steps_than_are_needed(generation, monkeypatch):
    model, times = generation.model, []
    ordinary = type(model).difference

    def difference(self, t, *rest):
        times.append(t)
        return ordinary(self, t, *rest)

    monkeypatch.setattr(type(model), "difference", difference)
    measure(model, generation.prompts, generation.states[0, 0], {"wen_5": ScoreDifferenceNorm(5)}, steps=10)
    assert times == generation.times[:5]


@pytest.mark.parametrize("name", WHOLE)
def test_what_needs_the_whole_trajectory_says_so(generation, name):
    part = generate(
        generation.model, generation.prompts, generation.states[0, 0], steps=10, first_steps=2, attention=True
    )
    with pytest.raises(ValueError, match="needs the whole trajectory, got 2 of 10 steps"):
        WHOLE[name](part)


@pytest.mark.parametrize("statistic", [LayerEntropy(0), AttentionEntropy(), BrightEnding()])
def test_what_needs_attention_says_so(generation, statistic):
    blind = dataclasses.replace(generation, attention=None, last_attention=None)
    with pytest.raises(ValueError, match=r"needs the cross-attention; generate\(..., attention=True\)"):
        statistic(blind)


def test_too_few_steps_or_layers(generation):
    with pytest.raises(ValueError, match="11 steps are needed, 10 were sampled"):
        ScoreDifferenceNorm(11)(generation)
    with pytest.raises(ValueError, match=r"layer must lie in \[0, 3\] for this model, got 4"):
        LayerEntropy(4)(generation)


@pytest.mark.parametrize("statistic", [SharpnessGain, HessianScoreGap])
def test_forward_differences_in_half_precision_are_refused(folders, statistic):
    model = TextToImage.load(folders["epsilon"], dtype=torch.bfloat16)
    noise = model.noise(2, torch.Generator().manual_seed(0))
    part = generate(model, model.encode(["cat"]), noise, steps=10, first_steps=1)
    assert statistic("vjp")(part).isfinite().all()
    with pytest.raises(ValueError, match=r"in torch.bfloat16 is rounding error"):
        statistic()(part)


def test_nothing_to_measure(generation):
    with pytest.raises(ValueError, match="one statistic or more"):
        measure(generation.model, generation.prompts, generation.states[0, 0], {})


def test_the_parts_of_the_anisotropy_lie_in_their_ranges(generation):
    cosines, norms = asthana.parts(generation)
    assert (cosines.abs() <= 1).all()
    assert (norms > 0).all()
