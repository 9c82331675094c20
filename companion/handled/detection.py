"""The threshold: captions of a run of chapter 08, which a statistic ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from companion import plots
from companion.experiment import results
from companion.handled.pictures import address
from companion.images import eight_bits
from companion.organism import captions, image
from companion.prompts import prompt_sets
from companion.recipes import text_to_image

STATISTICS = {
    "wen_1": "Wen: norm of the score difference",
    "jeon_1": "Jeon (the paper): its product with the Hessian",
    "gap_1": "gap: difference of the products",
    "ren_layer_1": "Ren: entropy of one layer's attention",
}
"""Statistics of the first step in the table of values, larger under memorized captions, in words."""


def threshold(run: Path) -> dict[str, Any]:
    """Captions of a run of chapter 08 with their statistics, pictures and the questions asked of them.

    A value is the mean over the noises of the first step. `pictures` is one image, 32 pixels high, with the
    training image of each caption in turn, or one that would fit it.
    """
    found = results.load(run).parameters
    shares = text_to_image.tested(str(found["model"]))
    levels = {caption.copies for caption in captions("exact", generation=2)}
    between = sorted(k for k in levels if 0.05 < shares[f"recalled, {k} copies"].value < 0.95)
    questions = prompt_sets.second_organism(100, between).questions
    values = pd.read_csv(run / "tables" / "values.csv")
    values = values[values["seed"] < found["seeds"]].groupby("caption", sort=False)
    means, families = values[list(STATISTICS)].mean(), values["family"].first()
    asked = {family for question in questions for family in (*question.memorized, *question.others)}
    shown = [place for place in means.index if families[place] in asked]
    every = captions(generation=2)
    drawn = [image(every[place], torch.Generator().manual_seed(place)) for place in shown]
    return {
        "statistics": STATISTICS,
        "questions": [
            {"words": question.words, "memorized": question.memorized, "others": question.others}
            for question in questions
        ],
        "captions": [
            {"text": every[place].text, "family": families[place], **means.loc[place].to_dict()}
            for place in shown
        ],
        "pictures": address(eight_bits(torch.cat(drawn, dim=2))),
    }


def roc_curves(data: dict[str, Any]) -> Figure:
    """The ROC curve of every statistic for the first question: the picture that print has."""
    question, figure = data["questions"][0], plt.figure(figsize=(4.4, 3.4), layout="constrained")
    ax = figure.subplots()
    families = np.array([caption["family"] for caption in data["captions"]])
    labels = np.isin(families, question["memorized"])
    there = labels | np.isin(families, question["others"])
    for (key, title), style in zip(data["statistics"].items(), ("-", "--", "-.", ":"), strict=True):
        scores = np.array([caption[key] for caption in data["captions"]])[there]
        order = labels[there][np.argsort(-scores, kind="stable")]
        rates = [np.insert(np.cumsum(kind) / kind.sum(), 0, 0.0) for kind in (~order, order)]
        ax.step(*rates, style, where="post", color=plots.NEUTRAL, label=title.partition(":")[0])
    ax.set(xlabel="false positive rate", ylabel="true positive rate", title=question["words"])
    ax.legend(loc="lower right")
    return figure
