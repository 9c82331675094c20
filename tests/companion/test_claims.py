"""Claims as data: the schema, the conditions, the verdicts, and what is said when they differ."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from companion import cli
from companion.claims import (
    Claim,
    Finding,
    Ledger,
    Test,
    contradictions,
    deciding,
    find_faults,
    judge,
    judge_all,
    load_ledger,
    load_runs,
    seeds,
    table,
)
from companion.claims import pages as claim_pages
from companion.claims.conditions import Estimate, Range
from companion.claims.ledger import CONDITIONS, Model
from companion.claims.papermap import Failure, Failures, Item, faults
from companion.experiment import results as results_file
from companion.experiment.results import Results, Scalar
from memlib import intervals


def results(**scalars: Scalar) -> Results:
    return Results(
        notebook="01_one", run="quick", preset="quick", parameters={}, scalars=scalars, figures={}, tables={},
        seed=0, device="cpu", hardware="a machine", versions={}, commit="none", dirty=False,
        started=datetime.now(UTC), duration_s=1.0,
    )  # fmt: skip


def scalar(low: float, high: float) -> Scalar:
    return Scalar(value=(low + high) / 2, interval=[low, high], level=0.95, n=10, about="a number")


RUNS = {
    "01_one": results(x=scalar(1.0, 2.0), y=scalar(3.0, 4.0), z=scalar(1.5, 3.5), exact=Scalar(value=5)),
    "02_two": results(x=scalar(-2.0, -1.0)),
}


def claim(*tests: dict[str, Any], verdict: str = "reproduced", **fields: Any) -> Claim:
    base = {"id": "a", "where": "Lemma 1", "claim": "So it is.", "verdict": verdict, "tests": tests}
    if tests:
        base["chapter"] = "01_one"
    return Claim.model_validate(base | fields)


def outcome(**test: Any) -> str:
    return judge(claim(test), RUNS).measurements[0].outcome


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ({"above": 0.5}, "holds"),
        ({"above": 1.5}, "undecided"),
        ({"above": 2.0}, "fails"),
        ({"below": 2.5}, "holds"),
        ({"below": 1.5}, "undecided"),
        ({"below": 1.0}, "fails"),
        ({"within": [1.0, 2.0]}, "holds"),
        ({"within": [1.5, 3.0]}, "undecided"),
        ({"within": [2.5, 3.0]}, "fails"),
        ({"less_than": "y"}, "holds"),
        ({"less_than": "y", "margin": 1.0}, "holds"),
        ({"less_than": "y", "margin": 1.5}, "undecided"),
        ({"less_than": "z"}, "undecided"),
        ({"greater_than": "y"}, "fails"),
        ({"greater_than": "02_two::x"}, "holds"),
        ({"equals": "z", "margin": 1.0}, "undecided"),  # the intervals meet, which proves nothing
        ({"equals": "z", "margin": 3.0}, "holds"),
        ({"equals": "y", "margin": 1.0}, "fails"),
    ],
)
def test_a_condition_must_hold_for_the_whole_interval(test: dict[str, Any], expected: str) -> None:
    assert outcome(key="x", **test) == expected


def test_a_number_without_interval_is_compared_as_it_is() -> None:
    assert outcome(key="exact", above=4.9) == "holds"
    assert outcome(key="exact", below=5.0) == "fails"
    assert outcome(key="exact", equals="exact", margin=0) == "holds"


def test_a_key_of_another_chapter_is_found_there() -> None:
    measured = judge(claim({"key": "02_two::x", "below": 0}), RUNS).measurements[0]
    assert (measured.notebook, measured.key, measured.outcome) == ("02_two", "x", "holds")


HOLDS, FAILS, OPEN = {"key": "x", "above": 0}, {"key": "x", "above": 9}, {"key": "x", "above": 1.5}


@pytest.mark.parametrize(
    ("tests", "verdict"),
    [
        ([HOLDS, HOLDS], "reproduced"),
        ([HOLDS, FAILS], "reproduced in part"),
        ([HOLDS, OPEN], "reproduced in part"),
        ([FAILS, OPEN], "not reproduced"),
        ([OPEN], "undecided"),
    ],
)
def test_the_verdict_follows_from_the_outcomes(tests: list[dict[str, Any]], verdict: str) -> None:
    finding = judge(claim(*tests, verdict=verdict), RUNS)
    assert finding.verdict == verdict
    assert finding.agrees
    assert find_faults([finding]) == []


NUMBERS = st.floats(-1e6, 1e6)
WIDTHS = st.floats(0, 1e6)
RANGES = st.one_of(
    st.builds(lambda low: Range(low=low), NUMBERS),
    st.builds(lambda high: Range(high=high), NUMBERS),
    st.builds(lambda low, width: Range(low, low + width, closed=True), NUMBERS, WIDTHS),
)


@given(low=NUMBERS, width=WIDTHS, left=WIDTHS, right=WIDTHS, allowed=RANGES)
def test_a_wider_interval_never_decides_more(
    low: float, width: float, left: float, right: float, allowed: Range
) -> None:
    narrow = Estimate(low + width / 2, low, low + width, n=10)
    wide = Estimate(low + width / 2, low - left, low + width + right, n=10)
    assume(not narrow.degenerate)
    assert allowed.outcome(wide) in {allowed.outcome(narrow), "undecided"}


@given(low=NUMBERS, width=st.floats(1e-3, 1e6), bound=NUMBERS)
def test_a_condition_that_holds_refutes_its_opposite(low: float, width: float, bound: float) -> None:
    estimate = Estimate(low + width / 2, low, low + width, n=10)
    above, below = Range(low=bound).outcome(estimate), Range(high=bound).outcome(estimate)
    assert (above == "holds") <= (below == "fails")
    assert (below == "holds") <= (above == "fails")


@pytest.mark.parametrize("test", [{"above": -1.0}, {"below": 1.0}, {"within": [-1.0, 1.0]}, {"above": 1.0}])
def test_draws_that_are_all_alike_decide_nothing(test: dict[str, Any]) -> None:
    """Two perfect detectors differ by 0 [0, 0], which tells neither equality nor a difference."""
    runs = {"01_one": results(x=scalar(0.0, 0.0))}
    measured = judge(claim({"key": "x", **test}), runs).measurements[0]
    assert (measured.outcome, measured.needed) == ("undecided", None)


@pytest.mark.parametrize(
    ("test", "needed"),
    [
        ({"above": 1.0}, None),  # decided
        ({"above": 1.25}, 40),  # the lower arm of 0.5 has to shrink to a half
        ({"below": 1.25}, 40),
        ({"within": [1.25, 9.0]}, 40),
        ({"within": [1.4, 1.75]}, 250),  # the nearer end counts: a fifth
        ({"above": 1.5}, None),  # on the bound no n decides
        ({"key": "exact", "above": 4.0}, None),
    ],
)
def test_an_undecided_number_says_which_n_would_do(test: dict[str, Any], needed: int | None) -> None:
    runs = {"01_one": results(x=scalar(1.0000001, 1.9999999), exact=Scalar(value=5))}
    found = judge(claim({"key": "x", **test}), runs).measurements[0].needed
    assert found == (None if needed is None else pytest.approx(needed, abs=1))


def test_the_interval_of_a_difference_covers_it() -> None:
    """Means of 12 and of 30 normal numbers, as often as the level says."""
    rng = np.random.default_rng(0)
    hits = 0
    for first, second in zip(rng.normal(0.3, 1, (2000, 12)), rng.normal(0, 2, (2000, 30)), strict=True):
        one, other = intervals.mean(first), intervals.mean(second)
        found = Estimate(one.value, *one.bounds, one.n).less(Estimate(other.value, *other.bounds, other.n))
        hits += found.low <= 0.3 <= found.high
    assert abs(hits / 2000 - 0.95) < 0.015


def test_a_wrong_verdict_is_a_fault_that_says_why() -> None:
    (fault,) = find_faults(judge_all(ledger_of(claim(HOLDS, FAILS, verdict="reproduced")), RUNS))
    assert fault.startswith("a: the ledger says 'reproduced', the runs say 'reproduced in part'")
    assert fault.endswith("(01_one::x holds; 01_one::x fails)")


MODELS = (
    Model(name="closed forms", chapters=("01_one",)),
    Model(name="organism", chapters=("02_two",), stand_in=True),
    Model(name="the original", chapters=(None,)),
)


def ledger_of(*claims: Claim) -> Ledger:
    return Ledger(preset="quick", models=MODELS, claims=claims)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ({"key": "gone", "above": 0}, "claim a: 01_one \\(run quick\\) records no 'gone'; it records x, y"),
        (
            {"key": "03_three::x", "above": 0},
            "claim a: no run of 03_three for 03_three::x; expected one of 01_one",
        ),
        ({"key": "x", "less_than": "gone"}, "claim a: 01_one \\(run quick\\) records no 'gone'"),
    ],
)
def test_a_number_that_is_not_there_is_named(test: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        judge(claim(test), RUNS)


@pytest.mark.parametrize("conditions", [{}, {"above": 0, "below": 1}])
def test_a_test_has_one_condition(conditions: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="exactly one condition of above, below"):
        Test.model_validate({"key": "x", **conditions})


def test_a_margin_is_asked_for_where_numbers_are_equal_and_nowhere_else() -> None:
    with pytest.raises(ValueError, match="within which margin"):
        Test.model_validate({"key": "x", "equals": "y"})
    with pytest.raises(ValueError, match="greater_than, less_than and equals alone"):
        Test.model_validate({"key": "x", "above": 0.5, "margin": 0.1})


def test_conditions_are_the_fields_of_a_test() -> None:
    assert set(CONDITIONS) == set(Test.model_fields) - {"key", "margin"}
    assert set(table.WORDS) == set(CONDITIONS)


def test_an_untestable_claim_says_why_and_how() -> None:
    why = {"verdict": "not testable here", "why": "Needs weights.", "command": "companion run x"}
    assert judge(claim(**why), RUNS).agrees
    for spoilt in (why | {"why": ""}, why | {"command": ""}, why | {"tests": [HOLDS], "chapter": "01_one"}):
        with pytest.raises(ValueError, match="not testable here"):
            claim(**spoilt)
    for spoilt in ({"tests": []}, {"tests": [HOLDS], "chapter": "01_one", "why": "?"}):
        with pytest.raises(ValueError, match="a has a verdict"):
            claim(**spoilt)


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_faulty_file_is_named_with_every_fault(tmp_path: Path) -> None:
    entry = {"id": "a b", "where": "", "claim": "c", "verdict": "maybe", "colour": "red"}
    path = write(tmp_path / "claims.yml", {"preset": "quick", "claims": [entry]})
    with pytest.raises(ValueError, match=r"claims\.yml does not fit its schema") as caught:
        load_ledger(path)
    assert all(f"claims.0.{field}" in str(caught.value) for field in ("id", "where", "verdict", "colour"))
    path.write_text("claims: [", encoding="utf-8")
    with pytest.raises(ValueError, match="not valid YAML"):
        load_ledger(path)
    with pytest.raises(ValueError, match=r"gone\.yml is not there"):
        load_ledger(tmp_path / "gone.yml")


def test_no_python_is_made_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "claims.yml"
    path.write_text("preset: !!python/object/apply:os.getcwd []\nclaims: []\n", encoding="utf-8")
    with pytest.raises(ValueError, match="not valid YAML"):
        load_ledger(path)


def test_ids_are_unique(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="these are not: a"):
        ledger_of(claim(HOLDS), claim(FAILS, verdict="not reproduced"))


def test_a_missing_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"01_one/quick/results\.json is not there"):
        load_runs(tmp_path, "quick", ["01_one"])


def test_the_table_shows_numbers_of_the_run_and_disagreement() -> None:
    page = rendered(*judge_all(ledger_of(claim(HOLDS, FAILS, published="7")), RUNS))
    assert "**1** reproduced in part" in page
    assert "✓ a number: 1.5 [1.0, 2.0]. Asked: above 0." in page
    assert "✗ a number: 1.5 [1.0, 2.0]. Asked: above 9." in page
    assert "Published: 7" in page
    comparison = rendered(judge(claim({"key": "x", "less_than": "02_two::x"}), RUNS))
    assert "Asked: less than `x`, -1.5 [-2.0, -1.0]." in comparison
    assert "The ledger says: reproduced" in page
    wide = rendered(judge(claim({"key": "x", "above": 1.25}), RUNS))
    assert "Undecided with n = 10; about 40 would decide if the value stayed." in wide
    equal = rendered(judge(claim({"key": "x", "equals": "z", "margin": 0.5}), RUNS))
    assert "Asked: equal to `z`, 2.5 [1.5, 3.5] to within 0.5." in equal
    assert "{doc}`../notebooks/01_one`" in page


def rendered(*findings: Finding) -> str:
    return table.render(ledger_of(*(f.claim for f in findings)), findings, findings)


def test_the_ledger_tells_apart_what_claims_were_tested_on() -> None:
    why = {"chapter": None, "verdict": "not testable here", "why": "No.", "command": "companion"}
    ledger = ledger_of(
        claim(HOLDS, id="theory", where="Lemma 1 and Appendix B"),
        claim(HOLDS, id="beyond", where="Not in the paper, beside Figure 6"),
        claim(id="original", where="Figures 7 and 8, Section 4.3", **why),
        claim({"key": "x", "below": 0}, id="organism", chapter="02_two", where="Table 1"),
    )
    findings = judge_all(ledger, RUNS)
    page = table.render(ledger, findings, findings)
    order = [page.index(f":name: {name}\n") for name in ("theory", "organism", "beyond", "original")]
    assert order == sorted(order)
    assert page.count("\n## ") == 4
    parts = [table.parts(one) for one in ledger.claims]
    assert parts == [["Lemmas", "Appendices"], ["Not in the paper"], ["Figure 7", "Section 4.3"], ["Table 1"]]
    for name in ("part-appendices", "model-organism", "verdict-not-testable-here"):
        assert f'<option value="{name}">' in page
        assert re.search(rf":class-container: entry claim .*\b{name}\b", page)
    with pytest.raises(ValueError, match="a is tested in 03_three: name it under `models`"):
        ledger.model(claim(HOLDS, chapter="03_three"))


# Run `recorded` of the same notebook: x has moved up, y is as it was.
KEPT = {"01_one": results(x=scalar(9.5, 9.9), y=RUNS["01_one"].scalars["y"])}


def test_a_recorded_run_decides_in_place_of_the_ledgers_preset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("companion.experiment.recorded.load", lambda name, where: KEPT.get(name))
    ledger = ledger_of(claim(FAILS, {"key": "y", "above": 0}))
    decided = judge_all(ledger, deciding(ledger, ledger.preset, RUNS))
    assert decided[0].verdict == "reproduced"
    assert deciding(ledger, "full", RUNS) == RUNS
    quick = judge_all(ledger, RUNS)
    assert contradictions(decided, quick) == [
        "a: 01_one::x holds in the recorded run, fails in the page's own"
    ]
    assert contradictions(quick, quick) == []
    page = table.render(ledger, decided, quick)
    assert "✓ a number: 9.70 [9.50, 9.90]. Asked: above 9." in page
    assert "*Recorded run; on the page 1.5 [1.0, 2.0]: fails.*" in page
    assert page.count("Recorded run") == 1


def test_recorded_runs_are_listed_with_what_differs(tmp_path: Path) -> None:
    kept = KEPT["01_one"].model_copy(update={"parameters": {"samples": 9}})
    page = claim_pages.render_recorded({"01_one": kept}, RUNS)
    assert "`samples = 9`" in page
    assert "a machine" in page
    assert "Numbers apart: 1 of 2, `x`" in page
    assert claim_pages.render_recorded({}, RUNS) == "There are none.\n"


def test_verdicts_are_counted_over_the_runs_of_other_seeds(tmp_path: Path) -> None:
    ledger = ledger_of(claim(HOLDS), claim(FAILS, id="b"))
    for seed, x in ((1, scalar(1, 2)), (2, scalar(10, 11)), (3, scalar(-1, 1))):
        results_file.write(results(x=x), tmp_path / "runs/01_one" / seeds.run_name(seed))
    found = seeds.repeat(ledger, tmp_path, "quick", ["01_one"], [1, 2, 3])
    assert found.verdicts == {
        "a": {"reproduced": 2, "undecided": 1},
        "b": {"not reproduced": 2, "reproduced": 1},
    }
    assert seeds.load(tmp_path) is None
    seeds.keep(found, tmp_path)
    assert seeds.load(tmp_path) == found
    findings = judge_all(ledger, RUNS)
    page = table.render(ledger, findings, findings, found)
    assert "Small runs with other seeds: 2 reproduced, 1 undecided" in page
    with pytest.raises(ValueError, match=r"seed-4/results\.json is not there"):
        seeds.repeat(ledger, tmp_path, "quick", ["01_one"], [4])


def test_a_number_that_a_seed_cannot_measure_leaves_its_test_undecided(tmp_path: Path) -> None:
    ledger = ledger_of(claim(HOLDS), claim(HOLDS, {"key": "y", "above": 0}, id="both"))
    for seed, scalars in ((1, {"y": scalar(1, 2)}), (2, {"x": scalar(1, 2), "y": scalar(1, 2)})):
        results_file.write(results(**scalars), tmp_path / "runs/01_one" / seeds.run_name(seed))
    found = seeds.repeat(ledger, tmp_path, "quick", ["01_one"], [1, 2])
    assert found.verdicts == {
        "a": {"undecided": 1, "reproduced": 1},
        "both": {"reproduced in part": 1, "reproduced": 1},
    }


def test_failures_show_their_numbers_or_say_which_is_missing() -> None:
    failure = Failure(id="f", title="It fails", text="So.", measured=("02_two::x",))
    page = claim_pages.render_failures(Failures(failures=(failure,)), RUNS)
    assert "## It fails" in page
    assert "-1.5 [-2.0, -1.0]" in page
    wrong = failure.model_copy(update={"measured": ("02_two::gone",)})
    with pytest.raises(ValueError, match=r"02_two \(run quick\) records no 'gone'"):
        claim_pages.render_failures(Failures(failures=(wrong,)), RUNS)


def test_the_map_names_what_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text("def test_one():\n    pass\n", encoding="utf-8")
    good = Item(
        paper="L",
        shows="s",
        functions=("memlib.schedule.VariancePreserving.linear", "companion.identities.score_energy"),
        tests=("tests/test_a.py::test_one",),
    )
    assert faults(good, tmp_path) == []
    bad = Item(
        paper="L",
        shows="s",
        chapter="09_gone",
        functions=("memlib.gone", "companion.gone", "os.getcwd"),
        tests=("tests/test_a.py::test_two",),
    )
    assert faults(bad, tmp_path) == [
        "L: no notebook 09_gone",
        "L: no memlib.gone in memlib or companion",
        "L: no companion.gone in memlib or companion",
        "L: no os.getcwd in memlib or companion",
        "L: no test tests/test_a.py::test_two",
    ]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one notebook with a run, and a ledger of one claim about it."""
    root = tmp_path / "clone"
    (root / "notebooks").mkdir(parents=True)
    (root / "notebooks/01_one.py").touch()
    run = root / "build/runs/01_one/quick"
    run.mkdir(parents=True)
    (run / "results.json").write_text(RUNS["01_one"].model_dump_json(), encoding="utf-8")
    entry = claim(HOLDS).model_dump(mode="json", exclude_defaults=True)
    models = [{"name": "plane", "chapters": ["01_one"]}]
    write(root / "book/claims.yml", {"preset": "quick", "models": models, "claims": [entry]})
    write(root / "book/map.yml", {"items": [{"paper": "Lemma 1", "shows": "a thing", "chapter": "01_one"}]})
    failure = {"id": "f", "title": "It fails", "text": "So.", "measured": ["01_one::x"]}
    write(root / "book/failures.yml", {"failures": [failure]})
    monkeypatch.setattr(cli.book, "project_root", lambda: root)
    return root


def spoil_verdict(clone: Path) -> None:
    path = clone / "book/claims.yml"
    path.write_text(
        path.read_text().replace("verdict: reproduced", "verdict: not reproduced"), encoding="utf-8"
    )


def test_the_command_fails_where_a_verdict_is_not_what_the_run_says(clone: Path) -> None:
    arguments = ["claims", "--build", str(clone / "build")]
    passed = CliRunner().invoke(cli.app, arguments)
    assert passed.exit_code == 0, passed.output
    spoil_verdict(clone)
    failed = CliRunner().invoke(cli.app, arguments)
    assert failed.exit_code == 1
    assert "a: the ledger says 'not reproduced', the runs say 'reproduced'" in failed.output


def test_the_ledger_writes_the_digits_that_an_interval_supports():
    number = Scalar(value=0.9999, interval=[0.9961, 1.004], level=0.99, n=9)
    assert table.shown(number) == "1.000 [0.996, 1.004]"
    assert table.shown(Scalar(value=0.0, interval=[0.0, 0.0], level=0.95, n=9)) == "0"
    assert table.shown(Scalar(value=2.0 / 3)) == "0.6667"


def test_generated_pages_hold_numbers_and_a_verdict_that_differs_is_shown(
    clone: Path, tmp_path: Path
) -> None:
    spoil_verdict(clone)
    claim_pages.write_pages(clone, "quick", clone / "build", tmp_path / "stage")
    made = {path.name: path.read_text() for path in (tmp_path / "stage/book/generated").iterdir()}
    assert set(made) == {"claims.md", "map.md", "failures.md", "recorded.md", "side_by_side.md"}
    assert made["side_by_side.md"] == ""  # the chapter that it shows is not there
    runs = load_runs(clone / "build", "quick", ["01_one"])
    shown = claim_pages.render_side_by_side({}, runs, "01_one")
    assert "$ companion results 01_one --table --name quick\n" in shown
    assert re.search(r"^x +\d", shown, re.MULTILINE)
    assert "The ledger says: not reproduced" in made["claims.md"]
    assert "1.5 [1.0, 2.0]" in made["claims.md"]
    assert "1.5 [1.0, 2.0]" in made["failures.md"]
    assert "**Lemma 1**" in made["map.md"]


def test_no_page_is_made_from_runs_of_another_preset(clone: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"01_one/full/results\.json is not there"):
        claim_pages.write_pages(clone, "full", clone / "build", tmp_path / "stage")
    assert not (tmp_path / "stage").exists()
