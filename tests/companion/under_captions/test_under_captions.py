"""Captions are chosen by what was copied under them; tables and figures say what they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from companion import effects, experiment, under_captions
from companion.experiment import results
from companion.under_captions import KINDS, figures, report
from memlib import intervals


@pytest.fixture
def run(tmp_path):
    return experiment.start("01_toy", {"__annotations__": {"output": str}, "output": str(tmp_path / "run")})


@pytest.fixture
def chosen():
    return under_captions.choose(exact=2, template=1, general=3, stated=2, copies=[1, 300, 1000])


def recorded(run):
    run.finish()
    return results.load(run.output).scalars


def test_the_first_captions_of_every_number_of_copies(chosen):
    assert (
        chosen.kinds
        == ("exact",) * 4 + ("template",) * 3 + ("general",) * 3 + ("stated",) * 2 + ("rare",) * 2
    )
    assert chosen.copies == [300, 300, 1000, 1000, 100, 300, 1000, 0, 0, 0, 0, 0, 1, 1]
    assert list(chosen.places) == list(KINDS)
    assert chosen.places["rare"] == [12, 13]
    assert chosen.exact(1000) == [2, 3]
    assert chosen.exact(100) == []
    assert not any(caption.held_out for caption in chosen.captions)


def test_strong_divides_exact_captions():
    found = under_captions.choose(exact=1, template=0, general=0, stated=0, copies=[100, 300], strong=100)
    assert found.kinds == ("exact", "exact")


@pytest.fixture
def found(chosen):
    draw = np.random.default_rng(0)
    facts = pd.DataFrame({"kind": chosen.kinds, "copies": chosen.copies})
    columns = [*report.ABOUT, "gap", "energy"]
    return {
        end: facts.join(pd.DataFrame(draw.uniform(0.1, 1, (len(chosen), len(columns))), columns=columns))
        for end in ("first", "last")
    }


@pytest.fixture
def groups(chosen, found):
    return {(end, kind): found[end].loc[places] for end in found for kind, places in chosen.places.items()}


def test_means_by_kind_leave_out_what_was_not_measured(run, groups):
    groups["last", "rare"] = groups["last", "rare"].assign(shift=np.nan)
    report.both_ends(run, groups, "ends")
    values = recorded(run)
    expected = intervals.mean(groups["first", "general"]["largest"])
    assert (values["largest_general_first"].value, values["largest_general_first"].n) == (expected.value, 3)
    assert "shift_rare_first" in values
    assert "shift_rare_last" not in values


def test_the_interval_of_a_mean_count_does_not_go_below_zero(run, groups):
    spread = np.zeros(len(groups["last", "exact"]))
    spread[0] = 4.0
    groups["last", "exact"] = groups["last", "exact"].assign(count=spread, mean=spread)
    report.both_ends(run, groups, "ends")
    values = recorded(run)
    assert values["count_exact_last"].interval[0] == 0
    assert values["mean_exact_last"].interval[0] < 0


def test_gaps_are_the_first_less_the_second(run, groups):
    report.gaps(run, groups, "gaps", [("general", "exact")], prefix="second_")
    expected = effects.mean_difference(groups["last", "general"]["count"], groups["last", "exact"]["count"])
    assert recorded(run)["second_count_gap_general_exact_last"].interval == list(expected.bounds)


def test_areas_take_small_values_for_memorized(run, groups):
    groups["first", "exact"] = groups["first", "exact"].assign(count=-5.0)
    report.areas(run, groups, ["count"])
    assert recorded(run)["auc_count_first"].value == 1


def test_counts_by_copies_stay_above_zero(run, found, chosen):
    found["last"].loc[chosen.exact(1000), "count"] = [0.0, 0.1]
    found["first"]["count"] = 0.0  # no ranks
    means = report.by_copies(run, found, chosen, [1, 300, 1000])
    assert means["last", "count"][1000].low == 0
    assert means["last", "count"][1000].value == pytest.approx(0.05)
    values = recorded(run)
    assert "rank_count_first" not in values
    assert values["count_dose_1000_last"].value == pytest.approx(0.05)
    some = found["first"][found["first"]["kind"].isin(["exact", "rare"])]
    expected = effects.rank_correlation(some["copies"], some["largest"])
    assert values["rank_largest_first"].value == pytest.approx(expected.value)


def test_order_over_noises(run):
    each = torch.tensor([[1.0, 1.0, 3.0, 1.0], [2.0, 4.0, 2.0, 0.0], [3.0, 3.0, 1.0, 2.0]])
    report.order(run, "last", {"count": each, "largest": each})
    values = recorded(run)
    assert values["below_count_last"].value == 0.75
    assert values["order_largest_last"].value == 0.25


def test_ratios_and_ranks(run, groups, found):
    report.score_norms(run, groups, found)
    some = groups["last", "stated"]
    values = recorded(run)
    assert values["ratio_stated_last"].value == pytest.approx((some["score"] / -some["mean"]).mean())
    assert values["gap_rank_first"].n == len(found["first"])


def test_maps_are_judged_and_compared(run):
    masks = torch.zeros(4, 2, 2, dtype=torch.bool)
    masks[:, 0] = True
    right, wrong = masks.double()[:, None], 1 - masks.double()[:, None]
    names = dict.fromkeys(("curvature", "score", "attention", "attention_all", "spread"), "a map")
    maps = dict.fromkeys(names, wrong) | {"curvature": right}
    _, scores = report.located(run, maps, masks, names)
    report.compared_maps(run, scores, names, [100, 100, 300, 300])
    lines = report.along_the_path(run, {1: maps, 981: maps}, masks, {"curvature": "one", "score": "other"})
    assert [e.value for e in lines["one"]] == [1, 1]
    assert [e.value for e in lines["other"]] == [0, 0]
    values = recorded(run)
    assert (values["area_curvature"].value, values["area_score"].value) == (1, 0)
    assert values["lead_over_spread"].value == 1
    assert values["iou_curvature_t981"].value == 1
    assert values["chance_iou"].value == pytest.approx((0 / 4 + 4 * 1 / 3 + 1) / 6)


def test_areas_and_overlaps_of_maps_stay_within_their_range(run):
    masks = torch.zeros(4, 2, 2, dtype=torch.bool)
    masks[:, 0] = True
    mostly = masks.double()[:, None].clone()
    mostly[0] = torch.tensor([[[1.0, 0.0], [0.5, 0.0]]])
    names = dict.fromkeys(("curvature", "score", "attention", "attention_all", "spread"), "a map")
    maps = dict.fromkeys(names, mostly)
    _, scores = report.located(run, maps, masks, names)
    report.compared_maps(run, scores, names, [100, 100, 300, 300])
    (line,) = report.along_the_path(run, {1: maps}, masks, {"curvature": "one"}).values()
    found = [line[0], *(recorded(run)[key] for key in ("area_score", "iou_score", "iou_score_dose_100"))]
    assert all(0 < e.value < 1 for e in found)
    assert all(e.low >= 0 and e.high == 1 for e in found)  # Student's would end above 1


def test_figures_draw_every_kind():
    values = {"exact": np.array([[-1.0, -0.5, -0.1]] * 2), "general": np.array([[-1.0, 0.0, 0.1]] * 2)}
    panels = {"first": values, "last": values}
    e = intervals.mean([0.0, 1.0])
    for figure, count in (
        (figures.both_ends(panels, largest=2), 4),
        (figures.upper_ends(panels, largest=2), 2),
        (figures.against_copies({"left": ("count", {1: e, 10: e}, {"general": e})}), 1),
        (figures.with_and_without({"exact": {981: e, 1: e}}, panels), 3),
        (figures.overlap({"one": [e, e]}, [981, 1], 0.3), 1),
        (
            figures.maps(
                torch.rand(2, 3, 4, 4), torch.ones(2, 2, 2, dtype=torch.bool), {"a": torch.rand(2, 2, 2)}
            ),
            6,
        ),
    ):
        assert len(figure.axes) == count
        plt.close(figure)
