"""A recipe: everything that determines one trained checkpoint, and the one call that obtains it."""

from __future__ import annotations

import os
import platform
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import torch
from torch import Tensor, nn

from companion.fitting.denoising import TrainingConfig, train
from companion.fitting.loop import Draw, FitConfig, TrainingResult
from companion.paths import data_root
from memlib.networks.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, schedule_named
from memlib.schedule import Prediction

Loaded = TypeVar("Loaded")
N = TypeVar("N", bound=nn.Module)
Device = str | torch.device
_LOSS_POINTS = 200


@dataclass(frozen=True, kw_only=True)
class AnyRecipe(ABC, Generic[Loaded]):
    """What every recipe has, whatever the network is trained for.

    Attributes:
        name: folder below `data/checkpoints/`.
        about: one sentence for `companion train` and the card.
        network: builds the freshly initialised network.
        draw: builds the sampler of training batches (reads and verifies the data).
        data: what the card says about the data, hashes included.
        training: configuration of the training.
        dtype: the dtype of the weights in the file, rounded to it after training.
        ships: whether a checkpoint comes with the repository.
    """

    name: str
    about: str
    network: Callable[[], nn.Module]
    draw: Callable[[], Draw]
    data: Callable[[], dict[str, Any]]
    training: FitConfig
    dtype: torch.dtype = torch.float32
    ships: bool = True

    @property
    def folder(self) -> Path:
        """Where the checkpoint ships."""
        return data_root() / "checkpoints" / self.name

    def with_training(self, **changes: Any) -> Self:
        """The same recipe with some fields of its training changed."""
        return replace(self, training=replace(self.training, **changes))

    def load(self, device: Device = "cpu") -> Loaded:
        """The shipped checkpoint."""
        return self.read(self.folder, device)

    def train(self, folder: Path, *, device: Device = "cpu", save_every: int = 200) -> Loaded:
        """Train and write a checkpoint to `folder`; call again after a kill to resume."""
        with torch.random.fork_rng(
            devices=[]
        ):  # layers draw from the CPU's global generator: leave it as it was
            torch.default_generator.manual_seed(self.training.seed)
            network = self.network()
        state = folder / "training-state.safetensors"
        result = self.fit(network, state, save_every, device)
        self.write(folder, result.network, self._card(result, device))
        state.unlink(missing_ok=True)
        return self.read(folder, device)

    @abstractmethod
    def read(self, folder: Path, device: Device = "cpu") -> Loaded:
        """A checkpoint of this kind from any folder."""

    @abstractmethod
    def fit(self, network: nn.Module, state: Path, save_every: int, device: Device) -> TrainingResult:
        """Train `network`, keeping the state of the training in the file `state`."""

    @abstractmethod
    def write(self, folder: Path, network: nn.Module, card: dict[str, Any]) -> None:
        """Write network and card, to which what this kind of recipe has to add is added."""

    def _card(self, result: TrainingResult, device: Device) -> dict[str, Any]:
        on_gpu = torch.device(device).type == "cuda"
        return {
            "name": self.name,
            "about": self.about,
            "data": self.data(),
            "training": asdict(self.training),
            "seconds": round(result.seconds, 1),
            "machine": {
                "device": torch.cuda.get_device_name(device) if on_gpu else "CPU",
                "architecture": platform.machine(),
                "threads": torch.get_num_threads(),
                "cores": os.cpu_count(),
                "torch": torch.__version__,
            },
            "loss": loss_curve(result.losses),
        }


def loss_curve(losses: Tensor) -> list[dict[str, float]]:
    """Mean loss over up to 200 stretches of the training, small enough for a card."""
    chunks = losses.tensor_split(min(_LOSS_POINTS, len(losses)))
    ends = torch.tensor([len(c) for c in chunks]).cumsum(0).tolist()
    return [{"step": end, "loss": round(float(c.mean()), 6)} for end, c in zip(ends, chunks, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Recipe(AnyRecipe[Checkpoint]):
    """How one shipped diffusion model is made.

    Attributes:
        training: how the score is trained.
        schedule: name of the noise schedule, 1,000 steps.
        prediction: what the network learns to predict.
    """

    training: TrainingConfig
    schedule: str = "linear"
    prediction: Prediction = "epsilon"

    def read(self, folder: Path, device: Device = "cpu") -> Checkpoint:
        """The diffusion model in `folder`."""
        return load_checkpoint(folder, device)

    def fit(self, network: nn.Module, state: Path, save_every: int, device: Device) -> TrainingResult:
        """Score matching."""
        schedule = schedule_named(self.schedule, 1000)
        return train(
            network, schedule, self.draw(), self.training,
            prediction=self.prediction, data=self.data(),
            state=state, save_every=save_every, device=device,
        )  # fmt: skip

    def write(self, folder: Path, network: nn.Module, card: dict[str, Any]) -> None:
        """Write network and card with what makes the network a model."""
        model = {"prediction": self.prediction, "schedule": {"name": self.schedule, "steps": 1000}}
        save_checkpoint(folder, network, card | model, self.dtype)


def checked(network: nn.Module, kind: type[N]) -> N:
    """`network`; `ValueError` if it is not of the kind that a recipe trains."""
    if not isinstance(network, kind):
        raise ValueError(f"this recipe trains a {kind.__name__}, got {type(network).__name__}")
    return network
