"""Command line of memlib: arguments to calls, nothing else. Each module adds its commands to one app."""

# The order of these lines is that of the commands in the help.
from memlib.cli import notebooks  # isort: skip
from memlib.cli import detect  # isort: skip
from memlib.cli import generate  # isort: skip
from memlib.cli import models  # isort: skip
from memlib.cli import book  # isort: skip
from memlib.cli.program import app, main

__all__ = ["app", "book", "detect", "generate", "main", "models", "notebooks"]
