"""The libraries the networks come from, asked for when they are first needed."""

from __future__ import annotations

from typing import Any


def libraries() -> tuple[Any, Any]:
    """The modules diffusers and transformers.

    Raises:
        ImportError: one is not installed, saying how to install both.
    """
    try:
        import diffusers
        import transformers
    except ImportError as error:
        raise ImportError(
            "the networks of the model organism are built from diffusers and transformers, which are not "
            "installed; run pip install 'memlib[latent]'"
        ) from error
    return diffusers, transformers
