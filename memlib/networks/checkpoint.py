"""Checkpoints: weights in safetensors beside a card that says what they are, checked on loading."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from memlib.datasets.files import sha256
from memlib.networks.mlp import MLP, MLPConfig
from memlib.networks.model import DiffusionModel
from memlib.networks.unet import UNet, UNetConfig
from memlib.schedule import VariancePreserving

_NETWORKS = {"MLP": (MLP, MLPConfig), "UNet": (UNet, UNetConfig)}
_SCHEDULES = {
    "linear": VariancePreserving.linear,
    "scaled_linear": VariancePreserving.scaled_linear,
    "cosine": VariancePreserving.cosine,
}
_LOSS_POINTS = 200
WEIGHTS, CARD = "model.safetensors", "card.json"


class CheckpointError(ValueError):
    """A checkpoint is missing, changed, or not what its card says."""


@dataclass(frozen=True)
class Checkpoint:
    """A model read from a folder, and its card."""

    model: DiffusionModel
    card: dict[str, Any]


def build(network: dict[str, Any]) -> nn.Module:
    """A freshly initialised network from `{"class": "UNet" | "MLP", "config": {...}}`."""
    try:
        module, config = _NETWORKS[network["class"]]
        return module(config(**network["config"]))
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"cannot build a network from {network!r} ({error}); expected a class among {list(_NETWORKS)} and its configuration"
        ) from error


def schedule_named(name: str, steps: int) -> VariancePreserving:
    """The schedule "linear", "scaled_linear" or "cosine" with `steps` steps."""
    if name not in _SCHEDULES:
        raise CheckpointError(f"unknown schedule {name!r}; expected one of {list(_SCHEDULES)}")
    return _SCHEDULES[name](steps)


def loss_curve(losses: Tensor) -> list[dict[str, float]]:
    """Mean loss over up to 200 stretches of the training, small enough for a card."""
    chunks = losses.tensor_split(min(_LOSS_POINTS, len(losses)))
    ends = torch.tensor([len(c) for c in chunks]).cumsum(0).tolist()
    return [{"step": end, "loss": round(float(c.mean()), 6)} for end, c in zip(ends, chunks, strict=True)]


def save_checkpoint(folder: Path, network: nn.Module, card: dict[str, Any]) -> dict[str, Any]:
    """Write `folder/model.safetensors` and `folder/card.json`, each whole, and return the card.

    `card` must hold "schedule" {"name", "steps"} and "prediction"; the network's class and configuration, its
    number of parameters and the sha256 of the weights are added here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {k: v.detach().contiguous().cpu() for k, v in network.state_dict().items()}
    temporary = folder / (WEIGHTS + ".tmp")
    save_file(weights, temporary)
    full = card | {
        "network": {"class": type(network).__name__, "config": asdict(network.config)},  # type: ignore[call-overload]
        "parameters": sum(w.numel() for w in weights.values()),
        "sha256": sha256(temporary),
    }
    os.replace(temporary, folder / WEIGHTS)
    temporary = folder / (CARD + ".tmp")
    temporary.write_text(json.dumps(full, indent=1) + "\n")
    os.replace(temporary, folder / CARD)
    return full


def load_checkpoint(folder: Path, device: str | torch.device = "cpu") -> Checkpoint:
    """Read a checkpoint once its hash and configuration agree with its card.

    Raises `CheckpointError` when a file is missing, the weights' sha256 differs, or they do not fit the
    configuration.
    """
    for name in (WEIGHTS, CARD):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{folder / name} is missing; restore it with git, or train it anew (memlib train --help)"
            )
    card = json.loads((folder / CARD).read_text())
    found = sha256(folder / WEIGHTS)
    if found != card.get("sha256"):
        raise CheckpointError(
            f"{folder / WEIGHTS} has sha256 {found}, its card says {card.get('sha256')}; "
            "restore both files with git, or train the checkpoint anew (memlib train --help)"
        )
    network = build(card["network"])
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights in {folder} do not fit the configuration {card['network']}: {error}"
        ) from error
    schedule = schedule_named(card["schedule"]["name"], card["schedule"]["steps"])
    network = network.to(device).eval().requires_grad_(False)
    return Checkpoint(DiffusionModel(network, schedule, card["prediction"]), card)
