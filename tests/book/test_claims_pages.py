"""The ledger, the map and the failures of the book: what they name exists, and verdicts follow from runs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from companion.claims import contradictions, deciding, find_faults, judge_all, load_ledger, load_runs
from companion.claims.ledger import Ledger, read
from companion.claims.papermap import Failures, PaperMap, faults
from companion.claims.table import shown
from companion.claims.verdicts import number
from companion.experiment import parameters, presets, recorded
from companion.experiment.notebooks import all_notebooks
from companion.experiment.results import Results


@pytest.fixture(scope="session")
def ledger(project: Path) -> Ledger:
    return load_ledger(project / "book/claims.yml")


@pytest.fixture(scope="session")
def runs(project: Path, ledger: Ledger) -> dict[str, Results]:
    build = Path(os.environ.get("MEMLIB_BUILD") or project / "build")
    return load_runs(build, ledger.preset, (path.stem for path in all_notebooks(project / "notebooks")))


def test_every_verdict_is_what_the_runs_say(ledger: Ledger, runs: dict[str, Results]) -> None:
    assert find_faults(judge_all(ledger, deciding(ledger, ledger.preset, runs))) == []


def test_no_page_contradicts_its_recorded_run(ledger: Ledger, runs: dict[str, Results]) -> None:
    decided = judge_all(ledger, deciding(ledger, ledger.preset, runs))
    assert contradictions(decided, judge_all(ledger, runs)) == []


def test_the_numbers_of_a_page_agree_with_its_recorded_run(runs: dict[str, Results]) -> None:
    """One in twenty may differ by chance; many of them share their draws, so that twice as many pass."""
    for name, kept in recorded.load_all(runs).items():
        found = recorded.agreement(runs[name], kept)
        assert found.compared, f"{name} shares no interval with its recorded run"
        assert len(found.apart) <= 0.1 * len(found.compared), f"{name}: {', '.join(found.apart)}"


def test_recorded_runs_are_what_their_preset_gives_today(project: Path) -> None:
    """A default that changes must not change what `make record` repeats; later parameters keep theirs."""
    given = presets.load(recorded.PRESET).notebooks
    for path in all_notebooks(project / "notebooks"):
        kept = recorded.load(path.stem)
        if kept is not None:
            today = parameters.check(parameters.read(path), given[path.stem])
            assert kept.parameters == {name: today[name] for name in kept.parameters}, path.stem
            later = today.keys() - kept.parameters - {"output"}
            assert later.isdisjoint(given[path.stem]), path.stem


def test_every_chapter_of_the_ledger_is_a_notebook(ledger: Ledger, project: Path) -> None:
    notebooks = {path.stem for path in all_notebooks(project / "notebooks")}
    assert {claim.chapter for claim in ledger.claims if claim.chapter} <= notebooks


def test_commands_name_the_driver_and_a_preset(ledger: Ledger) -> None:
    command = re.compile(r"companion run \d\d_\w+ --preset full( -p \w+=\S*)*")
    assert [c.id for c in ledger.claims if c.command and not command.fullmatch(c.command)] == []


def test_the_map_names_only_what_exists(project: Path) -> None:
    items = read(project / "book/map.yml", PaperMap).items
    assert [fault for item in items for fault in faults(item, project)] == []


def test_every_lemma_and_appendix_is_on_the_map(project: Path) -> None:
    listed = " ".join(item.paper for item in read(project / "book/map.yml", PaperMap).items)
    for name in (
        "4.1",
        "4.2",
        "4.3",
        "A.1",
        "A.2",
        "A.3",
        "A.4",
        "B.2",
        "Table 1",
        "Algorithm 1",
        "Algorithm 2",
    ):
        assert name in listed


def text_of(page: Path) -> str:
    text = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").get_text(" ", strip=True)
    return text.replace("\u2019", "'")  # the book sets apostrophes as a printer would


def test_the_table_in_the_book_shows_every_claim_with_its_numbers(
    ledger: Ledger, runs: dict[str, Results], book: Path
) -> None:
    text = text_of(book / "book/results.html")
    for finding in judge_all(ledger, deciding(ledger, ledger.preset, runs)):
        assert finding.claim.claim in text
        for measurement in finding.measurements:
            assert shown(measurement.scalar) in text, f"{finding.claim.id}: the book shows another number"


def test_each_row_leads_to_its_chapter(ledger: Ledger, book: Path) -> None:
    page = BeautifulSoup((book / "book/results.html").read_text(encoding="utf-8"), "html.parser")
    claims = page.select("details.claim")
    assert len(claims) == len(ledger.claims)
    offered = {option.text for option in page.select("select[name=model] option")}
    assert offered == {"all"} | {ledger.model(claim).name for claim in ledger.claims}
    for claim in ledger.claims:
        (row,) = page.select(f"details#{re.sub(r'[^a-z0-9]+', '-', claim.id)}")
        assert claim.verdict in row.summary.text
        links = [str(link["href"]).split("#")[0] for link in row.select("a[href]")]
        assert not claim.chapter or f"../notebooks/{claim.chapter}.html" in links


def test_failures_show_the_numbers_of_the_runs(project: Path, runs: dict[str, Results], book: Path) -> None:
    text = text_of(book / "book/failures.html")
    for failure in read(project / "book/failures.yml", Failures).failures:
        assert failure.title in text
        for reference in failure.measured:
            assert shown(number(reference, "", runs)[2]) in text


def test_tests_named_in_prose_exist(project: Path) -> None:
    prose = (project / "book/differences.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)`", prose)
    assert named
    assert [name for name in named if not (project / name).is_file()] == []
    assert prose.count("*Tested in*") == len(re.findall(r"\*Tested in\*\s+`tests/", prose))
    restated = (project / "tests/test_differences.py").read_text(encoding="utf-8").count("\ndef test_")
    assert restated >= prose.count("*Tested.*")
