"""The chapter on mitigation with a tiny pipeline, captions of one's own and training images on disk."""

import json

import pytest

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("PIL")

from PIL import Image

from ..companion.comparison.encoder_folders import write_clip, write_dino
from ..memlib.text_to_image.conftest import folders
from .test_latent_chapters import _coarse, captions, results, run, shown

__all__ = ["_coarse", "captions", "folders", "shown"]

pytestmark = pytest.mark.slow


@pytest.fixture
def listing(tmp_path):
    """Two training images of each of four captions, laid out as the published archive is."""
    entries = []
    for number, text in enumerate(["a cat", "cat a", "a a cat", "tac"]):
        folder = tmp_path / "gt_images" / str(number)
        folder.mkdir(parents=True)
        for shade in (0, 40):
            colour = (60 * number, 200 - 50 * number, shade)
            Image.new("RGB", (20, 16 + shade), colour).save(folder / f"{shade}.png")
        entries.append(json.dumps({"caption": text, "index": number}))
    path = tmp_path / "listing.jsonl"
    path.write_text("\n".join(entries))
    return str(path)


@pytest.mark.filterwarnings("ignore:.*without an image")
@pytest.mark.parametrize(("kind", "precision"), [("epsilon", "float32"), ("v", "float32")])
def test_a_model_of_ones_own(folders, captions, listing, tmp_path, kind, precision, shown):
    names = run(
        "09_latent_mitigation",
        model=str(folders[kind]),
        retrained="",
        prompts=captions,
        listing=listing,
        clip=str(write_clip(tmp_path / "clip")),
        dino=str(write_dino(tmp_path / "dino")),
        precision=precision,
        seeds=2,
        general=2,
        multiples=[2.0],
        additions=[1],
        factors=[1.2],
        weights=[0.0],
        descent_steps=1,
        noises=3,
        steps=2,
        rounds=1,
        pool=2,
        device="cpu",
        output=str(tmp_path / "run"),
    )
    assert list(names["pictures"].captions) == ["a cat", "cat a", "a a cat", "tac"]
    found = results(tmp_path / "run")
    assert {"copy_none", "success_sail_printed", "reached_gain", "noise_tells"} <= found.keys()
    assert not any(name.startswith(("area_", "template_", "copy_none_")) for name in found)
    table = names["images"]
    assert set(table["method"]) == {*names["methods"], "trial"}
    assert len(table) == (len(names["methods"]) + 4) * 4 * 2
