"""Everything about a model that determines a value, wherever it was loaded from."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from typing import Any

import torch

from memlib.text_to_image import TextToImage

_SAMPLED = 64  # values of each tensor
_PLACE = ("_name_or_path", "dtype", "torch_dtype")  # where it lay, and in which precision
_LIBRARIES = ("torch", "diffusers", "transformers", "tokenizers")


@torch.no_grad()
def facts(model: TextToImage) -> dict[str, Any]:
    """Configurations of all parts, tokenizers, noise levels, hashes of weights and versions of libraries.

    The same on every device. Of every weight some values are read, so that it takes seconds for a billion of
    them: made to notice another or a retrained model, not one that somebody means to disguise.
    """
    levels = getattr(model.schedule, "alpha_squared", None)
    found: dict[str, Any] = {
        "pipeline": _plain(model.pipeline.config),
        "predicts": model.prediction,
        "noise levels": repr(model.schedule) if levels is None else _hash(levels.sqrt().tolist()),
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }
    for name, part in sorted(model.pipeline.components.items()):
        if part is None:
            continue
        if isinstance(part, torch.nn.Module):
            weights = {key: _sampled(weight) for key, weight in part.state_dict().items()}
            found[name] = {"weights": _hash(weights), "dtype": str(part.dtype)} | _plain(part.config)
        elif hasattr(part, "get_vocab"):
            found[name] = _tokenizer(part)
        elif hasattr(part, "config"):
            found[name] = _plain(part.config)
    return found


def differences(old: Any, new: Any, name: str = "") -> list[str]:
    """Entries of two JSON values that differ, each as "name: old, now new"."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted({*old, *new})
        return [d for key in keys for d in differences(old.get(key), new.get(key), f"{name} {key}".strip())]
    return [] if old == new else [f"{name}: {_short(old)}, now {_short(new)}"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:50]}... ({_hash(value)[:8]})"


def _tokenizer(part: Any) -> dict[str, Any]:
    told = {
        key: str(value) for key, value in part.init_kwargs.items() if "path" not in key and "file" not in key
    }
    backend = getattr(part, "backend_tokenizer", None)
    words = part.get_vocab() if backend is None else backend.to_str()
    return {"limit": int(min(part.model_max_length, 2**62)), "settings": _hash(told), "words": _hash(words)}


def _plain(config: Any) -> dict[str, Any]:
    """A configuration as JSON, without where it lies."""
    given = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    told = {key: value for key, value in given.items() if key not in _PLACE}
    found: dict[str, Any] = json.loads(json.dumps(told, sort_keys=True, default=str))
    return found


def _sampled(weight: torch.Tensor) -> list[Any]:
    flat = weight.flatten()
    some = flat[:: max(1, len(flat) // _SAMPLED)].double().cpu()
    return [list(weight.shape), hashlib.sha256(some.numpy().tobytes()).hexdigest()]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
