"""Measure memorization in generative models through the sharpness of their probability landscape.

A companion to "Understanding Memorization in Generative Models via Sharpness in Probability Landscapes"
(arXiv 2412.04140).
"""

from importlib import import_module

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """`memlib.summary`, imported when it is asked for: `import memlib` does not load torch."""
    if name == "summary":
        # By name: an import statement would make all of the numerics a part of whatever imports memlib.
        return import_module("memlib.sharpness").summary
    raise AttributeError(f"module 'memlib' has no attribute {name!r}")
