"""The tiny pipelines of the tests of `memlib.text_to_image`, and what several tests here count."""

from contextlib import contextmanager

import pytest

from ..text_to_image.conftest import exact, folders, generator, kind, models, single

__all__ = ["exact", "folders", "generator", "kind", "models", "single"]

CAPTIONS = ["a cat", "cat", "tac a"]


@pytest.fixture
def task(exact, generator):
    """(model, three prompts, two noises) in float64."""
    return exact, exact.encode(CAPTIONS), exact.noise(2, generator)


@pytest.fixture
def counted():
    """A context that counts rows through a U-Net, and those of them whose gradient was not zero."""

    @contextmanager
    def count(unet):
        seen = {"passes": 0, "backward": 0}

        def forward(module, args, output):
            out = output[0]
            seen["passes"] += len(out)
            if out.requires_grad:
                out.register_hook(
                    lambda g: seen.update(
                        backward=seen["backward"] + int((g.flatten(1).abs().amax(1) > 0).sum())
                    )
                )

        handle = unet.register_forward_hook(forward)
        try:
            yield seen
        finally:
            handle.remove()

    return count
