"""`make gpu`: all that a graphics card is wanted for, in one command that knows when to stop.

The numerics' tests, the benchmarks and chapters at the preset `full` run one after the other, each in a
process of its own that is stopped when its time is up. Every part writes its results before the next begins,
`report.json` says what became of each, and a part whose packages are not installed is skipped. torch is all
that the driver needs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

from companion import provenance
from memlib import checks
from memlib.files import write_text

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 450  # seconds of all parts; the start and the end of the command are left out of it
SHORTEST = 15  # seconds with which no part begins
LATENT = ("diffusers", "transformers")
BENCHMARK = ("pydantic", "psutil", "rich", "typer")
NOTEBOOK = (
    *BENCHMARK,
    "papermill",
    "jupytext",
    "ipykernel",
    "pandas",
    "matplotlib",
    "sklearn",
    "pooch",
    "yaml",
)
PRESETS = {  # smallest first
    "02_gaussian_mixture": NOTEBOOK,
    "03_hessian_routines": NOTEBOOK,
    "04_mnist": NOTEBOOK,
    "05_dose_response": NOTEBOOK,
    "07_latent_spectra": NOTEBOOK + LATENT,
    "08_latent_detection": NOTEBOOK + LATENT,
}
TINY = {"benchmarks/tiny_chapter.py": NOTEBOOK}


@dataclass(frozen=True)
class Part:
    """What runs in a process of its own.

    Attributes:
        name: in the report.
        needs: packages without which it does not run.
        command: arguments of Python.
        limit: seconds, if so many are left.
        result: a file to be kept beside the report.
    """

    name: str
    needs: tuple[str, ...]
    command: tuple[str, ...]
    limit: float
    result: Path | None = None


@dataclass
class Outcome:
    """What became of a part: "done", "failed", "cut short" or "skipped", and why."""

    part: str
    status: str
    why: str = ""
    seconds: float = 0.0


@dataclass
class Report:
    """The parts that are over, on which machine, with which versions."""

    machine: str
    versions: dict[str, str]
    commit: str
    dirty: bool | None
    parts: list[Outcome] = field(default_factory=list)


def parts(device: str, output: Path, tiny: bool) -> list[Part]:
    """The parts in their order."""
    kind = device.partition(":")[0]
    where = "tests/memlib/hessian" + ("/test_trace.py" if tiny else "")
    tests = (
        "pytest",
        where,
        "-k",
        kind,
        "-q",
        "-p",
        "no:cacheprovider",
        f"--junitxml={output / 'tests.xml'}",
    )
    found = [Part("tests", ("pytest", "hypothesis"), ("-m", *tests), 90)]
    for suite, limit in (("hessian", 110), ("latent", 100), ("models", 130)):
        command = ("-m", "benchmarks", "--suite", suite, "--device", device, "--output", str(output))
        more = ("--tiny", "--repeats", "1") if tiny else ("--repeats", "2")
        needs = BENCHMARK if suite == "hessian" else BENCHMARK + LATENT
        found.append(Part(f"benchmarks {suite}", needs, (*command, *more), limit))
    if tiny:  # however slow the machine is
        found = [replace(part, limit=LONGEST) for part in found]
    build = output / "build"
    for notebook, needs in (TINY if tiny else PRESETS).items():
        name = Path(notebook).stem
        command = ("-m", "companion", "run", notebook, "--preset", "full", "--name", "full")
        more = ("--build", str(build), "-p", f"device={device}")
        result = build / "runs" / name / "full" / "results.json"
        found.append(Part(f"preset {name}", needs, (*command, *more), LONGEST, result))
    return found


def run(part: Part, left: float, output: Path) -> Outcome:
    """Run a part in what is left of the time; what it prints goes to the terminal."""
    if missing := [name for name in part.needs if find_spec(name) is None]:
        return Outcome(part.name, "skipped", f"not installed: {', '.join(missing)}")
    limit = min(part.limit, left)
    if limit < SHORTEST:
        return Outcome(part.name, "skipped", "no time is left")
    start = time.monotonic()
    status, why = "done", ""
    process = subprocess.Popen(  # noqa: S603 - this Python with fixed arguments
        [sys.executable, *part.command], cwd=ROOT, start_new_session=True
    )
    try:
        if code := process.wait(limit):
            status, why = "failed", f"it ended with {code}"
    except subprocess.TimeoutExpired:
        status, why = "cut short", f"after {limit:.0f} s"
    finally:
        _end(process)
    if part.result is not None and part.result.is_file():
        shutil.copyfile(part.result, output / f"{part.name.removeprefix('preset ')}.json")
    return Outcome(part.name, status, why, round(time.monotonic() - start, 1))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a part with all that it has started."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def main() -> int:
    """Run all parts; 1 if one failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=main.__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, or cpu to try every line")
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "gpu", help="folder of the results")
    parser.add_argument("--tiny", action="store_true", help="sizes that take seconds and measure nothing")
    chosen = parser.parse_args()
    device, output = checks.device(chosen.device), chosen.output.resolve()
    begun = time.monotonic()
    report = Report(
        provenance.hardware(device), provenance.versions(), provenance.commit(), provenance.dirty()
    )
    for part in parts(device, output, chosen.tiny):
        print(f"\n--- {part.name}", flush=True)
        left = LONGEST if chosen.tiny else LONGEST - (time.monotonic() - begun)
        report.parts.append(outcome := run(part, left, output))
        print(f"--- {part.name}: {outcome.status}, {outcome.seconds:.0f} s {outcome.why}", flush=True)
        write_text(output / "report.json", json.dumps(asdict(report), indent=1) + "\n")
    print(f"\n{report.machine}: {time.monotonic() - begun:.0f} s, results in {output}")
    return int(any(one.status == "failed" for one in report.parts))


if __name__ == "__main__":
    sys.exit(main())
