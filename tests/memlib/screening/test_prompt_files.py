"""Files of prompts: every format, any characters, and an error that names the place for what is broken."""

import csv
import json
import subprocess

import pyarrow as pa
import pytest
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from memlib.screening import PromptFileError, prompt_files

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
    path = written(tmp_path / "a.txt", "\n".join(["\ufeff" + ODD[0], "", *ODD[1:], "  ", "last\r\n"]))
    found = prompt_files.read(path)
    assert found["prompt"].to_pylist() == [*ODD, "last"]
    assert found.schema == prompt_files.SCHEMA
    assert found["label"].null_count == found["family"].null_count == len(found)


def test_a_line_of_ten_thousand_characters_is_a_prompt_like_any_other(tmp_path):
    long = "word " * 2000 + "end"
    assert prompt_files.read(written(tmp_path / "a.txt", f"{long}\nb"))["prompt"].to_pylist() == [long, "b"]
    assert prompt_files.read(written(tmp_path / "a.csv", f"text\n{long}"))["prompt"].to_pylist() == [long]


@pytest.mark.parametrize("sign", [",", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimited_columns(tmp_path, sign, end):
    path = tmp_path / {",": "a.csv", "\t": "a.tsv"}[sign]
    rows = [["id", "family", "caption", "memorized"], ["1", "", '"a ""b"", c\nd"', "1"], ["2", "TV", "e", ""]]
    found = prompt_files.read(written(path, end.join([*(sign.join(row) for row in rows), "", ""])))
    assert found.to_pydict() == {
        "prompt": ['a "b", c\nd', "e"],
        "label": [True, None],
        "family": [None, "TV"],
    }


def test_what_a_program_wrote_is_read_as_it_was(tmp_path):
    """Commas, quotes, line ends and spaces, as the csv module and pyarrow write them."""
    texts = [*ODD, "a, b", " a", 'the 12" record, "live"', "two\r\nlines", "one\rtwo", '""', ","]
    for name, sign in (("a.csv", ","), ("a.tsv", "\t")):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, delimiter=sign)
            rows.writerow(["prompt", "family"])
            rows.writerows([text, f"{text}"] for text in texts if text != " a")
        kept = [text for text in texts if text != " a"]
        assert prompt_files.read(tmp_path / name).select(["prompt", "family"]).to_pydict() == {
            "prompt": kept,
            "family": kept,
        }
    arrow_csv.write_csv(pa.table({"prompt": texts, "family": texts}), tmp_path / "b.csv")
    assert prompt_files.read(tmp_path / "b.csv")["family"].to_pylist() == texts


def test_the_first_column_of_a_table_of_pandas_needs_no_name(tmp_path):
    found = prompt_files.read(written(tmp_path / "a.csv", ",prompt\n0,cat\n1,dog\n"))
    assert found.to_pydict() == {"prompt": ["cat", "dog"], "label": [None] * 2, "family": [None] * 2}


def test_blank_lines_are_no_rows(tmp_path):
    for name, header in (("a.csv", "prompt\n\n"), ("a.tsv", "\nprompt\n"), ("a.jsonl", ""), ("a.txt", "")):
        rows = '{"prompt": "b"}' if name == "a.jsonl" else "b"
        found = prompt_files.read(written(tmp_path / name, f"{header}{rows}\n\n\r\n{rows}\n\n"))
        assert found["prompt"].to_pylist() == ["b", "b"]


def test_lines_of_json(tmp_path):
    rows = [
        {"caption": text, "family": 3, "label": label}
        for text, label in zip(ODD, [True, 1, 0, False, None, "0"], strict=True)
    ]
    path = written(tmp_path / "a.JSONL", "\n".join(map(json.dumps, rows)) + "\n\n")
    found = prompt_files.read(path)
    assert found["prompt"].to_pylist() == ODD
    assert found["label"].to_pylist() == [True, True, False, False, None, False]
    assert found["family"].to_pylist() == ["3"] * len(ODD)


def test_parquet(tmp_path):
    parquet.write_table(pa.table({"n": [1, 2], "text": ODD[:2], "label": [1.0, 0.0]}), tmp_path / "a.parquet")
    found = prompt_files.read(tmp_path / "a.parquet")
    assert found["prompt"].to_pylist() == ODD[:2]
    assert found["label"].to_pylist() == [True, False]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", r"a\.txt holds no prompt"),
        ("a.txt", "\n \n", r"a\.txt holds no prompt"),
        ("a.csv", "prompt,label\n", "holds no prompt"),
        ("a.txt", "one\rtwo", r"line 1 of .* carriage return; .* tr '\\r' '\\n' < .*a\.txt > .*new-a\.txt"),
        ("a.txt", "fine\r\none\r\r\n", "line 2 of .* carriage return"),
        ("a.csv", "prompt\rone\rtwo\r", r"line 1 of .* cannot be read: new-line .* tr '\\r'"),
        ("a.txt", "a cat\nb\0c\na dog\n", r"line 2 of .* holds a NUL character within 'b\\x00c'; remove it"),
        ("a.txt", "a\n\ufeffb", "line 2 of .* holds a byte order mark"),
        ("a.jsonl", r'{"prompt": "a\u0000"}', "line 1 of .* holds a NUL character"),
        ("a.jsonl", '{"prompt": "a", "prompt": "b"}', "line 1 of .* names 'prompt' more than once"),
        ("a.jsonl", '{"prompt": "a"}\n{"prompt": "a", "text": "b"}', "line 2 of .* columns prompt and text"),
        (
            "a.jsonl",
            '{"prompt": "a", "family": ["b"]}',
            r"line 1 of .* has the family \['b'\], expected text",
        ),
        ("a.jsonl", "[" * 100_000, "line 1 of .* is no JSON"),
        (
            "a.csv",
            "prompt\na red square, top left, on blue\n",
            r"line 2 of .* 3 fields, the header 1 \(prompt\)",
        ),
        (
            "a.csv",
            "prompt,family\na red square, top left\n",
            "line 2 of .* the field ' top left' without quotes",
        ),
        ("a.csv", "prompt,family\na,b\n\nc\n", "line 4 of .* has 1 fields, the header 2"),
        ("a.tsv", "prompt\tfamily\na\n", "line 2 of .* has 1 fields, the header 2"),
        ("a.tsv", "prompt\na\tb\n", "line 2 of .* has 2 fields, the header 1"),
        ("a.tsv", 'prompt\tlabel\n"Unclosed\t1\nb\t0\nc\t1\n', "line 2 of .* begins a row .* end of data"),
        ("a.tsv", 'prompt\tlabel\n"Unclosed\t1\n"b" c\t0\n', "line 2 of .* begins a row that cannot be read"),
        ("a.csv", 'prompt,label\n"Unclosed,1\nb,0\n', "line 2 of .* begins a row .* unexpected end of data"),
        ("a.csv", 'prompt\nfine\n"a \\"quoted\\" cat"\n', "line 3 of .* begins a row that cannot be read"),
        ("a.csv", 'prompt\na \\"quoted\\" cat\n', "line 2 of .* has a backslash before a quote"),
        ("a.csv", 'prompt\na "red,white" flag\n', "line 2 of .* has 2 fields"),
        ("a.csv", 'prompt,family\na "red,white" flag\n', "line 2 of .* without quotes around it"),
        ("a.csv", "prompt,caption\na,b", "line 2 of .* the columns prompt and caption; remove or rename"),
        ("a.csv", "prompt,label,memorized\na,1,0", "line 2 of .* the columns label and memorized"),
        ("a.csv", "prompt,family,prompt\na,b,c", "line 1 of .* names 'prompt' more than once"),
        ("a.csv", "prompt,\na,b", "line 1 of .* leaves a column without a name"),
        ("a.csv", "prompt\n\n\na\n  \n", "line 5 of .* has the prompt '  ', expected text; fill it in"),
        ("a.csv", 'prompt\n"a\nb"\n""\n', "line 4 of .* has the prompt ''"),
        (
            "a.txt",
            "fine\nca\u00e7a".encode("latin1"),
            r"line 2 of .* is not UTF-8 \(byte 0xe7 at 2\).* iconv -f cp1252",
        ),
        ("a.csv", "prompt\n\u00e7".encode("latin1"), "line 2 of .* is not UTF-8"),
        ("a.csv", "title,words\na,b", "has no column prompt, caption or text; it has title, words"),
        ("a.jsonl", '{"a": 1}', "has no column prompt, caption or text; it has a"),
        ("a.jsonl", '{"prompt": 7}', "line 1 of .* has the prompt 7, expected text"),
        ("a.jsonl", '{"prompt": "a"}\n{"prompt', "line 2 of .* is no JSON"),
        ("a.jsonl", '["a"]', r"line 1 of .* expected an object"),
        ("a.jsonl", r'{"prompt": "a\ud83d"}', "line 1 of .*half a character"),
        ("a.csv", "prompt,label\na,maybe", "line 2 of .* has the label 'maybe', expected 1, true, 0, false"),
        ("a.csv", "prompt\n" + "x" * 200_000, "line 2 of .* begins a row that cannot be read: field larger"),
        ("a.parquet", "no parquet", "cannot be read as parquet"),
        ("a.xlsx", "x", r"is \.xlsx, expected \.txt, \.csv"),
        ("a", "x", "without a suffix, expected"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, content, message):
    with pytest.raises(PromptFileError, match=message):
        prompt_files.read(written(tmp_path / name, content))


@pytest.mark.parametrize("text", ["a cat\nsome dog\n", "猫が好き 犬\n漢字\n", "x"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_encodings_are_recognised_and_the_advice_is_right(tmp_path, encoding, mark, text):
    path = written(tmp_path / "a file.txt", (mark + text).encode(encoding))
    with pytest.raises(PromptFileError, match="expected UTF-8; convert it: iconv ") as stop:
        prompt_files.read(path)
    command = str(stop.value).partition("convert it: ")[2]
    subprocess.run(["sh", "-c", command], check=True)
    assert (
        prompt_files.read(tmp_path / "new-a file.txt")["prompt"].to_pylist()
        == text.split("\n")[: text.count("\n") or 1]
    )


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"prompt": ["a", None]}, "row 2 of .* has the prompt None"),
        ({"prompt": [1, 2]}, "row 1 of .* has the prompt 1, expected text"),
        ({"prompt": [b"a"]}, "row 1 of .* has the prompt b'a', expected text"),
        ({"prompt": ["a"], "text": ["b"]}, "row 1 of .* the columns prompt and text"),
        ({"prompt": ["a"], "label": [2]}, "row 1 of .* has the label 2"),
        ({"prompt": ["a"], "label": [[True]]}, r"row 1 of .* has the label \[True\]"),
        ({"prompt": ["a"], "family": [1.5]}, r"row 1 of .* has the family 1\.5"),
        ({"words": ["a"]}, "row 1 of .* has no column prompt"),
    ],
)
def test_parquet_of_other_types(tmp_path, table, message):
    parquet.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(PromptFileError, match=message):
        prompt_files.read(tmp_path / "a.parquet")


def test_parquet_with_a_column_twice(tmp_path):
    parquet.write_table(pa.Table.from_arrays([pa.array(["a"])] * 2, ["prompt"] * 2), tmp_path / "a.parquet")
    with pytest.raises(PromptFileError, match="names 'prompt' more than once"):
        prompt_files.read(tmp_path / "a.parquet")


def test_a_missing_file(tmp_path):
    with pytest.raises(PromptFileError, match="there is no file of prompts"):
        prompt_files.read(tmp_path / "none.txt")


def test_references_are_marked(tmp_path):
    both = prompt_files.with_reference(
        prompt_files.read(written(tmp_path / "a.txt", "a\nb")),
        prompt_files.read(written(tmp_path / "b.txt", "c")),
    )
    assert both["prompt"].to_pylist() == ["a", "b", "c"]
    assert both["reference"].to_pylist() == [False, False, True]


def test_the_digest_knows_every_value_and_their_order(tmp_path):
    one = prompt_files.read(written(tmp_path / "a.csv", "prompt,label\na,1\nb,0"))
    others = [
        "prompt,label\nb,0\na,1",
        "prompt,label\na,1\nb,",
        "prompt,family\na,1\nb,0",
        "prompt,label\na,1",
    ]
    found = {prompt_files.digest(prompt_files.read(written(tmp_path / "b.csv", text))) for text in others}
    assert len(found) == 4
    assert prompt_files.digest(one) not in found
    assert prompt_files.digest(one) == prompt_files.digest(pa.concat_tables([one.slice(0, 1), one.slice(1)]))
