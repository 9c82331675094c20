"""A table read back: order, thresholds and separation, by hand and by `memlib.detection`."""

import numpy as np
import pytest

from memlib.detection.calibration import calibrate
from memlib.detection.evaluation import evaluate
from memlib.screening import TaskResult, prompt_files, ranking

from .conftest import table

N = 60


class Made:
    """A task with values of its own."""

    def __init__(self, values):
        self.values, self.position = values, 0

    def __call__(self, prompts):
        rows = slice(self.position, self.position + len(prompts))
        self.position = rows.stop
        return TaskResult({name: values[rows] for name, values in self.values.items()})


@pytest.fixture
def scores(screening, tmp_path):
    """A function: labels and references -> the table of made-up values, read back."""
    import torch

    def make(labels=None, reference=0):
        generator = torch.Generator().manual_seed(0)
        wen, carlini = torch.rand(2, N + reference, 3, generator=generator, dtype=torch.float64)
        given = table([str(n) for n in range(N)], **({} if labels is None else {"label": labels}))
        if reference:
            given = prompt_files.with_reference(given, table([f"known {n}" for n in range(reference)]))
        made = screening(
            prompts=given, task=Made({"wen": wen, "carlini": carlini}), statistics=["wen", "carlini"]
        )
        made.run(tmp_path / "a.parquet", rows=21)
        return ranking.load(tmp_path / "a.parquet"), wen.numpy(), carlini.numpy()

    return make


def test_the_most_suspicious_come_first(scores):
    found, wen, carlini = scores()
    assert np.array_equal(found.values["wen"], wen)
    assert found.ranked("wen").tolist() == np.argsort(-wen.mean(1)).tolist()
    assert found.ranked("carlini").tolist() == np.argsort(carlini.mean(1)).tolist()  # small means memorized
    assert found.column("prompt") == [str(n) for n in range(N)]
    assert found.column("reference") == [None] * N


def test_references_are_not_ranked_and_give_the_threshold(scores):
    found, wen, carlini = scores(reference=30)
    assert sorted(found.ranked("wen")) == list(range(N))
    assert ranking.threshold(found, "wen", 0.1) == calibrate(wen[N:].mean(1), target=0.1)
    assert ranking.threshold(found, "carlini", 0.1) == calibrate(
        carlini[N:].mean(1), higher_is_memorized=False, target=0.1
    )
    assert ranking.evaluation(found, "wen", 0.1) is None


def test_labels_give_thresholds_and_separation(scores):
    labels = [True] * 10 + [None] * 20 + [False] * 30
    found, wen, _ = scores(labels)
    chosen = np.r_[0:10, 30:60]
    expected = evaluate(wen[chosen], np.arange(40) < 10, target=0.1)
    assert ranking.threshold(found, "wen", 0.1) == calibrate(wen[30:].mean(1), target=0.1)
    assert ranking.evaluation(found, "wen", 0.1).auc == expected.auc
    assert ranking.evaluation(found, "wen", 0.1).threshold == ranking.threshold(found, "wen", 0.1).value.value


def test_references_go_before_labels(scores):
    found, wen, _ = scores([False] * N, reference=30)
    assert ranking.threshold(found, "wen", 0.1) == calibrate(wen[N:].mean(1), target=0.1)


def test_nothing_known_calibrates_nothing(scores):
    found, _, _ = scores([True] * 59 + [False])
    assert ranking.threshold(found, "wen", 0.1) is None
    assert ranking.evaluation(found, "wen", 0.1) is None
