"""Models by name, folder or id of the hub."""

import pytest
import torch

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

from companion.organism.captions import EXACT_DOSES
from companion.recipes import text_to_image
from companion.recipes.organism import ORGANISM_V
from memlib.text_to_image import ModelError

from ...memlib.text_to_image.conftest import UNTRAINED, folders

pytestmark = UNTRAINED

__all__ = ["folders"]


def test_a_name_is_the_folder_that_ships(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMLIB_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"organism_v should lie in .*, which is missing"):
        text_to_image.resolve("organism_v")
    folder = tmp_path / "checkpoints" / "organism_v"
    folder.mkdir(parents=True)
    assert text_to_image.resolve("organism_v") == str(folder)
    assert text_to_image.shipped("organism_v") is ORGANISM_V


def test_a_model_that_does_not_ship_says_how_to_train_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MEMLIB_DATA", str(tmp_path))
    with pytest.raises(ValueError, match=r"organism2_large should .*companion train organism2_large --to"):
        text_to_image.resolve("organism2_large")


def test_anything_else_stays_what_it_is(tmp_path, monkeypatch):
    # The autoencoder alone and the networks of other kinds are no text-to-image models.
    for source in ("CompVis/stable-diffusion-v1-4", str(tmp_path), "organism_autoencoder", "two_modes"):
        assert text_to_image.resolve(source) == source
        assert text_to_image.shipped(source) is None
        assert text_to_image.tested(source) == {}


def test_a_folder_goes_before_the_name_of_one_that_ships(tmp_path, monkeypatch):
    (tmp_path / "organism_v").mkdir()
    monkeypatch.chdir(tmp_path)
    assert text_to_image.resolve("organism_v") == "organism_v"
    assert text_to_image.shipped("organism_v") is None


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_folders_load_in_the_precision_asked_for(folders, dtype):
    model = text_to_image.load(str(folders["v"]), dtype=dtype)
    assert model.dtype == getattr(torch, dtype)
    assert model.prediction == "v"


def test_an_unknown_precision_and_an_unknown_model_are_refused(folders, tmp_path):
    with pytest.raises(ValueError, match="one of float32, float16, bfloat16, float64, got 'int8'"):
        text_to_image.load(str(folders["v"]), dtype="int8")
    with pytest.raises(ModelError, match="there is no folder"):
        text_to_image.load(str(tmp_path / "missing"))


def test_the_hub_is_asked_for_the_revision(folders, monkeypatch):
    asked = []

    def snapshot(name, *, revision, **_):
        asked.append((name, revision))
        return str(folders["epsilon"])

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert text_to_image.load("owner/name", revision="133a221").prediction == "epsilon"
    assert asked == [("owner/name", "133a221")]


@pytest.mark.parametrize("name", ["organism_epsilon", "organism_v"])
def test_models_that_ship_say_what_they_return(name):
    found = text_to_image.tested(name)
    by_dose = {f"{what}, {dose} copies" for dose in EXACT_DOSES for what in ("recalled", "captions")}
    assert by_dose | {"digit", "copies"} == set(found)
    assert all(0 <= share.low <= share.value <= share.high <= 1 for share in found.values())
    assert found["recalled, 1000 copies"].low > found["recalled, 1 copies"].high
