"""What is computed: the same values as by `memlib.detection`, with the passes that it takes and no more."""

import pytest
import torch

from memlib import detection
from memlib.screening import STATISTICS, Images, detection_task, guided, noises
from memlib.screening.tasks import Detection, OneStepDetection, default_product, product_named, statistics
from memlib.text_to_image import TextToImage

from ..text_to_image.conftest import CUT, UNTRAINED
from .conftest import TEXTS

pytestmark = [UNTRAINED, CUT]

SEEDS = [3, 4]


@pytest.fixture
def passes(monkeypatch):
    """Rows that went through the U-Net."""
    seen = []
    real = TextToImage.estimates

    def counted(self, t, x, embeddings):
        seen.append(len(x))
        return real(self, t, x, embeddings)

    monkeypatch.setattr(TextToImage, "estimates", counted)
    return seen


def reference(model, names, **options):
    """By `detection.measure`, all prompts at once."""
    chosen = statistics(names, average_steps=1, product="difference")
    return detection.measure(model, model.encode(TEXTS), noises(model, SEEDS), chosen, rows=1000, **options)


@pytest.mark.parametrize("names", [["wen"], ["jeon"], ["gap"], ["jeon", "wen"]])
def test_the_cheap_way_gives_the_values_of_the_statistics(models, kind, names):
    model = models[kind, torch.float64]
    task = detection_task(model, SEEDS, names)
    assert isinstance(task, OneStepDetection)
    found = task(model.encode(TEXTS))
    assert list(found.values) == names
    assert found.samples == {}
    for name, values in reference(model, names).items():
        assert found.values[name].shape == (len(TEXTS), len(SEEDS))
        torch.testing.assert_close(found.values[name], values, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("names", "each"), [(["wen"], 1), (["jeon", "wen"], 3)])
def test_all_batches_share_the_unconditional_pass(model, passes, names, each):
    task = detection_task(model, SEEDS, names)
    prompts = model.encode(TEXTS)
    for p in range(0, len(TEXTS), 2):
        task(prompts[p : p + 2])
    assert sum(passes) == len(SEEDS) * (1 + each * len(TEXTS))


def test_other_statistics_come_from_samples(models):
    model = models["epsilon", torch.float64]
    names = ["jeon", "wen", "gap", "ren_attention", "chen", "kim", "carlini"]
    task = detection_task(model, SEEDS, names, num_inference_steps=5)
    assert isinstance(task, Detection)
    prompts = model.encode(TEXTS)
    found = [task(prompts[:3]), task(prompts[3:])]
    for name, values in reference(model, names, steps=5).items():
        if name != "kim":  # its probes are drawn for the whole batch
            torch.testing.assert_close(
                torch.cat([f.values[name] for f in found]), values, rtol=1e-6, atol=1e-12
            )
    assert found[0].samples == {}


def test_no_more_steps_than_the_statistics_need(model, passes):
    detection_task(model, SEEDS, ["wen"], average_steps=3)(model.encode(TEXTS))
    doubled = 2 * len(TEXTS) * len(SEEDS)
    assert 2 * doubled < sum(passes) <= 3 * doubled


def test_samples_are_those_of_plain_sampling_and_belong_to_their_seeds(models):
    model = models["epsilon", torch.float64]
    prompts = model.encode(TEXTS[:2])
    found = detection_task(model, SEEDS, ["wen"], num_inference_steps=4, samples=True)(prompts)
    images = Images(model, noises(model, SEEDS), guided(4))(prompts)
    torch.testing.assert_close(found.samples["image"], images.samples["image"], rtol=1e-6, atol=1e-9)
    alone = Images(model, noises(model, [4]), guided(4))(prompts[1:2])
    torch.testing.assert_close(images.samples["image"][1:, 1:], alone.samples["image"], rtol=1e-6, atol=1e-9)
    assert images.values == {}


def test_the_noise_of_a_seed_does_not_depend_on_other_seeds(model):
    assert torch.equal(noises(model, [7, 1, 2])[0], noises(model, range(5, 8))[2])
    assert not torch.equal(*noises(model, [1, 2]))


def test_half_precision_takes_products_in_reverse_mode(models, folders):
    half = TextToImage.load(folders["epsilon"], dtype=torch.bfloat16)
    assert default_product(half) == "vjp"
    assert default_product(models["v", torch.float32]) == "difference"
    found = detection_task(half, SEEDS, ["jeon", "wen"])(half.encode(TEXTS[:2]))
    exact = models["epsilon", torch.float64]
    expected = detection_task(exact, SEEDS, ["jeon", "wen"], product="vjp")(exact.encode(TEXTS[:2]))
    torch.testing.assert_close(found.values["wen"], expected.values["wen"], rtol=0.2, atol=0)
    assert all(value.isfinite().all() and value.dtype == torch.float64 for value in found.values.values())


def test_every_name_is_known():
    assert set(statistics(list(STATISTICS), average_steps=1, product="vjp")) == set(STATISTICS)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["wenn"], "no statistic is called 'wenn'.*there are sharpness-gain, score-difference"),
        (["huang"], "asthana and huang are fitted"),
        ([], r"one or more different statistics expected, got \[\]"),
        (["wen", "wen"], "different statistics"),
    ],
)
def test_other_names_are_errors(names, message):
    with pytest.raises(ValueError, match=message):
        statistics(names, average_steps=1, product="vjp")


def test_other_products_are_errors():
    assert product_named("jvp") == "jvp"
    with pytest.raises(ValueError, match=r"product must be one of .*, got 'auto'"):
        product_named("auto")
