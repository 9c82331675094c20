"""What an audit makes of a fine-tune."""

import pytest
import torch

from companion.fine_tuning import statistics
from companion.fine_tuning.figures import areas, list_quality, strips
from companion.fine_tuning.quality import list_quality as quality_of
from companion.fine_tuning.unseen import unseen
from companion.fine_tuning.walk import (
    audited,
    beside_training_images,
    by_group,
    loaded,
    of_report,
    reproduced,
)
from companion.organism.fine_tune_set import fine_tune_set
from companion.recipes import text_to_image
from companion.recipes.fine_tunes import fine_tune
from memlib.audit import Settings


@pytest.fixture(scope="module")
def data():
    return fine_tune_set(2)


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    recipe = fine_tune("short", "For a test", data, rank=None).with_training(steps=2, batch=4, warmup=1)
    return recipe.train(tmp_path_factory.mktemp("whole")).path


@pytest.fixture(scope="module")
def base():
    return text_to_image.load("organism_epsilon")


def test_statistics_are_those_of_the_audit_and_its_table_is_read_back(data, whole, base, tmp_path):
    model, harmless = loaded(whole), [unseen(data.captions)[k] for k in (0, 40, 80, -1, -4, -7)]
    settings = Settings(seeds=2, num_inference_steps=2, suspicious=8, random=0)
    report = audited(whole, data, tmp_path, harmless=harmless, held_out=4, settings=settings)
    rows = by_group(report, data)
    assert [(row["group"], row["captions"]) for row in rows] == [
        (group, 2) for group in dict.fromkeys(data.groups)
    ]
    shares = reproduced(report, data).reshape(-1, 2).mean(1).tolist()
    assert [row["reproduced"].value for row in rows] == shares
    noise = torch.cat([base.noise(1, torch.Generator().manual_seed(seed)) for seed in (0, 1)])
    found = statistics.measure(model, base, {"own": data.captions, "other": harmless}, noise, steps=2, rows=4)
    pictures = beside_training_images(data, {"tuned": (report, tmp_path)})
    assert {name: rows.shape for name, rows in pictures.items()} == {
        "training images": (2, 3, 32, 32),
        "tuned": (2, 3, 32, 32),
    }
    told = of_report(report, data)
    assert told.groups == data.groups
    for name, values in found.values.items():
        assert found.of(name, "own").tolist() == pytest.approx(told.values[name].tolist(), rel=1e-3, abs=1e-4)
        assert len(values) == len(data.captions) + 6
    assert found.area("excess", "own", "own").value == 0.5
    assert list(found.table().columns)[:2] == ["caption", "group"]


def test_the_difference_of_two_statistics_is_that_of_their_areas():
    memorized = [True] * 3 + [False] * 4
    good, bad = torch.arange(7.0).flip(0).numpy(), torch.arange(7.0).numpy()
    assert statistics.differences(good, bad, memorized).value == 1
    assert statistics.differences(good, good, memorized).value == 0


def test_figures_show_all_groups():
    values = torch.arange(4.0).numpy()
    groups = {"10": (values, values > 2), "once": (values, values > 9)}
    figure = strips({"LoRA": groups, "all weights": groups}, "excess")
    assert [tick.get_text() for tick in figure.axes[1].get_xticklabels()] == ["10", "once"]
    found = quality_of(
        values + 9, values, list("aabb"), kind="a", screened=1, calibration=3, pooled=True, draws=5
    )
    assert len(areas({"q": {"excess": found.found}, "r": {"excess": found.false}}).axes) == 2
    figure = list_quality([2, 3], {"pooled": [found.found] * 2}, {"pooled": [found.false] * 2}, 0.1)
    assert len(figure.axes) == 2
