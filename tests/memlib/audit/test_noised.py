"""Images without prompts: statistics by autograd, and p-values that roughness does not move."""

import numpy as np
import pytest
import torch

from memlib.audit import Audit, Settings, noised, spaces, training_set
from memlib.audit.noised import NoisedImages

from .conftest import picture

SETTINGS = Settings(seeds=2, num_inference_steps=4)


@pytest.mark.parametrize("kind", ["epsilon", "v"])
def test_every_statistic_is_what_its_formula_says(fine_tuned, models, kind):
    model, base = fine_tuned if kind == "epsilon" else (models["v", torch.float64], None)
    noise = model.noise(2, torch.Generator().manual_seed(1))
    z = model.noise(3, torch.Generator().manual_seed(2)) / 2
    t = noised.level_time(model)
    task = NoisedImages(model, base, noise, t)
    found = task(z)
    assert list(found) == task.statistics
    level, norm = model.level(t), torch.linalg.vector_norm
    assert abs(level["sigma"] / level["alpha"] - 0.5) < 0.1
    for row, image in enumerate(z):
        expected = dict.fromkeys(found, 0.0)
        for eps in noise:
            x = (level["alpha"] * image + level["sigma"] * eps).flatten()

            def score(v, of=model):
                return of.score(t)(v.reshape(1, *noise.shape[1:])).flatten()

            s = score(x)
            H = torch.autograd.functional.jacobian(score, x)
            values = {
                "error": norm(-level["sigma"] * s - eps.flatten()),
                "norm": level["sigma"] * norm(s),
                "curvature": level["sigma"] ** 3 * norm(H @ s),
            }
            if base is not None:
                theirs = norm(-level["sigma"] * score(x, base) - eps.flatten())
                values["ahead"] = theirs - values["error"]
            expected = {name: expected[name] + values[name].item() / 2 for name in expected}
        for name, value in expected.items():
            assert found[name][row].item() == pytest.approx(value, rel=1e-4, abs=1e-6), name


def unseen(generator, complexity):
    """Errors of images that a model does not know: the rougher, the larger, and the more they vary."""
    return complexity**0.7 * np.exp(0.2 * generator.normal(size=len(complexity)))


def test_roughness_alone_is_not_taken_for_memorization():
    """Smooth images have small errors whatever the model knows: without the line they would all be listed."""
    generator = np.random.default_rng(0)
    complexity = generator.uniform(1, 10, 400)
    smooth = generator.uniform(1.1, 1.5, 30)
    errors, theirs = unseen(generator, smooth), unseen(generator, complexity)
    assert np.median(noised.p_values(errors, theirs, smooth, complexity)) > 0.2
    assert np.median(noised.significance.conformal(-errors, -theirs)) < 0.1
    assert noised.p_values(errors / 3, theirs, smooth, complexity).max() < 0.02
    rough = np.full(30, 9.5)  # known by heart, and no smaller an error than smooth images have
    known = unseen(generator, rough) / 3
    assert np.median(noised.significance.conformal(-known, -theirs)) > 0.05
    assert np.median(noised.p_values(known, theirs, rough, complexity)) < 0.01


@pytest.mark.parametrize("count", [15, 100])
def test_p_values_of_images_that_are_none_of_the_known_are_uniform(count):
    generator = np.random.default_rng(1)
    below = []
    for _ in range(1000):
        complexity = 1 + generator.exponential(size=20 + count)
        errors = unseen(generator, complexity)
        p = noised.p_values(errors[:20], errors[20:], complexity[:20], complexity[20:])
        below.append((p <= 0.125).mean())
    assert 0.08 < np.mean(below) <= 0.125 + 3 * np.std(below) / 1000**0.5


def test_nothing_speaks_against_an_image_unlike_all_that_are_held_out():
    complexity = np.linspace(1, 2, 80)
    given = np.array([0.1, 0.1, 0.1]), np.ones(80) + 0.01 * complexity
    p = noised.p_values(*given, np.array([5.0, 1.5, 0.5]), complexity)
    assert p.tolist() == [1.0, 1 / 81, 1.0]


def test_two_held_out_images_and_ones_of_one_complexity_are_no_error():
    for complexity in ([1.0, 2.0], [1.0, 1.0]):
        p = noised.p_values(np.array([0.5]), np.array([1.0, 1.2]), np.array([1.0]), np.array(complexity))
        assert p[0] in (1 / 3, 2 / 3, 1.0)


def test_rough_images_take_more_bits():
    smooth = picture(0, (32, 32))
    rough = training_set.Image.effect_noise((32, 32), 80).convert("RGB")
    assert noised.complexity(rough, 32, 32) > 1.5 * noised.complexity(smooth, 32, 32)


@pytest.fixture
def images(tmp_path):
    home = tmp_path / "pictures"
    home.mkdir()
    for k in range(5):
        picture(k).save(home / f"{k}.png")
    return training_set.below(home)


def split(images):
    names = list(images)
    return {name: images[name] for name in names[:2]}, {name: images[name] for name in names[2:]}


def test_images_have_their_own_table_and_a_stopped_call_goes_on(fine_tuned, images, tmp_path, monkeypatch):
    shown, unseen = split(images)
    whole = Audit(*fine_tuned, settings=SETTINGS, images=shown, held_out=unseen)
    expected = whole.run(tmp_path / "whole", rows=2)
    assert [one.image for one in sorted(expected.images, key=lambda one: one.image)] == list(shown)
    assert expected.held_out == 3
    assert set(expected.images[0].values) == set(noised.STATISTICS)
    assert expected.captions == []
    page = (tmp_path / "whole/report.html").read_text()
    assert "Images without prompts, the best known first" in page
    assert "Captions, the most suspicious first" not in page
    calls, call = [], NoisedImages.__call__

    def stopping(self, latents):
        calls.append(len(latents))
        if len(calls) % 2 == 0:
            raise KeyboardInterrupt
        return call(self, latents)

    monkeypatch.setattr(NoisedImages, "__call__", stopping)
    for _ in range(20):
        try:
            found = whole.run(tmp_path / "parts", rows=2)
            break
        except KeyboardInterrupt as stop:
            assert "images are finished and kept" in str(stop)  # noqa: PT017
    assert len(calls) > 5
    assert found.model_copy(update={"made": expected.made}) == expected


def test_images_need_held_out_ones(fine_tuned, images, tmp_path):
    for count in (0, 1):
        few = dict(list(images.items())[:count])
        with pytest.raises(
            ValueError, match=f"has not seen, and there are {count}; give many of like complexity"
        ):
            Audit(*fine_tuned, settings=SETTINGS, images=images, held_out=few).run(tmp_path)


def test_a_broken_image_is_named(fine_tuned, images, tmp_path):
    next(iter(images.values())).write_bytes(b"no image")
    shown, unseen = split(images)
    with pytest.raises(training_set.TrainingSetError, match=r"0\.png cannot be read as an image"):
        Audit(*fine_tuned, settings=SETTINGS, images=shown, held_out=unseen).run(tmp_path / "out")


def test_the_size_of_images_is_that_of_the_autoencoder(models):
    model = models["epsilon", torch.float32]
    assert spaces.size(model) == tuple(model.decode(model.noise(1, torch.Generator())).shape[-2:])
