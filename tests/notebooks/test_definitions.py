"""Chapters import, set, call, plot and assert; what they call is in memlib."""

import ast

import pytest

from companion.experiment import notebooks


@pytest.mark.parametrize("path", notebooks.all_notebooks(), ids=lambda path: path.stem)
def test_chapters_define_nothing(path):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    assert [node.name for node in found if isinstance(node, kinds)] == []


def test_there_are_chapters():
    assert len(notebooks.all_notebooks()) >= 9
