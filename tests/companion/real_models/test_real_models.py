"""Lists on disk, expected costs, recorded runs, spectra by products and the pipeline of the rehearsal."""

import gzip
import json
import subprocess
import sys
import time

import pytest
import torch

from companion import real_models
from companion.comparison import training_images
from companion.experiment import results
from companion.organism import captions
from companion.prompts import prompt_sets
from companion.prompts.labelled import labelled
from companion.real_models import costs, rehearsal
from companion.recipes import text_to_image
from companion.under_captions import conditional_curvature
from memlib.text_to_image import TextToImage

from ...memlib.text_to_image.conftest import UNTRAINED

pytestmark = UNTRAINED


@pytest.fixture(scope="module")
def model():
    return text_to_image.load("organism_epsilon")


def test_a_stand_in_reads_as_published_lists_do(tmp_path):
    made = real_models.stand_in(tmp_path, each=5, pictured=3, images=2)
    assert made.captions.read_text().splitlines()[0] == "text,family"  # no number of copies
    given = labelled(made.captions)
    assert [caption.family for caption in given] == ["exact"] * 5 + ["template"] * 5 + ["general"] * 5
    assert [q.name for q in prompt_sets.labelled(given).questions] == ["exact_general", "template_general"]
    copied = {c.text for c in captions("exact") if c.copies >= 100}
    assert {caption.text for caption in given[:5]} <= copied
    pictures = training_images([caption.text for caption in given[:3]], made.listing)
    assert [len(files) for files in pictures.files] == [2, 2, 2]
    assert pictures.missing == ()


def test_counts_are_those_of_whole_spectra(model):
    prompts, noise = model.encode([c.text for c in captions("exact")[-2:]]), model.noise(1, torch.Generator())
    points = noise.expand(2, *noise.shape[1:])
    found = real_models.counts(model, 21, prompts, points, krylov=64, rows=1)
    whole = conditional_curvature(model, 21, prompts, noise)
    scale = model.level(21)["sigma"] ** 2
    assert (found["at least"] <= whole.count[:, 0].numpy()).all()
    assert (found["at most"] >= whole.count[:, 0].numpy()).all()
    assert found["largest"].to_numpy() == pytest.approx(
        scale * whole.eigenvalues[:, 0, -1].numpy(), rel=1e-3, abs=1e-4
    )
    exact = whole.norm[:, 0] ** 2 / -whole.diagonal.flatten(1).sum(1)
    assert found["ratio"].to_numpy() == pytest.approx(
        exact.numpy(), rel=0.3
    )  # two products in 256 dimensions


def test_expected_hours_are_passes_times_a_recorded_pass():
    watch = costs.Stopwatch(row=0.5, parts={"first step": (20.0, 10)})
    table = costs.expected(watch, 6.0, {"first step": ("sizes", 1000)})
    assert table["passes a unit"].item() == 4
    assert table["hours on two cores"].item() == pytest.approx(4 * 1000 * 6 / 3600)
    assert table["hours on a GPU"].item() == pytest.approx(4 * 1000 * 6 / 3600 / costs.GPU)


def test_parts_are_timed(model):
    watch = costs.Stopwatch.of(model, model.noise(1, torch.Generator()), 981, rounds=3)
    with watch.part("spectra", units=3):
        time.sleep(0.05)
    seconds, units = watch.parts["spectra"]
    assert units == 3
    assert 0.05 <= seconds < 5
    assert 0 < watch.row < 5


def test_the_recorded_pass_is_a_quarter_of_the_recorded_call():
    (row,) = (r for r in costs.benchmarks.recorded("full-size").to_dict("records") if r["seconds"] > 0)
    assert real_models.seconds_per_row() == row["seconds"] / 4


def test_recorded_runs_name_their_hardware(tmp_path):
    assert real_models.recorded_runs(tmp_path).empty
    (tmp_path / "broken.json").write_text("{}")
    with pytest.raises(ValueError, match=r"broken\.json is no results file"):
        real_models.recorded_runs(tmp_path)
    (tmp_path / "broken.json").unlink()
    scalar = {"value": 0.98}
    run = {
        "notebook": "10_real_models",
        "run": "full",
        "preset": "full",
        "parameters": {"model": "some/model"},
        "scalars": {"auc_memorized_others_jeon_1_4": scalar},
        "figures": {},
        "tables": {},
        "seed": 0,
        "device": "cuda",
        "hardware": "a card",
        "versions": {},
        "commit": "abc",
        "dirty": False,
        "started": "2026-01-01T00:00:00Z",
        "duration_s": 7200.0,
    }
    (tmp_path / "sd.json").write_text(json.dumps(run))
    found = real_models.recorded_runs(tmp_path)
    assert found[["model", "hardware", "hours", "AUC, Jeon, 1 step"]].iloc[0].tolist() == [
        "some/model",
        "a card",
        2.0,
        0.98,
    ]
    assert found["copies under SAIL"].isna().all()


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """A file of merges as CLIP's: the right number of them, most of which never apply."""
    path = tmp_path_factory.mktemp("words") / "merges.txt.gz"
    real = ["c a", "ca t</w>"]
    letters = [chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324))]
    filler = [pair for a in letters for b in letters if (pair := f"{a} {b}") not in real]
    filler = filler[: rehearsal.MERGES - len(real)]
    path.write_bytes(gzip.compress("\n".join(["version", *real, *filler, "never read"]).encode()))
    return path


def test_the_vocabulary_is_numbered_as_clips(words):
    tokens, merges = rehearsal.vocabulary(words)
    assert len(tokens) == 49408
    assert (tokens["!"], tokens["a"], tokens["!</w>"]) == (0, 64, 256)
    assert (tokens["ca"], tokens[rehearsal.START], tokens[rehearsal.END]) == (512, 49406, 49407)
    assert merges[1] == ("ca", "t</w>")


def test_a_file_with_too_few_merges_is_refused(tmp_path):
    path = tmp_path / "short.gz"
    path.write_bytes(gzip.compress(b"version\na b\n"))
    with pytest.raises(ValueError, match="expected 48894"):
        rehearsal.vocabulary(path)


@pytest.fixture(scope="module")
def rehearsed(words, tmp_path_factory):
    """The folder of a rehearsal: a pipeline of narrow networks, captions and images."""
    home = tmp_path_factory.mktemp("rehearsal")
    rehearsal.main(home, words, small=True, size=64)
    return home


@pytest.mark.slow
def test_the_pipeline_of_the_rehearsal_has_the_layers_of_stable_diffusion(rehearsed):
    model = TextToImage.load(rehearsed / "pipeline")
    assert model.sample_shape == (4, 8, 8)
    assert rehearsal.SIZE == 512  # where no size is given
    assert sum(name.endswith("attn2.processor") for name in model.unet.attn_processors) == 16
    assert model.encode(["cat"]).embeddings.shape[1] == 77


@pytest.mark.slow
def test_the_chapter_runs_from_its_first_cell_to_its_last_on_a_small_rehearsal(rehearsed, tmp_path):
    files = {"model": "pipeline", "prompts": "captions.csv", "listing": "listing.jsonl"}
    given = [part for name, file in files.items() for part in ("-p", f"{name}={rehearsed / file}")]
    command = [sys.executable, "-m", "companion", "run", "10_real_models", "--preset", "rehearsal"]
    command += [*given, "--name", "rehearsal", "--build", str(tmp_path / "build")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = results.load(tmp_path / "build/runs/10_real_models/rehearsal")
    assert {"row_seconds", "opening_auc"} <= set(found.scalars)
