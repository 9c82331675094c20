"""Benchmarks that were recorded, as tables of a page; what measures them is `benchmarks/` of a clone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from companion.paths import project_root

if TYPE_CHECKING:
    import pandas as pd


def recorded(suite: str, folder: Path | None = None) -> pd.DataFrame:
    """All comparisons of a suite, a row each, from every machine it was recorded on.

    Args:
        suite: such as "hessian": the files `SUITE-*.json`.
        folder: the folder of the files; None takes `benchmarks/results/` of the clone.

    Raises:
        FileNotFoundError: there is no such file.
    """
    import pandas as pd

    folder = folder or project_root() / "benchmarks" / "results"
    files = sorted(folder.glob(f"{suite}-*.json"))
    if not files:
        raise FileNotFoundError(
            f"{folder} holds no {suite}-*.json; restore it, or measure: python -m benchmarks --suite {suite}"
        )
    read = [json.loads(path.read_text()) for path in files]
    return pd.concat(
        [pd.DataFrame(file["rows"]).assign(machine=file["machine"]["name"]) for file in read],
        ignore_index=True,
    )


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """What was compared, the median ratio with its smallest and largest, and whether it meets its target."""
    import pandas as pd

    shown = rows.dropna(subset=["ratio"])
    low, high = (shown[end].map("{:.3g}".format) for end in ("low", "high"))
    spread = (" (" + low + " to " + high + ") ").where(low != high, " ")
    against = (" / " + shown["instead_of"]).where(shown["instead_of"] != "", "")
    return pd.DataFrame(
        {
            "comparison": shown["what"] + against + ": " + shown["setting"],
            "measured": shown["ratio"].map("{:.3g}".format)
            + spread
            + shown["reads"].replace("times the time of", "times as long"),
            "target": shown["target"].fillna("")
            + shown["met"].map({True: ": met", False: ": missed"}).fillna(""),
        }
    )
