"""Ranges that fit: complete, in order, and halved by nothing but a lack of memory."""

import gc

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memlib.screening import batches
from memlib.screening.batches import halving


class Machine:
    """Work that fits up to a number of items."""

    def __init__(self, room, error=torch.OutOfMemoryError):
        self.room, self.error, self.ranges, self.lengths = room, error, [], []

    def work(self, start, stop):
        if stop - start > self.room:
            raise self.error("CUDA out of memory")
        self.ranges.append((start, stop))

    def run(self, start, stop, together):
        halving(self.work, start, stop, together, self.lengths.append)
        return self


@pytest.fixture(scope="module")
def quick_collections():
    """What is there already is left out of `gc.collect`, which then looks at the objects of a test alone."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("quick_collections")
@given(st.integers(0, 30), st.integers(0, 60), st.integers(1, 40), st.integers(1, 50))
def test_every_item_once_and_in_order(start, more, room, together):
    machine = Machine(room).run(start, start + more, together)
    assert [n for a, b in machine.ranges for n in range(a, b)] == list(range(start, start + more))
    assert all(
        after <= before // 2
        for before, after in zip([together, *machine.lengths], machine.lengths, strict=False)
    )
    assert all(b - a <= room for a, b in machine.ranges)


def test_what_did_not_fit_is_tried_again_in_halves_and_then_stays_so():
    machine = Machine(3).run(0, 20, 16)
    assert machine.lengths == [8, 4, 2]
    assert machine.ranges == [(n, n + 2) for n in range(0, 20, 2)]


def test_a_single_item_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="a single prompt; use fewer seeds"):
        Machine(0).run(0, 4, 4)


@pytest.mark.parametrize(
    "error", [RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes"), MemoryError()]
)
def test_the_processor_runs_out_of_memory_too(error):
    machine = Machine(2, lambda _: error).run(0, 4, 4)
    assert machine.ranges == [(0, 2), (2, 4)]


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), OSError("no space"), ValueError("layer")])
def test_other_errors_pass(error):
    with pytest.raises(type(error), match=str(error)):
        Machine(0, lambda _: error).run(0, 4, 4)


def test_what_a_failed_attempt_held_is_gone_before_the_next():
    class Held:
        alive = 0

        def __init__(self):
            Held.alive += 1

        def __del__(self):
            Held.alive -= 1

    seen = []

    def work(start, stop):
        seen.append(Held.alive)
        held = Held()
        if stop - start > 1:
            raise torch.OutOfMemoryError(f"out of memory {type(held)}")

    halving(work, 0, 2, 2, lambda _: None)
    assert seen == [0, 0, 0]


@pytest.mark.parametrize(("free", "rows"), [(0, 1), (2 * 64 * 16 * 8 * 4 * 13, 8), (1 << 40, 64)])
def test_the_first_guess_is_a_power_of_two_that_the_memory_allows(model, monkeypatch, free, rows):
    monkeypatch.setattr(batches, "_free", lambda device: free)
    assert batches.starting_rows(model) == rows


def test_what_gradients_keep_is_counted(model, monkeypatch):
    monkeypatch.setattr(batches, "_free", lambda device: 2 * 64 * 16 * 8 * 4 * 33)
    assert (batches.starting_rows(model), batches.starting_rows(model, gradients=True)) == (32, 2)


def test_this_machine_has_memory(model):
    assert batches._free(model.device) > 1 << 20
