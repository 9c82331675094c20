"""A table in pieces: nothing finished is lost or doubled, whatever happens in between."""

import contextlib
import errno
import json

import pyarrow as pa
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from memlib.screening import OutputError, partial_table
from memlib.screening.partial_table import PartialTable

SCHEMA = pa.schema([("item", pa.int64()), ("text", pa.string())])
SETTINGS = {"seeds": [1, 2], "model": "a"}
TOTAL, EACH = 11, 2


def rows(start, stop):
    items = [n for n in range(start, stop) for _ in range(EACH)]
    return pa.table({"item": items, "text": [None] * len(items)}, SCHEMA)


def pieces(path, **changes):
    return PartialTable(path, SETTINGS | changes, TOTAL, EACH)


def write(path, cuts, *, finish=True):
    """Write pieces that end at the cuts, from where the file is."""
    with pieces(path).open() as found:
        for stop in cuts:
            if stop > found.done:
                found.append(found.done, stop, rows(found.done, stop))
        if finish and not found.finished:
            found.join(SCHEMA)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "scores.parquet"


@pytest.fixture
def whole(tmp_path):
    """The file of a run that nothing interrupted."""
    write(tmp_path / "whole.parquet", [TOTAL])
    return (tmp_path / "whole.parquet").read_bytes()


def test_a_finished_table_is_one_file_with_its_settings(out):
    write(out, [4, 8, TOTAL])
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    assert parquet.read_table(out)["item"].to_pylist() == rows(0, TOTAL)["item"].to_pylist()
    assert partial_table.settings_of(out) == SETTINGS


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.integers(1, TOTAL), max_size=5),
    st.lists(st.integers(1, TOTAL), max_size=5),
    st.integers(1, 9),
)
def test_the_file_is_the_same_however_it_was_cut_and_resumed(tmp_path_factory, first, second, group):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(partial_table, "_GROUP", group)
        home = tmp_path_factory.mktemp("cuts")
        write(home / "a.parquet", sorted(first), finish=False)
        write(home / "a.parquet", [*sorted(second), TOTAL])
        write(home / "b.parquet", [TOTAL])
        assert (home / "a.parquet").read_bytes() == (home / "b.parquet").read_bytes()


def test_what_is_finished_is_found_again(out):
    write(out, [3, 7], finish=False)
    with pieces(out).open() as found:
        assert (found.done, found.finished) == (7, False)
    assert not out.exists()
    write(out, [TOTAL])
    with pieces(out).open() as found:
        assert (found.done, found.finished) == (TOTAL, True)


@pytest.mark.parametrize("damage", ["gone", "empty", "cut short", "of other rows"])
def test_a_damaged_piece_and_all_after_it_are_made_anew(out, whole, damage):
    write(out, [3, 5, 8], finish=False)
    piece = out.with_name(out.name + ".parts") / "000000003-000000005.parquet"
    if damage == "gone":
        piece.unlink()
    elif damage == "of other rows":
        parquet.write_table(rows(3, 8), piece)
    else:
        piece.write_bytes(b"" if damage == "empty" else piece.read_bytes()[:-9])
    with pieces(out).open() as found:
        assert found.done == 3
    write(out, [6, TOTAL])
    assert out.read_bytes() == whole


def test_half_written_files_are_no_pieces(out, whole):
    write(out, [3], finish=False)
    (out.with_name(out.name + ".parts") / ".000000003-000000005.x1.parquet").write_bytes(b"half")
    write(out, [TOTAL])
    assert out.read_bytes() == whole


def test_a_kill_between_joining_and_cleaning(out, whole):
    write(out, [3, 5, 8], finish=False)
    out.write_bytes(whole)
    write(out, [])
    assert [path.name for path in out.parent.iterdir() if path.name != "whole.parquet"] == [out.name]


@pytest.mark.parametrize("killed", [True, False])
def test_a_call_that_finished_nothing_stands_in_nobodys_way(out, whole, killed):
    if killed:
        folder = out.with_name(out.name + ".parts")
        folder.mkdir()
        (folder / "plan.json").write_text(json.dumps({"settings": {"seeds": [9]}, "notes": {}}))
    else:
        with contextlib.suppress(ZeroDivisionError), pieces(out, seeds=[9]).open() as found:
            found.note("rows", 1 / 0)
        assert [path.name for path in out.parent.iterdir()] == ["whole.parquet"]
    write(out, [TOTAL])
    assert out.read_bytes() == whole


def test_pieces_of_other_settings_outlive_a_call_that_is_refused(out, whole):
    write(out, [4], finish=False)
    with pytest.raises(OutputError, match="different in seeds"), pieces(out, seeds=[9]).open():
        pass
    with pieces(out).open() as found:
        assert found.done == 4


def test_a_lost_plan_is_a_new_start(out, whole):
    write(out, [3, 5], finish=False)
    (out.with_name(out.name + ".parts") / "plan.json").unlink()
    with pieces(out).open() as found:
        assert found.done == 0


@pytest.mark.parametrize("finish", [True, False])
def test_other_settings_are_refused_and_named(out, finish):
    write(out, [TOTAL], finish=finish)
    with (
        pytest.raises(OutputError, match=r"model: \"a\", now \"b\"; steps: null, now 1; repeat .* --restart"),
        pieces(out, model="b", steps=1).open(),
    ):
        pass
    with pieces(out, model="b", steps=1).open(restart=True) as found:
        assert (found.done, found.finished) == (0, False)


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("content", ["parquet", "text"])
def test_a_file_of_somebody_else_is_never_touched(out, restart, content):
    if content == "parquet":
        parquet.write_table(rows(0, 1), out)
    else:
        out.write_text("my notes")
    before = out.read_bytes()
    with pytest.raises(OutputError, match="is no result of this command"), pieces(out).open(restart=restart):
        pass
    assert out.read_bytes() == before


def test_only_one_writes(out):
    with (
        pieces(out).open(),
        pytest.raises(OutputError, match="another process is writing"),
        pieces(out).open(),
    ):
        pass
    with FileLock(out.with_name(f".{out.name}.lock")), pytest.raises(OutputError), pieces(out).open():
        pass


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("x")
    for path, message in [(tmp_path / "file" / "a.parquet", "cannot be written"), (tmp_path, "is a folder")]:
        with pytest.raises(OutputError, match=message), pieces(path).open():
            pass


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_full_disk_keeps_what_is_finished(out, whole, monkeypatch, at):
    real, calls = parquet.write_table, []

    def full(table, where):
        calls.append(where)
        if len(calls) > at:
            where.write_bytes(b"PAR1 half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(table, where)

    monkeypatch.setattr(partial_table.parquet, "write_table", full)
    with pytest.raises(
        OutputError, match=rf"No space left on device\. {4 * at} of 11 .* kept in .*\.parts; make room"
    ):
        write(out, [4, 8, TOTAL])
    monkeypatch.undo()
    assert len(list(out.parent.glob("scores.parquet.parts/*"))) == (at + 1 if at else 0)
    write(out, [4, 8, TOTAL])
    assert out.read_bytes() == whole


def test_a_disk_that_is_full_when_the_pieces_are_joined(out, whole, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    write(out, [TOTAL], finish=False)
    monkeypatch.setattr(partial_table, "_flush", full)
    with pytest.raises(OutputError, match="11 of 11 prompts are finished"):
        write(out, [])
    monkeypatch.undo()
    assert not out.exists()
    write(out, [])
    assert out.read_bytes() == whole


def test_pieces_must_follow_each_other_and_be_complete(out):
    with pieces(out).open() as found:
        with pytest.raises(ValueError, match="2 rows for each item from 0 on, got 2 for 1 to 2"):
            found.append(1, 2, rows(1, 2))
        with pytest.raises(ValueError, match="got 2 for 0 to 2"):
            found.append(0, 2, rows(0, 1))
        with pytest.raises(ValueError, match="0 of 11"):
            found.join(SCHEMA)


def test_notes_determine_nothing_and_stay(out):
    with pieces(out).open() as found:
        assert found.noted("rows") is None
        found.note("rows", 8)
        found.note("rows", 4)
        found.append(0, 1, rows(0, 1))
    with pieces(out).open() as found:
        assert found.noted("rows") == 4
    plan = json.loads((out.with_name(out.name + ".parts") / "plan.json").read_text())
    assert plan == {"settings": SETTINGS, "notes": {"rows": 4}}
