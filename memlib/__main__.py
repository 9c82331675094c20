"""The command `memlib`, also `python -m memlib`: it says what to install where something is missing."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from memlib.cli import main as run
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        sys.exit(
            f"error: the command memlib needs {missing}, which is not installed; in the clone of memlib: "
            "pip install -e '.[screen]'"
        )
    run()


if __name__ == "__main__":
    main()
