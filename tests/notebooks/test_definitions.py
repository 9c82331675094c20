"""Chapters import, set, call, plot and assert; what they call is in memlib or in the companion."""

import ast
import io
import tokenize

import pytest

from companion.experiment import notebooks

LIMIT = 300
LONGER = {
    "01_identities": 345,
    "05_dose_response": 374,
    "06_cifar10": 368,
    "07_latent_spectra": 663,
    "08_latent_detection": 589,
    "09_latent_mitigation": 557,
    "10_real_models": 600,
}
"""Chapters that are still longer, and how long they may be: these numbers only fall."""


def lines_of_code(source: str) -> int:
    """Lines that hold code: not blank, and more than a comment."""
    empty = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = (range(token.start[0], token.end[0] + 1) for token in tokens if token.type not in empty)
    return len({line for some in lines for line in some})


@pytest.mark.parametrize("path", notebooks.all_notebooks(), ids=lambda path: path.stem)
def test_chapters_define_nothing(path):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    assert [node.name for node in found if isinstance(node, kinds)] == []


@pytest.mark.parametrize("path", notebooks.all_notebooks(), ids=lambda path: path.stem)
def test_chapters_are_short(path):
    assert lines_of_code(path.read_text(encoding="utf-8")) <= LONGER.get(path.stem, LIMIT)


def test_lines_of_code_are_counted_without_prose():
    assert lines_of_code("# %% [markdown]\n# prose\n\n# %%\nx = (  # one\n    1\n)\n") == 3


def test_there_are_chapters():
    assert len(notebooks.all_notebooks()) >= 9
