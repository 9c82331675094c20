"""The pipeline on a small project of its own: what runs again after which change, and what a failure leaves.

The project holds the real Snakefile and copies of both packages, so a change of a module can be tried.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml
from snakemake_executor_plugin_slurm.utils import set_gres_string

from companion.experiment import again

from ..forked import Server

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow

NOTEBOOK = """\
# ---
# jupyter:
#   kernelspec: {{display_name: Python 3, language: python, name: python3}}
# ---

# %% [markdown]
# # Notebook {name}

# %% tags=["parameters"]
seed: int = 0  # seed of every draw
device: str = "cpu"  # where
output: str = ""  # folder

# %%
from companion import experiment
{imports}

run = experiment.start("{name}", globals())
run.record("seed_squared", seed**2, about="A number to quote.")
run.check("small", seed < 5, "The seed must be small.")

# %%
run.finish()
"""

CONFIG = """\
title: A small book
only_build_toc_files: true
execute: {execute_notebooks: "off"}
html: {use_repository_button: false}
sphinx:
  recursive_update: true
  config:
    html_static_path: [assets]
    extensions: [myst_nb, jupyter_book, sphinx_comments, sphinx_external_toc, sphinx_book_theme]
"""

TOC = """\
format: jb-book
root: book/intro
chapters:
  - file: notebooks/01_one
  - file: notebooks/02_two
"""

INTRO = "# Start\n\nThe number is {glue:text}`../notebooks/02_two.ipynb::seed_squared:.1f`.\n"


UNUSED = (  # by the notebooks and by the book
    "companion/cli/book.py",
    "companion/experiment/driver.py",
    "companion/recipes/mnist.py",
)


LOADED = ("snakemake.cli", "grimp", "jupytext", "pydantic", "typer", "yaml")


class Project:
    """A small project and the ways to run its pipeline."""

    def __init__(self, root):
        self.root = root
        for package in ("memlib", "companion"):
            shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(ROOT / "workflow", root / "workflow")
        for name in ("pyproject.toml", "constraints.txt"):
            shutil.copy2(ROOT / name, root)
        for name in ("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "data/numbers.txt"):
            self.write(name, "1\n")
        self.preset()
        self.write("book/assets/style.css", "")
        self.write("book/claims.yml", "preset: quick\nclaims: []\n")
        self.write("book/map.yml", "items: []\n")
        self.write("book/failures.yml", "failures: []\n")
        self.write("book/intro.md", INTRO)
        self.write("_config.yml", CONFIG)
        self.write("_toc.yml", TOC)
        for name, imports in (("01_one", ""), ("02_two", "from memlib.hessian import lanczos")):
            self.write(f"notebooks/{name}.py", NOTEBOOK.format(name=name, imports=imports))
        self.server = Server(root, LOADED, {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"})

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def append(self, name, text):
        before = (self.root / name).read_text()
        self.write(name, before + text)
        return lambda: self.write(name, before)

    def preset(self, **overrides):
        lines = [f"  02_two: {{{', '.join(f'{k}: {v}' for k, v in overrides.items())}}}\n"]
        self.write("workflow/presets/quick.yml", "about: Small.\nnotebooks:\n" + "".join(lines))

    def call(self, module, *words, check=True):
        """`python -m`, forked from a process that has loaded the libraries and nothing of the project."""
        output = self.root / "output.txt"
        code = self.server.run(module, words, output)
        done = subprocess.CompletedProcess((module, *words), code, output.read_text())
        assert not check or done.returncode == 0, done.stdout
        return done

    def snakemake(self, *options, check=True):
        return self.call(
            "snakemake", "-s", "workflow/Snakefile", "--cores", "2", "--nolock", *options, check=check
        )

    def planned(self, *options):
        """What would run now."""
        text = self.snakemake("--dry-run", *options).stdout
        return set(re.findall(r"running (\S+) \(", text)) | set(re.findall(r"building the (book)", text))

    def built(self):
        """What was made, and when."""
        return {path: path.stat().st_mtime_ns for path in (self.root / "build").rglob("*")}

    @property
    def html(self):
        return self.root / "build" / "book" / "_build" / "html"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("project"))
    project.snakemake()
    yield project
    project.server.close()


def test_the_book_shows_what_the_notebooks_found(project):
    assert (project.html / "index.html").is_file()
    prose = re.sub("<[^>]+>", "", (project.html / "book" / "intro.html").read_text())
    assert "The number is 0.0." in prose
    page = (project.html / "notebooks" / "02_two.html").read_text()
    (link,) = re.findall(r'href="(\.\./_static/runs/02_two/results\.json)"', page)
    assert (project.html / "notebooks" / link).is_file()
    assert str(project.root) not in page


@pytest.mark.parametrize(
    "reasons",
    [
        {
            "book/intro.md": {"book"},
            "_config.yml": {"book"},
            "companion/experiment/staging.py": {"book"},
            "companion/book/sources.py": {"book"},
            "companion/digits.py": {"book"},
            "memlib/mixture.py": {"book"},  # for the reference
            "memlib/screening/ranking.py": {"book"},
        },
        {
            "memlib/hessian/lanczos.py": {"02_two"},  # imported
            "memlib/hessian/krylov.py": {"02_two"},  # imported by what is imported
            "companion/experiment/values.py": {"01_one", "02_two"},
            "notebooks/01_one.py": {"01_one"},
            "memlib/checks.py": {"01_one", "02_two"},
            "data/numbers.txt": {"01_one", "02_two"},
            "constraints.txt": {"01_one", "02_two"},
        },
    ],
    ids=["book", "notebooks"],
)
def test_what_runs_again_after_a_change(project, reasons):
    """All are changed at once: for each job, the plan names those that make it run again."""
    undo = [project.append(name, "\n# changed\n") for name in (*reasons, *UNUSED)]
    try:
        plan = project.snakemake("--dry-run").stdout
    finally:
        for back in undo:
            back()
    jobs = re.findall(r"(?:running (\S+) \(\S+|building the (book))\)?\nReason: (.*)", plan)
    why = {notebook or book: changed(reason) for notebook, book, reason in jobs}
    again = set().union(*reasons.values())
    assert set(why) == {*again, "book"}  # new results always make a new book
    assert {name: {job for job in why if name in why[job]} for name in reasons} == reasons
    assert set().union(*why.values()) <= {*reasons, *results(why)}  # none of what is not used


def changed(reason):
    """The files that a reason of Snakemake names."""
    return {name for part in reason.split("; ") for name in part.partition(": ")[2].split(", ")}


def results(jobs):
    return {f"build/runs/{job}/quick/results.json" for job in jobs}


def test_content_counts_and_not_the_time_of_a_file(project):
    names = (
        "memlib/checks.py",
        "notebooks/01_one.py",
        "data/numbers.txt",
        "constraints.txt",
        "book/intro.md",
    )
    later = time.time() + 60
    before = {name: (project.root / name).stat().st_mtime for name in names}
    for name in names:
        os.utime(project.root / name, (later, later))
    try:
        assert project.planned() == set()
    finally:  # an input from the future would fail the jobs of later tests
        for name, moment in before.items():
            os.utime(project.root / name, (moment, moment))


def test_a_page_that_has_gone_builds_the_book_again(project):
    extra = project.write("book/extra.md", "# Extra\n")
    assert project.planned() == {"book"}
    extra.unlink()


def test_parameters_of_one_notebook_run_that_one_again(project):
    project.preset(seed=3)
    try:
        assert project.planned() == {"02_two", "book"}
    finally:
        project.preset()


def test_other_seeds_and_recorded_runs_plan_theirs(project):
    plan = project.snakemake("--dry-run", "--config", "seeds=2", "--", "verdicts").stdout
    assert set(re.findall(r"running (\S+) \(seed-[12]\)", plan)) == {"01_one", "02_two"}
    project.write("workflow/presets/recorded.yml", "about: more\nnotebooks: {02_two: {seed: 7}}\n")
    plan = project.snakemake("--dry-run", "--config", "preset=recorded", "--", "record").stdout
    assert re.findall(r"running (\S+) \((\S+)\)", plan)[0] == ("02_two", "recorded")
    assert "01_one" not in plan


def test_the_same_runs_again_plan_their_variants(project):
    plan = project.snakemake("--dry-run", "--printshellcmds", "--config", "repeat=1", "--", "again").stdout
    ran = set(re.findall(r"running (\S+) \((\S+)\)", plan))
    assert ran == {(name, variant) for name in ("01_one", "02_two") for variant in again.VARIANTS}, plan
    commands = [line for line in plan.splitlines() if " -m companion run " in line]
    older = [line for line in commands if "ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2" in line]
    two = [line for line in commands if "OMP_NUM_THREADS=2 " in line]
    assert [line.count("again-avx2") for line in older] == [1, 1]
    assert [line.count("again-2-threads") for line in two] == [1, 1]


KUBECTL = f"""\
#!{sys.executable}
# What a cluster does: take a Job, say its name, run it some time later, know how it ended.
import pathlib, psutil, subprocess, sys, yaml
if sys.argv[1] == "create":
    job = yaml.safe_load(sys.stdin)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    command = ["sh", "-c", 'sh "$0"; echo $? > "job-$$.ended"', container["command"][-1]]
    with open("jobs.log", "a") as log:
        started = subprocess.Popen(command, cwd=container["workingDir"], stdout=log, stderr=log)
    print(started.pid, end="")
    pathlib.Path(f"job-{{started.pid}}.yaml").write_text(yaml.safe_dump(job))
else:
    ended = pathlib.Path(f"job-{{sys.argv[3]}}.ended")
    try:
        alive = psutil.Process(int(sys.argv[3])).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        alive = False
    print("," if alive else "1," if ended.is_file() and ended.read_text() == "0\\n" else ",1", end="")
"""
# What it does is written down; the first with seed 3 waits in the middle of its work, to be killed.
WORK = """
import os, pathlib, time
work = pathlib.Path("../work.txt")
with work.open("a") as file:
    print("begun", seed, os.getpid(), file=file, flush=True)
if work.read_text().count("begun 3 ") == 1 and seed == 3:
    time.sleep(600)
run.finish()
with work.open("a") as file:
    print("done", seed, file=file)
"""


def kill_worker(work, running):
    """End the job that has begun seed 3, with all that it started, as when its node is gone."""
    while not (begun := re.findall("begun 3 ([0-9]+)\n", work.read_text() if work.exists() else "")):
        assert not running.done(), running.result().stdout
        time.sleep(0.1)
    kernel = psutil.Process(int(begun[0]))
    jobs = [process for process in kernel.parents() if process.cmdline()[:2] == ["sh", "-c"]]
    worker = jobs[-1]  # the outermost
    for process in (worker, *worker.children(recursive=True)):
        process.kill()


def test_a_worker_of_a_cluster_is_killed_and_nothing_is_lost_or_done_twice(project, monkeypatch):
    """By the profile for Kubernetes, with a cluster on this machine."""
    command = project.write("bin/kubectl", KUBECTL)
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    notebook = NOTEBOOK.format(name="01_one", imports="")
    project.write("notebooks/01_one.py", notebook.replace("run.finish()", WORK))
    project.write("sweep.yml", "notebook: 01_one\nruns: [{seed: 3, device: cpu}, {seed: 11, device: cpu}]\n")
    cluster = ("--workflow-profile", "workflow/profiles/kubernetes", "--seconds-between-status-checks", "1")
    try:
        with ThreadPoolExecutor() as pool:
            options = (*cluster, "--config", "sweep=sweep.yml", "--", "runs")
            running = pool.submit(project.snakemake, *options, check=False)
            kill_worker(project.root / "work.txt", running)
            done = running.result()
    finally:
        project.write("notebooks/01_one.py", notebook)
    assert done.returncode == 0, done.stdout + (project.root / "jobs.log").read_text()
    work = re.findall("(begun|done) ([0-9]+)", (project.root / "work.txt").read_text())
    assert Counter(work) == {("begun", "3"): 2, ("done", "3"): 1, ("begun", "11"): 1, ("done", "11"): 1}
    folder = project.root / "build" / "runs" / "01_one"
    checks = {
        run: json.loads((folder / run / "results.json").read_text())["checks"]["small"]["holds"]
        for run in ("seed-3_device-cpu", "seed-11_device-cpu")
    }
    assert checks == {"seed-3_device-cpu": True, "seed-11_device-cpu": False}  # told, not refused
    assert not list((project.root / "build" / "failed").glob("01_one/seed-*"))
    jobs = [yaml.safe_load(path.read_text()) for path in project.root.glob("job-*.yaml")]
    pods = [job["spec"]["template"]["spec"] for job in jobs]
    limits = [container["resources"]["limits"] for pod in pods for container in pod["containers"]]
    assert limits == [{"nvidia.com/gpu": 1, "cpu": 2, "memory": "32000M"}] * 3
    assert all(pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "memlib"} for pod in pods)


def test_the_profile_for_slurm_plans_every_run_with_one_gpu(project):
    """A dry run: it reads the profile's settings with the plugin, and needs no cluster."""
    folder = "workflow/profiles/slurm"
    plan = project.snakemake(
        "--workflow-profile", folder, "--dry-run", "--config", "seeds=1", "--", "verdicts"
    ).stdout
    assert set(re.findall(r"running (\S+) \((\S+)\)", plan)) == {("01_one", "seed-1"), ("02_two", "seed-1")}
    settings = yaml.safe_load((ROOT / folder / "config.yaml").read_text())
    job = SimpleNamespace(resources=settings["default-resources"])
    assert set_gres_string(job).split() == ["--gpus=1"]


def test_failures_are_those_of_this_call(project):
    project.write("build/failed/01_one/old/message.txt", "an old failure")
    later = str(time.time() + 1)
    assert project.call("companion", "failures", check=False).returncode == 1
    assert project.call("companion", "failures", "--since", later).stdout == ""
    project.write(
        ".snakemake/log/9999.snakemake.log", "Building DAG\nRuleException:\nsbatch: partition unknown\n"
    )
    told = project.call("companion", "failures", "--since", "1", check=False)
    assert "an old failure" in told.stdout
    shutil.rmtree(project.root / "build" / "failed")
    told = project.call("companion", "failures", "--since", "1", check=False)
    assert told.returncode == 1
    assert "sbatch: partition unknown" in told.stdout
    assert "9999.snakemake.log" in told.stdout
    shutil.rmtree(project.root / ".snakemake" / "log")


def test_by_hand_as_the_page_says(project):
    """The very lines of *Rerun it*, in the shell."""
    page = (ROOT / "book" / "rerun.md").read_text()
    (lines,) = re.findall(r"```bash\n(name=.*?)```", page, re.DOTALL)
    project.write("notebooks/02_gaussian_mixture.py", NOTEBOOK.format(name="02_gaussian_mixture", imports=""))
    shutil.rmtree(project.root / "build" / "notebooks", ignore_errors=True)
    tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    try:
        subprocess.run(
            ["bash", "-euc", lines],
            cwd=project.root,
            env={**os.environ, "PATH": tools, "PYTHONPATH": str(project.root)},
            check=True,
        )
    finally:
        (project.root / "notebooks" / "02_gaussian_mixture.py").unlink()
    mine = project.root / "build" / "runs" / "02_gaussian_mixture" / "mine"
    assert json.loads((mine / "results.json").read_text())["parameters"]["seed"] == 1
    assert (mine / "notebook.ipynb").is_file()


@pytest.mark.parametrize(
    ("overrides", "options", "message"),
    [
        ({"sead": 1}, (), "unknown parameter 'sead', did you mean seed?"),
        ({}, ("--config", "preset=quik"), "unknown preset 'quik', did you mean quick?"),
        ({}, ("--config", "sweep=none.yml"), "none.yml is not there"),
    ],
)
def test_bad_parameters_stop_before_anything_runs(project, overrides, options, message):
    before = project.built()
    project.preset(**overrides)
    try:
        done = project.snakemake(*options, check=False)
    finally:
        project.preset()
    assert done.returncode != 0
    assert message in done.stdout
    assert project.built() == before


def test_a_failed_notebook_stops_the_book_until_it_succeeds(project):
    undo = project.append("notebooks/02_two.py", "\n# %%\nraise RuntimeError('not today')\n")
    assert project.snakemake(check=False).returncode != 0
    assert not (project.root / "build" / "runs" / "02_two" / "quick").exists()

    told = project.call("companion", "failures", check=False)
    assert told.returncode == 1
    assert "02_two (run quick) failed" in told.stdout
    for what in ("partial notebook", "log"):
        (path,) = re.findall(rf"{what}: (\S+)", told.stdout)
        assert "not today" in Path(path).read_text()

    # The success of another notebook changes nothing about it.
    project.call("companion", "run", "01_one")
    stopped = project.call("companion", "stage", check=False)
    assert stopped.returncode == 1
    assert "02_two (run quick) failed" in stopped.stdout

    undo()
    project.snakemake()
    assert project.call("companion", "failures").stdout == ""
    assert (project.html / "notebooks" / "02_two.html").is_file()


def test_a_warning_of_the_book_is_an_error_that_is_shown(project):
    undo = project.append("book/intro.md", "\n{ref}`nowhere`\n")
    try:
        done = project.snakemake(check=False)
        assert done.returncode != 0
        assert "undefined label: 'nowhere'" in done.stdout
        assert not (project.html / "index.html").exists()
    finally:
        undo()
