"""Tables of captions, and what is said of broken ones."""

import pytest

from companion.prompts.labelled import LabelledCaption, labelled


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "captions.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_captions_in_order_with_any_characters(tmp_path):
    path = write(
        tmp_path, '\ufefftext,family,copies\n"a cat, seen twice",exact,12\nein Kätzchen 猫,general,\n'
    )
    assert labelled(path) == [
        LabelledCaption("a cat, seen twice", "exact", 12),
        LabelledCaption("ein Kätzchen 猫", "general", None),
    ]


def test_a_table_without_copies(tmp_path):
    found = labelled(write(tmp_path, "family,text,more\ntemplate,a cat,1\n"))
    assert found == [LabelledCaption("a cat", "template", None)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no caption"),
        ("text,family\n", "holds no caption"),
        ("caption,family\na,exact\n", r"line 2 of .* no column text, it has \['caption', 'family'\]"),
        ("prompt\na\n", "no column family and no column text"),
        ("text,family\na,exact\n\n ,exact\n", "line 4 of .* has the text ''"),
        ("text,family\na\n", r"line 2 of .* has 1 fields, the header 2 \(text, family\)"),
        ("text,family\na,\n", "line 2 of .* the family ''"),
        ("text,family\na cat, red,exact\n", "line 2 of .* has 3 fields, the header 2"),
        ("text,family\na,COCO\n", "the family 'COCO'; expected .* exact, template, general, stated"),
        ("text,family,copies\na,exact,often\n", "line 2 of .* has 'often' copies, expected a whole number"),
        ("text,family,copies\na,exact,-1\n", "has '-1' copies"),
        ('text,family\n"a,b\n', "line 2 of .* begins a row that cannot be read"),
    ],
)
def test_broken_tables(tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        labelled(write(tmp_path, text))


def test_another_encoding_and_no_file(tmp_path):
    with pytest.raises(ValueError, match=r"line 2 of .* is not UTF-8"):
        labelled(write(tmp_path, "text,family\nKätzchen,b\n", "latin-1"))
    with pytest.raises(ValueError, match="there is no file of prompts"):
        labelled(tmp_path / "missing.csv")
