"""Command line of memlib: arguments to calls, nothing else. Each module adds its commands to one app."""

# The order of these lines is that of the commands in the help.
from memlib.cli import detect  # isort: skip
from memlib.cli import generate  # isort: skip
from memlib.cli import audit  # isort: skip
from memlib.cli.program import app, main

__all__ = ["app", "audit", "detect", "generate", "main"]
