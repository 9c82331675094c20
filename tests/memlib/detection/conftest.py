"""The tiny pipelines of the tests of `memlib.text_to_image`, and samples from them."""

import pytest
import torch

from memlib.text_to_image import generate

from ..text_to_image.conftest import exact, folders, kind, models

__all__ = ["exact", "folders", "kind", "models"]


@pytest.fixture(scope="session")
def generations(models):
    """Kind -> three prompts, two seeds, ten steps, with attention, in float64."""
    made = {}
    for name, dtype in models:
        if dtype == torch.float64:
            model = models[name, dtype]
            noise = model.noise(2, torch.Generator().manual_seed(0))
            prompts = model.encode(["a cat", "cat", "tac a"])
            made[name] = generate(model, prompts, noise, steps=10, attention=True)
    return made


@pytest.fixture
def generation(request, generations):
    """Samples of the kind that the test asks for, else of the epsilon model."""
    asked = "kind" in request.fixturenames
    return generations[request.getfixturevalue("kind") if asked else "epsilon"]
