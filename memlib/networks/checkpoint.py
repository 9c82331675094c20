"""Checkpoints: weights in safetensors beside a card that says what they are, checked on loading."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from memlib.files import sha256
from memlib.networks.mlp import MLP, MLPConfig
from memlib.networks.model import DiffusionModel
from memlib.networks.unet import UNet, UNetConfig
from memlib.schedule import Prediction, VariancePreserving

_NETWORKS: dict[str, tuple[Callable[[Any], nn.Module], Callable[..., Any]]] = {
    "MLP": (MLP, MLPConfig),
    "UNet": (UNet, UNetConfig),
}
_SCHEDULES = {
    "linear": VariancePreserving.linear,
    "scaled_linear": VariancePreserving.scaled_linear,
    "cosine": VariancePreserving.cosine,
}
_REMEDY = "restore both files with git, or train the network anew (`companion train` for those of the book)"
WEIGHTS, CARD = "model.safetensors", "card.json"
# What the weights mean depends on these entries of the card: the header of the weights' file repeats them.
_BINDING = ("network", "schedule", "prediction")


class CheckpointError(ValueError):
    """A checkpoint is missing, changed, or not what its card says."""


@dataclass(frozen=True)
class Checkpoint:
    """A model read from a folder, and its card.

    Attributes:
        model: network, schedule and kind of prediction.
        card: what `card.json` holds.
    """

    model: DiffusionModel
    card: dict[str, Any]


def register(network: type[nn.Module], config: Callable[..., Any]) -> None:
    """Make checkpoints of one more class of network readable.

    Args:
        network: built from one argument, its configuration, and known by its name from then on.
        config: makes a configuration from the entries of a card.
    """
    _NETWORKS[network.__name__] = network, config


def build(network: dict[str, Any]) -> nn.Module:
    """A freshly initialised network from `{"class": "UNet" | "MLP", "config": {...}}`.

    Raises:
        CheckpointError: an unknown class, or a configuration that does not suit it.
    """
    try:
        module, config = _NETWORKS[network["class"]]
        with torch.random.fork_rng(devices=[]):  # initial weights come from the global generator
            return module(config(**network["config"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"cannot build a network from {network!r} ({error!r}); "
            f"expected a class among {list(_NETWORKS)} and its configuration"
        ) from error


def schedule_named(name: str, steps: int) -> VariancePreserving:
    """The schedule "linear", "scaled_linear" or "cosine" with `steps` steps.

    Raises:
        CheckpointError: another name.
    """
    if name not in _SCHEDULES:
        raise CheckpointError(f"unknown schedule {name!r}; expected one of {list(_SCHEDULES)}")
    return _SCHEDULES[name](steps)


def save_network(
    folder: Path, network: nn.Module, card: dict[str, Any], dtype: torch.dtype = torch.float32
) -> dict[str, Any]:
    """Write `folder/model.safetensors` and `folder/card.json`, each whole, and return the card.

    Args:
        folder: made if needed.
        network: an `MLP`, a `UNet` or of a class that `register` has made known.
        card: whatever JSON can say. The network's class, configuration and size and the sha256 of the weights
            are added here.
        dtype: the weights are rounded to; loading gives the rounded weights in float32.

    Raises:
        CheckpointError: if such a network could not be loaded again; nothing is written then.
    """
    config = asdict(network.config)  # type: ignore[call-overload]
    full = card | {"network": {"class": type(network).__name__, "config": config}}
    build(full["network"])
    weights = {k: v.detach().to("cpu", dtype).contiguous() for k, v in network.state_dict().items()}
    full |= {"parameters": sum(w.numel() for w in weights.values())}
    _json(full)  # fails here, before anything is written
    folder.mkdir(parents=True, exist_ok=True)
    new_weights, new_card = folder / (WEIGHTS + ".tmp"), folder / (CARD + ".tmp")
    save_file(weights, new_weights, metadata={"card": _binding(full)})
    full |= {"sha256": sha256(new_weights)}
    new_card.write_text(_json(full) + "\n")
    new_weights.replace(folder / WEIGHTS)
    new_card.replace(folder / CARD)
    return full


def save_checkpoint(
    folder: Path, network: nn.Module, card: dict[str, Any], dtype: torch.dtype = torch.float32
) -> dict[str, Any]:
    """As `save_network`, for a diffusion model.

    The card must hold "schedule" {"name", "steps"} and "prediction".

    Args:
        folder: is made if needed.
        network: an `MLP` or a `UNet`.
        card: whatever JSON can say.
        dtype: the weights are rounded to it.

    Raises:
        CheckpointError: if such a checkpoint could not be loaded again; nothing is written then.
    """
    _model(network, card)
    return save_network(folder, network, card, dtype)


def load_network(folder: Path, device: str | torch.device = "cpu") -> tuple[nn.Module, dict[str, Any]]:
    """Read a network and its card once hash and configuration of the weights agree with the card.

    Args:
        folder: holds the weights and the card.
        device: where the network goes.

    Raises:
        CheckpointError: a file is missing, the weights' sha256 is not the card's, or the card describes
            another network, schedule or prediction than the one these weights were saved with.
    """
    for name in (WEIGHTS, CARD):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder / name} is missing; {_REMEDY}")
    try:
        card = dict(json.loads((folder / CARD).read_text()))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / CARD} is not a JSON object ({error}); {_REMEDY}") from error
    found = sha256(folder / WEIGHTS)
    if found != card.get("sha256"):
        raise CheckpointError(
            f"{folder / WEIGHTS} has sha256 {found}, its card says {card.get('sha256')}; {_REMEDY}"
        )
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        stated = (file.metadata() or {}).get("card")
    if stated != _binding(card):
        raise CheckpointError(
            f"{folder / CARD} says {_binding(card)}, but its weights were saved with {stated}; {_REMEDY}"
        )
    network = build(card["network"])
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights in {folder} do not fit the configuration {card['network']}: {error}"
        ) from error
    return network.to(device).eval().requires_grad_(False), card


def load_checkpoint(folder: Path, device: str | torch.device = "cpu") -> Checkpoint:
    """Read a diffusion model; see `load_network` for what is checked.

    Args:
        folder: holds the weights and the card.
        device: where the network goes.

    Raises:
        CheckpointError: as there, or the card names no schedule and prediction.
    """
    network, card = load_network(folder, device)
    return Checkpoint(_model(network, card), card)


def _model(network: nn.Module, card: dict[str, Any]) -> DiffusionModel:
    try:
        schedule = schedule_named(card["schedule"]["name"], card["schedule"]["steps"])
        prediction = card["prediction"]
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"a card needs 'prediction' and 'schedule' with 'name' and 'steps' ({error!r}), got {card!r}"
        ) from error
    if prediction not in get_args(Prediction):
        raise CheckpointError(f"prediction must be one of {list(get_args(Prediction))}, got {prediction!r}")
    return DiffusionModel(network, schedule, prediction)


def _binding(card: dict[str, Any]) -> str:
    # One entry, not three: safetensors writes several in random order, and the file's hash would vary.
    return json.dumps({key: card.get(key) for key in _BINDING}, sort_keys=True)


def _json(card: dict[str, Any]) -> str:
    try:
        return json.dumps(card, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"the card cannot be written as JSON: {error}") from error
