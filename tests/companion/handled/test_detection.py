"""What readers handle is what the run measured."""

from __future__ import annotations

import base64
import io
from datetime import UTC, datetime
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from companion import handled
from companion.experiment import results
from companion.organism import captions
from companion.prompts import prompt_sets

SEEDS = 2


@pytest.fixture
def run(tmp_path: Path) -> tuple[Path, pd.DataFrame]:
    """A run of chapter 08 at two noises, with a third that the first step does not have."""
    known = prompt_sets.second_organism()
    places = known.first({"mixed": 2, "general": 3, "general, seen": 1})
    rng, rows = np.random.default_rng(0), []
    for place in places:
        for seed in range(SEEDS + 1):
            values = dict(zip(handled.STATISTICS, rng.uniform(1, 2, 4), strict=True))
            rows.append(values | {"caption": place, "family": known.families[place], "seed": seed})
    table = pd.DataFrame(rows)
    (tmp_path / "tables").mkdir()
    table.to_csv(tmp_path / "tables/values.csv", index=False)
    found = results.Results(
        notebook="08_latent_detection", run="run", preset="", scalars={}, figures={}, tables={}, seed=0,
        parameters={"model": "organism2_small", "seeds": SEEDS}, device="cpu", hardware="none", versions={},
        commit="none", dirty=False, started=datetime.now(UTC), duration_s=1.0,
    )  # fmt: skip
    results.write(found, tmp_path)
    return tmp_path, table


def test_captions_come_with_means_over_noises_and_their_pictures(run: tuple[Path, pd.DataFrame]) -> None:
    folder, table = run
    data = handled.threshold(folder)
    assert [caption["family"] for caption in data["captions"]] == ["mixed"] * 2 + ["general"] * 3
    texts = [caption.text for caption in captions(generation=2)]
    for caption in data["captions"]:
        own = table[(table["caption"] == texts.index(caption["text"])) & (table["seed"] < SEEDS)]
        for key in handled.STATISTICS:
            assert caption[key] == pytest.approx(own[key].mean())
    picture = Image.open(io.BytesIO(base64.b64decode(data["pictures"].partition(",")[2])))
    assert picture.size == (5 * 32, 32)
    assert {tuple(question) for question in data["questions"]} == {("words", "memorized", "others")}


def test_the_picture_for_print_has_the_curve_of_every_statistic(run: tuple[Path, pd.DataFrame]) -> None:
    figure = handled.roc_curves(handled.threshold(run[0]))
    (ax,) = figure.axes
    assert len(ax.lines) == len(handled.STATISTICS)
    for line in ax.lines:
        assert np.ptp(line.get_xdata()) == np.ptp(line.get_ydata()) == 1
    plt.close(figure)
