"""Runs that are repeated are compared: exactly, or within what their own uncertainty lets one notice."""

import pytest

from companion.experiment import again

from .test_compare import record


def compared(build, run):
    return again.compared(build, "quick", run, ["01_toy"])


@pytest.fixture
def build(tmp_path):
    record(tmp_path, "quick", plain=100.0, wide=5.0)
    return tmp_path


def test_once_more_means_to_the_last_bit(build):
    record(build, "again", plain=100.0, wide=5.0)
    found = compared(build, "again")
    assert (found.shared, found.moved, found.apart) == (4, [], [])
    record(build, "again", plain=100.0 * (1 + 2**-52), wide=5.0)
    assert [item.key for item in compared(build, "again").apart] == ["plain"]


def test_elsewhere_a_number_may_move_by_less_than_one_would_notice(build):
    record(build, "again-avx2", plain=100.05, wide=5.4)  # 0.05 % of itself; 0.4 of an interval of width 2
    found = compared(build, "again-avx2")
    assert len(found.moved) == 4
    assert found.apart == []
    record(build, "again-avx2", plain=100.2, wide=5.6)
    assert sorted(i.key for i in compared(build, "again-avx2").apart) == [
        "plain",
        "wide",
        "wide, high",
        "wide, low",
    ]


def test_a_number_that_is_gone_or_new_is_apart(build):
    record(build, "again-2-threads", plain=100.0, new=1.0)
    found = compared(build, "again-2-threads")
    assert sorted(item.key for item in found.apart) == ["new", "wide", "wide, high", "wide, low"]


def test_a_run_that_is_missing_is_named(build):
    with pytest.raises(ValueError, match=r"again-avx2.*is not there"):
        compared(build, "again-avx2")


def test_variants_choose_threads_and_instructions_and_other_runs_do_not():
    assert again.threads("again-2-threads") == 2
    assert again.environment("again-avx2") == "ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2"
    assert {(again.threads(run), again.environment(run)) for run in ("quick", "seed-1", "again")} == {
        (None, "")
    }
