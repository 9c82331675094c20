"""A classifier: shapes, rows by themselves, learning, resuming, bad input."""

import pytest
import torch

from companion.fitting import Classifier, ClassifierConfig, FitConfig, classify
from companion.fitting.classifier import train_classifier

SMALL = ClassifierConfig(image_size=8, channels=(8, 16), classes=3)


def fresh(config=SMALL, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Classifier(config)


def bars(batch, generator):
    """Class k has row 2 k lit; the rest is noise."""
    label = torch.randint(3, (batch,), generator=generator)
    x = 0.3 * torch.randn(batch, 1, 8, 8, generator=generator)
    x[torch.arange(batch), 0, 2 * label] += 1.0
    return x, label


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "config", [SMALL, ClassifierConfig(), ClassifierConfig(image_channels=3, image_size=32, classes=4)]
)
def test_logits_of_any_size_and_channels(config):
    network = fresh(config)
    x = torch.randn(5, *config.sample_shape, generator=generator())
    assert network(x).shape == (5, config.classes)


def test_rows_are_classified_by_themselves():
    network, x = fresh().double(), bars(6, generator())[0].double()
    together, alone = network(x), torch.cat([network(row[None]) for row in x])
    assert torch.allclose(together, alone, rtol=0, atol=1e-12)
    assert together.std(dim=0).min() > 0


def test_it_is_smooth():
    """A network of ReLUs has no second derivative; this one has."""
    network, x = fresh().double(), bars(1, generator())[0].double()
    hessian = torch.autograd.functional.hessian(lambda z: network(z)[0, 0], x)
    assert hessian.abs().max() > 1e-6


def test_classes_in_chunks_are_the_largest_logits():
    network, x = fresh(), bars(7, generator())[0]
    expected = network(x).argmax(dim=1)
    for chunk in (1, 3, 7, 100):
        assert torch.equal(classify(network, x, chunk=chunk), expected)
    assert not classify(network, x).requires_grad


def test_it_learns_and_generalises():
    found = train_classifier(fresh(), bars, FitConfig(steps=60, batch=32, learning_rate=1e-2, warmup=5))
    x, label = bars(500, generator(2**20))  # a seed no step of the training has
    # Chance is one third. The bar stands out by three standard deviations of the noise in eight pixels.
    assert (classify(found.network, x) == label).float().mean() > 0.95
    assert found.losses[-10:].mean() < 0.5 * found.losses[:5].mean()


def test_a_training_that_was_cut_goes_on(tmp_path):
    config, state = FitConfig(steps=6, batch=8), tmp_path / "state.safetensors"
    whole = train_classifier(fresh(), bars, config)
    calls = []

    def cut(batch, source):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(batch)
        return bars(batch, source)

    with pytest.raises(KeyboardInterrupt):
        train_classifier(fresh(), cut, config, state=state, save_every=1)
    resumed = train_classifier(fresh(seed=1), bars, config, state=state)
    for a, b in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(whole.losses, resumed.losses)
    with pytest.raises(ValueError, match="left by another training"):
        train_classifier(fresh(), bars, FitConfig(steps=7, batch=8), state=state)
    with pytest.raises(ValueError, match="left by another training"):
        train_classifier(fresh(), bars, config, state=state, data={"sha256": "other"})


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (lambda label: None, r"needs a label in \[0, 2\], got None"),
        (lambda label: label + 1, r"needs a label in \[0, 2\]"),
        (lambda label: label - 1, r"needs a label in \[0, 2\]"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels, message):
    def draw(batch, source):
        x, label = bars(batch, source)
        return x, labels(label)

    with pytest.raises(ValueError, match=message):
        train_classifier(fresh(), draw, FitConfig(steps=1, batch=64))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": ()}, "channels must be multiples of 8"),
        ({"channels": (8, 12)}, r"multiples of 8, at least one, got \(8, 12\)"),
        ({"channels": (0,)}, "multiples of 8"),
        ({"image_size": 7, "channels": (8, 8, 8)}, "image_size=7 cannot be halved 3 times"),
        ({"classes": 1}, "at least 2 classes, got 1"),
    ],
)
def test_bad_sizes_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ClassifierConfig(**options)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(2, 8, 8), r"shape \(B, 1, 8, 8\), batch first, got \(2, 8, 8\)"),
        (torch.zeros(2, 1, 8, 9), r"shape \(B, 1, 8, 8\)"),
        (torch.full((2, 1, 8, 8), torch.nan), "NaN or infinite entries in rows"),
        (torch.zeros(0, 1, 8, 8), "empty"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), "floating dtype"),
    ],
)
def test_images_that_do_not_fit_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        classify(fresh(), x)
