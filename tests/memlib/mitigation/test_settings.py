"""Methods by name, with settings as text."""

from dataclasses import fields

import pytest

from memlib.mitigation import METHODS, RandomAddition, Sail, from_text, settings_of
from memlib.mitigation.settings import about, values_of


@pytest.mark.parametrize("name", METHODS)
def test_every_setting_is_described_and_can_be_given_as_text(name):
    known = settings_of(name)
    assert [*known] == [field.name for field in fields(METHODS[name])]
    assert about(name).endswith(".")
    assert all(setting.kind and setting.about for setting in known.values())
    values = {key: 1.5 if one.default is None else one.default for key, one in known.items()}
    made = from_text(name, {key: str(value) for key, value in values.items()})
    assert isinstance(made, METHODS[name])
    assert values_of(made) == values


def test_the_others_have_their_defaults():
    assert from_text("sail", {"threshold": "2e-1", "steps": " 3 "}) == Sail(0.2, steps=3)
    assert from_text("random-addition", {"kind": "number"}) == RandomAddition("number")


@pytest.mark.parametrize(("text", "value"), [("no", False), ("True", True), ("0", False), ("yes", True)])
def test_truth(text, value):
    assert from_text("sail", {"threshold": "1", "project": text}).project is value


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("sale", {}, "no mitigation is called 'sale'; there are none, sail, noise-adjustment"),
        (
            "sail",
            {},
            r"sail needs the setting threshold; .* threshold \(a number, must be given\), steps \(an inte",
        ),
        ("sail", {"treshold": "1"}, "sail has no setting 'treshold'; the settings of sail are threshold"),
        ("sail-printed", {"threshold": "1"}, "belongs to the book: import companion.comparison.SailPrinted;"),
        ("sail-released", {}, "import companion.comparison.SailReleased; sail is the corrected version"),
        ("none", {"x": "1"}, "none has no setting 'x'; the settings of none are none"),
        ("sail", {"threshold": "low"}, "threshold of sail must be a number, got 'low'"),
        ("sail", {"threshold": "nan"}, "threshold of sail must be a number, got 'nan'"),
        ("sail", {"threshold": "inf"}, "threshold of sail must be a number, got 'inf'"),
        ("sail", {"threshold": "1", "steps": "1.5"}, "steps of sail must be an integer, got '1.5'"),
        (
            "sail",
            {"threshold": "1", "project": "maybe"},
            "project of sail must be true or false, got 'maybe'",
        ),
        ("random-addition", {"kind": "word"}, "kind of random-addition must be token or number, got 'word'"),
        ("sail", {"threshold": "-1"}, "threshold and learning_rate must be positive"),
    ],
)
def test_an_impossible_choice_is_refused_with_a_list_of_choices(name, given, message):
    with pytest.raises(ValueError, match=message):
        from_text(name, given)
