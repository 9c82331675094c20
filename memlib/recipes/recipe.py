"""A recipe: everything that determines one trained checkpoint, and the one call that obtains it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from memlib.datasets.files import data_root
from memlib.networks.checkpoint import (
    Checkpoint,
    load_checkpoint,
    loss_curve,
    save_checkpoint,
    schedule_named,
)
from memlib.networks.training import Draw, TrainingConfig, TrainingResult, train


@dataclass(frozen=True)
class Recipe:
    """How one shipped checkpoint is made.

    Attributes:
        name: folder below `data/checkpoints/`.
        about: one sentence for `memlib train` and the card.
        network: builds the freshly initialised network.
        draw: builds the sampler of training batches (reads and verifies the data).
        data: what the card says about the data, hashes included.
        training: configuration of the training.
        schedule: name of the noise schedule, 1,000 steps.
        dtype: of the weights in the file, rounded to it after training.
    """

    name: str
    about: str
    network: Callable[[], nn.Module]
    draw: Callable[[], Draw]
    data: Callable[[], dict[str, Any]]
    training: TrainingConfig
    schedule: str = "linear"
    dtype: torch.dtype = torch.float32

    @property
    def folder(self) -> Path:
        """Where the checkpoint ships."""
        return data_root() / "checkpoints" / self.name

    def with_training(self, **changes: Any) -> Recipe:
        """The same recipe with some fields of its `TrainingConfig` changed."""
        return replace(self, training=replace(self.training, **changes))

    def load(self, device: str | torch.device = "cpu") -> Checkpoint:
        """The shipped checkpoint."""
        return load_checkpoint(self.folder, device)

    def train(self, folder: Path, *, device: str | torch.device = "cpu", save_every: int = 200) -> Checkpoint:
        """Train and write a checkpoint to `folder`; call again after a kill to resume."""
        schedule = schedule_named(self.schedule, 1000)
        with torch.random.fork_rng(
            devices=[]
        ):  # layers draw from the CPU's global generator: leave it as it was
            torch.default_generator.manual_seed(self.training.seed)
            network = self.network()
        state = folder / "training-state.safetensors"
        result = train(
            network, schedule, self.draw(), self.training, state=state, save_every=save_every, device=device
        )
        save_checkpoint(folder, result.network, self._card(result, schedule.steps, device), self.dtype)
        state.unlink(missing_ok=True)
        return load_checkpoint(folder, device)

    def _card(self, result: TrainingResult, steps: int, device: str | torch.device) -> dict[str, Any]:
        on_gpu = torch.device(device).type == "cuda"
        return {
            "name": self.name,
            "about": self.about,
            "prediction": "epsilon",
            "schedule": {"name": self.schedule, "steps": steps},
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
