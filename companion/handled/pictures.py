"""Images as addresses that hold them, since pages that are opened as files should need no others."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def address(pixels: NDArray[np.uint8]) -> str:
    """An 8-bit image, grey or RGB, `(C, H, W)`, as an address that holds it."""
    file = io.BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(file, format="png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
