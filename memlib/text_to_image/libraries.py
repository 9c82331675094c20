"""diffusers and transformers, asked for when they are first needed."""

from __future__ import annotations

import warnings
from typing import Any


def libraries() -> tuple[Any, Any]:
    """The modules diffusers and transformers.

    Raises:
        ImportError: one is not installed, saying how to install both.
    """
    with warnings.catch_warnings():
        # Both bring tqdm.auto, which complains in a notebook without widgets.
        warnings.filterwarnings("ignore", message="IProgress not found")
        import tqdm.auto  # noqa: F401
    try:
        import diffusers
        import transformers
    except ImportError as error:
        raise ImportError(
            "text-to-image models are built from diffusers and transformers, which are not installed; "
            "run pip install 'memlib[latent]'"
        ) from error
    return diffusers, transformers
