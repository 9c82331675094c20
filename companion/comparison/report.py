"""Tables of a comparison of mitigations: recorded, saved, and handed back as rows to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float64
from torch import Tensor

from companion import tables
from companion.comparison.settings import Settings
from companion.comparison.summary import chosen, dominated, lead, over_captions
from memlib import intervals
from memlib.mitigation import NEVER

if TYPE_CHECKING:
    from companion.experiment import Run

Rows = list[dict[str, Any]]
SAILS = ("SAIL printed", "SAIL released", "SAIL corrected")
"""The three versions of the paper's method."""
WHAT = ("success", "copy", "agree", "diversity", "loss", "norm_after")
"""What is said of every method at its best setting, beside the similarity."""


def key(name: str) -> str:
    """A method's name as a part of the names of recorded numbers.

    Example:
        >>> key("SAIL printed"), key("Kim, alone")
        ('sail_printed', 'kim_alone')
    """
    return name.replace(", ", "_").replace(" ", "_").lower()


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


def by_copies(run: Run, images: pd.DataFrame, best: Mapping[str, str], numbers: Sequence[int]) -> Rows:
    """Share of copies by the number of copies in training, every method at its best setting."""
    rows: Rows = []
    for name, setting in best.items():
        some = chosen(images, name, setting)
        for number in numbers:
            here = some[some["copies"] == number]
            rows.append(
                {
                    "method": name,
                    "key": key(name),
                    "copies": number,
                    "copy": intervals.proportion(here["copy"].to_numpy(dtype=float)),
                    "agree": float(here["agree"].mean()),
                }
            )
    meaning = "Share of copies at {copies} copies in training, interval over images: {method}"
    record = {"copy": ("copy_{key}_{copies}", meaning)}
    tables.tabulate(run, "by_copies", rows, about="Copies by their number in training", record=record)
    return rows


def of_parts(run: Run, images: pd.DataFrame, best: Mapping[str, str], similarity: str) -> Rows:
    """Captions of which a part of the image was copied, at the settings that are best for whole copies."""
    rows: Rows = []
    for name, setting in best.items():
        some = chosen(images, name, setting)
        found = {
            what: intervals.proportion(some[what].to_numpy(dtype=float))
            for what in ("copy", "agree", "success")
        }
        rows.append(
            {"method": name, "setting": setting, "key": key(name)}
            | found
            | {"similarity": float(some[similarity].mean())}
        )
    record = {
        what: (f"template_{what}_{{key}}", f"{what} of templates, interval over images: {{method}}")
        for what in ("copy", "agree", "success")
    }
    about = "Templates, every method at the setting best for exact captions"
    tables.tabulate(run, "templates", rows, about=about, record=record)
    return rows


def duels(
    run: Run,
    images: pd.DataFrame,
    methods: Mapping[str, Mapping[str, Any]],
    best: Mapping[str, str],
    similarity: str,
) -> Rows:
    """How many settings of every method some setting of SAIL dominates, and SAIL's lead in successes."""
    ours = ("SAIL printed", best["SAIL printed"])
    rows: Rows = [
        {"method": name, "settings": len(methods[name]), "key": key(name)}
        | {sail: None if sail == name else dominated(images, name, sail, similarity) for sail in SAILS}
        | {"lead": None if name == ours[0] else lead(images, ours, (name, best[name]), "success")}
        for name in methods
    ]
    meaning = "Successes of SAIL as printed less those of {method}, best settings, over captions"
    about = "Which settings SAIL dominates"
    tables.tabulate(run, "duels", rows, about=about, record={"lead": ("lead_over_{key}", meaning)})
    rivals = [row for row in rows if row["method"] not in (*SAILS, "none")]
    total = sum(row["settings"] for row in rivals)
    for sail in SAILS:
        beaten = sum(row[sail] for row in rivals)
        run.record(
            f"dominated_by_{key(sail)}",
            intervals.proportion(np.arange(total) < beaten),
            about=f"Share of the settings of the other methods that some setting of {sail} dominates",
        )
    run.record("rival_settings", total, about="Settings of the methods that are no SAIL")
    return rows


def still_copies(run: Run, images: pd.DataFrame, names: Sequence[str]) -> None:
    """Record how often a noise that gave a copy gives one after its objective came under the threshold."""
    before = images.loc[(images["method"] == "none") & images["copy"], ["caption", "seed"]]
    moved = images.merge(before)
    moved = moved[(moved["step"] != NEVER) & ~moved["drawn"]]
    for name in names:
        met = moved.loc[moved["method"] == name, "copy"]
        if len(met):
            run.record(
                f"still_{key(name)}",
                intervals.proportion(met.to_numpy(dtype=float)),
                about=f"{name}: copies where the same noise gave one and was moved under the threshold",
            )


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


def ablation(run: Run, images: pd.DataFrame, parts: Mapping[str, tuple[str, tuple[str, str]]]) -> Rows:
    """The corrected SAIL with its parts switched off.

    Args:
        run: records and saves them, as `ablation`.
        images: of all trials.
        parts: name -> what it is, and its method and setting.
    """
    rows: Rows = []
    judged = ("copy", "agree", "success")
    for name, (what_it_is, where) in parts.items():
        some = chosen(images, *where)
        rows.append(
            {"name": name, "what": what_it_is, "threshold reached": float((some["step"] != NEVER).mean())}
            | {what: over_captions(images, *where, what) for what in judged}
            | {"rows": float(some["passes"].mean())}
        )
    record = {
        what: (f"{what}_{{name}}", f"{what}: {{what}}, over captions")
        for what in ("copy", "agree", "success")
    }
    tables.tabulate(run, "ablation", rows, about="Selection, descent, both", record=record)
    return rows


def released(run: Run, images: pd.DataFrame) -> None:
    """Record which images the released loop returned, over all its settings."""
    some = images[images["method"] == "SAIL released"]
    shares = {
        "as_it_came": some["step"] == 0,
        "after_steps": some["step"] > 0,
        "not_reached": some["step"] == NEVER,
        "repeated": some["repeated"],
        "drawn": some["drawn"],
    }
    for name, true in shares.items():
        run.record(
            f"released_{name}",
            intervals.proportion(true.to_numpy(dtype=float)),
            about=f"SAIL as released, share of images over all settings: {name.replace('_', ' ')}",
        )


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
