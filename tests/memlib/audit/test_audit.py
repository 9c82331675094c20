"""An audit on tiny pipelines: what it writes, that it resumes, and that it counts what comes out."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from memlib.audit import Audit, Report, Settings, report, training_set, verification
from memlib.mitigation import METHODS, settings_of
from memlib.screening import identity, prompt_files, screen
from memlib.text_to_image import TextToImage

from .conftest import lines, picture

GUIDE = Path(__file__).parents[3] / "book/guide/audit.md"
CAPTIONS = ["a cat", '<script>alert("x")</script>', "ça"]


def prompts(*texts):
    columns = {"prompt": list(texts), "label": [None] * len(texts), "family": [None] * len(texts)}
    return pa.table(columns, prompt_files.SCHEMA)


SETTINGS = Settings(seeds=2, num_inference_steps=2, suspicious=1, random=2, innocent=2)
HARMLESS = prompts("x", "cat cat", "y cat")


@pytest.fixture
def examples(folder):
    names = ("a.png", "b.JPG", "more/c.webp")
    rows = zip(names, CAPTIONS, strict=True)
    lines(folder, [{"file_name": name, "text": text} for name, text in rows])
    return training_set.read(folder)


def untimed(path):
    return {k: v for k, v in json.loads((path / "report.json").read_text()).items() if k != "made"}


def test_a_report_says_what_was_found_and_the_page_escapes_captions(fine_tuned, examples, tmp_path):
    model, base = fine_tuned
    found = Audit(model, base, examples, HARMLESS, prompts("x", "a cat"), SETTINGS).run(tmp_path / "out")
    assert Report.model_validate_json((tmp_path / "out/report.json").read_text()) == found
    assert sorted(caption.caption for caption in found.captions) == sorted([*CAPTIONS, "x"])
    assert {c.caption for c in found.captions if c.origin == "prompt"} == {"x"}
    assert [c.looked_at for c in found.captions].count("suspicious") == 1
    assert [c.looked_at for c in found.captions].count("random") == 2
    assert all(len(c.pairs) == (2 if c.looked_at else 0) for c in found.captions)
    assert all((tmp_path / "out" / pair.generated).is_file() for c in found.captions for pair in c.pairs)
    assert [c.p for c in found.captions] == sorted(c.p for c in found.captions)
    assert found.calibration == 3
    assert found.statistic == "excess"
    page = (tmp_path / "out/report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page


def test_an_interrupted_audit_goes_on_and_comes_to_the_same(fine_tuned, examples, tmp_path, monkeypatch):
    whole = Audit(*fine_tuned, examples, HARMLESS, None, SETTINGS)
    whole.run(tmp_path / "whole", rows=2)
    rows, calls = screen.Screening._rows, []

    def stopping(self, start, stop):
        calls.append(start)
        if len(calls) % 2 == 0:
            raise KeyboardInterrupt
        return rows(self, start, stop)

    monkeypatch.setattr(screen.Screening, "_rows", stopping)
    for _ in range(20):
        try:
            whole.run(tmp_path / "parts", rows=2)
            break
        except KeyboardInterrupt:
            continue
    assert len(calls) > 5
    assert untimed(tmp_path / "parts") == untimed(tmp_path / "whole")


def test_without_calibration_and_base_it_says_what_is_missing(fine_tuned, examples, tmp_path):
    found = Audit(fine_tuned[0], None, examples, None, None, SETTINGS).run(tmp_path / "out")
    assert found.statistic == "difference"
    assert found.at_least == []
    assert not any(caption.listed for caption in found.captions)
    assert any("Without the base model" in sentence for sentence in found.limits)
    assert any("Without harmless captions" in sentence for sentence in found.limits)
    assert found.innocent is None


def test_one_calibration_caption_is_refused(fine_tuned, examples, tmp_path):
    with pytest.raises(ValueError, match="1 calibration caption does not say what is usual"):
        Audit(*fine_tuned, examples, prompts("x"), None, SETTINGS).run(tmp_path / "out")


def test_a_base_of_another_kind_is_refused_before_anything_is_computed(fine_tuned, examples, tmp_path):
    with pytest.raises(ValueError, match="all weights of"):
        Audit(fine_tuned[1], fine_tuned[1], examples, HARMLESS, None, SETTINGS).run(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_calibration_captions_that_were_trained_on_are_refused(fine_tuned, examples, tmp_path):
    with pytest.raises(
        ValueError, match="1 calibration captions are those of training images, such as 'a cat'"
    ):
        Audit(*fine_tuned, examples, prompts("x", "a cat"), None, SETTINGS).run(tmp_path / "out")


def test_no_calibration_caption_is_refused_as_one_is(fine_tuned, examples, tmp_path):
    with pytest.raises(ValueError, match="0 calibration caption does not say what is usual"):
        Audit(*fine_tuned, examples, prompts(), None, SETTINGS).run(tmp_path / "out")


def test_nothing_to_look_at_is_said(fine_tuned, tmp_path):
    with pytest.raises(ValueError, match="nothing to look at: give training images, prompts, or images"):
        Audit(*fine_tuned).run(tmp_path / "out")


def test_the_number_of_harmless_captions_that_are_missing_is_that_of_a_family(fine_tuned, tmp_path):
    """Three screened take 29 harmless ones of each of two kinds; 30 of one and 2 of the other do not do."""

    def of(kind, texts):
        return prompts(*texts).set_column(2, "family", pa.array([kind] * len(texts), pa.string()))

    harmless = pa.concat_tables([of("k", [f"k {n}" for n in range(30)]), of("y", ["y cat", "y y"])])
    screened = pa.concat_tables([of("k", ["a cat", "tac"]), of("y", ["act"])])

    def said(pooled):
        settings = replace(SETTINGS, seeds=1, pooled=pooled)
        found = Audit(*fine_tuned, (), harmless, screened, settings).run(tmp_path / str(pooled))
        assert (found.calibration, found.of_family) == (32, 32 if pooled else 2)
        unlisted = [one.model_copy(update={"listed": False}) for one in found.captions]
        return " ".join(report.worded(found.model_copy(update={"captions": unlisted})).limits)

    assert "takes 29 harmless captions of each family; the smallest has 2" in said(pooled=False)
    assert "p-values rest on 32 harmless captions" in said(pooled=True)


def test_without_a_training_set_it_is_a_list_without_images(fine_tuned, tmp_path):
    found = Audit(*fine_tuned, (), HARMLESS, prompts("a cat", "tac"), SETTINGS).run(tmp_path / "out")
    assert [caption.origin for caption in found.captions] == ["prompt"] * 2
    assert found.training is None
    assert found.extracted is None
    assert found.thresholds == {}
    assert "No training images were given" in found.verdict[0]
    assert not (tmp_path / "out/images").exists()
    assert "Images that came out" not in (tmp_path / "out/report.html").read_text()


def test_later_steps_are_another_table(fine_tuned, examples, tmp_path):
    one = Audit(*fine_tuned, examples, None, None, SETTINGS).run(tmp_path / "one")
    two = Audit(*fine_tuned, examples, None, None, replace(SETTINGS, average_steps=2)).run(tmp_path / "two")
    assert {c.caption: c.values for c in one.captions} != {c.caption: c.values for c in two.captions}
    assert two.settings["average_steps"] == 2
    with pytest.raises(ValueError, match=r"made with other settings, different in average_steps: 1, now 2"):
        Audit(*fine_tuned, examples, None, None, replace(SETTINGS, average_steps=2)).run(tmp_path / "one")


def test_weights_are_read_once_for_each_model(fine_tuned, examples, tmp_path, monkeypatch):
    read, facts = [], identity.facts
    monkeypatch.setattr(identity, "facts", lambda model: read.append(model) or facts(model))
    Audit(*fine_tuned, examples, HARMLESS, None, SETTINGS).run(tmp_path / "out")
    assert read == list(fine_tuned)


def test_repeated_images_are_named_with_their_counts(fine_tuned, folder, tmp_path):
    twin = Image.open(folder / "a.png")
    twin.save(folder / "twin.bmp")
    rows = zip(("a.png", "b.JPG", "more/c.webp", "twin.bmp"), [*CAPTIONS, CAPTIONS[0]], strict=True)
    lines(folder, [{"file_name": name, "text": text} for name, text in rows])
    found = Audit(*fine_tuned, training_set.read(folder), None, None, SETTINGS).run(tmp_path / "out")
    (group,) = found.training.groups
    assert (sorted(group.images), group.exact, group.captions) == (["a.png", "twin.bmp"], 2, 1)
    assert found.training.repeated_captions == 1
    assert "2 look alike, 2 are the same, 1 caption<" in " ".join(
        (tmp_path / "out/report.html").read_text().split()
    )


def test_the_schema_is_that_of_the_report(fine_tuned, examples, tmp_path):
    Audit(*fine_tuned, examples, None, None, SETTINGS).run(tmp_path)
    schema = json.loads((tmp_path / "report.schema.json").read_text())
    assert set(schema["required"]) <= set(json.loads((tmp_path / "report.json").read_text()))
    assert set(json.loads((tmp_path / "report.json").read_text())) == set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_mitigations_are_tried_on_what_came_out(fine_tuned, examples, tmp_path, monkeypatch):
    """Every image is taken for a copy, so that there is something to mitigate; each is counted as it is."""
    matches = verification.Judge.matches

    def all_copies(self, images):
        found = matches(self, images)
        return {path: replace(one, reproduced="_after" not in path.name) for path, one in found.items()}

    monkeypatch.setattr(verification.Judge, "matches", all_copies)
    whole = Audit(*fine_tuned, examples, HARMLESS, None, replace(SETTINGS, mitigate=True))
    found = whole.run(tmp_path / "out", rows=4)
    tried = {one.method: one for one in found.mitigations}
    assert set(tried) == set(METHODS) - {"none"}
    for one in tried.values():
        assert not one.skipped, one
        assert (one.images, one.before, one.after) == (6, 6, 0)
        assert (one.threshold is not None) is ("threshold" in settings_of(one.method))
        assert {row.caption for row in one.captions} == set(CAPTIONS)
        assert (tmp_path / "out" / one.captions[0].image_after).is_file()
    page = (tmp_path / "out/report.html").read_text()
    assert "What mitigations do" in page
    assert "If the model cannot be trained again: with" in page
    without = Audit(*fine_tuned, examples, None, None, replace(SETTINGS, mitigate=True))
    found = without.run(tmp_path / "without", rows=4)
    skipped = {one.method for one in found.mitigations if one.skipped}
    assert skipped == {name for name in METHODS if "threshold" in settings_of(name)}
    assert (
        "not tried: its threshold is taken from harmless captions"
        in (tmp_path / "without/report.html").read_text()
    )


def test_nothing_came_out_and_nothing_is_mitigated(fine_tuned, examples, tmp_path):
    found = Audit(*fine_tuned, examples, HARMLESS, None, replace(SETTINGS, mitigate=True)).run(tmp_path)
    assert not found.reproduced
    assert found.mitigations == []
    assert not (tmp_path / "mitigated").exists()


def test_held_out_images_calibrate_what_counts_as_a_copy(fine_tuned, examples, tmp_path):
    unseen = {}
    for k in range(3):
        picture(10 + k).save(tmp_path / f"{k}.png")
        unseen[f"{k}.png"] = tmp_path / f"{k}.png"
    given = Audit(*fine_tuned, examples, HARMLESS, None, SETTINGS, held_out=unseen)
    found = given.run(tmp_path / "out")
    assert found.innocents == "held out"
    assert found.innocent.n == 3
    assert not (tmp_path / "out/innocent_images").exists()
    examples[0].open().save(tmp_path / "1.png")
    with pytest.raises(
        training_set.TrainingSetError, match=r"1\.png is held out, and is the training image a"
    ):
        given.run(tmp_path / "again")


def test_the_program_of_the_guide_runs(folders, fine_tuned, examples, tmp_path, monkeypatch):
    (program,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.S)
    assert len([line for line in program.splitlines() if line.strip()]) <= 10
    monkeypatch.chdir(tmp_path)
    (tmp_path / "harmless.txt").write_text("x\ny\n")
    loaded = dict(zip(("my-fine-tune", "what-it-began-from"), fine_tuned, strict=True))
    monkeypatch.setattr(TextToImage, "load", lambda source: loaded[str(source)])
    short = program.replace("seeds=8", "seeds=2, num_inference_steps=2")
    assert short != program
    exec(short, {})  # noqa: S102 - ours
    assert (tmp_path / "report/report.html").is_file()
