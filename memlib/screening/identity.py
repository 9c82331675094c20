"""What tells one model from another, wherever it was loaded from."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch

from memlib.text_to_image import TextToImage

_SAMPLED = 64  # values of each tensor


@torch.no_grad()
def digest(model: TextToImage) -> str:
    """Hexadecimal sha256 of configurations, noise levels and values spread over every weight.

    The same on every device. Not every value is read, so that it takes seconds for a billion of them: made to
    notice another or a retrained model, not one that somebody means to disguise.
    """
    found = hashlib.sha256()
    facts: dict[str, Any] = {"predicts": model.prediction, "dtype": str(model.dtype)}
    facts |= {"tokens": len(model.tokenizer), "limit": model.tokenizer.model_max_length}
    facts["alphas"] = model.schedule.alpha(torch.arange(model.schedule.steps)).tolist()
    for part in ("unet", "text_encoder", "vae"):
        for name, weight in sorted(getattr(model, part).state_dict().items()):
            flat = weight.flatten()
            some = flat[:: max(1, len(flat) // _SAMPLED)].double().cpu()
            facts[f"{part}.{name}"] = [list(weight.shape), hashlib.sha256(some.numpy().tobytes()).hexdigest()]
    found.update(json.dumps(facts, sort_keys=True).encode())
    return found.hexdigest()
