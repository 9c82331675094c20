"""What is recorded of a comparison is what its table of images says."""

import numpy as np
import pandas as pd
import pytest
import torch

from companion import experiment
from companion.comparison import lead, over_captions, report
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


def test_copies_by_their_number_in_training(run, images):
    report.by_copies(run, images, {"none": ""}, [30, 100])
    found, some = recorded(run), images[images["method"] == "none"]
    for number, count in ((30, 2), (100, 4)):
        mine = some.loc[some["copies"] == number, "copy"]
        assert len(mine) == count
        assert same(found[f"copy_none_{number}"], intervals.proportion(mine.to_numpy(dtype=float)))


def test_duels_count_settings_and_leads(run, images):
    best = {name: settings[0] for name, settings in SETTINGS.items()}
    rows = {row["method"]: row for row in report.duels(run, images, SETTINGS, best, "pixel")}
    assert rows["SAIL printed"]["SAIL printed"] is None
    assert rows["SAIL printed"]["lead"] is None
    found = recorded(run)
    assert found["rival_settings"].value == 2  # those of random tokens alone
    assert found["dominated_by_sail_released"].value == rows["random tokens"]["SAIL released"] / 2
    expected = lead(images, ("SAIL printed", "1"), ("SAIL released", "1"), "success")
    assert same(found["lead_over_sail_released"], expected)


def test_still_copies_are_of_noises_that_gave_one_and_were_moved(run, images):
    report.still_copies(run, images, ["SAIL printed"])
    none = images[images["method"] == "none"].set_index(["caption", "seed"])["copy"]
    some = images[images["method"] == "SAIL printed"]
    gave = [none[caption, seed] for caption, seed in zip(some["caption"], some["seed"], strict=True)]
    met = some[np.array(gave) & (some["step"] != NEVER) & ~some["drawn"]]
    assert 0 < len(met) < len(some)
    assert same(recorded(run)["still_sail_printed"], intervals.proportion(met["copy"].to_numpy(dtype=float)))


def test_the_released_loop_is_counted(run, images):
    report.released(run, images)
    found, some = recorded(run), images[images["method"] == "SAIL released"]
    assert found["released_as_it_came"].value == (some["step"] == 0).mean()
    shares = [found[f"released_{name}"].value for name in ("as_it_came", "after_steps", "not_reached")]
    assert sum(shares) == pytest.approx(1)


def test_costs_are_means_over_all_settings(run, images):
    report.costs(run, images, ["none", "SAIL printed"])
    found, some = recorded(run), images[images["method"] == "SAIL printed"]
    assert found["passes_sail_printed"].value == pytest.approx(some["passes"].mean())
    assert found["length_before"].value == 16
    assert "passes_random_tokens" not in found


def test_parts_of_the_corrected_method(run, images):
    report.ablation(run, images, {"descent": ("one noise", ("SAIL corrected", "1"))})
    assert same(recorded(run)["copy_descent"], over_captions(images, "SAIL corrected", "1", "copy"))


def test_a_tradeoff_has_a_row_for_every_setting(images):
    table = report.tradeoff(images, SETTINGS, ["pixel"])
    assert len(table) == 9
    row = table[(table["method"] == "random tokens") & (table["setting"] == "2")].iloc[0]
    assert row["pixel"] == over_captions(images, "random tokens", "2", "pixel")
