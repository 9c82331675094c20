"""Adam on any loss, with a moving average of the weights, resumable after a kill at any moment.

Every random draw of step k comes from a generator seeded by (seed, k) alone, so an interrupted run that
resumes from its last saved state repeats the remaining steps exactly: the weights are bit-identical to those
of an uninterrupted run on the same machine with the same number of threads.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

Precision = Literal["float32", "bfloat16"]
Draw = Callable[[int, torch.Generator], tuple[Tensor, Tensor | None]]
"""`draw(batch, generator)`: clean samples `(batch, *sample_shape)`, labels `(batch,)` or None, on the CPU."""


@dataclass(frozen=True)
class FitConfig:
    """How the weights of a network are found.

    Attributes:
        steps: the number of training steps (Adam).
        batch: the number of samples per step.
        learning_rate: the largest rate, reached at the end of the warm-up; a cosine decay to zero follows.
        warmup: the number of steps of linear warm-up.
        cycles: times the rate warms up and decays; each of them starts from the averaged weights that the one
            before it left, with an optimiser that remembers nothing (warm restarts: Loshchilov and Hutter
            2017).
        average_decay: the decay of the exponential moving average of the weights, which a checkpoint holds.
        seed: the seed of the initial weights and of every draw.
        precision: "float32" or "bfloat16", for convolutions and products in training; "bfloat16"
            is 1.6 times as fast on the CPUs that have it. Weights, moments and losses stay in float32.
    """

    steps: int
    batch: int = 64
    learning_rate: float = 4e-4
    warmup: int = 100
    cycles: int = 1
    average_decay: float = 0.999
    seed: int = 0
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.cycles < 1 or self.steps % self.cycles:
            raise ValueError(f"cycles must divide the steps, got {self.cycles} cycles of {self.steps} steps")
        if not 0 <= self.average_decay < 1:
            raise ValueError(f"average_decay must lie in [0, 1), got {self.average_decay}")
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision must be one of {list(get_args(Precision))}, got {self.precision!r}")

    def rate(self, step: int) -> float:
        """Learning rate at `step`."""
        within = step % self.cycle
        warm = min(1.0, (within + 1) / max(1, self.warmup))
        return self.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * within / self.cycle))

    @property
    def cycle(self) -> int:
        """Steps of one cycle."""
        return self.steps // self.cycles


@dataclass(frozen=True)
class TrainingResult:
    """What a training leaves.

    Attributes:
        network: with the averaged weights.
        losses: the loss of every step, `(steps,)`.
        seconds: over all resumed parts.
    """

    network: nn.Module
    losses: Tensor
    seconds: float


def fit(
    network: nn.Module,
    loss: Callable[[torch.Generator], Tensor],
    config: FitConfig,
    *,
    context: dict[str, Any],
    state: Path | None = None,
    save_every: int = 200,
    device: str | torch.device = "cpu",
    visit: Callable[[int, nn.Module], None] | None = None,
) -> TrainingResult:
    """Minimise `loss` over the weights of `network`, in place, and return their moving average.

    Args:
        network: freshly initialised; its `config` is a dataclass.
        loss: generator of one step's draws -> scalar, computed with `network` on `device`.
        config: how to train.
        context: what else determines the loss; a state resumes only under the same.
        state: file that keeps the whole training state; if it exists the training resumes from it.
        save_every: steps between two writings of `state`, each written whole.
        device: where the network runs.
        visit: is called after every step with the number of steps made and the network of averaged weights,
            before that step's state is written: after a kill it may see a step twice, and misses none.

    Raises:
        ValueError: if `state` was left by another configuration.
        FloatingPointError: if the loss is no longer finite.
    """
    network = network.to(device).train()
    run = _Run(network, config, _fingerprint(network, config, context))
    if state is not None and state.exists():
        run.load(state)
    clock = time.monotonic()
    for step in tqdm(
        range(run.step, config.steps), initial=run.step, total=config.steps, desc="training", mininterval=2.0
    ):
        if step and step % config.cycle == 0:
            run.restart()
        generator = torch.Generator().manual_seed(_stream(config.seed, step))
        with _autocast(device, config.precision):
            value = loss(generator)
        run.advance(value)
        if visit is not None:
            visit(run.step, run.average)
        if state is not None and (run.step % save_every == 0 or run.step == config.steps):
            run.seconds, clock = run.seconds + time.monotonic() - clock, time.monotonic()
            run.save(state)
    return TrainingResult(run.average.eval(), run.losses, run.seconds + time.monotonic() - clock)


def read_average(network: nn.Module, state: Path) -> int:
    """Put the averaged weights of a training into `network`, from the state that it keeps or a copy of it.

    Args:
        network: of the class and configuration that is trained.
        state: written by `fit`.

    Returns:
        The number of steps made.
    """
    with safe_open(state, framework="pt") as file:
        names = [key for key in file.keys() if key.startswith("average.")]  # noqa: SIM118  # not a dict
        network.load_state_dict({key.removeprefix("average."): file.get_tensor(key) for key in names})
        return int(file.metadata()["step"])


def _autocast(device: str | torch.device, precision: Precision) -> torch.autocast:
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bfloat16")


def _stream(seed: int, step: int) -> int:
    """Seed of one step's draws.

    torch's CPU generator keeps 32 bits of a seed, so seeds are spread over those by the golden ratio: the
    streams of neighbouring seeds start far apart.
    """
    return (seed * 0x9E3779B1 + step) % 2**32


def _fingerprint(network: nn.Module, config: FitConfig, context: dict[str, Any]) -> str:
    """What must agree between a saved state and the training that resumes from it."""
    described = {"class": type(network).__name__, "config": asdict(network.config)}  # type: ignore[call-overload]
    return json.dumps({"training": asdict(config), "network": described} | context, sort_keys=True)


class _Run:
    """The mutable state of one training: weights, their average, Adam's moments, losses, step, seconds."""

    def __init__(self, network: nn.Module, config: FitConfig, fingerprint: str) -> None:
        self.network, self.config, self.fingerprint = network, config, fingerprint
        self.average = copy.deepcopy(network).requires_grad_(False)
        self.optimizer = self._adam()
        self.losses = torch.full((config.steps,), torch.nan)
        self.step, self.seconds = 0, 0.0

    def _adam(self) -> torch.optim.Adam:
        return torch.optim.Adam(self.network.parameters(), lr=self.config.learning_rate)

    def restart(self) -> None:
        """Begin another cycle: the average becomes the weights, and the moments are forgotten."""
        self.network.load_state_dict(self.average.state_dict())
        self.optimizer = self._adam()

    def advance(self, loss: Tensor) -> None:
        """One optimiser step on `loss`."""
        self.losses[self.step] = loss.detach()
        if not self.losses[self.step].isfinite():
            raise FloatingPointError(
                f"the loss is {loss.item()} at step {self.step}; lower the learning rate and start anew"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.step += 1
        # The average starts as a plain mean of the first steps: the initial weights are soon forgotten.
        decay = min(self.config.average_decay, self.step / (10 + self.step))
        with torch.no_grad():
            for mean, weight in zip(self.average.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(weight, 1 - decay)

    def _trained(self) -> list[tuple[str, nn.Parameter]]:
        return [(name, of) for name, of in self.network.named_parameters() if of.requires_grad]

    def _tensors(self) -> dict[str, Tensor]:
        named = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        named |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        for name, parameter in self._trained():
            moments = self.optimizer.state[parameter]
            named |= {f"adam.{name}.{k}": moments[k] for k in ("step", "exp_avg", "exp_avg_sq")}
        return named | {"losses": self.losses}

    def save(self, path: Path) -> None:
        """Write the state whole: a kill leaves either the old file or the new one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(path.name + ".tmp")
        header = {"step": str(self.step), "seconds": repr(self.seconds), "fingerprint": self.fingerprint}
        save_file(
            {k: v.detach().contiguous().cpu() for k, v in self._tensors().items()}, temporary, metadata=header
        )
        temporary.replace(path)

    def load(self, path: Path) -> None:
        """Continue from a saved state."""
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("fingerprint") != self.fingerprint:
                raise ValueError(
                    f"{path} was left by another training: it says {header.get('fingerprint')}, "
                    f"this one is {self.fingerprint}; delete the file to start anew, or name another one"
                )
            saved = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # not a dict
        self.step, self.seconds, self.losses = int(header["step"]), float(header["seconds"]), saved["losses"]
        for module, prefix in ((self.network, "network."), (self.average, "average.")):
            module.load_state_dict(
                {k.removeprefix(prefix): v for k, v in saved.items() if k.startswith(prefix)}
            )
        for name, parameter in self._trained():
            moments = {k: saved[f"adam.{name}.{k}"] for k in ("step", "exp_avg", "exp_avg_sq")}
            self.optimizer.state[parameter] = {
                k: v if k == "step" else v.to(parameter.device) for k, v in moments.items()
            }
