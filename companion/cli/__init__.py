"""Command line of the book: arguments to calls, nothing else. Each module adds its commands to one app."""

# The order of these lines is that of the commands in the help.
from companion.cli import notebooks  # isort: skip
from companion.cli import models  # isort: skip
from companion.cli import book  # isort: skip
from companion.cli.program import app, main

__all__ = ["app", "book", "main", "models", "notebooks"]
