"""Recorded runs: parameter checks, results files, presets, and a driver that executes notebooks.

A notebook needs `start` alone; the rest is for the pipeline and for reading what runs left behind.
"""

from companion.experiment.recorder import Run, start
from companion.experiment.results import Results, load

__all__ = ["Results", "Run", "load", "start"]
