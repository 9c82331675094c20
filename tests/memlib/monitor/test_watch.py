"""The monitor: what it measures, when, what it costs, what it leaves alone, and how it goes on."""

import csv
import math

import pytest
import torch
from torch import nn

from memlib.mixture import GaussianMixture
from memlib.monitor import Monitor, TrainerHook, mirrored, unet_score
from memlib.monitor import watch as watch_module
from memlib.monitor.points import Points
from memlib.monitor.watch import CURVE, SETTINGS, TABLE
from memlib.score import Score

D, ALPHA, SIGMA = 6, 0.8, 0.6


def images(count, seed):
    return torch.randn(count, D, generator=torch.Generator().manual_seed(seed))


class Blend(nn.Module):
    """Exact scores: of a Gaussian, and of a mixture around its training points, by how much it memorizes."""

    def __init__(self, training):
        super().__init__()
        wide = GaussianMixture(torch.ones(1), torch.zeros(1, D), torch.ones(1))
        count = len(training)
        narrow = GaussianMixture(torch.ones(count) / count, training, torch.full((count,), 0.05))
        self.densities = [density.diffused(ALPHA, SIGMA) for density in (wide, narrow)]
        self.dropout, self.memorized, self.rows = nn.Dropout(), 0.0, 0

    def forward(self, x):
        self.rows += len(x)
        assert not self.training
        wide, narrow = (density.score(x.double()) for density in self.densities)
        return ((1 - self.memorized) * wide + self.memorized * narrow).to(x.dtype)

    def at(self, t, numbers):
        return Score(self, alpha=ALPHA, sigma=SIGMA)


@pytest.fixture(autouse=True)
def quick_to_draw(request, monkeypatch):
    """A real curve takes half a second, which only the tests marked `drawn` need."""
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(watch_module, "draw", lambda path, *_: path.write_text("a curve"))


@pytest.fixture
def drawn():
    """Let the test draw real curves."""


def monitor(network, folder, training, held_out, **options):
    return Monitor(
        network, network.at, training, held_out, **({"times": [0], "batch": 8, "folder": folder} | options)
    )


def test_it_warns_of_a_network_that_memorizes_and_of_no_other(tmp_path):
    training, held_out = images(12, 0), images(12, 1)
    network = Blend(training)
    calm = monitor(network, tmp_path / "calm", training, held_out)
    for step in range(0, 40 * calm.period, calm.period):
        assert not calm.step(step).alarm
    watch = monitor(network, tmp_path / "watched", training, held_out)
    for look in range(20):
        network.memorized = max(0, look - 9) / 10
        watch.step(look * watch.period)
    alarms = [check.alarm for check in watch.checks]
    assert not any(alarms[:10])
    assert alarms[15]  # at six tenths; with other points at three to five
    assert all(alarms[15:])


def test_the_curve_is_a_picture(tmp_path, drawn):
    watch = monitor(Blend(images(4, 8)), tmp_path, images(4, 8), images(4, 9))
    watch.step(0)
    watch.step(watch.period)
    assert (tmp_path / CURVE).read_text().startswith("<?xml")


def test_the_two_statistics_are_those_of_the_definition():
    """At a Gaussian of variance v: sharpness is sigma^2 / v exactly, whatever the directions."""
    points = Points(images(8, 2), 4, [0, 0])
    found = points.measure(Blend(points.images[:4]).eval().at)
    total = ALPHA**2 + SIGMA**2
    assert found.shape == (2, 8, 2)
    assert found[..., 1] == pytest.approx(SIGMA**2 / total * torch.ones(2, 8).numpy(), rel=1e-5)
    noise = points._normal(1, torch.tensor([3]), 0)
    x = ALPHA * points.images[3:4] + SIGMA * noise
    assert found[1, 3, 0].item() == pytest.approx(
        -(-SIGMA * x / total + noise).square().mean().log().item(), rel=1e-4
    )
    assert not torch.equal(found[0, :, 0], found[1, :, 0])  # the same time twice has two noises


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_how_points_are_split_changes_nothing(rows):
    whole, split = Points(images(9, 3), 4, [0]), Points(images(9, 3), 4, [0], rows=rows)
    network = Blend(whole.images[:4]).eval()
    network.memorized = 0.5
    assert torch.allclose(whole.measure(network.at), split.measure(network.at), atol=1e-6)


@pytest.mark.parametrize(("most", "batch"), [(0.05, 8), (0.01, 64), (0.2, 1)])
def test_checks_take_no_more_than_their_share_of_the_passes(tmp_path, most, batch):
    training = images(5, 4)
    network = Blend(training)
    watch = monitor(network, tmp_path, training, images(4, 5), most=most, batch=batch, times=[0, 1])
    watch.step(0)
    assert network.rows == 2 * 9
    assert watch.points.passes == 2 * network.rows  # as many backward as forward
    assert watch.points.passes <= most * 3 * batch * watch.period
    assert watch.points.passes > most * 3 * batch * (watch.period - 1)  # and no rarer than need be
    assert watch.step(watch.period - 1) is None
    assert watch.step(watch.period) is not None


def test_a_resumed_monitor_goes_on_from_its_table(tmp_path):
    training, held_out = images(8, 6), images(8, 7)
    network = Blend(training)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    watch = monitor(network, whole, training, held_out)
    for look in range(12):
        network.memorized = look / 12
        watch.step(look * watch.period)
    for look in range(12):  # killed after every look
        network.memorized = look / 12
        again = monitor(network, parts, training, held_out)
        again.step(look * again.period)
        assert again.step(look * again.period) is None
    assert again.checks == watch.checks
    assert (parts / TABLE).read_bytes() == (whole / TABLE).read_bytes()
    assert {path.name for path in parts.iterdir()} == {SETTINGS, TABLE, CURVE}


def test_the_table_has_a_row_for_every_point(tmp_path):
    watch = monitor(Blend(images(4, 8)), tmp_path, images(4, 8), images(5, 9), times=[3, 7])
    watch.step(0)
    with (tmp_path / TABLE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["time"], row["point"]) for row in rows] == [
        (str(t), str(i)) for t in (3, 7) for i in range(9)
    ]
    assert [row["training"] for row in rows] == 2 * (4 * ["1"] + 5 * ["0"])


def test_another_monitors_table_is_refused(tmp_path):
    training = images(4, 10)
    monitor(Blend(training), tmp_path, training, images(4, 11))
    with pytest.raises(ValueError, match="another folder"):
        monitor(Blend(training), tmp_path, training, images(4, 12))
    with pytest.raises(ValueError, match="another folder"):
        monitor(Blend(training), tmp_path, training, images(4, 11), level=0.05)


def test_without_held_out_images_mirror_images_are_the_others(tmp_path):
    training = images(12, 13)
    network = Blend(training)
    asked = []
    watch = Monitor(
        network,
        lambda t, numbers: asked.extend(numbers.tolist()) or network.at(t, numbers),
        training, None, times=[0], batch=8, folder=tmp_path,
    )  # fmt: skip
    assert torch.equal(watch.points.images[12:], training.flip(-1))
    assert torch.equal(mirrored(mirrored(training)), training)
    for look in range(20):
        network.memorized = max(0, look - 9) / 10
        watch.step(look * watch.period)
    alarms = [check.alarm for check in watch.checks]
    assert not any(alarms[:10])
    assert alarms[-1]
    assert set(asked) == set(range(12))  # twins are asked for under the numbers, and conditions, of originals


class Learner(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(D, 64), nn.SiLU(), nn.Dropout(0.1), nn.Linear(64, D))

    def forward(self, x):
        return self.layers(x)

    def at(self, t, numbers):
        return Score(lambda x: -self(x) / SIGMA, alpha=ALPHA, sigma=SIGMA)


def train(watched, folder, steps=30):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network, training = Learner(), images(4, 14)
        optimiser = torch.optim.Adam(network.parameters(), 1e-2)
        watch = monitor(network, folder, training, images(4, 15)) if watched else None
        for step in range(steps):
            if watch:
                watch.step(step)
            noise = torch.randn(4, D)
            loss = (network(ALPHA * training + SIGMA * noise) - noise).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        assert network.training
        assert all(module.training for module in network.modules())
        return network.state_dict(), watch


def test_a_watched_training_gives_the_weights_of_an_unwatched_one(tmp_path):
    alone, _ = train(False, tmp_path)
    watched, watch = train(True, tmp_path)
    assert len(watch.checks) == math.ceil(30 / watch.period) > 1
    assert all(torch.equal(alone[key], watched[key]) for key in alone)


def test_a_frozen_module_keeps_its_mode(tmp_path):
    network = Learner()
    network.layers[2].eval()
    monitor(network, tmp_path, images(4, 16), images(4, 17)).step(0)
    assert [module.training for module in network.layers] == [True, True, False, True]


def test_a_network_that_diverges_says_so(tmp_path):
    network = Learner()
    with torch.no_grad():
        network.layers[0].weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="NaN"):
        monitor(network, tmp_path, images(4, 16), images(4, 17)).step(0)
    assert network.training


@pytest.mark.parametrize(
    ("options", "message"),
    [({"most": 0}, "most"), ({"batch": 0}, "batch"), ({"times": []}, "0 times"), ({"rows": 0}, "0 rows")],
)
def test_what_cannot_be_watched_is_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        monitor(Learner(), tmp_path, images(4, 18), images(4, 19), **options)
    with pytest.raises(ValueError, match="4 training images"):
        monitor(Learner(), tmp_path, images(3, 18), images(4, 19))


class Callback:
    """The part of `lightning.pytorch.Callback` that its trainer uses here; Lightning itself is not run."""

    def on_train_start(self, trainer, pl_module):
        raise AssertionError

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        raise AssertionError


class Trainer:
    """As Lightning's: hooks by name, a step that stays while gradients accumulate, a flag to stop."""

    def __init__(self, callbacks):
        self.callbacks, self.global_step, self.should_stop = callbacks, 0, False

    def fit(self, module, batches, *, accumulate=2):
        for callback in self.callbacks:
            callback.on_train_start(self, module)
        for index in range(batches):
            if self.should_stop:
                return
            module.memorized = min(1.0, index / 100)
            self.global_step += (index + 1) % accumulate == 0
            for callback in self.callbacks:
                callback.on_train_batch_end(self, module, outputs=None, batch=None, batch_idx=index)


@pytest.mark.parametrize("stop", [False, True])
def test_as_a_callback_it_looks_once_a_step_and_may_stop_the_trainer(tmp_path, stop):
    class Watch(TrainerHook, Callback):
        pass

    training = images(12, 20)
    network = Blend(training)
    watch = monitor(network, tmp_path, training, images(12, 21), most=1)
    trainer = Trainer([Watch(watch, stop=stop)])
    trainer.fit(network, 200)
    steps = [check.step for check in watch.checks]
    assert steps == list(range(0, trainer.global_step + 1, watch.period))
    assert trainer.should_stop is stop
    assert (trainer.global_step < 100) is stop
    assert watch.checks[-1].alarm


class Output:
    def __init__(self, sample):
        self.sample = sample


class Scheduler:
    """diffusers' `DDPMScheduler`, as far as it is read."""

    alphas_cumprod = torch.tensor([0.9, ALPHA**2])

    def __init__(self, kind):
        self.config = type("Config", (), {"prediction_type": kind})


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_a_unet_of_a_training_script_gives_its_score(kind):
    """A network that knows x_0 = c: the score is that of the point c, in every prediction."""
    states, numbers = images(6, 22), torch.tensor([4, 1])

    def unet(x, t, encoder_hidden_states):
        assert t == 1
        noise = (x - ALPHA * encoder_hidden_states) / SIGMA
        v = ALPHA * noise - SIGMA * encoder_hidden_states
        return Output({"epsilon": noise, "v_prediction": v, "sample": encoder_hidden_states}[kind])

    score = unet_score(unet, Scheduler(kind), encoder_hidden_states=states)(1, numbers)
    x = images(2, 23)
    assert (score.alpha, score.sigma) == pytest.approx((ALPHA, SIGMA))
    assert torch.allclose(score(x), (ALPHA * states[numbers] - x) / SIGMA**2, atol=1e-4)
