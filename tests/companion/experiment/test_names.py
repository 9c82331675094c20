"""Names of runs are safe as folders, in shells and as arguments of schedulers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.experiment import names

VALUES = st.one_of(
    st.integers(),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.lists(st.integers()),
)


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ({"seed": 11, "starts": 400}, "seed-11_starts-400"),
        ({"sigma": 0.5, "train": True}, "sigma-0.5_train-true"),
        ({"sizes": [1, 2], "positions": [0, -1]}, "sizes-1-2_positions-0--1"),
        ({"device": "cpu"}, "device-cpu"),
    ],
)
def test_short_overrides_are_the_name(overrides, name):
    assert names.automatic(overrides) == name


def test_what_a_name_cannot_say_ends_in_a_hash():
    one, two = (names.automatic({"model": text}) for text in ("a/b", "a b"))
    assert one.startswith("model-a-b_")
    assert one != two
    long = [names.automatic({"sizes": [*range(100), last]}) for last in (1, 2)]
    assert long[0] != long[1]
    assert max(map(len, long)) <= names.LONGEST


@given(st.dictionaries(st.from_regex(r"[a-z][a-z_]{0,20}", fullmatch=True), VALUES, min_size=1, max_size=5))
def test_every_automatic_name_is_allowed(overrides):
    name = names.automatic(overrides)
    assert names.checked(name) == name
    assert not set(name) & set(",= /:;$'\"")


@pytest.mark.parametrize("name", ["", "../up", ".hidden", "a,b", "a=1", "a b", "a" * 250])
def test_other_names_are_refused(name):
    with pytest.raises(
        ValueError, match=f"cannot be the name of a run; .* {names.LONGEST} characters at most"
    ) as caught:
        names.checked(name)
    assert len(str(caught.value)) < 300
