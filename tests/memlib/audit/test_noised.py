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


def test_roughness_alone_is_not_taken_for_memorization():
    """Smooth images have small errors whatever the model knows: without classes they would all be listed."""
    generator = np.random.default_rng(0)
    complexity = np.concatenate([np.full(50, 1.0), np.full(350, 8.0)]) + generator.uniform(0, 0.5, 400)
    errors = complexity + generator.normal(size=400)
    smooth = generator.uniform(1, 1.5, 30)
    p = noised.p_values(smooth + generator.normal(size=30), errors, smooth, complexity)
    assert np.median(p) > 0.2
    plain = noised.significance.conformal(-smooth, -errors)
    assert np.median(plain) < 0.15
    known = noised.p_values(smooth - 9, errors, smooth, complexity)
    assert known.max() < 0.06


def test_p_values_of_images_that_are_none_of_the_known_are_uniform():
    generator = np.random.default_rng(1)
    below = []
    for _ in range(300):
        complexity = generator.exponential(size=120)
        errors = complexity + generator.normal(size=120) * (1 + complexity)
        p = noised.p_values(errors[:20], errors[20:], complexity[:20], complexity[20:])
        below.append((p <= 0.1).mean())
    assert 0.05 < np.mean(below) <= 0.1 + 3 * np.std(below) / 300**0.5


def test_nothing_speaks_against_an_image_unlike_all_that_are_held_out():
    p = noised.p_values(np.array([-9.0, -9.0]), np.zeros(80), np.array([5.0, 0.5]), np.linspace(0, 1, 80))
    assert p[1] < 0.1
    assert p[0] <= 1
    alone = noised.p_values(np.full(60, -9.0), np.zeros(40), np.full(60, 9.0), np.linspace(0, 1, 40))
    assert (alone == 1).all()


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
