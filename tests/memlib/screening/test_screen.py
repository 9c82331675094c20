"""From prompts to the finished table, through interruptions, full disks and too little memory."""

import errno
import shutil

import pytest
import torch
from pyarrow import parquet

from memlib.screening import Images, OutputError, Screening, detection_task, guided, identity, images, noises
from memlib.text_to_image import TextToImage

from ..text_to_image.conftest import CUT, UNTRAINED
from .conftest import TEXTS, table

pytestmark = UNTRAINED


class Stop(BaseException):
    """Stands for Ctrl-C."""


class Failing:
    """A task that fails at its calls of some numbers, counted from 0."""

    def __init__(self, task, at, error):
        self.task, self.at, self.error, self.calls = task, at, error, -1

    def __call__(self, prompts):
        self.calls += 1
        if self.calls in self.at:
            raise self.error
        return self.task(prompts)


@CUT
def test_a_row_for_each_prompt_and_seed(screening, model, tmp_path):
    labelled = table(TEXTS, label=[True] + [None] * 6, family=["x"] * 7)
    summary = screening(prompts=labelled).run(tmp_path / "a.parquet", rows=6)
    found = parquet.read_table(summary.path)
    assert found.column_names == ["number", "prompt", "label", "family", "seed", "truncated", "jeon", "wen"]
    assert found["number"].to_pylist() == [n for n in range(7) for _ in range(3)]
    assert found["seed"].to_pylist() == [5, 6, 7] * 7
    assert found["prompt"].to_pylist() == [text for text in TEXTS for _ in range(3)]
    assert found["label"].to_pylist()[:4] == [True, True, True, None]
    task = detection_task(model, range(5, 8), ["jeon", "wen"])
    parts = [task(model.encode(TEXTS[n : n + 2])).values for n in range(0, 7, 2)]
    for name in ("jeon", "wen"):
        assert found[name].to_pylist() == torch.cat([part[name] for part in parts]).flatten().tolist()
    assert (summary.prompts, summary.resumed, summary.rows) == (7, 0, 6)


def test_what_the_tokenizer_cuts_is_in_the_table_and_warned_of_by_nobody(screening, tmp_path, recwarn):
    screening().run(tmp_path / "a.parquet")
    cut = parquet.read_table(tmp_path / "a.parquet")["truncated"].to_pylist()
    assert [piece is not None for piece in cut] == [len(text) > 11 for text in TEXTS for _ in range(3)]
    assert cut[4 * 3].replace(" ", "").endswith("scat")
    assert not [w for w in recwarn if "tokens" in str(w.message)]


@pytest.mark.parametrize("at", range(4))
def test_interrupted_anywhere_and_resumed_the_file_is_the_same(screening, tmp_path, at, capsys):
    whole = screening()
    whole.run(tmp_path / "whole.parquet", rows=6)
    with pytest.raises(Stop):
        screening(task=Failing(whole.task, {at}, Stop())).run(tmp_path / "a.parquet", rows=6)
    assert not (tmp_path / "a.parquet").exists()
    rest = Failing(whole.task, (), None)
    summary = screening(task=rest).run(tmp_path / "a.parquet", rows=None if at else 6, progress=True)
    assert summary.resumed == 2 * at
    assert summary.rows == 6  # kept with the pieces
    assert rest.calls == 3 - at  # nothing is computed twice
    assert f"{2 * at}/7" in (shown := capsys.readouterr().err)
    assert "7/7" in shown
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_a_finished_file_is_not_computed_again(screening, tmp_path):
    screening().run(tmp_path / "a.parquet")
    summary = screening(task=Failing(None, {0}, Stop())).run(tmp_path / "a.parquet")
    assert (summary.resumed, summary.rows) == (7, 0)


def test_batches_shrink_until_they_fit(screening, tmp_path):
    whole = screening()
    whole.run(tmp_path / "whole.parquet", rows=3)
    task = Failing(whole.task, {0, 1}, torch.OutOfMemoryError("CUDA out of memory"))
    summary = screening(task=task).run(tmp_path / "a.parquet", rows=12)
    assert summary.rows == 3
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_no_more_prompts_than_a_batch_are_encoded_at_a_time(screening, model, tmp_path, monkeypatch):
    seen = []
    real = TextToImage.encode
    monkeypatch.setattr(
        TextToImage, "encode", lambda self, texts: seen.append(len(texts)) or real(self, texts)
    )
    screening(prompts=table(["a"] * 40)).run(tmp_path / "a.parquet", rows=12)
    assert max(seen) == 4


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"prompts": table([*TEXTS[:-1], "y"])}, "prompts"),
        ({"settings": {"average_steps": 2, "product": "difference"}}, "average_steps"),
        ({"seeds": range(6, 9)}, "seeds"),
        ({"statistics": ["jeon"]}, "statistics"),
    ],
)
def test_nothing_else_is_mixed_in(screening, tmp_path, changes, named):
    with pytest.raises(Stop):
        screening(task=Failing(screening().task, {1}, Stop())).run(tmp_path / "a.parquet", rows=6)
    with pytest.raises(OutputError, match=f"different in {named}[: ].*, now "):
        screening(**changes).run(tmp_path / "a.parquet")


def test_another_model_is_not_mixed_in(screening, models, tmp_path):
    screening().run(tmp_path / "a.parquet")
    with pytest.raises(
        OutputError,
        match=r"model predicts: \"epsilon\", now \"v\"",
    ):
        screening(model=models["v", torch.float32]).run(tmp_path / "a.parquet")


def test_a_model_is_known_by_its_weights_and_not_by_its_folder(folders, model, tmp_path):
    moved = TextToImage.load(shutil.copytree(folders["epsilon"], tmp_path / "moved"))
    assert identity.facts(moved) == identity.facts(model)
    with torch.no_grad():
        moved.unet.conv_in.weight[0, 0, 0, 0] += 1e-3
    assert identity.facts(moved) != identity.facts(model)


# Images


@pytest.fixture
def pictures(model, tmp_path):
    """A function that makes a screening for images in a folder."""

    def make(home):
        task = Images(model, noises(model, [1, 2]), guided(3))
        return Screening(model, table(TEXTS), [1, 2], task, (), {}, home / "images")

    return make


@CUT
def test_images_have_safe_names_and_show_their_prompts(pictures, model, tmp_path):
    pictures(tmp_path).run(tmp_path / "a.parquet", rows=4)
    found = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == sorted(
        row["image"] for row in found
    )
    assert all(set(row["image"]) <= set("0123456789abcdef-.png") for row in found)
    latents = guided(3)(model, model.encode([TEXTS[2]]), noises(model, [2]))
    images.save(model.decode(latents[0])[0], tmp_path / "expected.png")
    from PIL import Image, ImageChops

    difference = ImageChops.difference(
        Image.open(tmp_path / "expected.png"), Image.open(tmp_path / "images" / found[5]["image"])
    )
    assert max(high for _, high in difference.getextrema()) <= 1


def test_a_disk_that_is_full_of_images_keeps_what_is_finished(pictures, tmp_path, monkeypatch):
    pictures(tmp_path / "whole").run(tmp_path / "whole.parquet", rows=4)
    real, calls = images.save, []

    def full(image, path):
        calls.append(path)
        if len(calls) > 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(image, path)

    monkeypatch.setattr(images, "save", full)
    with pytest.raises(OutputError, match="2 of 7 prompts are finished"):
        pictures(tmp_path).run(tmp_path / "a.parquet", rows=4)
    monkeypatch.undo()
    pictures(tmp_path).run(tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    for path in (tmp_path / "whole" / "images").iterdir():
        assert (tmp_path / "images" / path.name).read_bytes() == path.read_bytes()


def test_images_of_a_task_without_samples(screening, tmp_path):
    with pytest.raises(ValueError, match="a task that gives no samples"):
        screening(pictures=tmp_path).run(tmp_path / "a.parquet")
