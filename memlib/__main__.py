"""`python -m memlib`: the command line."""

from memlib.cli import main

main()
