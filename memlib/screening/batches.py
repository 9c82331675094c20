"""As many prompts at a time as fit: a first guess from the free memory, halved whenever that was too many."""

from __future__ import annotations

import gc
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from memlib.text_to_image import TextToImage

_MOST = {"cpu": 64, "cuda": 256}  # rows beyond which nothing gets faster
_MAPS = 64  # feature maps at full width and resolution that a pass holds for each row
_GRAPH = 16  # times that, for a gradient through two score differences
_SIGNS = ("out of memory", "can't allocate memory", "ALLOC_FAILED")


def starting_rows(model: TextToImage, gradients: bool = False) -> int:
    """Prompts times seeds to begin with: a power of 2 whose pass should take at most half the free memory.

    Args:
        model: the text-to-image model.
        gradients: whether all passes of a score difference and of a displaced one are kept for a gradient.
    """
    config, shape = model.denoiser.config, model.sample_shape
    if "block_out_channels" in config:
        values = shape[1] * shape[2] * config.block_out_channels[0]
    else:  # a token at most for each place
        values = math.prod(shape[-2:]) * config.num_attention_heads * config.attention_head_dim
    of_row = _MAPS * values * model.dtype.itemsize
    of_row *= _GRAPH if gradients else 1
    most = _MOST.get(model.device.type, 64)
    fit: int = max(1, min(most, _free(model.device) // (2 * of_row)))
    return 1 << (fit.bit_length() - 1)


def halving(
    work: Callable[[int, int], None], start: int, stop: int, together: int, changed: Callable[[int], None]
) -> None:
    """Call `work(a, b)` for neighbouring ranges from `start` to `stop`, of `together` or what fits.

    When the memory does not suffice, the same range is tried again in halves, and what follows goes in ranges
    of the smaller length.

    Args:
        work: must leave nothing behind when it fails.
        start: where the first range begins.
        stop: where the last one ends.
        together: length of a range, at least 1.
        changed: is called with the new length.

    Raises:
        ValueError: the memory does not suffice for a range of one.
    """
    while start < stop:
        end = min(start + together, stop)
        try:
            work(start, end)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            if end - start == 1:
                raise ValueError(
                    "the memory does not suffice for all seeds of a single prompt; "
                    "use fewer seeds, half precision or another device"
                ) from error
        else:
            start = end
            continue
        together = (end - start) // 2
        # Here the error is gone, and with it the frames that held tensors.
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        changed(together)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(s in str(error) for s in _SIGNS)


def _free(device: torch.device) -> int:
    """Bytes."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on every system
        return 4 << 30
