"""Files of prompts: every format, any characters, and an error that names the place for what is broken."""

import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from memlib.screening import CaptionsError
from memlib.screening import prompt_files as captions

ODD = [
    '<i>"quoted"</i>, 7\' / \\ %s',
    "ça va\u2028déjà",
    "\U0001f408\u200d\u2b1b",
    "[red]{x}",
    "\x1b[31m",
    "猫\u3000犬",
]


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_lines_of_text(tmp_path):
    path = written(tmp_path / "a.txt", "\n".join(["\ufeff" + ODD[0], "", *ODD[1:], "  ", "last\r"]))
    found = captions.read(path)
    assert found["prompt"].to_pylist() == [*ODD, "last"]
    assert found.schema == captions.SCHEMA
    assert found["label"].null_count == found["family"].null_count == len(found)


def test_a_line_of_ten_thousand_characters_is_a_prompt_like_any_other(tmp_path):
    long = "word " * 2000 + "end"
    assert captions.read(written(tmp_path / "a.txt", f"{long}\nb"))["prompt"].to_pylist() == [long, "b"]
    assert captions.read(written(tmp_path / "a.csv", f"text\n{long}"))["prompt"].to_pylist() == [long]


@pytest.mark.parametrize("sign", [",", "\t"])
def test_delimited_columns(tmp_path, sign):
    path = tmp_path / {",": "a.csv", "\t": "a.tsv"}[sign]
    rows = [["id", "family", "caption", "memorized"], ["1", "", '"a ""b"", c\nd"', "1"], ["2", "TV", "e", ""]]
    found = captions.read(written(path, "\n".join(sign.join(row) for row in rows)))
    assert found.to_pydict() == {
        "prompt": ['a "b", c\nd', "e"],
        "label": [True, None],
        "family": [None, "TV"],
    }


def test_lines_of_json(tmp_path):
    rows = [
        {"caption": text, "family": 3, "label": label}
        for text, label in zip(ODD, [True, 1, 0, False, None, "0"], strict=True)
    ]
    path = written(tmp_path / "a.JSONL", "\n".join(map(json.dumps, rows)) + "\n\n")
    found = captions.read(path)
    assert found["prompt"].to_pylist() == ODD
    assert found["label"].to_pylist() == [True, True, False, False, None, False]
    assert found["family"].to_pylist() == ["3"] * len(ODD)


def test_parquet(tmp_path):
    parquet.write_table(pa.table({"n": [1, 2], "text": ODD[:2], "label": [1.0, 0.0]}), tmp_path / "a.parquet")
    found = captions.read(tmp_path / "a.parquet")
    assert found["prompt"].to_pylist() == ODD[:2]
    assert found["label"].to_pylist() == [True, False]


def test_prompt_goes_before_caption_and_text(tmp_path):
    found = captions.read(written(tmp_path / "a.csv", "text,caption,prompt\n1,2,3"))
    assert found["prompt"].to_pylist() == ["3"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", r"a\.txt holds no prompt"),
        ("a.txt", "\n \n", r"a\.txt holds no prompt"),
        ("a.csv", "prompt,label\n", "holds no prompt"),
        ("a.txt", "fine\nca\u00e7a".encode("latin1"), r"line 2 of .* is not UTF-8 \(byte 0xe7 at 2\).*iconv"),
        ("a.csv", "prompt\n\u00e7".encode("latin1"), "line 2 of .* is not UTF-8"),
        ("a.txt", "text".encode("utf-16"), "line 1 of .* is not UTF-8"),
        ("a.csv", "title,words\na,b", "has no column prompt, caption or text; row 1 has title, words"),
        ("a.jsonl", '{"a": 1}', "has no column prompt, caption or text; row 1 has a"),
        ("a.csv", "prompt\n1,2\n \n", "row 2 of .* has the prompt ' ', expected text"),
        ("a.jsonl", '{"prompt": 7}', "row 1 of .* has the prompt 7, expected text"),
        ("a.jsonl", '{"prompt": "a"}\n{"prompt', "line 2 of .* is no JSON"),
        ("a.jsonl", '["a"]', r"line 1 of .* expected an object"),
        ("a.jsonl", r'{"prompt": "a\ud83d"}', "row 1 of .*half a character"),
        ("a.csv", "prompt,label\na,maybe", "row 1 of .* has the label 'maybe', expected 1, true, 0, false"),
        ("a.csv", "prompt\n" + "x" * 200_000, "line 2 of .* cannot be read: field larger"),
        ("a.parquet", "no parquet", "cannot be read as parquet"),
        ("a.xlsx", "x", r"is \.xlsx, expected \.txt, \.csv"),
        ("a", "x", "without a suffix, expected"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, message):
    with pytest.raises(CaptionsError, match=message):
        captions.read(written(tmp_path / name, content))


def test_a_missing_file(tmp_path):
    with pytest.raises(CaptionsError, match="there is no file of prompts"):
        captions.read(tmp_path / "none.txt")


def test_references_are_marked(tmp_path):
    both = captions.with_reference(
        captions.read(written(tmp_path / "a.txt", "a\nb")), captions.read(written(tmp_path / "b.txt", "c"))
    )
    assert both["prompt"].to_pylist() == ["a", "b", "c"]
    assert both["reference"].to_pylist() == [False, False, True]


def test_the_digest_knows_every_value_and_their_order(tmp_path):
    one = captions.read(written(tmp_path / "a.csv", "prompt,label\na,1\nb,0"))
    others = [
        "prompt,label\nb,0\na,1",
        "prompt,label\na,1\nb,",
        "prompt,family\na,1\nb,0",
        "prompt,label\na,1",
    ]
    found = {captions.digest(captions.read(written(tmp_path / "b.csv", text))) for text in others}
    assert len(found) == 4
    assert captions.digest(one) not in found
    assert captions.digest(one) == captions.digest(pa.concat_tables([one.slice(0, 1), one.slice(1)]))
