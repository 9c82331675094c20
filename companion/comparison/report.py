"""Tables of a comparison of mitigations: recorded, saved, and handed back as rows to show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from jaxtyping import Float64
from torch import Tensor

from companion import tables
from companion.comparison.escapes import escape_lead, escape_rows, escapes
from companion.comparison.settings import Settings
from companion.comparison.summary import chosen, lead, over_captions
from memlib import intervals
from memlib.intervals import Interval
from memlib.mitigation import NEVER

if TYPE_CHECKING:
    from companion.experiment import Run
    from companion.experiment.results import Results, Scalar

Rows = list[dict[str, Any]]
SAILS = ("SAIL printed", "SAIL released", "SAIL corrected")
"""The three versions of the paper's method."""
WHAT = ("success", "copy", "agree", "diversity", "loss", "norm_after")
"""What is said of every method at its best setting, beside the similarity."""


def key(name: str) -> str:
    """A method's name, and a setting, as a part of the names of recorded numbers.

    Example:
        >>> key("SAIL printed"), key("Kim, alone"), key("Han 0.25")
        ('sail_printed', 'kim_alone', 'han_0_25')
    """
    return name.strip().replace(", ", "_").replace(" ", "_").replace(".", "_").lower()


def levels(
    run: Run, ordinary: Mapping[str, Tensor], copied: Mapping[str, Float64[Tensor, "P n"]]
) -> tuple[dict[str, float], Rows]:
    """The ordinary level of what each method minimises, and captions with copies in multiples of it.

    Args:
        run: records and saves them, as `levels`.
        ordinary: name of what is minimised -> values at captions without copies, of any shape.
        copied: the same at P captions with copies and n noises.

    Returns:
        The median over ordinary captions and noises of each quantity, and the rows of the table.
    """
    units = {name: float(values.median()) for name, values in ordinary.items()}
    rows = [
        {
            "minimised": name,
            "ordinary": unit,
            "key": key(name),
            "copied": intervals.mean((copied[name] / unit).mean(1).numpy()),
        }
        for name, unit in units.items()
    ]
    meaning = "What {minimised} is at captions with copies, in its ordinary level, interval over captions"
    about = "Ordinary level of what each method minimises, and captions with copies in multiples of it"
    tables.tabulate(run, "levels", rows, about=about, record={"copied": ("level_{key}", meaning)})
    return units, rows


def at_best(run: Run, images: pd.DataFrame, best: Mapping[str, str], similarity: str) -> Rows:
    """Every method at its best setting, and the copies that it avoids; saved as `best`."""
    known = images.columns[images.notna().all()]  # the diversity of a single image is not
    columns = [what for what in ("success", "copy", "agree", similarity, *WHAT[3:]) if what in known]
    rows: Rows = [
        {"method": name, "setting": setting, "key": key(name)}
        | {what: over_captions(images, name, setting, what) for what in columns}
        | {"avoided": None if name == "none" else lead(images, ("none", ""), (name, setting), "copy")}
        for name, setting in best.items()
    ]
    record = {what: (f"{what}_{{key}}", f"{what}: {{method}}, its best setting") for what in columns}
    record["avoided"] = ("fewer_{key}", "Share of copies without mitigation less that of {method}")
    about = "Every method at its best setting, captions whose image was copied; intervals over captions"
    tables.tabulate(run, "best", rows, about=about, record=record)
    return rows


def of_copied_noises(run: Run, images: pd.DataFrame, captions: Sequence[int]) -> Rows:
    """What becomes of copied noises under every method and setting; saved as `escapes`."""
    rows = escape_rows(images, captions=captions)
    for row in rows:
        row["key"] = key(f"{row['method']} {row['setting']}")
    record = {
        what: (f"{what}_{{key}}", f"{what} among copied noises: {{method}} {{setting}}")
        for what in ("escapes", "agree", "success", "diversity", "passes")
    }
    record["lead"] = ("lead_{key}", "Escapes of {method} {setting} less those of one fresh noise")
    tables.tabulate(run, "escapes", rows, about="What becomes of copied noises", record=record)
    return rows


def beside_baselines(
    run: Run, images: pd.DataFrame, methods: Mapping[str, Iterable[str]], captions: Sequence[int]
) -> Rows:
    """Methods that change the noise beside what `Trials.with_baselines` ran for each of their settings.

    Args:
        run: records and saves them, as `beside`.
        images: of all trials.
        methods: name -> its settings.
        captions: those that count.

    Returns:
        A row for each setting: the shares of copied noises that end elsewhere under the method, under fresh
        noise at the `same price` (one noise where the price buys no second) and under a random move of the
        `same length` (None if the method moved no noise), and the leads `over price` and `over move`.
    """
    known = {*images[["method", "setting"]].itertuples(index=False, name=None)}
    rows: Rows = []
    for own in ((method, setting) for method, some in methods.items() for setting in some):
        label = " ".join(own)
        price = ("redrawn", label if ("redrawn", label) in known else "")
        move = ("random move", label)
        row: dict[str, Any] = {"name": ", ".join(own), "key": key(label)}
        for what, lead_, other in (("same price", "over price", price), ("same length", "over move", move)):
            there = other in known
            row[what] = escapes(images, *other, captions) if there else None
            row[lead_] = escape_lead(images, own, other, captions) if there else None
        rows.append(row | {"method": escapes(images, *own, captions)})
    record = {
        "over price": ("over_price_{key}", "Escapes of {name}, less those of fresh noise at its price"),
        "over move": ("over_move_{key}", "Escapes of {name}, less those of a random move of its length"),
    }
    about = "Methods that change the noise beside baselines"
    tables.tabulate(run, "beside", rows, about=about, record=record)
    return rows


def with_more_captions(rows: Rows, recorded: Results | None) -> Rows:
    """Rows of `beside_baselines` for a figure: the recorded run's if it has all, and of more captions."""
    known = recorded.scalars if recorded else {}
    found: Rows = []
    for row in rows:
        own, fresh = f"escapes_{row['key']}", f"escapes_redrawn_{row['key']}"
        named = {
            "method": own,
            "same price": fresh if fresh in known else "escapes_redrawn",
            "same length": f"escapes_random_move_{row['key']}",
        }
        if own not in known or (known[own].n or 0) <= row["method"].n:
            return rows
        found.append(
            {"name": row["name"]}
            | {what: _estimate(known[key]) if key in known else None for what, key in named.items()}
        )
    return found


def _estimate(scalar: Scalar) -> Interval:
    return Interval(float(scalar.value), scalar.low, scalar.high, scalar.level or 0.95, scalar.n or 1)


def over_rivals(
    run: Run,
    images: pd.DataFrame,
    own: tuple[str, str],
    rivals: Mapping[str, str],
    captions: Sequence[int],
) -> Rows:
    """Escapes and successes of one setting of a method less those of its rivals; saved as `rivals`."""
    rows: Rows = [
        {"method": name, "setting": setting, "key": key(name)}
        | {
            what: escape_lead(images, own, (name, setting), captions, what=what)
            for what in ("escape", "success")
        }
        for name, setting in rivals.items()
    ]
    record = {
        what: (f"{what}_over_{{key}}", f"{what} of {own[0]} less that of {{method}}, among copied noises")
        for what in ("escape", "success")
    }
    tables.tabulate(run, "rivals", rows, about=f"{' '.join(own)} less other methods", record=record)
    return rows


def first_terms(
    run: Run,
    images: pd.DataFrame,
    settings: Settings,
    copied: Mapping[str, Float64[Tensor, "P n"]],
    multiple: float,
) -> Rows:
    """Two first terms of SAIL from the same noises: how far they fall, and how often they get there."""
    rows = []
    for term, method, setting, objective, made in (
        ("gain", "SAIL printed", f"{multiple:g}", "SAIL printed", settings.printed(multiple)),
        ("difference", "trial", "difference", "SAIL with the difference", settings.with_difference(multiple)),
    ):
        unit, some = settings.ordinary[objective], chosen(images, method, setting)
        left = (some["objective"] - made.alpha * some["norm_after"]) / unit
        rows.append(
            {
                "first term": term,
                "before": intervals.mean((copied[objective] / unit).mean(1).numpy()),
                "after": intervals.mean(left.groupby(some["caption"]).mean().to_numpy()),
                "threshold reached": intervals.proportion((some["step"] != NEVER).to_numpy(dtype=float)),
            }
        )
    record = {
        "after": (
            "left_{first term}",
            "First term at the end, in ordinary levels: {first term}",
        ),
        "threshold reached": (
            "reached_{first term}",
            "Share of images whose threshold was reached, interval over images: {first term}",
        ),
    }
    about = "Two first terms of SAIL, in ordinary levels"
    tables.tabulate(run, "converging", rows, about=about, record=record)
    return rows


def norm_weights(
    run: Run, images: pd.DataFrame, settings: Settings, others: Sequence[float], multiple: float
) -> Rows:
    """SAIL as printed under several weights of its norm, with one threshold for the first term."""
    rows = []
    for weight in sorted([settings.penalty, *others]):
        own = weight == settings.penalty
        where = ("SAIL printed", f"{multiple:g}") if own else ("trial", f"weight {weight:g}")
        found = {
            what: over_captions(images, *where, what) for what in ("copy", "agree", "success", "norm_after")
        }
        rows.append({"weight": f"{weight:g}"} | found)
    record = {
        what: (f"{what}_weight_{{weight}}", f"{what}, α √d = {{weight}} ordinary levels, over captions")
        for what in list(rows[0])[1:]
    }
    about = "SAIL as printed under several weights of its norm"
    tables.tabulate(run, "weights", rows, about=about, record=record)
    return rows


def costs(run: Run, images: pd.DataFrame, methods: Sequence[str]) -> Rows:
    """What every method costs for an image, and what becomes of the noise: means over all settings."""
    columns = ["passes", "backward", "seconds", "norm_before", "norm_after", "repeated", "loss"]
    means = images[images["method"].isin(methods)].groupby("method", sort=False)[columns].mean()
    rows = [{"method": name, "key": key(str(name))} | row.to_dict() for name, row in means.iterrows()]
    record = {
        "passes": (
            "passes_{key}",
            "Rows through the U-Net for noise or prompt of an image, mean: {method}",
        ),
        "norm_after": ("length_{key}", "Length of the noise afterwards, mean over all settings: {method}"),
    }
    tables.tabulate(run, "costs", rows, about="Means over all settings, per image", record=record)
    run.record("length_before", rows[0]["norm_before"], about="Length of the noises as they came, mean")
    return rows


def tradeoff(
    images: pd.DataFrame, methods: Mapping[str, Sequence[str]], spaces: Sequence[str]
) -> pd.DataFrame:
    """A row for every method and setting: agreement and every similarity, with intervals over captions.

    Args:
        images: of all trials.
        methods: name -> its settings.
        spaces: in which similarity is measured.
    """
    return pd.DataFrame(
        [
            {"method": name, "setting": setting}
            | {what: over_captions(images, name, setting, what) for what in ("agree", *spaces)}
            for name, settings in methods.items()
            for setting in settings
        ]
    )
