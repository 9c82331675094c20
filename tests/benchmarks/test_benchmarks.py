"""Every benchmark runs on tiny networks, its results agree with each other, and its file obeys the schema.

No time is asserted: a busy machine would fail it.
"""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import pytest
import torch
from pydantic import ValidationError
from torch.nn.attention import SDPBackend, sdpa_kernel
from typer import Typer
from typer.testing import CliRunner

from benchmarks import __main__ as command
from benchmarks import gpu, memory, one_step, others, text_to_image, traces
from benchmarks.growth import exponent
from benchmarks.rows import Results, Row
from benchmarks.setting import TINY, Bench
from benchmarks.timing import Target, Timed, compare, difference, in_turn

ROOT = Path(__file__).resolve().parents[2]
RECORDED = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


def names(suite: str) -> list[str]:
    return [each.NAME for each in command.SUITES[suite]]


APP = Typer()
APP.command()(command.main)
DRIVEN = gpu.run
HERE = ("benchmarks latent", "benchmarks models")
"""Parts that are run in this process, which has loaded the libraries that take a new one seconds."""


def run(part: gpu.Part, left: float, output: Path) -> gpu.Outcome:
    """A part as the driver runs it, or the same command in this process."""
    if part.name not in HERE:
        return DRIVEN(part, left, output)
    assert part.command[:2] == ("-m", "benchmarks")
    done = CliRunner().invoke(APP, part.command[2:])
    if done.exit_code:
        return gpu.Outcome(part.name, "failed", f"{done.exception}: {done.output[-4000:]}")
    return gpu.Outcome(part.name, "done")


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make gpu` leaves, on a processor and at sizes that take seconds."""
    folder = tmp_path_factory.mktemp("gpu")
    given = {"DEVICE": "cpu", "TINY": "1", "VENV": "none", "PYTHON": sys.executable, "OUTPUT": str(folder)}
    # Called by `make test`, make would also say which folder it enters and leaves.
    make = ["make", "--no-print-directory", "--dry-run", "gpu"]
    make += [f"{name}={value}" for name, value in given.items()]
    told = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    python, *words = shlex.split(told.replace("\\\n", " "))
    assert (python, *words[:2]) == (sys.executable, "-m", "benchmarks.gpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["benchmarks.gpu", *words[2:]])
        patch.setattr(gpu, "run", run)
        assert gpu.main() == 0, (folder / "report.json").read_text()
    return folder


def read(folder: Path, suite: str) -> Results:
    return Results.model_validate_json((folder / f"{suite}-cpu.json").read_text())


@pytest.fixture(scope="module")
def results(card: Path) -> Results:
    """All of the routines for Hessians, once, at sizes that take seconds."""
    return read(card, "hessian")


@pytest.fixture(scope="module")
def latent(card: Path) -> Results:
    """The same for text to image."""
    return read(card, "latent")


@pytest.mark.slow
class TestCard:
    def test_every_part_has_run_and_says_where(self, card: Path) -> None:
        report = json.loads((card / "report.json").read_text())
        assert [(part["part"], part["status"]) for part in report["parts"]] == [
            ("tests", "done"),
            ("benchmarks hessian", "done"),
            ("benchmarks latent", "done"),
            ("benchmarks models", "done"),
            ("preset tiny_chapter", "done"),
        ]
        assert report["machine"].startswith(platform.machine())
        assert {"torch", "python", "memlib"} <= {*report["versions"]}
        assert platform.node() not in (card / "report.json").read_text()

    def test_the_tests_of_the_numerics_were_not_skipped(self, card: Path) -> None:
        (suite,) = ElementTree.parse(card / "tests.xml").getroot()  # noqa: S314 - pytest wrote it
        assert int(suite.attrib["tests"]) >= 4
        assert int(suite.attrib["skipped"]) == int(suite.attrib["failures"]) == 0

    def test_the_chapter_leaves_its_numbers(self, card: Path) -> None:
        numbers = json.loads((card / "tiny_chapter.json").read_text())
        assert numbers["parameters"]["device"] == "cpu"
        assert numbers["versions"]["torch"] == torch.__version__

    def test_models_are_held_against_their_network_alone(self, card: Path) -> None:
        rows = read(card, "models").rows
        assert {row.benchmark for row in rows} == set(names("models"))
        throughput = [row for row in rows if row.benchmark == "throughput"]
        assert [row.reads for row in throughput] == ["prompts a second", "times the time of"] * 2
        assert [bool(row.target) for row in throughput] == [False, True, False, False]  # vjp goes back, too
        for rate, alone in zip(throughput[::2], throughput[1::2], strict=True):
            assert alone.seconds_instead == rate.seconds
            assert rate.megabytes > 0  # type: ignore[operator]


class TestParts:
    """What the driver makes of a part, with scripts in its place."""

    @staticmethod
    def outcome(tmp_path: Path, script: str, left: float = 60, **more: object) -> gpu.Outcome:
        return gpu.run(gpu.Part("toy", more.pop("needs", ()), ("-c", script), 60, **more), left, tmp_path)  # type: ignore[arg-type]

    def test_a_missing_package_is_named(self, tmp_path: Path) -> None:
        found = self.outcome(tmp_path, "raise SystemExit(1)", needs=("json", "no_such_package"))
        assert (found.status, found.why) == ("skipped", "not installed: no_such_package")

    def test_a_failure_is_told(self, tmp_path: Path) -> None:
        found = self.outcome(tmp_path, "raise SystemExit(3)")
        assert (found.status, found.why) == ("failed", "it ended with 3")

    def test_nothing_begins_without_time(self, tmp_path: Path) -> None:
        found = self.outcome(tmp_path, f"open({str(tmp_path / 'x')!r}, 'w')", left=1)
        assert (found.status, found.why) == ("skipped", "no time is left")
        assert not list(tmp_path.iterdir())

    def test_a_part_is_stopped_with_what_it_started(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gpu, "SHORTEST", 0)
        file = tmp_path / "child"
        child = f"import time; time.sleep(3); open({str(file)!r}, 'w')"
        script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
        found = self.outcome(tmp_path, script, left=1)
        assert (found.status, found.why) == ("cut short", "after 1 s")
        time.sleep(3)
        assert not file.exists()

    def test_results_are_kept_of_a_part_that_was_cut_short(self) -> None:
        kept: list[Results] = []
        found = command.measure("hessian", TINY, "cpu", 1, lambda _: None, ["growth", "traces"], kept.append)
        assert [{row.benchmark for row in one.rows} for one in kept] == [{"growth"}, {"growth", "traces"}]
        assert kept[-1] == found


@pytest.mark.slow
class TestTinyRun:
    def test_every_benchmark_reports(self, results: Results) -> None:
        assert {row.benchmark for row in results.rows} == set(names("hessian"))

    def test_both_sides_of_exact_work_agree(self, results: Results) -> None:
        exact = [r for r in results.rows if r.benchmark in ("products", "krylov", "spectrum") and r.agreement]
        loose = {"one product, difference": 2e-2}  # square root of float32's precision
        assert len(exact) >= 8
        for row in exact:
            assert row.agreement is not None
            assert row.agreement < loose.get(row.what, 1e-4), row

    def test_count_above_is_right_for_every_sample(self, results: Results) -> None:
        (row,) = [r for r in results.rows if "count_above" in r.what]
        assert row.ratio == 1

    def test_shares_lie_between_nothing_and_all(self, results: Results) -> None:
        rows = [r for r in results.rows if r.benchmark == "passes"]
        assert rows
        assert all(0 < r.low <= r.high <= 1 for r in rows)  # type: ignore[operator]

    def test_restarted_basis_is_flat(self, results: Results) -> None:
        (row,) = [r for r in results.rows if r.what.startswith("basis after")]
        assert row.megabytes == row.megabytes_instead
        assert row.met

    def test_memory_of_each_way_is_measured(self, results: Results) -> None:
        rows = [r for r in results.rows if r.benchmark == "spectrum"]
        assert all(r.megabytes is not None and r.megabytes_instead is not None for r in rows)

    def test_the_file_is_whole_and_reads_back(self, results: Results, tmp_path: Path) -> None:
        path = results.write(tmp_path)
        assert path.name == "hessian-cpu.json"
        assert Results.model_validate_json(path.read_text()) == results
        assert [p.name for p in tmp_path.iterdir()] == [path.name]

    def test_tables_show_every_row(self, results: Results) -> None:
        for name in names("hessian"):
            rows = [row for row in results.rows if row.benchmark == name]
            assert command.table(name, rows).row_count == len(rows)


@pytest.mark.slow
class TestTinyLatentRun:
    def test_every_benchmark_reports(self, latent: Results) -> None:
        assert {row.benchmark for row in latent.rows} == set(names("latent"))
        assert latent.file_name == "latent-cpu.json"

    def test_both_sides_agree(self, latent: Results) -> None:
        rows = [row for row in latent.rows if row.agreement is not None]
        assert len(rows) == 5
        # Forward differences, good to the square root of float32's precision, but for eigenvalues.
        assert all(row.agreement < (1e-4 if row.benchmark == "captions" else 2e-2) for row in rows)  # type: ignore[operator]

    def test_time_memory_and_value_have_targets(self, latent: Results) -> None:
        rows = [row for row in latent.rows if row.benchmark == "one_step" and row.target]
        assert [row.reads for row in rows] == ["times faster", "times the memory of", "relative difference"]

    def test_a_thousand_prompts_are_held_against_three_minutes(self, latent: Results) -> None:
        (row,) = [row for row in latent.rows if row.reads == "seconds"]
        assert row.target == "at most 180"
        assert row.ratio == row.seconds

    def test_captions_against_a_base_are_held_against_a_minute(self) -> None:
        found = command.measure("audit", TINY, "cpu", 1, lambda _: None)
        assert [row.reads for row in found.rows] == ["seconds", "exponent", "times the memory of"]
        assert found.rows[0].target == "at most 60"
        assert (found.checkpoint, found.file_name) == ("tiny", "audit-cpu.json")

    def test_the_size_of_the_full_model_is_an_option(self) -> None:
        found = command.measure("full-size", TINY, "cpu", 1, lambda _: None)
        assert [row.benchmark for row in found.rows] == ["full_size"] * 3
        assert (found.checkpoint, found.file_name) == ("tiny", "full-size-cpu.json")


def test_a_process_of_its_own_tells_what_its_call_took() -> None:
    """16 MiB of ones, and little beside them; the process is a new one."""
    alone = memory.alone(partial, torch.ones, 2**22, device="cpu")
    assert alone.outcome.sum() == 2**22
    assert 16 <= alone.megabytes < 24


def test_the_released_way_is_the_product_of_the_dense_jacobian() -> None:
    """J s for each prompt and seed, J by reverse mode, row by row."""
    some = text_to_image.screening("tiny", 2, 2, "cpu")
    found = one_step.released(some)
    for p in range(2):
        s_delta = some.model.difference(text_to_image.FIRST, some.prompts[[p]])
        for k, x in enumerate(some.noise):
            with sdpa_kernel(SDPBackend.MATH):
                J = torch.autograd.functional.jacobian(s_delta, x[None]).reshape(x.numel(), x.numel())
            norm = (J @ s_delta(x[None]).flatten()).norm()
            assert found[p, k].item() == pytest.approx(norm.item(), rel=1e-4)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_recorded_results_obey_the_schema_and_name_no_machine(path: Path) -> None:
    text = path.read_text()
    recorded = Results.model_validate_json(text)
    assert path.name == recorded.file_name
    assert platform.node() not in text
    assert {row.benchmark for row in recorded.rows} == set(names(recorded.suite))
    assert json.loads(text)["machine"]["name"]  # what the chapter on the routines reads


def test_a_cpu_is_among_the_recorded() -> None:
    assert "hessian-cpu.json" in [path.name for path in RECORDED]


class TestTiming:
    def test_contenders_alternate_after_a_warm_up(self) -> None:
        order: list[str] = []
        calls = {name: (lambda name=name: order.append(name)) for name in "ab"}
        timed = in_turn(calls, rounds=2, device="cpu", say=lambda _: None)
        assert order == list("ab" * 3)
        assert [len(t.seconds) for t in timed.values()] == [2, 2]

    def test_without_a_warm_up_each_round_is_timed(self) -> None:
        calls = {"a": lambda: 7}
        timed = in_turn(calls, rounds=1, device="cpu", say=lambda _: None, warm_up=False)
        assert timed["a"].outcome == 7

    def test_ratios_are_taken_within_a_round(self) -> None:
        # The machine is three times slower in the second round; the ratio is 2 in both.
        row = compare(Timed(None, (1.0, 3.0)), Timed(None, (2.0, 6.0)), **self.about)
        assert (row.low, row.ratio, row.high) == (2, 2, 2)
        assert (row.seconds, row.seconds_instead) == (2, 4)

    def test_a_cost_is_the_inverse_of_a_gain(self) -> None:
        row = compare(Timed(None, (1.0,)), Timed(None, (2.0,)), reads="times the time of", **self.about)
        assert row.ratio == 0.5

    @pytest.mark.parametrize(("sense", "met"), [("at most", False), ("at least", True)])
    def test_targets(self, sense: str, met: bool) -> None:
        row = compare(Timed(None, (1.0,)), Timed(None, (2.0,)), target=Target(sense, 1.5), **self.about)
        assert row.met is met
        assert row.target == f"{sense} 1.5"

    def test_difference_is_relative(self) -> None:
        assert difference(torch.tensor([1.0, 10.0]), torch.tensor([1.0, 8.0])) == pytest.approx(0.25)

    def test_exponent_of_a_power_law(self) -> None:
        assert exponent([1, 2, 4], [3.0, 12.0, 48.0]) == pytest.approx(2)

    about: ClassVar[dict[str, str]] = {"benchmark": "x", "what": "a", "instead_of": "b", "setting": "here"}


class TestSchema:
    about = TestTiming.about

    @pytest.mark.parametrize(
        "fields",
        [
            {},  # neither a ratio nor a reason for its absence
            {"ratio": 1.0},  # a ratio that nobody can read
            {"ratio": 3.0, "low": 1.0, "high": 2.0, "reads": "share"},  # outside its range
            {"note": "y", "target": "at least 1"},  # a target without a verdict
            {"note": "y", "agreement": float("nan")},
            {"note": "y", "surprise": 1},
        ],
    )
    def test_incomplete_rows_are_refused(self, fields: dict[str, object]) -> None:
        with pytest.raises(ValidationError):
            Row(**self.about, **fields)

    def test_a_card_names_the_file(self, results: Results) -> None:
        machine = results.machine.model_copy(update={"device": "cuda", "name": "NVIDIA H100 80GB (PCIe)"})
        named = results.model_copy(update={"machine": machine})
        assert named.file_name == "hessian-cuda-nvidia-h100-80gb-pcie.json"


def test_absent_packages_give_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(others, "find_spec", lambda _: None)
    rows = others.run(Bench(TINY, "cpu", 1))
    assert [row.instead_of for row in rows] == ["curvlinops", "skerch", "matfree"]
    assert all("not installed" in row.note and row.ratio is None for row in rows)


def test_trace_reason_vanishes_for_low_rank() -> None:
    """A matrix of as low a rank as the sketch leaves nothing behind: the target would be met."""
    factor = torch.randn(64, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sigma = 0.5
    matrix = (factor @ factor.T - torch.eye(64, dtype=torch.float64)) / sigma**2
    row = traces._reason("built", matrix, sigma, Bench(TINY, "cpu", 1))
    assert row.ratio == pytest.approx(0, abs=1e-9)
    assert row.met


class TestCommand:
    def test_a_part_prints_and_writes_nothing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(command, "RESULTS", tmp_path)
        done = CliRunner().invoke(APP, ["--tiny", "--repeats", "1", "--only", "growth"])
        assert done.exit_code == 0, done.output
        assert "growth" in done.output
        assert "time against steps" in done.output
        assert not list(tmp_path.iterdir())

    def test_an_unknown_benchmark_is_refused(self) -> None:
        done = CliRunner().invoke(APP, ["--only", "nothing"])
        assert done.exit_code == 2
