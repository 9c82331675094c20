"""What is recorded of a comparison is what its table of images says."""

import numpy as np
import pandas as pd
import pytest
import torch

from companion import experiment
from companion.comparison import escape_lead, escapes, lead, over_captions, report
from companion.experiment import results
from memlib import intervals
from memlib.mitigation import NEVER

METHODS = ("none", "SAIL printed", "SAIL released", "SAIL corrected", "random tokens")
SETTINGS = {name: [""] if name == "none" else ["1", "2"] for name in METHODS}


@pytest.fixture
def run(tmp_path):
    return experiment.start("01_toy", {"__annotations__": {"output": str}, "output": str(tmp_path / "run")})


@pytest.fixture
def images():
    """Three captions with two images each under every setting; three draws in four are copies."""
    draw = np.random.default_rng(0)
    rows = []
    for name, settings in SETTINGS.items():
        for setting in settings:
            for caption in range(3):
                for seed in range(2):
                    copy, agree = bool(draw.random() < 0.75), bool(draw.random() < 0.5)
                    rows.append(
                        {
                            "method": name,
                            "setting": setting,
                            "caption": caption,
                            "seed": seed,
                            "copies": (30, 100, 100)[caption],
                            "copy": copy,
                            "agree": agree,
                            "success": agree and not copy,
                            "pixel": draw.uniform(-1, 1),
                            "diversity": draw.random(),
                            "loss": draw.random(),
                            "norm_before": 16.0,
                            "norm_after": 16 + draw.random(),
                            "passes": draw.integers(0, 9),
                            "backward": draw.integers(0, 9),
                            "seconds": draw.random(),
                            "repeated": bool(draw.random() < 0.5),
                            "drawn": bool(draw.random() < 0.5),
                            "step": int(draw.integers(NEVER, 3)),
                            "objective": draw.random(),
                        }
                    )
    return pd.DataFrame(rows)


def recorded(run):
    run.finish()
    return results.load(run.output).scalars


def same(scalar, interval):
    return (scalar.value, scalar.interval) == (interval.value, list(interval.bounds))


def test_names_of_methods_in_keys():
    assert report.key("SAIL printed") == "sail_printed"
    assert report.key("Wen, first step") == "wen_first_step"


def test_levels_are_medians_and_captions_in_their_multiples(run):
    copied = torch.tensor([[2.0, 4.0], [6.0, 8.0]]).double()
    units, rows = report.levels(
        run, {"score difference": torch.tensor([1.0, 2.0, 9.0])}, {"score difference": copied}
    )
    assert units == {"score difference": 2.0}
    assert rows[0]["copied"] == intervals.mean([1.5, 3.5])
    assert same(recorded(run)["level_score_difference"], intervals.mean([1.5, 3.5]))


def test_every_method_at_its_best_setting(run, images):
    best = {name: settings[-1] for name, settings in SETTINGS.items()}
    rows = report.at_best(run, images, best, "pixel")
    assert [row["method"] for row in rows] == list(METHODS)
    found = recorded(run)
    assert same(found["copy_sail_printed"], over_captions(images, "SAIL printed", "2", "copy"))
    assert same(found["pixel_none"], over_captions(images, "none", "", "pixel"))
    assert same(found["fewer_random_tokens"], lead(images, ("none", ""), ("random tokens", "2"), "copy"))
    assert "fewer_none" not in found


def test_costs_are_means_over_all_settings(run, images):
    report.costs(run, images, ["none", "SAIL printed"])
    found, some = recorded(run), images[images["method"] == "SAIL printed"]
    assert found["passes_sail_printed"].value == pytest.approx(some["passes"].mean())
    assert found["length_before"].value == 16
    assert "passes_random_tokens" not in found


def test_a_tradeoff_has_a_row_for_every_setting(images):
    table = report.tradeoff(images, SETTINGS, ["pixel"])
    assert len(table) == 9
    row = table[(table["method"] == "random tokens") & (table["setting"] == "2")].iloc[0]
    assert row["pixel"] == over_captions(images, "random tokens", "2", "pixel")


@pytest.fixture
def copied(images):
    """The same with two noises of every caption that gave a copy, and what `with_baselines` adds."""
    images.loc[images["method"] == "none", "copy"] = True
    mine = images[(images["method"] == "SAIL printed") & (images["setting"] == "1")]
    redrawn, moved = (
        mine.assign(method="redrawn"),
        mine.assign(method="random move", setting="SAIL printed 1"),
    )
    redrawn["copy"], moved["copy"] = True, False
    return pd.concat(
        [images, redrawn.assign(setting=""), redrawn.assign(setting="SAIL printed 1", copy=False), moved],
        ignore_index=True,
    )


def test_what_becomes_of_copied_noises_is_recorded_by_method_and_setting(run, copied):
    report.of_copied_noises(run, copied, range(3))
    found = recorded(run)
    assert same(found["escapes_random_tokens_2"], escapes(copied, "random tokens", "2", range(3)))
    assert found["escapes_redrawn"].value == 0
    assert found["lead_random_move_sail_printed_1"].value == 1


def test_methods_stand_beside_the_baselines_that_were_run_for_them(run, copied):
    first, second = report.beside_baselines(run, copied, {"SAIL printed": ["1", "2"]}, range(3))
    assert (first["same price"].value, first["same length"].value) == (1, 1)
    own = escapes(copied, "SAIL printed", "1", range(3))
    assert first["method"] == own
    assert first["over price"].value == pytest.approx(own.value - 1)
    assert second["same price"].value == 0  # one fresh noise
    assert (second["same length"], second["over move"]) == (None, None)
    found = recorded(run)
    assert same(found["over_price_sail_printed_2"], second["over price"])
    assert "over_move_sail_printed_2" not in found


def test_leads_over_rivals_are_of_escapes_and_of_successes(run, copied):
    report.over_rivals(run, copied, ("SAIL printed", "1"), {"random tokens": "2"}, range(3))
    found = recorded(run)
    for what in ("escape", "success"):
        expected = escape_lead(copied, ("SAIL printed", "1"), ("random tokens", "2"), range(3), what=what)
        assert same(found[f"{what}_over_random_tokens"], expected)


def test_a_figure_takes_the_run_with_more_captions(run, copied):
    own = report.beside_baselines(run, copied, {"SAIL printed": ["1"]}, range(3))
    run.finish()
    found = results.load(run.output)
    assert report.with_more_captions(own, None) == own
    assert report.with_more_captions(own, found) == own  # as many captions
    larger = found.model_copy(
        update={
            "scalars": {
                f"escapes_{key}sail_printed_1": results.Scalar(
                    value=0.5, interval=[0.4, 0.6], level=0.95, n=9
                )
                for key in ("", "redrawn_", "random_move_")
            }
        }
    )
    (row,) = report.with_more_captions(own, larger)
    assert [row[what] for what in ("name", "method", "same length")] == [
        "SAIL printed, 1",
        *[intervals.Interval(0.5, 0.4, 0.6, 0.95, 9)] * 2,
    ]
    del larger.scalars["escapes_sail_printed_1"]
    assert report.with_more_captions(own, larger) == own
