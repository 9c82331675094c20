"""diffusers and transformers, asked for when they are first needed."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def libraries() -> tuple[Any, Any]:
    """The modules diffusers and transformers.

    Raises:
        ImportError: one is not installed, saying how to install both.
    """
    from tqdm import TqdmWarning

    with warnings.catch_warnings():
        # Both bring tqdm.auto, which complains in a notebook without widgets.
        warnings.simplefilter("ignore", TqdmWarning)
        import tqdm.auto  # noqa: F401
    try:
        import diffusers
        import transformers
    except ImportError as error:
        raise ImportError(
            f"text-to-image models are read with diffusers and transformers, and {error.name} is missing; "
            "in the clone of memlib run pip install -e '.[latent]'"
        ) from error
    return diffusers, transformers


@contextmanager
def quiet() -> Iterator[None]:
    """Silence progress bars and messages below errors of both libraries, and restore them on leaving.

    Their remarks concern what is dealt with here: image processors that no pipeline gets, old configurations
    that they repair, prompts that are too long and cut.
    """
    loggings = [library.utils.logging for library in libraries()]
    before = [(logging.get_verbosity(), logging.is_progress_bar_enabled()) for logging in loggings]
    try:
        for logging in loggings:
            logging.set_verbosity_error()
            logging.disable_progress_bar()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        for logging, (level, bars) in zip(loggings, before, strict=True):
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()
