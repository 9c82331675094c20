"""Parameters cells are read without running them, and checked before anything runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.experiment import parameters
from companion.experiment.parameters import Parameter

CELL = '''\
"""Parameters."""
seed: int = 0  # seed of every random draw
train: bool = False  # train again # really
sigma: float = 1e-3
title: str = "a # b"  # text
sizes: list[int] = [4, 8]
levels: list[float] = [
    0.1,
    -1,
]  # noise levels
names: list[str] = []
steps: int  # no default
'''

TEXT = st.text("ab #'\"\\[]{}\né")  # what could end a literal early

VALUES = {
    "bool": st.booleans(),
    "int": st.integers(),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "str": TEXT,
    "list[int]": st.lists(st.integers()),
    "list[float]": st.lists(st.floats(allow_nan=False, allow_infinity=False)),
    "list[str]": st.lists(TEXT),
}


def test_reads_names_types_defaults_and_help():
    assert parameters.parse(CELL) == [
        Parameter("seed", "int", 0, "seed of every random draw"),
        Parameter("train", "bool", False, "train again # really"),
        Parameter("sigma", "float", 1e-3),
        Parameter("title", "str", "a # b", "text"),
        Parameter("sizes", "list[int]", [4, 8]),
        Parameter("levels", "list[float]", [0.1, -1], "noise levels"),
        Parameter("names", "list[str]", []),
        Parameter("steps", "int", help="no default"),
    ]


def test_reading_runs_nothing(write_notebook, tmp_path):
    notebook = write_notebook(f"# %%\nopen({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit\n")
    assert [parameter.name for parameter in parameters.read(notebook)] == ["seed", "device", "output"]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("seed = 0", "expected `name: type = value"),
        ("import os", "expected `name: type = value"),
        ("x: complex = 1j", "x has type complex; expected one of bool, int"),
        ("x: int = 3 * y", "expected a literal"),
        ("x: int = 0.5", "x must be int, got 0.5"),
        ("x: bool = 1", "x must be bool, got 1"),
        ("x: list[int] = [1, 'a']", r"x must be list\[int\]"),
        ("x: int =", "invalid syntax"),
    ],
)
def test_a_cell_that_is_not_plain_is_refused_with_its_file(write_notebook, cell, message):
    notebook = write_notebook("", parameters=f'# %% tags=["parameters"]\n{cell}\n')
    with pytest.raises(ValueError, match=message) as caught:
        parameters.read(notebook)
    assert str(notebook) in str(caught.value)


@pytest.mark.parametrize("cells", [0, 2])
def test_exactly_one_parameters_cell(write_notebook, cells):
    notebook = write_notebook("", parameters='# %% tags=["parameters"]\nx: int = 0\n\n' * cells)
    with pytest.raises(ValueError, match=f"has {cells} cells tagged"):
        parameters.read(notebook)


def test_a_notebook_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="is not there"):
        parameters.read(tmp_path / "01_none.py")


def test_overrides_go_on_top_of_defaults():
    declared = parameters.parse(CELL)
    values = parameters.check(declared, {"steps": 3, "sizes": [1]})
    assert values["steps"] == 3
    assert values["sizes"] == [1]
    assert values["title"] == "a # b"


def test_all_faults_are_named_at_once_with_what_is_valid():
    with pytest.raises(ValueError, match="unknown parameter 'sead', did you mean seed") as caught:
        parameters.check(parameters.parse(CELL), {"sead": 1, "sigma": "1e-3", "zzz": 0})
    message = str(caught.value)
    assert "unknown parameter 'zzz';" in message
    assert "sigma must be float, got '1e-3' (str); in YAML write 1.0e-3" in message
    assert "steps is missing and has no default" in message
    for line in ("seed: int = 0", "sizes: list[int] = [4, 8]", "steps: int\n", "title: str = 'a # b'"):
        assert f"  {line}" in message + "\n"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", True),
        ("int", 1.0),
        ("int", "1"),
        ("bool", 1),
        ("float", True),
        ("float", float("nan")),
        ("float", float("inf")),
        ("str", 1),
        ("str", None),
        ("list[int]", [True]),
        ("list[float]", "0.1"),
        ("list[str]", "ab"),
    ],
)
def test_no_value_is_bent_into_another_type(kind, value):
    with pytest.raises(ValueError, match="x must be"):
        parameters.check([Parameter("x", kind, value)], {})


def test_an_int_is_a_float():
    assert parameters.check([Parameter("x", "float", 1)], {}) == {"x": 1.0}


@given(st.data())
def test_what_a_literal_says_is_what_is_read(data):
    kind = data.draw(st.sampled_from(sorted(VALUES)))
    value = data.draw(VALUES[kind])
    (read,) = parameters.parse(f"x: {kind} = {value!r}  # help")
    assert (read.name, read.type, read.help) == ("x", kind, "help")
    assert parameters.check([read], {}) == {"x": value}


@given(st.data())
def test_texts_of_the_command_line_become_what_they_say(data):
    kind = data.draw(st.sampled_from(sorted(set(VALUES) - {"str"})))
    value = data.draw(VALUES[kind])
    declared = [Parameter("x", kind)]
    assert parameters.check(declared, parameters.from_text(declared, {"x": repr(value)})) == {"x": value}


def test_text_stays_text_and_flags_may_be_lower_case():
    declared = [Parameter("name", "str"), Parameter("flag", "bool"), Parameter("n", "int")]
    given_texts = {"name": "3", "flag": "true", "n": "many", "unknown": "1"}
    assert parameters.from_text(declared, given_texts) == {
        "name": "3",
        "flag": True,
        "n": "many",
        "unknown": "1",
    }


def test_annotations_of_a_running_notebook():
    space = {"seed": 1, "sizes": [2], "late": 0.5, "other": object(), "plain": 3}
    space["__annotations__"] = {
        "seed": int,
        "sizes": list[int],
        "late": "float",
        "other": object,
        "gone": int,
    }
    assert parameters.from_namespace(space) == [
        Parameter("seed", "int", 1),
        Parameter("sizes", "list[int]", [2]),
        Parameter("late", "float", 0.5),
    ]


def test_annotations_made_on_demand():
    space = {"seed": 1, "__annotate__": lambda form: {"seed": int} if form == 1 else {}}
    assert parameters.from_namespace(space) == [Parameter("seed", "int", 1)]
    assert parameters.from_namespace({"seed": 1}) == []
