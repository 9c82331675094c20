"""Trainings that stop at any moment go on as if they had not."""

import copy
import json
import signal
import time
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from companion.fitting import TrainingConfig, read_average, train
from companion.fitting.loop import _stream
from memlib.networks import MLP, MLPConfig
from memlib.schedule import VariancePreserving

from ...forked import started


class PowerCut(BaseException):
    """Ends a training as a signal would: nothing in it catches this."""


def interrupted(draw, after):
    """The same batches, and an end after so many."""
    calls = []

    def cut(batch, generator):
        if len(calls) == after:
            raise PowerCut
        calls.append(batch)
        return draw(batch, generator)

    return cut


def same(first, second):
    weights = zip(first.network.state_dict().values(), second.network.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in weights) and torch.equal(first.losses, second.losses)


@pytest.mark.parametrize("save_every", [1, 2, 4])
def test_interrupted_at_any_step_and_resumed_is_bit_identical(case, schedule, tmp_path, save_every):
    build, draw, config = case
    whole = train(build(), schedule, draw, config)
    assert whole.losses.isfinite().all()
    for after in range(config.steps):
        state = tmp_path / f"{after}.safetensors"
        with pytest.raises(PowerCut):
            train(build(), schedule, interrupted(draw, after), config, state=state, save_every=save_every)
        assert state.exists() == (after >= save_every)
        # Another start: nothing may come from the initial weights of the second process.
        seed = 1 if state.exists() else 0
        assert same(whole, train(build(seed), schedule, draw, config, state=state, save_every=save_every))


def test_interrupted_at_every_step(case, schedule, tmp_path):
    build, draw, config = case
    whole, state = train(build(), schedule, draw, config), tmp_path / "state.safetensors"
    for _ in range(config.steps - 1):
        with pytest.raises(PowerCut):
            train(build(), schedule, interrupted(draw, 1), config, state=state, save_every=1)
    assert same(whole, train(build(), schedule, draw, config, state=state, save_every=1))


@pytest.fixture
def half(case):
    """The same small trainings in bfloat16, of the first-order loss."""
    build, draw, config = case
    return build, draw, replace(config, second_order=0.0, precision="bfloat16")


def test_half_precision_resumes_bit_identically(half, schedule, tmp_path):
    build, draw, config = half
    whole = train(build(), schedule, draw, config)
    for after in range(1, config.steps):
        state = tmp_path / f"{after}.safetensors"
        with pytest.raises(PowerCut):
            train(build(), schedule, interrupted(draw, after), config, state=state, save_every=1)
        assert same(whole, train(build(1), schedule, draw, config, state=state, save_every=1))


def test_half_precision_is_that_of_the_products_alone(half, schedule, tmp_path):
    build, draw, config = half
    state = tmp_path / "state.safetensors"
    found = train(build(), schedule, draw, config, state=state)
    other = train(build(), schedule, draw, replace(config, precision="float32"))
    assert {v.dtype for v in load_file(state).values()} == {torch.float32}
    assert {p.dtype for p in found.network.parameters()} == {torch.float32}
    assert not torch.equal(found.losses, other.losses)
    # bfloat16 has 8 bits: an activation is off by at most 0.4 %, a loss by a few times that.
    assert torch.allclose(found.losses, other.losses, rtol=0.05)


def test_autocast_ends_with_the_training(half, schedule):
    build, draw, config = half
    train(build(), schedule, draw, config)
    assert not torch.is_autocast_enabled("cpu")


def test_a_finished_training_draws_nothing_more(case, schedule, tmp_path):
    build, draw, config = case
    state = tmp_path / "state.safetensors"
    first = train(build(), schedule, draw, config, state=state)
    again = train(build(1), schedule, interrupted(draw, 0), config, state=state)
    assert same(first, again)


PROGRAM = """
from pathlib import Path
import torch
from memlib.networks import MLP, MLPConfig
from companion.fitting import TrainingConfig, read_average, train
from memlib.schedule import VariancePreserving

torch.set_num_threads(1)
torch.manual_seed(0)
draw = lambda batch, generator: (torch.randn(batch, 2, generator=generator), None)
result = train(MLP(MLPConfig(width=16, blocks=1)), VariancePreserving.linear(50), draw,
               TrainingConfig(steps={steps}, batch=8), state=Path({state!r}), save_every=3)
torch.save([*result.network.state_dict().values(), result.losses], {state!r} + ".result")
"""


def step_of(state):
    """Of a state that another process may replace at any moment: its file is opened and read once.

    `safe_open` opens it a second time, by name, and may find another one there.
    """
    try:
        content = state.read_bytes()
    except FileNotFoundError:
        return 0
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return int(header["__metadata__"]["step"])


@pytest.mark.slow
def test_a_killed_process_resumes_bit_identical(tmp_path):
    """SIGKILL cannot be caught, and may hit while the state is being written."""
    steps, state, other = 300, tmp_path / "killed", tmp_path / "whole"
    resumed, alone = (PROGRAM.format(steps=steps, state=str(path)) for path in (state, other))
    process = started(resumed, ["torch", "companion.fitting"])
    deadline = time.monotonic() + 120
    while step_of(state) < 30 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert 30 <= step_of(state) < steps
    process = started(resumed, ["torch", "companion.fitting"])
    process.join()
    assert process.exitcode == 0
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        exec(alone, {})  # noqa: S102 - in this process, which has loaded all that it imports
    torch.set_num_threads(threads)
    killed, whole = (torch.load(f"{path}.result", weights_only=True) for path in (state, other))
    assert all(torch.equal(a, b) for a, b in zip(killed, whole, strict=True))


def test_every_step_is_visited_with_the_average_and_a_state_gives_it_back(case, schedule, tmp_path):
    build, draw, config = case
    seen, state = {}, tmp_path / "state.safetensors"

    def visit(step, average):
        seen[step] = [weight.clone() for weight in average.state_dict().values()]

    result = train(build(), schedule, draw, config, state=state, save_every=1, visit=visit)
    assert list(seen) == list(range(1, config.steps + 1))
    network = build(1)
    assert read_average(network, state) == config.steps
    for weights in (network.state_dict().values(), result.network.state_dict().values()):
        assert all(torch.equal(a, b) for a, b in zip(seen[config.steps], weights, strict=True))


def test_after_a_kill_no_step_is_missed_by_the_visitor(case, schedule, tmp_path):
    build, draw, config = case
    seen, state = [], tmp_path / "state.safetensors"

    def visit(step, average):
        seen.append(step)
        if seen.count(step) == 1:
            raise PowerCut

    for _ in range(config.steps):
        with pytest.raises(PowerCut):
            train(build(), schedule, draw, config, state=state, save_every=1, visit=visit)
    train(build(), schedule, draw, config, state=state, save_every=1, visit=visit)
    assert seen == [step for step in range(1, config.steps + 1) for _ in range(2)]


def test_the_state_is_written_whole(case, schedule, tmp_path, monkeypatch):
    """A write that breaks off leaves the state of before."""
    build, draw, config = case
    state = tmp_path / "state.safetensors"
    with pytest.raises(PowerCut):
        train(build(), schedule, interrupted(draw, 3), config, state=state, save_every=1)
    before = state.read_bytes()

    def broken(tensors, path, metadata):
        path.write_bytes(b"half a fi")
        raise PowerCut

    monkeypatch.setattr("companion.fitting.loop.save_file", broken)
    with pytest.raises(PowerCut):
        train(build(), schedule, draw, config, state=state, save_every=1)
    assert state.read_bytes() == before
    monkeypatch.undo()
    assert same(train(build(), schedule, draw, config), train(build(), schedule, draw, config, state=state))


@pytest.mark.parametrize(
    "change",
    [
        {"learning_rate": 1e-3},
        {"cycles": 2},
        {"batch": 9},
        {"steps": 10},
        {"seed": 1},
        {"second_order": 0.0},
        {"second_order": 0.0, "precision": "bfloat16"},
    ],
)
def test_state_of_another_configuration_is_refused(schedule, tmp_path, change):
    config, state = {"steps": 4, "batch": 8, "second_order": 0.5}, tmp_path / "state.safetensors"
    train(MLP(MLPConfig(width=8)), schedule, gaussian, TrainingConfig(**config), state=state)
    before = state.read_bytes()
    with pytest.raises(ValueError, match=r"left by another training.*delete the file to start anew"):
        train(MLP(MLPConfig(width=8)), schedule, gaussian, TrainingConfig(**config | change), state=state)
    assert state.read_bytes() == before


def gaussian(batch, generator):
    return torch.randn(batch, 2, generator=generator), None


def test_state_of_another_network_schedule_prediction_or_data_is_refused(schedule, tmp_path):
    config, state = TrainingConfig(steps=2, batch=8), tmp_path / "state.safetensors"
    data = {"sha256": "a"}
    train(MLP(MLPConfig(width=8)), schedule, gaussian, config, state=state, data=data)
    for network, other, options in (
        (MLPConfig(width=16), schedule, {}),
        (MLPConfig(width=8), VariancePreserving.cosine(50), {}),
        (MLPConfig(width=8), schedule, {"prediction": "v"}),
        (MLPConfig(width=8), schedule, {"data": {"sha256": "b"}}),
    ):
        with pytest.raises(ValueError, match="left by another training"):
            train(MLP(network), other, gaussian, config, state=state, **{"data": data} | options)
    train(MLP(MLPConfig(width=8)), schedule, gaussian, config, state=state, data=data)


def test_seeds_change_the_draws():
    """torch's generator reads 32 bits of a seed: seeds that differ above those are the same."""
    step = 7
    assert _stream(0, step) == step
    streams = {_stream(seed, 0) for seed in range(1000)}
    gaps = torch.tensor(sorted(streams)).diff()
    assert len(streams) == 1000
    assert gaps.min() > 1_000_000  # so many steps until one seed's draws meet another's
    draws = [
        torch.rand(4, generator=torch.Generator().manual_seed(_stream(seed, step))).tolist()
        for seed in (0, 1, 2**33)
    ]
    assert draws[0] != draws[1]
    assert draws[1] != draws[2]


def test_seeds_change_the_losses(case, schedule):
    build, draw, config = case
    first, again, other = (
        train(build(), schedule, draw, replace(config, seed=seed)).losses for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


class Line(nn.Module):
    """One weight, for arithmetic by hand."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.config = MLPConfig()
        self.seen = []

    def forward(self, x, t, label):
        self.seen.append(self.weight.detach().clone())
        return x * self.weight


def test_seconds_add_up_over_resumed_parts(schedule, tmp_path, monkeypatch):
    """A clock that ticks once per reading: every part counts its own ticks and those before."""
    ticks = iter(range(10_000))
    monkeypatch.setattr("companion.fitting.loop.time.monotonic", lambda: float(next(ticks)))
    config, state = TrainingConfig(steps=6, batch=4), tmp_path / "state.safetensors"
    with pytest.raises(PowerCut):
        train(MLP(MLPConfig(width=8)), schedule, interrupted(gaussian, 4), config, state=state, save_every=2)
    with safe_open(state, framework="pt") as file:
        before = float(file.metadata()["seconds"])
    assert before >= 2
    result = train(MLP(MLPConfig(width=8)), schedule, gaussian, config, state=state, save_every=2)
    assert result.seconds > before


def test_the_average_is_the_recursion_it_says(schedule):
    config = TrainingConfig(steps=40, batch=4, warmup=1, learning_rate=0.1, average_decay=0.7)
    network = Line()
    result = train(network, schedule, gaussian, config)
    weights = [*network.seen[1:], network.weight.detach()]
    mean = network.seen[0].double()
    for k, weight in enumerate(weights, start=1):
        decay = min(0.7, k / (10 + k))
        mean = decay * mean + (1 - decay) * weight
    # 40 roundings of float32 numbers of the weights' size.
    assert torch.allclose(
        result.network.weight.double(), mean, rtol=0, atol=40 * 6e-8 * mean.abs().max().item()
    )
    assert not torch.equal(result.network.weight, network.weight)
    assert not result.network.training
    assert not any(p.requires_grad for p in result.network.parameters())


def test_learning_rate_warms_up_and_falls_to_zero():
    config = TrainingConfig(steps=1000, learning_rate=2.0, warmup=10)
    assert config.rate(0) == pytest.approx(0.2, rel=1e-5)
    assert config.rate(9) == pytest.approx(2.0, rel=1e-3)
    assert config.rate(500) == pytest.approx(1.0)
    assert config.rate(999) == pytest.approx(0.0, abs=1e-4)


def test_each_cycle_warms_up_and_falls_to_zero():
    config = TrainingConfig(steps=1000, cycles=2, learning_rate=2.0, warmup=10)
    one = TrainingConfig(steps=500, learning_rate=2.0, warmup=10)
    assert [config.rate(step) for step in range(1000)] == [one.rate(step) for step in range(500)] * 2


def test_a_cycle_starts_from_the_average_with_a_fresh_optimiser(schedule):
    """The first step of Adam moves a weight by the learning rate, whatever the size of its gradient."""
    common = {"batch": 4, "warmup": 1, "learning_rate": 0.1, "average_decay": 0.7}
    one = train(Line(), schedule, gaussian, TrainingConfig(steps=4, **common))
    network = Line()
    train(network, schedule, gaussian, TrainingConfig(steps=8, cycles=2, **common))
    assert torch.equal(network.seen[4], one.network.weight)
    assert torch.allclose((network.seen[5] - network.seen[4]).abs(), torch.full((2,), 0.1), atol=1e-4)


@pytest.mark.parametrize("cut", [3, 4, 5])
def test_two_cycles_interrupted_and_resumed_are_bit_identical(schedule, tmp_path, cut):
    config, state = TrainingConfig(steps=8, cycles=2, batch=4), tmp_path / "state.safetensors"
    network = MLP(MLPConfig(width=8))
    whole = train(copy.deepcopy(network), schedule, gaussian, config)
    first, again = copy.deepcopy(network), copy.deepcopy(network)
    with pytest.raises(PowerCut):
        train(first, schedule, interrupted(gaussian, cut), config, state=state, save_every=1)
    assert same(whole, train(again, schedule, gaussian, config, state=state, save_every=1))


def test_a_diverged_training_stops(schedule, tmp_path):
    def poisoned(batch, generator):
        x, _ = gaussian(batch, generator)
        return x * (float("nan") if generator.initial_seed() == 3 else 1.0), None

    network, state = MLP(MLPConfig(width=8)), tmp_path / "state.safetensors"
    with pytest.raises(FloatingPointError, match="loss is nan at step 3; lower the learning rate"):
        train(network, schedule, poisoned, TrainingConfig(steps=9, batch=4), state=state, save_every=2)
    assert step_of(state) == 2
    assert all(p.isfinite().all() for p in network.parameters())


def test_learning_lowers_the_loss(schedule):
    """The best score of a standard Gaussian leaves E (eps - sigma x)^2 = alpha^2 for each number."""
    network = MLP(MLPConfig(width=32, blocks=1))
    result = train(network, schedule, gaussian, TrainingConfig(steps=200, batch=128, learning_rate=3e-3))
    best = schedule.alpha(torch.arange(50)).square().mean().item()
    assert result.losses[-50:].mean() < result.losses[:10].mean()
    # 50 batches of 256 numbers with a variance of at most 2 alpha^4: a standard error of 1.3 %.
    assert result.losses[-50:].mean().item() == pytest.approx(best, rel=0.1)


def test_global_random_state_is_left_alone(case, schedule):
    build, draw, config = case
    network, state = build(), torch.get_rng_state()
    train(network, schedule, draw, config)
    assert torch.equal(torch.get_rng_state(), state)


def test_given_network_and_average_are_apart(case, schedule):
    build, draw, config = case
    network = build()
    before = copy.deepcopy(network.state_dict())
    result = train(network, schedule, draw, config)
    assert result.network is not network
    assert any(not torch.equal(before[k], v) for k, v in network.state_dict().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be positive, got 0"),
        ({"steps": 1, "batch": 0}, "batch must be positive"),
        ({"steps": 3, "cycles": 2}, "cycles must divide the steps, got 2 cycles of 3 steps"),
        ({"steps": 1, "learning_rate": 0.0}, "learning_rate must be positive"),
        ({"steps": 1, "average_decay": 1.0}, r"average_decay must lie in \[0, 1\), got 1.0"),
        ({"steps": 1, "precision": "float16"}, r"one of \['float32', 'bfloat16'\], got 'float16'"),
        (
            {"steps": 1, "precision": "bfloat16", "second_order": 0.5},
            "second-order loss needs precision='flo",
        ),
    ],
)
def test_bad_configurations_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**options)
