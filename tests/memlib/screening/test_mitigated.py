"""Images without and with a method: those that each alone would give, and a record of what was done."""

import warnings

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import parquet

from companion.comparison import SailReleased
from memlib.mitigation import (
    AttentionRescaling,
    NoiseAdjustment,
    NoMitigation,
    PromptEmbedding,
    RandomAddition,
    Sail,
    apply,
)
from memlib.screening import MitigatedImages, gallery, guided, mitigated, noises, thresholds
from memlib.screening.mitigation_table import AT_ONCE, COLUMNS, NOT_MET, summary

from .conftest import TEXTS, table

SEEDS = [3, 4]
SMALL, LARGE = 1e-6, 1e6
METHODS = {
    "sail": Sail(SMALL, steps=1, candidates=2),
    "released": SailReleased(SMALL, steps=1, pool=2, rounds=1),
    "embedding": PromptEmbedding(SMALL, steps=1),
    "addition": RandomAddition("token", 1),
    "attention": AttentionRescaling(2.0),
}
by_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())


@pytest.fixture
def exact(models):
    """The epsilon model in float64."""
    return models["epsilon", torch.float64]


def found_by(model, method, texts, **options):
    task = MitigatedImages(model, noises(model, SEEDS), method, num_inference_steps=2, **options)
    with mitigated.quietly():
        return task(model.encode(texts))


@by_method
def test_both_images_are_what_each_way_of_sampling_gives(exact, method):
    texts, noise = ["a cat", "cat"], noises(exact, SEEDS)
    found = found_by(exact, method, texts, seed=5)
    prompts = exact.encode(texts)
    before = guided(2)(exact, prompts, noise)
    torch.testing.assert_close(found.samples["image_before"], before, rtol=0, atol=1e-9)
    with mitigated.quietly():
        alone = apply(exact, method, prompts, noise, steps=2, generator=torch.Generator().manual_seed(5))
    torch.testing.assert_close(found.samples["image_after"], alone.sample(), rtol=1e-6, atol=1e-9)
    assert (found.samples["image_after"] - before).abs().amax() > 1e-6
    assert found.columns["candidate"] == alone.record.candidate.flatten().tolist()
    assert found.columns["prompt_passes"] == alone.record.passes.repeat_interleave(2).tolist()


@by_method
def test_a_prompt_gets_the_same_whatever_is_beside_it(exact, method):
    together = found_by(exact, method, ["a cat", "x", "cat"])
    alone = found_by(exact, method, ["cat"])
    for name in mitigated.IMAGES:
        torch.testing.assert_close(together.samples[name][2:], alone.samples[name], rtol=1e-6, atol=1e-9)
    for name in ("result", "step", "candidate", "repeated", "prompt_passes", "prompt_after"):
        assert together.columns[name][4:] == alone.columns[name]


def test_every_column_of_the_record_is_there_for_every_image(exact):
    found = found_by(exact, Sail(SMALL, steps=1), ["a cat", "cat", "x"])
    assert [*found.columns] == COLUMNS.names
    assert {len(values) for values in found.columns.values()} == {6}
    before = noises(exact, SEEDS).flatten(1).norm(dim=1).tolist() * 3
    assert found.columns["norm_before"] == pytest.approx(before)


def test_what_stays_as_it_is_is_not_sampled_again(exact, monkeypatch):
    rows = []
    real = type(exact).sample

    def counted(self, prompts, noise, **options):
        rows.append(len(noise))
        return real(self, prompts, noise, **options)

    monkeypatch.setattr(type(exact), "sample", counted)
    for method in (NoMitigation(), NoiseAdjustment(LARGE)):
        rows.clear()
        found = found_by(exact, method, ["a cat", "cat"])
        assert rows == [4]
        assert torch.equal(found.samples["image_before"], found.samples["image_after"])
    objective = torch.tensor(found.columns["objective"]).sort().values
    rows.clear()
    found_by(exact, NoiseAdjustment(float(objective[:2].mean()), steps=1), ["a cat", "cat"])
    assert rows == [4, 3]


def test_results_in_words(exact):
    def words(method, texts=("a cat",)):
        columns = found_by(exact, method, list(texts)).columns
        return list(zip(columns["result"], columns["step"], strict=True))

    assert words(NoMitigation()) == [("unchanged", None)] * 2
    assert words(AttentionRescaling()) == [("changed", None)] * 2
    assert words(Sail(LARGE)) == [(AT_ONCE, 0)] * 2
    assert words(Sail(SMALL, steps=1)) == [(NOT_MET, None)] * 2
    start = found_by(exact, Sail(LARGE), ["a cat"]).columns["objective"]
    least = min(start) * (1 - 1e-6)
    moved = words(Sail(least, steps=60, candidates=1))
    assert {result for result, _ in moved} <= {NOT_MET} | {
        f"threshold met after {step} step{'s' * (step != 1)}" for _, step in moved if step
    }
    assert any(step for _, step in moved)
    chosen = words(Sail(least, steps=0, candidates=200))
    assert set(chosen) <= {("threshold met as it came, other noise", 0), (NOT_MET, None)}
    assert ("threshold met as it came, other noise", 0) in chosen


def test_a_changed_prompt_and_what_was_cut_from_it_are_told(exact):
    columns = found_by(exact, RandomAddition("number", 4), ["a cat"]).columns
    assert columns["prompt_after"][0] == columns["prompt_after"][1]
    assert len(columns["prompt_after"][0].split()) == 6
    assert columns["truncated_after"][0]
    assert columns["objective"] == columns["threshold"] == [None, None]
    assert found_by(exact, PromptEmbedding(LARGE), ["a cat"]).columns["prompt_after"] == [None, None]


# The whole way to files


def run(model, folder, method, texts=TEXTS, *, rows=4, seeds=SEEDS):
    made = mitigated.screening(
        model, table(texts), seeds, "x", method, gallery.pictures_of(folder), num_inference_steps=2
    )
    made.run(gallery.table_of(folder), rows=rows)
    gallery.finish(folder)
    return parquet.read_table(gallery.table_of(folder))


def test_a_threshold_never_met_is_counted_and_warned_of_by_nobody(model, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = run(model, tmp_path, Sail(SMALL, steps=0, candidates=1))
    assert found["result"].to_pylist() == [NOT_MET] * 14
    total = summary(gallery.table_of(tmp_path))
    assert (total.images, total.judged, total.unmet, total.at_once) == (14, 14, 14, 0)
    objectives = found["objective"].to_pylist()
    assert (total.least, total.most) == (min(objectives), max(objectives))


def test_the_table_of_a_method_without_threshold(model, tmp_path):
    found = run(model, tmp_path, RandomAddition("number", 3))
    assert found.schema.field("threshold").type == "double"
    total = summary(gallery.table_of(tmp_path))
    assert (total.images, total.judged, total.unmet, total.same) == (14, 0, 0, 0)
    assert total.cut == sum(text is not None for text in found["truncated_after"].to_pylist()) > 0


def test_the_sheet_shows_pairs(model, tmp_path):
    run(model, tmp_path, NoMitigation(), [*TEXTS, "\U0001f408" * 400] * 3, rows=60, seeds=range(5))
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (170 + 8 * 100, 20 + 20 * 114)
        whole = np.asarray(sheet.convert("RGB"))
    seen = [whole[20:116, left : left + 96] for left in (170 + 200, 170 + 300)]  # both of the second seed
    assert np.array_equal(*seen)  # nothing was changed
    names = [row["image_before"] for row in parquet.read_table(tmp_path / "images.parquet").to_pylist()]
    with Image.open(tmp_path / "images" / names[1]) as second:
        colours = np.asarray(second.convert("RGB"))
    assert np.array_equal(seen[0][6::12, 6::12], colours)


def test_after_is_on_the_right(tmp_path):
    for name, value in (("before", 0), ("after", 200)):
        Image.new("RGB", (8, 8), (value,) * 3).save(tmp_path / f"{name}.png")
    image = {"image_before": "before.png", "image_after": "after.png", "result": "changed"}
    batch = pa.RecordBatch.from_pylist([{"number": 7, "prompt": "a", "seed": 3} | image])
    headings, rows = gallery._rows(batch, tmp_path)
    assert headings == ["seed 3", "with mitigation"]
    assert rows == [("7: a", [(tmp_path / "before.png", "changed"), (tmp_path / "after.png", "")])]


# Thresholds from harmless prompts


def test_a_threshold_from_prompts_leaves_most_of_their_images(exact):
    noise, texts = noises(exact, SEEDS), ["a cat", "cat", "x", "tac a", "b c", "d"]
    found = thresholds.from_reference(
        exact, "noise-adjustment", {}, table(texts), noise, num_inference_steps=2
    )
    assert found.images == 12
    values = found_by(exact, NoiseAdjustment(LARGE), texts).columns["objective"]
    expected = torch.tensor(values, dtype=torch.float64).quantile(0.95).item()
    assert found.threshold == float(f"{expected:.3g}")
    for rows in (2, 100):
        again = thresholds.from_reference(
            exact, "noise-adjustment", {"steps": "3"}, table(texts), noise, num_inference_steps=2, rows=rows
        )
        assert again == found


def test_a_method_without_threshold_takes_none_from_prompts(exact):
    with pytest.raises(ValueError, match="random-addition has no threshold that reference prompts"):
        thresholds.from_reference(exact, "random-addition", {}, table(["a"]), noises(exact, SEEDS))
