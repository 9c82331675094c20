"""A run is published if it succeeded, and only then; a failed one says where its output is."""

import os
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from companion.experiment import driver, results, watch
from companion.experiment.context import VARIABLE
from companion.experiment.runs import LOG, NOTEBOOK, Place, RunError, failures

from .conftest import notebook_in

pytestmark = pytest.mark.slow  # each test starts a kernel

GOOD = """\
# %%
import matplotlib.pyplot as plt
from companion import experiment
run = experiment.start("01_toy", globals())
run.record("doubled", 2 * seed)
# %%
run.table({"x": [1.0]}, "numbers")
# %%
figure, ax = plt.subplots(figsize=(1, 1))
run.figure(figure, "opening", opening=True)
# %%
figure, ax = plt.subplots(figsize=(1, 1))
run.figure(figure, "other")
# %%
run.finish()
"""

FAILS = """\
# %%
print("got this far")
# %%
raise RuntimeError("this went wrong")
"""


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "build", "01_toy", "quick")


def execute(notebook, place, overrides=None, **options):
    return driver.execute(
        notebook, overrides or {}, run=place.run, preset="quick", build=place.build, **options
    )


def leaves(notebook="01_toy", seed=0):
    """A cell that leaves the results of a run as the recorder does, without the seconds to import that."""
    about = {
        "notebook": notebook,
        "run": "quick",
        "preset": "quick",
        "parameters": {"seed": seed, "device": "cpu"},
    }
    empty = {"scalars": {}, "figures": {}, "tables": {}, "versions": {}}
    where = {"seed": seed, "device": "cpu", "hardware": "", "commit": "", "dirty": None}
    found = results.Results(**about, **empty, **where, started="2026-01-01T00:00:00Z", duration_s=1.0)
    return (
        f"# %%\nimport json, os, pathlib\ncontext = json.loads(os.environ[{VARIABLE!r}])\n"
        f"(pathlib.Path(context['output']) / {results.FILE!r}).write_text({found.model_dump_json()!r})\n"
    )


def runs_to_its_end(notebook, place, **options):
    """No cell fails and the kernel lives; results, which take seconds, are all that is missing."""
    with pytest.raises(RunError, match="is not there; expected the results"):
        execute(notebook, place, **options)


def leave_good_run(place):
    """What an earlier success left, without the seconds it takes."""
    place.final.mkdir(parents=True)
    (place.final / results.FILE).write_text("earlier")


@pytest.fixture(scope="module")
def success(tmp_path_factory):
    """(place, results) of a run that succeeded after one that failed."""
    home = tmp_path_factory.mktemp("success")
    place = Place(home / "build", "01_toy", "quick")
    with pytest.raises(RunError):
        execute(notebook_in(home, FAILS), place)
    return place, execute(notebook_in(home, GOOD), place, {"seed": 4})


def test_a_success_is_published_and_clears_an_earlier_failure(success):
    place, found = success
    assert found == results.load(place.final)
    assert (found.notebook, found.run, found.preset) == ("01_toy", "quick", "quick")
    assert found.parameters == {"seed": 4, "device": "cpu"}
    assert found.scalars["doubled"].value == 8
    assert failures(place.build) == []
    assert not place.failed.exists()
    assert sorted(path.name for path in place.final.parent.glob("*")) in (["quick"], [".quick.lock", "quick"])

    notebook = nbformat.read(place.final / NOTEBOOK, as_version=4)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    glued = {
        output.metadata["scrapbook"]["name"]
        for output in outputs
        if "scrapbook" in output.get("metadata", {})
    }
    assert "doubled" in glued
    assert str(place.build) not in (place.final / NOTEBOOK).read_text()


def test_the_figure_that_opens_a_page_is_glued_and_not_shown_in_its_cell(success):
    place, found = success
    assert sorted(found.figures) == ["opening", "other"]
    cells = nbformat.read(place.final / NOTEBOOK, as_version=4).cells
    opening, other = (cell.outputs for cell in cells if "run.figure" in cell.source)
    (glued,) = opening
    assert glued.metadata["scrapbook"]["name"] == "figure_opening"
    assert "application/papermill.record/image/png" in glued.data
    assert [list(output.data) for output in other] == [["image/png", "text/plain"]]


def test_a_failure_keeps_what_there_is_and_sets_the_earlier_run_aside(write_notebook, place, monkeypatch):
    leave_good_run(place)
    monkeypatch.setenv("TQDM_DISABLE", "0")
    before = dict(os.environ)
    with pytest.raises(RunError) as caught:
        execute(write_notebook(FAILS), place)
    message = str(caught.value)
    assert "01_toy (run quick) failed" in message
    assert "RuntimeError: this went wrong" in message
    for path in (place.failed / NOTEBOOK, place.failed / LOG, place.earlier):
        assert str(path) in message
    assert "got this far" in (place.failed / NOTEBOOK).read_text()
    assert "this went wrong" in (place.failed / LOG).read_text()
    assert not place.final.exists()
    assert not place.partial.exists()
    assert (place.earlier / results.FILE).read_text() == "earlier"
    assert failures(place.build) == [message]
    assert dict(os.environ) == before


def test_results_written_before_a_failure_are_no_results(write_notebook, place):
    with pytest.raises(RunError, match="too late"):
        execute(write_notebook(leaves() + "# %%\nassert False, 'too late'\n"), place)
    assert not list(place.build.rglob(results.FILE))


@pytest.mark.parametrize("waits", ["time.sleep(600)", "threading.Event().wait()"])
def test_a_cell_that_hangs_is_ended_and_says_where(write_notebook, place, waits):
    notebook = write_notebook(f"# %%\nprint('before')\n# %%\nimport threading, time\n{waits}\n")
    begun = time.monotonic()
    with pytest.raises(RunError, match="TimeoutError: cell 4 made no progress for 3 s") as caught:
        execute(notebook, place, timeout=3)
    assert time.monotonic() - begun < 120
    assert "--timeout SECONDS" in str(caught.value)
    left = (place.failed / NOTEBOOK).read_text()
    assert "before" in left
    assert "KeyboardInterrupt" in left  # its traceback
    assert not place.final.exists()


def test_a_cell_that_does_not_listen_is_ended_all_the_same(write_notebook, place, monkeypatch):
    monkeypatch.setattr(watch, "GRACE", 1.0)
    deaf = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(600)\n"
    with pytest.raises(RunError, match="made no progress for 2 s"):
        execute(write_notebook(f"# %%\n{deaf}"), place, timeout=2)


SLOW = """\
# %%
import os, subprocess, sys, time
begun = time.process_time()
while time.process_time() < begun + 3: pass
# %%
for i in range(3): time.sleep(1); print(i)
# %%
subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 3: pass"])
# %%
me = os.getpid()
subprocess.run(["sh", "-c", f"kill -19 {me}; sleep 3; kill -18 {me}"])
"""


def test_a_slow_cell_that_lives_goes_on(write_notebook, place):
    """It computes, says something, waits for a process that computes, is suspended."""
    runs_to_its_end(write_notebook(SLOW), place, timeout=2)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors cannot be chosen here")
def test_a_kernel_starved_of_its_processor_goes_on(write_notebook, place):
    """Eight others at the highest priority they may have share one processor with a kernel at the lowest."""
    cpu = min(os.sched_getaffinity(0))
    spin = f"import os\nos.sched_setaffinity(0, {{{cpu}}})\nwhile True: pass\n"
    others = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(8)]
    try:
        starve = (
            f"import os, time\nos.nice(19)\nos.sched_setaffinity(0, {{{cpu}}})\nbegun = time.process_time()\n"
        )
        body = (
            "while time.process_time() < begun + 0.1: pass\nos.sched_setaffinity(0, range(os.cpu_count()))\n"
        )
        runs_to_its_end(write_notebook(f"# %%\n{starve}{body}"), place, timeout=2)
    finally:
        for other in others:
            other.kill()
            other.wait()


@pytest.mark.parametrize("length", [20, 150])
def test_sockets_lie_where_their_path_is_short(write_notebook, place, tmp_path, monkeypatch, length):
    long = tmp_path / ("x" * length)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    runs_to_its_end(write_notebook("# %%\n1 + 1\n"), place)
    assert list(long.iterdir()) == []


def test_without_a_short_folder_the_kernel_listens_on_ports(write_notebook, place, monkeypatch):
    monkeypatch.setattr(driver, "LONGEST_SOCKET_FOLDER", 0)
    runs_to_its_end(write_notebook("# %%\n1 + 1\n"), place)


def test_a_kernel_that_dies(write_notebook, place):
    with pytest.raises(RunError, match="DeadKernelError"):
        execute(write_notebook("# %%\nimport os\nos._exit(1)\n"), place)
    assert not place.final.exists()
    assert failures(place.build)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("# %%\n1 + 1\n", "is not there; expected the results"),
        (leaves("02_other"), "the results are of 02_other"),
        (leaves(seed=99), r"expected 01_toy with \{'seed': 0"),
    ],
)
def test_a_notebook_without_results_of_its_own_has_failed(write_notebook, place, body, message):
    with pytest.raises(RunError, match=message):
        execute(write_notebook(body), place)
    assert not place.final.exists()


def test_bad_parameters_stop_before_anything_changes(write_notebook, place):
    leave_good_run(place)
    for overrides in ({"sead": 1}, {"seed": "1"}, {"output": "elsewhere"}):
        with pytest.raises(ValueError, match=r"seed|output"):
            execute(write_notebook(FAILS), place, overrides)
    assert (place.final / results.FILE).read_text() == "earlier"
    assert not place.failed.exists()


DRIVE = "import sys; from pathlib import Path; from companion.experiment import driver;" + (
    "driver.execute(Path(sys.argv[1]), {}, run='quick', build=Path(sys.argv[2]))"
)


def wait_for(path, seconds=120):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.1)


def test_a_kill_in_the_middle_leaves_no_results_and_the_next_run_works(write_notebook, place, tmp_path):
    leave_good_run(place)
    sign = tmp_path / "under-way"
    slow = write_notebook(f"# %%\nopen({str(sign)!r}, 'w').close()\nimport time\ntime.sleep(60)\n")
    with subprocess.Popen([sys.executable, "-c", DRIVE, str(slow), str(place.build)]) as process:
        wait_for(sign)
        with pytest.raises(ValueError, match="under way in another process"):
            execute(slow, place)
        os.kill(process.pid, signal.SIGKILL)
    assert not place.final.exists()  # what was good before is not shown as if it were new
    assert (place.earlier / results.FILE).exists()
    execute(write_notebook(leaves()), place)
    assert results.load(place.final).parameters["seed"] == 0
    assert not place.partial.exists()
    assert not place.earlier.exists()


def test_kernels_side_by_side_do_not_meet(write_notebook, place):
    first, second = write_notebook(FAILS, name="01_toy"), write_notebook(FAILS, name="02_toy")
    started = [
        subprocess.Popen(
            [sys.executable, "-c", DRIVE, str(path), str(place.build)], stderr=subprocess.PIPE, text=True
        )
        for path in (first, second)
    ]
    for process in started:
        assert "this went wrong" in process.communicate()[1]  # and not a signature of the other's messages
    assert sorted(path.name for path in first.parent.iterdir()) == ["01_toy.py", "02_toy.py"]
