"""Runs of the chapter on real models that somebody made elsewhere and gave back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from companion.experiment import results
from companion.paths import project_root

if TYPE_CHECKING:
    import pandas as pd

FOLDER = Path("companion") / "results"
"""Where they lie in a clone: the `results.json` of each run, renamed, `<model>-<preset>.json`."""
SHOWN = {
    "AUC, Jeon, 1 step": "auc_{question}_jeon_1_{n}",
    "AUC, Wen, 1 step": "auc_{question}_wen_1_{n}",
    "non-negative, last step": "count_memorized_last",
    "copies without mitigation": "copy_none",
    "copies under SAIL": "copy_sail_printed",
}


def recorded_runs(
    folder: Path | None = None, *, question: str = "memorized_others", n: int = 4
) -> pd.DataFrame:
    """The main numbers of every recorded run, a row each, with the hardware that made it; empty if none is.

    Args:
        folder: of the files; None takes `FOLDER` of the clone.
        question: of the areas shown.
        n: seeds of the areas shown.

    Raises:
        ValueError: a file is no results file.
    """
    import pandas as pd

    where = folder or project_root() / FOLDER
    rows = []
    for path in sorted(where.glob("*.json")):
        try:
            found = results.Results.model_validate_json(path.read_bytes())
        except ValueError as error:
            raise ValueError(
                f"{path} is no results file ({error}); take the results.json of a run"
            ) from error
        row: dict[str, object] = {
            "model": found.parameters.get("model", ""),
            "hardware": found.hardware,
            "hours": found.duration_s / 3600,
        }
        for heading, key in SHOWN.items():
            scalar = found.scalars.get(key.format(question=question, n=n))
            row[heading] = None if scalar is None else scalar.value
        rows.append(row)
    return pd.DataFrame(rows)
