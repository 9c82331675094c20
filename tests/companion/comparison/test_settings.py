import pytest
import torch

from companion.comparison import Settings, objectives
from memlib.mitigation import NoMitigation, apply
from memlib.mitigation.objectives import RowDifference, norm

LEVELS = {
    "score difference": 2.0,
    "SAIL printed": 3.0,
    "SAIL with the difference": 5.0,
    "SAIL released": 0.5,
    "SAIL corrected": 7.0,
}


@pytest.fixture
def settings():
    return Settings(LEVELS, dimension=256, multiples=[2.0, 4.0])


def test_objectives_are_those_of_the_noises_as_they_came(model, trials):
    found = objectives(model, trials.prompts, trials.noise, steps=4)
    assert set(found) == set(LEVELS)
    t = model.timesteps(4)[0]
    difference = RowDifference(model, t, trials.prompts.repeated(6))
    s = difference(trials.noise.repeat(3, 1, 1, 1), torch.arange(6)).detach()
    expected = norm(s).double().reshape(3, 2)
    sigma = model.level(t)["sigma"]
    assert torch.allclose(found["score difference"], sigma * expected, rtol=1e-4)
    assert torch.allclose(found["SAIL with the difference"], expected.square(), rtol=1e-4)


def test_every_method_has_as_many_settings_as_there_are_strengths(settings):
    methods = settings.methods()
    assert methods["none"] == {"": NoMitigation()}
    assert [len(some) for name, some in methods.items() if name != "none"] == [2, 2, 2, 2, 2, 5, 5, 5]
    assert list(methods["SAIL printed"]) == ["2", "4"]


def test_a_threshold_leaves_its_multiple_beside_the_penalty(settings):
    at_ordinary_length = 256**0.5
    printed = settings.printed(2.0)
    assert printed.alpha * at_ordinary_length == pytest.approx(6 * LEVELS["SAIL printed"])
    assert printed.threshold - printed.alpha * at_ordinary_length == pytest.approx(4 * LEVELS["SAIL printed"])
    assert settings.printed(2.0, penalty=0).alpha == 0
    assert settings.printed(2.0, penalty=0).threshold == pytest.approx(4 * LEVELS["SAIL printed"])
    released = settings.released(2.0)
    left = released.threshold - released.alpha * at_ordinary_length
    assert left == pytest.approx(2 * LEVELS["SAIL released"])
    assert settings.with_difference(2.0).term == "difference"
    assert settings.corrected(2.0).threshold == pytest.approx(4 * LEVELS["SAIL corrected"])
    assert settings.corrected(2.0, steps=0, candidates=8).candidates == 8
    assert settings.methods()["noise adjustment"]["4"].threshold == pytest.approx(8.0)


def test_thresholds_of_ordinary_captions_are_met_as_the_noise_comes(model, trials):
    """A multiple far above the captions' own level changes nothing."""
    found = objectives(model, trials.prompts, trials.noise, steps=4)
    settings = Settings({name: float(v.max()) for name, v in found.items()}, 256, multiples=[2.0])
    for name in ("SAIL printed", "SAIL corrected", "noise adjustment"):
        done = apply(model, settings.methods()[name]["2"], trials.prompts, trials.noise, steps=4)
        assert (done.record.step == 0).all()
        assert torch.equal(done.noise, trials.noise.expand(3, -1, -1, -1, -1))
