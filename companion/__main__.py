"""The command `companion`, also `python -m companion`: it says what to install where something is missing."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from companion.cli import main as run
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        sys.exit(
            f"error: the command companion needs {missing}, which is not installed; in the clone of "
            "memlib: make setup, or pip install -e '.[book]'"
        )
    run()


if __name__ == "__main__":
    main()
