"""The judge for models of others, on a tiny pipeline and encoders: one image is known to come out."""

import math

import numpy as np
import pytest
import torch
from PIL import Image

from companion.comparison import Trials, best_settings, joined, over_captions
from companion.comparison.encoders import Clip, Dino, as_pictures
from companion.comparison.real import RealJudge
from companion.comparison.training_images import TrainingImages
from memlib.mitigation import NoiseAdjustment, NoMitigation, RandomAddition, apply
from memlib.text_to_image import TextToImage

from ...memlib.text_to_image.conftest import CUT, UNTRAINED, write_pipeline
from .encoder_folders import write_clip, write_dino

pytestmark = UNTRAINED

CAPTIONS = ("a cat", "cat", "tac a")
LOOSE = {"dino": 0.99999, "clip": 0.99999, "agree": -1.0}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    return TextToImage.load(write_pipeline(tmp_path_factory.mktemp("pipeline") / "tiny", "epsilon"))


@pytest.fixture(scope="module")
def noise(pipeline):
    return pipeline.noise(2, torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def mitigated(pipeline, noise):
    return apply(pipeline, NoMitigation(), pipeline.encode(CAPTIONS), noise, steps=2)


@pytest.fixture(scope="module")
def images(pipeline, mitigated, tmp_path_factory):
    """Two noisy images of each caption; of the second also what the model makes of its second noise."""
    home = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    files = []
    for p in range(3):
        files.append([home / f"{p}-{number}.png" for number in range(2)])
        for path in files[-1]:
            Image.fromarray(rng.integers(0, 256, (9, 13, 3), dtype=np.uint8)).save(path)
    (copied,) = as_pictures(pipeline.decode(mitigated.sample()[1, 1:]))
    files[1].append(home / "copied.png")
    copied.save(files[1][-1])
    return TrainingImages(CAPTIONS, tuple(map(tuple, files)), (0, 1, 2), ())


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    home = tmp_path_factory.mktemp("encoders")
    return {"clip": Clip.load(write_clip(home / "clip")), "dino": Dino.load(write_dino(home / "dino"))}


@pytest.fixture(scope="module")
def judge(pipeline, images, encoders):
    return RealJudge(pipeline, images, **encoders, thresholds=LOOSE)


@pytest.fixture(scope="module")
def judged(judge, mitigated):
    return judge(mitigated)


def test_similarity_is_the_largest_cosine_with_training_images_of_the_caption(
    judge, images, encoders, pipeline, mitigated
):
    x = pipeline.decode(mitigated.sample()[1])
    for space in judge.spaces:
        found = judge.similarity(2 * x - 1, 1, space)
        for one, value in zip(as_pictures(x), found, strict=True):
            a = encoders[space].images([one])[0].numpy()
            cosines = []
            for path in images.files[1]:
                b = encoders[space].images([Image.open(path).convert("RGB")])[0].numpy()
                cosines.append(sum(a * b) / math.sqrt(sum(a * a) * sum(b * b)))
            assert value.item() == pytest.approx(max(cosines), abs=1e-5)
        assert found[1].item() == pytest.approx(1, abs=1e-6)
        assert found[0].item() < 0.99999
        assert judge.similarity(2 * x - 1, 0, space)[1].item() < 0.99999


def test_only_the_image_that_is_a_training_image_of_its_own_caption_is_a_copy(judge, judged, images):
    assert judged.table["copy"].tolist() == [False, False, False, True, False, False]
    assert judged.table["success"].tolist() == [True, True, True, False, True, True]
    with Image.open(images.files[1][2]) as picture:
        x = torch.tensor(np.asarray(picture.convert("RGB"))).permute(2, 0, 1)[None] / 255 * 2 - 1
    assert [judge.copied(x, p).item() for p in range(3)] == [False, True, False]


def test_a_table_has_a_row_for_each_image_in_their_order(judge, judged, mitigated, pipeline, encoders):
    table = judged.table
    assert table["caption"].tolist() == [0, 0, 1, 1, 2, 2]
    assert table["seed"].tolist() == [0, 1] * 3
    assert table["family"].tolist() == ["untyped"] * 6
    assert table["copies"].isna().all()
    latents = mitigated.sample()
    for row in table.itertuples():
        z = latents[row.caption, row.seed][None]
        x = pipeline.decode(z)
        for space in judge.spaces:
            found = judge.similarity(2 * x - 1, row.caption, space).item()
            assert found == pytest.approx(getattr(row, space), abs=1e-5)
        a, b = encoders["clip"].images(as_pictures(x))[0], encoders["clip"].texts([CAPTIONS[row.caption]])[0]
        assert row.agree == pytest.approx((a @ b).item(), abs=1e-5)
        assert row.loss == pytest.approx((pipeline.latents(x) - z).square().mean().sqrt().item(), rel=1e-4)
        assert row.norm_after == pytest.approx(mitigated.noise[row.caption, row.seed].norm().item(), rel=1e-5)
    assert table["passes"].tolist() == [0.0] * 6
    first, second = (2 * pipeline.decode(latents[2]) - 1).double()
    apart = (first - second).square().mean().sqrt().item()
    assert table["diversity"][4] == table["diversity"][5] == pytest.approx(apart, rel=1e-4)


def test_what_is_returned_is_small_and_averaged_over_areas(judge, images, encoders, pipeline, mitigated):
    small = RealJudge(pipeline, images, **encoders, thresholds=LOOSE, side=2)(mitigated).images
    assert small.shape == (3, 2, 3, 2, 2)
    whole = 2 * pipeline.decode(mitigated.sample()[0]) - 1
    corner = whole[..., : whole.shape[-2] // 2, : whole.shape[-1] // 2].mean((-2, -1))
    torch.testing.assert_close(small[0, ..., 0, 0], corner, rtol=0, atol=1e-5)


@CUT
def test_agreement_is_with_the_captions_as_they_were(judge, pipeline, noise, encoders):
    changed = apply(
        pipeline,
        RandomAddition("number", 2),
        pipeline.encode(CAPTIONS),
        noise,
        steps=2,
        generator=torch.Generator().manual_seed(0),
    )
    assert changed.prompts.captions != CAPTIONS
    x = pipeline.decode(changed.sample()[0])
    expected = encoders["clip"].images(as_pictures(x)) @ encoders["clip"].texts([CAPTIONS[0]])[0]
    np.testing.assert_allclose(judge(changed).table["agree"][:2], expected, atol=1e-5)


def test_trials_and_their_summary_take_this_judge(judge, pipeline, noise):
    trials = Trials(pipeline, judge, pipeline.encode(CAPTIONS), noise, steps=2)
    table = joined(trials.all({"none": {"": NoMitigation()}, "noise": {"1": NoiseAdjustment(1.0, steps=1)}}))
    assert len(table) == 12
    assert best_settings(table) == {"none": "", "noise": "1"}
    assert over_captions(table, "none", "", "copy").value == pytest.approx(1 / 6)
    assert over_captions(table, "none", "", "dino").value == pytest.approx(table["dino"][:6].mean())


def test_one_image_of_a_caption_has_no_diversity(judge, pipeline, noise):
    one = apply(pipeline, NoMitigation(), pipeline.encode(CAPTIONS), noise[:1], steps=2)
    assert judge(one).table["diversity"].isna().all()


class Colours:
    """In place of a network: the vector of an image is its mean colour, that of a caption is given."""

    def __init__(self, texts):
        self.vectors = texts

    def images(self, pictures):
        means = [np.asarray(picture, dtype=float).mean((0, 1)) for picture in pictures]
        return torch.nn.functional.normalize(torch.tensor(np.array(means), dtype=torch.float32), dim=1)

    def texts(self, captions):
        return torch.tensor([self.vectors[caption] for caption in captions])


def coloured(home, colours):
    """Captions "0", "1", ... and for each the colours of its training images."""
    files = []
    for p, some in enumerate(colours):
        files.append([home / f"{p}-{number}.png" for number in range(len(some))])
        for path, colour in zip(files[-1], some, strict=True):
            Image.new("RGB", (2, 2), colour).save(path)
    captions = tuple(map(str, range(len(colours))))
    return TrainingImages(captions, tuple(map(tuple, files)), tuple(range(len(colours))), ())


RED, GREEN, ORANGE = (255, 0, 0), (0, 255, 0), (200, 200, 0)


def plain(pipeline, images, **options):
    see = Colours(dict.fromkeys(images.captions, (1.0, 0.0, 0.0)))
    return RealJudge(pipeline, images, clip=see, dino=see, **options)


def test_thresholds_are_what_training_images_of_other_captions_reach(pipeline, tmp_path):
    """Cosines of colours are 0 for red and green, √½ for orange and either."""
    images = coloured(tmp_path, [[RED], [GREEN, RED], [ORANGE]])
    judge = plain(pipeline, images, false_positive_rate=0.5)
    # caption 0: green 0, red 1, orange √½ -> √½. caption 1: red 1, orange √½ -> 1. caption 2: three times √½.
    assert judge.thresholds["dino"] == pytest.approx(math.sqrt(0.5), abs=1e-6)
    # each caption's vector is red: (green 0, red 1, orange √½), (red 1, orange √½), (red 1, green 0, red 1).
    assert judge.thresholds["agree"] == pytest.approx(1, abs=1e-6)
    assert [some.tolist() for some in plain(pipeline, images).false_copies()] == [
        [False] * 3,
        [False] * 2,
        [False] * 3,
    ]
    given = plain(pipeline, images, thresholds={"dino": 0.6})
    assert [some.tolist() for some in given.false_copies()] == [[False, True, True], [True, True], [True] * 3]
    assert given.thresholds["clip"] == pytest.approx(1, abs=1e-6)


def test_a_few_captions_of_one_template_do_not_move_the_threshold_to_their_likeness(pipeline, tmp_path):
    apart = [[(255 - 25 * k, 25 * k, 0)] for k in range(5)]
    judge = plain(pipeline, coloured(tmp_path, [*apart, [(0, 0, 255)], [(0, 0, 255)]]))
    assert 0.9 < judge.thresholds["dino"] < 0.999
    assert [int(some.sum()) for some in judge.false_copies()][-2:] == [1, 1]


def test_images_that_a_template_shares_set_no_threshold(pipeline, tmp_path):
    images = coloured(tmp_path, [[RED], [ORANGE], [GREEN]])
    union = (images.files[0] + images.files[1],) * 2 + images.files[2:]
    judge = plain(pipeline, TrainingImages(images.captions, union, (0, 1, 2), ()), false_positive_rate=0.9)
    assert [len(some) for some in judge.false_copies()] == [1, 1, 2]
    # green to red or orange: √½, for both captions; red and orange to green: 0 and √½.
    assert judge.thresholds["dino"] == pytest.approx(math.sqrt(0.5), abs=1e-6)


def test_one_caption_needs_its_thresholds_given(pipeline, tmp_path):
    images = coloured(tmp_path, [[RED, GREEN]])
    with pytest.raises(ValueError, match=r"'dino' is set by training images of other captions.*thresholds="):
        _ = plain(pipeline, images).thresholds
    assert plain(pipeline, images, thresholds=LOOSE).thresholds == LOOSE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"false_positive_rate": 0.0}, "must lie between 0 and 1, got 0.0"),
        ({"thresholds": {"sscd": 0.5}}, "no threshold 'sscd', expected"),
        ({"families": ["MV"]}, "got 1 families for 2 captions"),
    ],
)
def test_options_out_of_range(pipeline, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        plain(pipeline, coloured(tmp_path, [[RED], [GREEN]]), **options)


def test_other_captions_than_the_judges(judge, pipeline, noise):
    two = apply(pipeline, NoMitigation(), pipeline.encode(CAPTIONS[:2]), noise, steps=2)
    with pytest.raises(ValueError, match="knows 3 captions, got noises for 2"):
        judge(two)
