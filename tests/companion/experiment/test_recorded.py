"""Recorded runs: what is kept of a run, and how another run is compared with it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from companion.experiment import recorded, results
from companion.experiment.results import Artifact, Check, Results, Scalar
from companion.experiment.runs import Place


def found(checks: dict[str, Check] | None = None, **scalars: Scalar) -> Results:
    return Results(
        notebook="01_one", run="recorded", preset="recorded", parameters={"samples": 9}, scalars=scalars,
        figures={"f": Artifact(files=["figures/f.png"])}, tables={}, checks=checks or {}, seed=0,
        device="cpu", hardware="a machine", versions={"torch": "2"}, commit="abc", dirty=False,
        started=datetime.now(UTC),
        duration_s=1.0,
    )  # fmt: skip


def scalar(value: float, half: float) -> Scalar:
    return Scalar(value=value, interval=[value - half, value + half], level=0.95, n=10)


def placed(build: Path, run: Results) -> Place:
    place = Place(build, "01_one", "recorded")
    (place.final / "figures").mkdir(parents=True)
    (place.final / "figures/f.png").write_bytes(b"")
    results.write(run, place.final)
    return place


def test_numbers_and_provenance_are_kept_and_figures_are_not(tmp_path: Path) -> None:
    run = found(x=scalar(1, 0.1), held=Scalar(value=3))
    path = recorded.keep(placed(tmp_path, run), tmp_path / "kept")
    assert path == tmp_path / "kept/01_one.json"
    assert recorded.load("01_one", tmp_path / "kept") == run.model_copy(update={"figures": {}})
    assert recorded.load("02_two", tmp_path / "kept") is None
    assert list(recorded.load_all(["01_one", "02_two"], tmp_path / "kept")) == ["01_one"]


def test_a_run_that_does_not_hold_is_not_recorded(tmp_path: Path) -> None:
    broken = found({"sharp": Check(holds=False, about="copies must be sharper")}, x=scalar(1, 0.1))
    with pytest.raises(ValueError, match="sharp: copies must be sharper"):
        recorded.keep(placed(tmp_path, broken), tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"01_one/recorded/results\.json is not there"):
        recorded.keep(Place(tmp_path, "01_one", "recorded"), tmp_path)


def test_numbers_are_apart_where_the_interval_of_their_difference_leaves_out_zero() -> None:
    quick = found(
        near=scalar(1.0, 0.3),
        far=scalar(1.0, 0.3),
        alike=scalar(1.0, 0.0),
        bare=Scalar(value=1),
        new=scalar(1, 1),
    )
    kept = found(near=scalar(1.4, 0.3), far=scalar(1.5, 0.3), alike=scalar(2.0, 0.1), bare=Scalar(value=2))
    assert recorded.agreement(quick, kept) == recorded.Agreement(compared=["near", "far"], apart=["far"])
