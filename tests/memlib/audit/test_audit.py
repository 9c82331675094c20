"""An audit on tiny pipelines: what it writes, that it resumes, and that it counts what comes out."""

import json

import pyarrow as pa
import pytest
import torch
from PIL import Image

from memlib.audit import Audit, Report, Settings, training_set, verification
from memlib.screening import prompt_files, screen

from .conftest import lines

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


def test_training_images_among_generated_ones_are_found(examples, tmp_path):
    """Noise on a training image is a copy of it, another image is none."""
    library = verification.Library(examples, torch.arange(3), side=16)
    made = tmp_path / "made.png"
    image = examples[1].open()
    image.putpixel((0, 0), (0, 0, 0))
    image.save(made)
    Image.new("RGB", image.size, (127, 127, 127)).save(tmp_path / "grey.png")
    found = verification.verify(library, [made, tmp_path / "grey.png"])
    assert found.reproduced("made.png")
    assert not found.reproduced("grey.png")
    assert found.nearest["made.png"] == 1
    strict = verification.verify(library, [made], [made, made])  # innocent images as near as this one
    assert not strict.reproduced("made.png")
    assert strict.innocent.value == 0


def test_images_that_all_look_alike_hide_every_copy(examples):
    with pytest.raises(ValueError, match="all 3 training images look alike"):
        verification.Library(examples, torch.zeros(3, dtype=torch.int64))
