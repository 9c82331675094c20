"""A results file is valid as a whole or refused."""

import json

import pytest

from companion.experiment import results


@pytest.fixture
def written(run):
    """The content of a valid results file, and its path."""
    run.record("auc", 0.98, interval=(0.95, 0.99), level=0.95, n=100)
    run.table({"x": [1]}, "numbers")
    run.finish()
    path = run.output / results.FILE
    return json.loads(path.read_text()), path


def test_what_is_written_is_what_is_read(written):
    content, path = written
    found = results.load(path)
    assert results.load(path.parent) == found
    assert json.loads(results.write(found, path.parent / "copy").read_text()) == content


def without(key):
    return lambda content: content.pop(key)


def changed(value, *keys):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (without("seed"), "seed: Field required"),
        (without("scalars"), "scalars: Field required"),
        (changed(2, "schema_version"), "schema_version: Input should be 1"),
        (changed(0, "surprise"), "surprise: Extra inputs are not permitted"),
        (changed("0.98", "scalars", "auc", "value"), "scalars.auc.value"),
        (changed(None, "scalars", "auc", "value"), "scalars.auc.value"),
        (changed(float("nan"), "scalars", "auc", "value"), "scalars.auc.value"),
        (changed([0.99, 0.95], "scalars", "auc", "interval"), "interval must be"),
        (changed([0.95], "scalars", "auc", "interval"), "at least 2 items"),
        (changed(None, "scalars", "auc", "level"), "interval and level come together"),
        (changed({"a": 1}, "parameters", "seed"), "parameters.seed"),
        (changed("2026-11-24T10:00:00", "started"), "started: Input should have timezone info"),
        (changed(-1.0, "duration_s"), "duration_s"),
        (changed(["../../secret"], "tables", "numbers", "files"), "lie inside it"),
        (changed(["/etc/passwd"], "tables", "numbers", "files"), "lie inside it"),
        (changed(["tables/gone.csv"], "tables", "numbers", "files"), "lists tables/gone.csv, not there"),
    ],
)
def test_corrupted_content_is_refused_with_file_and_field(written, corrupt, message):
    content, path = written
    corrupt(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="run the notebook again") as caught:
        results.load(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("keep", [0, 1, 100])
def test_a_truncated_file_is_refused(written, keep):
    _, path = written
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="is not a valid results file"):
        results.load(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not there; expected the results of a finished run"):
        results.load(tmp_path)
