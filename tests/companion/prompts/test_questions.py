"""Scores of a set of prompts: what was not measured stays out, what is fitted is fitted apart."""

import numpy as np
import pytest
import torch

from companion.prompts.questions import PromptSet, Question, Scores
from memlib.detection import Anisotropy, evaluate

QUESTION = Question("a_b", ("a",), ("b",), (("c",), ("d",)))
FAMILIES = ("a", "b", "c", "d", "a", "b", "c", "d", "a", "b", "c", "d")
KNOWN = PromptSet(tuple(f"caption {i}" for i in range(12)), FAMILIES, (0,) * 12, (QUESTION,), "d")
GENERATOR = np.random.default_rng(0)
FIRST, SECOND = GENERATOR.normal(size=(2, 12, 4))


@pytest.fixture
def scores():
    places = [0, 1, 2, 3, 4, 5, 6, 7]
    values = {
        "all": FIRST,
        "some": KNOWN.placed(places, SECOND[places]),
        "cosine": FIRST,
        "norm": KNOWN.placed(places, SECOND[places]),
    }
    return Scores(KNOWN, values, {"all": True, "some": False, "both": True}, {"both": ("cosine", "norm")})


def test_values_lie_at_their_places():
    found = KNOWN.placed([5, 2], [[1.0, 2.0], [3.0, 4.0]])
    assert found.shape == (12, 2)
    assert found[[5, 2]].tolist() == [[1, 2], [3, 4]]
    assert np.isnan(np.delete(found, [2, 5], axis=0)).all()
    assert KNOWN.texts([5, 2]) == ["caption 5", "caption 2"]


@pytest.mark.parametrize("count", [1, 3])
def test_a_question_is_answered_where_it_was_measured(scores, count):
    found, expected = scores.judge(QUESTION, "all", count), QUESTION.judge(FAMILIES, FIRST[:, :count])
    assert (found.auc, found.tpr) == (expected.auc, expected.tpr)
    found = scores.judge(QUESTION, "some", count)
    expected = evaluate(SECOND[[0, 1, 4, 5], :count], [True, False, True, False], higher_is_memorized=False)
    assert (found.auc, found.tpr, found.higher_is_memorized) == (expected.auc, expected.tpr, False)
    found = scores.judge(QUESTION, "all", count, among=[0, 1, 4, 5, 9])
    expected = evaluate(FIRST[[0, 1, 4, 5, 9], :count], [True, False, True, False, False])
    assert (found.auc, found.tpr) == (expected.auc, expected.tpr)


def test_weights_are_fitted_on_prompts_that_are_not_judged(scores):
    apart = [2, 6, 3, 7]  # of both families, those that were measured
    cosines, norms = (torch.from_numpy(part[:, :2]) for part in (FIRST, SECOND))
    weights = Anisotropy.fit(cosines[apart], norms[apart], torch.tensor([True, True, False, False]))
    found = scores.of(QUESTION, "both", 2)
    np.testing.assert_allclose(found[:8], weights.of(cosines, norms)[:8])
    assert np.isnan(found[8:]).all()
    expected = evaluate(found[[0, 1, 4, 5]], [True, False, True, False])
    assert scores.judge(QUESTION, "both", 2).auc == expected.auc


def test_families_by_what_is_asked_of_them():
    both = (QUESTION, Question("b_c", ("b",), ("c",), (("a",), ("d",))))
    known = PromptSet(KNOWN.captions, FAMILIES, KNOWN.copies, both, "d")
    assert known.judged == ("a", "b", "c")
    assert known.memorized == ("a",)  # b is in the negative class of the other question
    assert KNOWN.apart == ("c",)
    assert QUESTION.words == "a against b"
