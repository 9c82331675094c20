"""Chapters import, set, call, plot and assert; what they call is in memlib or in the companion."""

import ast
import io
import re
import tokenize

import pytest

from companion.experiment import notebooks

LIMIT = 300

PARTS = ["Answer", "How sure", "For your model", "This chapter"]
"""What the box that opens a chapter says."""


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
    assert lines_of_code(path.read_text(encoding="utf-8")) <= LIMIT


@pytest.mark.parametrize("path", notebooks.all_notebooks(), ids=lambda path: path.stem)
def test_chapters_open_with_a_box_and_a_figure(path):
    first = notebooks.read(path).cells[0]
    assert first.cell_type == "markdown"
    title, _, box, *_ = first.source.splitlines()
    assert title.startswith("# ")
    assert box.startswith(":::{admonition} ")
    assert box.endswith("?")
    inside, _, after = first.source.partition("\n:::\n")
    assert re.findall(r"^(\w.*)\n: ", inside, re.MULTILINE) == PARTS
    answer, _, rest = inside.partition("\nHow sure\n")
    assert re.search(r"{(interval|recorded)}`[^`]+ n`", answer), "a number with its interval and its n"
    assert "{took}`run`" in rest
    assert not re.search(r"\b(minutes?|hours?|seconds)\b", inside), "times are told by the role `took`"
    directive, figure = after.lstrip().split("\n")[0].split()
    assert directive == "```{glue:figure}"
    source = path.read_text(encoding="utf-8")
    name = figure.removeprefix("figure_")
    assert re.search(rf'"{name}",(?:(?!run\.figure).)*opening=True', source, re.DOTALL)


@pytest.mark.parametrize("path", notebooks.all_notebooks(), ids=lambda path: path.stem)
def test_every_figure_and_table_is_cited(path):
    cells = notebooks.read(path).cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    names = re.findall(r"^:name: (fig-.*)$", prose, re.MULTILINE)
    for cell in cells:
        if cell.cell_type == "code":
            figure, tables = cell.metadata.get("mystnb", {}).get("figure"), cell.metadata.get("table", [])
            for item in [figure, *(tables if isinstance(tables, list) else [tables])]:
                names += [item["name"]] if item else []
    assert names
    assert [name for name in names if f"{{numref}}`{name}`" not in prose] == []


@pytest.mark.parametrize("path", notebooks.all_notebooks(), ids=lambda path: path.stem)
def test_every_figure_has_alternative_text(path):
    cells = notebooks.read(path).cells
    shown = [cell for cell in cells if cell.cell_type == "code" and "run.figure(" in cell.source]
    shown = [cell for cell in shown if "opening=True" not in cell.source]
    shown = [cell for cell in shown if "remove-output" not in cell.metadata.get("tags", ())]
    texts = [cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "") for cell in shown]
    for cell in cells:
        for _, options in re.findall(r"```{(?:glue:)?figure} (\S+)\n((?::.*\n)*)", cell.source):
            texts += re.findall(r"^:alt: (.+)$", options, re.MULTILINE) or [""]
    assert texts
    assert all(len(text) > 40 for text in texts)


def test_lines_of_code_are_counted_without_prose():
    assert lines_of_code("# %% [markdown]\n# prose\n\n# %%\nx = (  # one\n    1\n)\n") == 3


def test_there_are_chapters():
    assert len(notebooks.all_notebooks()) >= 9
