"""The onset of memorization: what is measured, on scores with known answers, and when it sets in."""

from __future__ import annotations

import json

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from companion import onset
from companion.onset.statistics import Settings, stable_ranks
from companion.onset.times import Onset
from memlib.intervals import proportion
from memlib.networks import DiffusionModel
from memlib.schedule import VariancePreserving

SCHEDULE, SIDE = VariancePreserving.linear(1000), 8
SMALL = Settings(
    samples=6,
    steps=3,
    losses=(100, 400),
    images=5,
    times=(100, 200),
    points=3,
    krylov=2,
    smallest=3,
    middle=100,
)


class Linear(nn.Module):
    """Predicts the noise of the score -c x."""

    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(factor * torch.eye(2))

    def forward(self, x, t, label):
        return SCHEDULE.sigma(t).item() * self.factor[0, 0] * x


def images(count, seed):
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_statistics_of_a_linear_score_are_the_known_ones():
    model, d = DiffusionModel(Linear(0.5).requires_grad_(False), SCHEDULE), 3 * SIDE**2
    found = onset.measure(model, images(7, 0), images(9, 1), SMALL, spectrum=True)
    assert json.loads(json.dumps(found)) == found
    for k, t in enumerate(SMALL.times):
        sharp = 0.5 * SCHEDULE.sigma(t).item() ** 2
        for side in ("training", "held_out", "generated"):
            assert found["points"][side]["tr_h"][k] == pytest.approx([sharp * d] * 3, rel=1e-3)
    middle = -0.5 * SCHEDULE.sigma(100).item() ** 2
    assert found["smallest"]["training"] == pytest.approx([middle] * 3, rel=1e-3)
    assert found["spectrum"]["held_out"] == pytest.approx([middle] * d, rel=1e-3)
    assert len(found["loss"]["training"][1]) == 5
    assert len(found["ratio"]) == len(found["nearest"]) == len(found["detail"]) == 6
    assert found["stable_rank"] == {"factor": pytest.approx(2)}
    alpha, sigma = SCHEDULE.alpha(400).item(), SCHEDULE.sigma(400).item()
    noise = torch.randn(5, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(400))
    x = alpha * images(7, 0)[:5] + sigma * noise
    loss = (noise - 0.5 * sigma * x).square().mean((1, 2, 3))
    assert found["loss"]["training"][1] == pytest.approx(loss.tolist(), rel=1e-3)


def test_stable_ranks_are_those_of_known_matrices():
    network = nn.ModuleDict({"full": nn.Linear(4, 4), "one": nn.Linear(3, 5), "zero": nn.Linear(2, 2)})
    with torch.no_grad():
        network["full"].weight.copy_(torch.eye(4))
        network["one"].weight.copy_(torch.outer(torch.arange(1.0, 6.0), torch.ones(3)))
        network["zero"].weight.zero_()
    assert stable_ranks(network) == {"full.weight": pytest.approx(4), "one.weight": pytest.approx(1)}


def test_a_record_goes_on_where_it_was_and_keeps_its_settings(tmp_path):
    asked = []

    def load(step):
        if step == 8 and len(asked) == 2:
            asked.append("cut")
            raise KeyboardInterrupt
        asked.append(step)
        return DiffusionModel(Linear(step / 10).requires_grad_(False), SCHEDULE)

    sets = images(7, 0), images(9, 1)
    with pytest.raises(KeyboardInterrupt):
        onset.record(tmp_path, load, [2, 4, 8], *sets, settings=SMALL)
    assert list(onset.read(tmp_path)) == [2, 4]
    onset.record(tmp_path, load, [2, 4, 8], *sets, settings=SMALL)
    assert asked == [2, 4, "cut", 8]
    found = onset.read(tmp_path)
    assert found[8] | {"step": 8} == onset.measure(load(8), *sets, SMALL) | {
        "step": 8,
        "measured": found[8]["measured"],
    }
    assert found[8]["measured"]["versions"]["torch"] == torch.__version__
    with pytest.raises(ValueError, match="measured with"):
        onset.record(tmp_path, load, [2], *sets)


STEPS = [64, 91, 128, 181, 256, 362, 512, 724]


def run(warned, copied, seed, *, effect=3.0):
    """Rungs: training points part from the others at one step, samples are copies from another on."""
    source = np.random.default_rng(seed)
    rungs = {}
    for step in STEPS:
        shift = effect * (step >= warned)
        sides = {
            side: {
                name: [list(source.normal(size=16) + sign * shift * (side == "training"))]
                for name, sign in kinds
            }
            for side in ("training", "held_out")
            for kinds in [(("tr_h", 1), ("local_dimension", -1), ("count", -1))]
        }
        ratio = np.where(np.arange(64) < 16 * (step >= copied), 0.1, 0.9)
        rungs[step] = {
            "ratio": list(ratio),
            "loss": {side: [list(np.exp(source.normal(size=16)))] for side in sides},
            "points": sides,
            "smallest": {side: list(source.normal(size=16) - shift * (side == "training")) for side in sides},
        }
    return rungs


@pytest.mark.parametrize(
    ("lowest", "expected"),
    [
        ([-1, -1, 1, 1, 1], Onset(8, True)),
        ([1, 1, 1, 1, 1], Onset(2, True)),
        ([1, 1, -1, -1, 1], Onset(64, False)),  # not kept up, and at the last rung alone
        ([-1, -1, -1, 1, 1], Onset(16, True)),  # until the end
        ([1, 1, -1, 1, 1], Onset(16, True)),
    ],
)
def test_an_event_is_sustained_or_has_not_happened(lowest, expected):
    assert onset.onset([2, 4, 8, 16, 32], lowest) == expected


def test_first_copy_is_above_what_held_out_images_give():
    rungs = run(128, 362, 0)
    assert onset.first_copy(rungs) == Onset(362, True)
    assert onset.first_copy(rungs, false=0.3) == Onset(pytest.approx(724**2 / 512), False)
    assert not onset.first_copy(run(128, 2000, 0)).reached


def test_shares_of_rows_have_wilsons_lower_ends():
    true = np.arange(64) < np.array([[0], [1], [9], [64]])
    expected = [proportion(row, level=onset.times.LEVEL).low for row in true]
    assert onset.times._wilson_low(true) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["tr_h 0", "local_dimension 0", "count 0", "smallest"])
def test_the_lead_is_that_of_the_runs(name):
    runs = [run(128, 512, seed) for seed in range(3)]
    found = onset.leads(runs, name, [0.0] * 3)
    assert found.value.value == pytest.approx(2, abs=0.01)
    assert found.value.low <= 2 <= found.value.high
    assert found.value.high - found.value.low <= 1.01  # the effect is large: a rung to either side
    assert found.value.n == 3
    assert found.censored == 0
    assert [onset.set_in(rungs, name) for rungs in runs] == [Onset(128, True)] * 3


def test_what_does_not_part_has_no_lead():
    runs = [run(128, 512, seed) for seed in range(3)]
    found = onset.leads(runs, "loss 0", [0.0] * 3)
    assert found.censored == 1
    assert found.value.value < 0
    with pytest.raises(ValueError, match="two runs"):
        onset.leads(runs[:1], "loss 0", [0.0])


def test_the_monitor_would_have_warned_once_points_part():
    assert onset.warned(run(128, 512, 3)) == Onset(128, True)
    calm = onset.warned(run(128, 512, 4, effect=0.0))
    assert calm == Onset(pytest.approx(724**2 / 512), False)


def test_without_a_difference_an_onset_is_rarer_than_one_in_a_hundred():
    """Points that keep what sets them apart through the training, as images do: as if looked at once."""
    source, reached = np.random.default_rng(0), 0
    for _ in range(400):
        own = source.normal(size=(2, 16))
        noise = 0.1 * source.normal(size=(8, 2, 16))
        lowest = onset.times._lowest([tuple(own + of) for of in noise], np.asarray)
        reached += onset.onset(STEPS, lowest).reached
    assert reached <= 9  # 2 expected: one side of 99 %


def test_the_exponent_is_that_of_a_power_law():
    counts = [64, 128, 256, 512, 512]
    times = [Onset(3.0 * n**1.5, True) for n in counts[:4]] + [Onset(1.0, False)]
    found = onset.scaling(counts, times)
    assert found.value == pytest.approx(1.5)
    assert found.n == 4
    with pytest.raises(ValueError, match="three runs"):
        onset.scaling(counts, [Onset(1.0, False)] * 5)


def test_the_detectable_difference_is_detected_as_often_as_stated():
    source, shift = np.random.default_rng(1), onset.detectable(64)
    pairs = [(source.normal(size=64) + shift, source.normal(size=64)) for _ in range(400)]
    seen = np.mean(np.array(onset.times._lowest(pairs, np.asarray)) > 0)
    assert 0.72 < seen < 0.86


def test_figures_show_every_run_and_rung():
    runs = {64: run(128, 362, 0), 128: run(181, 2000, 1)}
    gaps = {count: onset.differences(of)["tr_h 0"] for count, of in runs.items()}
    warned = {64: Onset(128, True), 128: Onset(181, True)}
    copied = {64: Onset(362, True), 128: Onset(1024, False)}
    figure = onset.figures.curves(runs, gaps, warned, copied)
    assert [len(ax.lines) for ax in figure.axes[:2]] == [3, 2]
    events = {"warning": {n: [at] for n, at in warned.items()}, "copy": {n: [at] for n, at in copied.items()}}
    marks = onset.figures.times(events, {"warning": "C0", "copy": "C1"}).axes[0].collections
    assert sum(len(mark.get_offsets()) for mark in marks) == 4
    for of in runs[64].values():
        of["spectrum"] = {"training": [-1.0, -0.5], "held_out": [-1.0, 0.0]}
    panels = onset.figures.spectrum(runs[64], 0.25).axes
    assert len(panels[0].lines) == len(STEPS) + 1
    plt.close("all")


def test_captions_of_the_organism_by_rows():
    """A trained organism returns what was copied most, and no training image for a caption it never saw."""
    from companion.onset import captions as module
    from companion.organism.captions import captions
    from companion.organism.samples import Known
    from companion.organism.training_set import training_set
    from companion.recipes.organism import ORGANISM_EPSILON

    data = training_set()
    copied = max((caption for caption in captions("exact")), key=lambda caption: caption.copies)
    unseen = captions("general", held_out=True)[0]
    number = data.captions.index(copied)
    others = (data.caption != number).nonzero().flatten()[::4000]
    index = torch.cat([(data.caption == number).nonzero().flatten()[:1], others])
    pixels = torch.nn.functional.avg_pool2d(data.images(index), 2)
    among = Known(pixels, data.caption[index], data.captions, torch.ones(len(index), dtype=torch.bool))
    table = module.of_captions(
        ORGANISM_EPSILON.load().pipeline, [copied, unseen], among, seeds=1, noises=2, steps=10
    )
    assert table["caption"].tolist() == [copied.text, unseen.text]
    assert table["recalled"].tolist() == [1.0, 0.0]
    assert table["copies"].tolist() == [copied.copies, 0]
    assert table["gain"][0] > table["gain"][1]
