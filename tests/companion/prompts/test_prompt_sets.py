"""Families of the known prompts, and that a question is answered by its own families alone."""

from collections import Counter

import numpy as np
import pytest
import torch

from companion.organism.captions import captions
from companion.prompts import prompt_sets
from companion.prompts.labelled import LabelledCaption
from companion.prompts.questions import Question
from memlib.detection import evaluate

from .test_published import FILES, folder

__all__ = ["folder"]

QUESTION = Question("a_b", ("a",), ("b", "c"), (("d",), ("e", "f")))
FAMILIES = ["b", "a", "d", "e", "a", "c", "f", "b", "d", "e"]


def test_families_of_the_organism_are_what_its_captions_say():
    found = prompt_sets.organism(copies=100)
    assert found.captions == tuple(caption.text for caption in captions())
    assert Counter(found.families) == {
        "exact": 24,
        "exact, few copies": 32,
        "template": 18,
        "general": 400,
        "general, held out": 200,
        "stated": 84,
        "stated, held out": 56,
    }
    copies = {family: set() for family in found.families}
    for family, number in zip(found.families, found.copies, strict=True):
        copies[family].add(number)
    assert copies["exact"] == {100, 300, 1000}
    assert copies["exact, few copies"] == {1, 3, 10, 30}
    assert copies["general"] == copies["stated"] == {0}


def test_the_number_of_copies_divides_the_copied_captions():
    assert Counter(prompt_sets.organism(copies=31).families) == Counter(prompt_sets.organism(100).families)
    assert Counter(prompt_sets.organism(copies=30).families)["exact"] == 32
    with pytest.raises(ValueError, match="no image was copied 1001 times; the largest number is 1000"):
        prompt_sets.organism(copies=1001)


def test_families_of_the_second_organism():
    found = prompt_sets.second_organism(copies=100)
    assert found.captions == tuple(caption.text for caption in captions(generation=2))
    exact = dict.fromkeys((10, 20, 30, 45, 60, 100), 30) | {300: 10, 1000: 5}
    assert Counter(found.families) == {f"exact, {k:,} copies": n for k, n in exact.items()} | {
        "mixed": 30,
        "mixed, few copies": 20,
        "near": 16,
        "near, few copies": 16,
        "template": 12,
        "general": 300,
        "general, seen": 300,
        "stated": 80,
        "stated, seen": 90,
    }
    by_name = {question.name: question for question in found.questions}
    exact = by_name["exact_general"]
    assert exact.memorized == tuple(f"exact, {k} copies" for k in ("100", "300", "1,000"))
    assert len(by_name["middle_general"].rows(found.families)[0]) == 120 + 30 + 16 + 300
    (middle, *_) = prompt_sets.second_organism(between=[60]).questions
    assert middle.memorized == ("exact, 60 copies", "mixed", "near")
    for caption, family in zip(captions(generation=2), found.families, strict=True):
        if family in ("general", "stated"):
            assert caption.entries == 0
        elif family in ("mixed", "near", "template"):
            assert caption.copies >= 100
    with pytest.raises(ValueError, match=r"copies must lie in \(10, 1000\], got 10"):
        prompt_sets.second_organism(copies=10)
    with pytest.raises(ValueError, match=r"exact captions have \[10, .*1000\] copies, got \[50\]"):
        prompt_sets.second_organism(between=[50, 60])


def sets(folder):
    return (
        prompt_sets.organism(),
        prompt_sets.second_organism(),
        prompt_sets.published("sd1", folder),
        prompt_sets.published("sd2", folder),
    )


def test_what_is_fitted_or_calibrated_on_is_never_judged(folder):
    for found in sets(folder):
        known = set(found.families)
        for question in found.questions:
            judged = {*question.memorized, *question.others}
            assert judged <= known
            assert not set(question.memorized) & set(question.others)
            assert not judged & {*question.fit[0], *question.fit[1], found.calibration}
            assert question.name.isidentifier()


def test_published_prompts_are_held_back_in_part(folder, monkeypatch):
    monkeypatch.setattr(prompt_sets, "_EVERY", 3)
    found = prompt_sets.published("sd1", folder)
    lines = (FILES["sd1_mem.txt"] + "\n" + FILES["sd1_nmem.txt"]).split("\n")
    assert found.captions == tuple(lines)
    assert found.families == (
        *("memorized, held back", "untyped", "untyped"),
        *("others, held back", "COCO", "Lexica", "others, held back", "GPT-4"),
    )
    assert found.questions[0].memorized == ("untyped",)
    assert found.questions[0].others == ("COCO", "Lexica", "Tuxemon", "GPT-4")
    assert [question.name for question in found.questions[1:]] == [
        "memorized_coco",
        "memorized_lexica",
        "memorized_tuxemon",
        "memorized_gpt4",
    ]
    assert set(prompt_sets.published("sd2", folder).questions[0].memorized) == {"TV", "MV"}
    with pytest.raises(ValueError, match="'organism', 'sd1' or 'sd2', got 'sd3'"):
        prompt_sets.published("sd3", folder)


def test_the_first_of_each_family():
    found = prompt_sets.organism()
    places = found.first({"stated": 2, "exact": 3, "general": 0})
    assert [found.families[i] for i in places] == ["stated"] * 2 + ["exact"] * 3
    assert places[2] == found.families.index("exact")
    assert len(found.first({"exact": 99})) == 24
    with pytest.raises(ValueError, match="no family is called 'exakt'; there are"):
        found.first({"exakt": 1})
    with pytest.raises(ValueError, match="cannot be negative"):
        found.first({"exact": -1})


def test_a_question_looks_at_its_own_families_alone():
    rows, labels = QUESTION.rows(FAMILIES)
    assert rows.tolist() == [0, 1, 4, 5, 7]
    assert labels.tolist() == [False, True, True, False, False]
    scores = np.random.default_rng(0).normal(size=(10, 3))
    found, expected = QUESTION.judge(FAMILIES, scores), evaluate(scores[rows], labels)
    assert (found.auc, found.tpr) == (expected.auc, expected.tpr)
    assert QUESTION.judge(FAMILIES, scores, higher_is_memorized=False).auc.value == pytest.approx(
        1 - found.auc.value
    )


def test_weights_come_from_the_families_set_apart():
    generator = torch.Generator().manual_seed(0)
    cosines, norms = (torch.randn(10, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    apart = torch.tensor([2, 8, 3, 6])  # as many of either class, the first ones
    labels = torch.tensor([True, True, False, False])
    expected = type(QUESTION.fitted(FAMILIES, cosines, norms)).fit(cosines[apart], norms[apart], labels)
    assert QUESTION.fitted(FAMILIES, cosines, norms) == expected
    changed = cosines.clone()
    changed[[0, 1, 4, 5, 7]] += 10
    assert QUESTION.fitted(FAMILIES, changed, norms) == expected
    changed[2] += 10
    assert QUESTION.fitted(FAMILIES, changed, norms) != expected


def own(*rows):
    return [LabelledCaption(f"caption {i}", family, number) for i, (family, number) in enumerate(rows)]


def test_captions_of_ones_own_are_memorized_by_family_and_copies():
    rows = [("exact", 200), ("exact", None), ("exact", 99), ("exact", 100), ("general", None), ("general", 0)]
    found = prompt_sets.labelled(own(*rows), copies=100)
    assert found.captions == tuple(f"caption {i}" for i in range(6))
    assert found.families == (
        *("memorized, held back", "exact", "exact, few copies", "exact"),
        *("others, held back", "general"),
    )
    assert found.copies == (200, 0, 99, 100, 0, 0)
    (question,) = found.questions
    assert (question.name, question.memorized, question.others) == ("exact_general", ("exact",), ("general",))
    assert question.fit == (("memorized, held back",), ("others, held back",))
    assert found.calibration == "others, held back"


def test_every_pair_of_families_is_a_question_and_one_in_ten_is_held_back():
    families = ("stated", "template", "general", "exact")
    found = prompt_sets.labelled(own(*[(family, None) for family in families for _ in range(12)]))
    assert [question.name for question in found.questions] == [
        *("exact_general", "template_general", "exact_stated", "template_stated", "stated_general"),
    ]
    counts = Counter(found.families)
    assert counts == dict.fromkeys(families, 10) | {"memorized, held back": 4, "others, held back": 4}


@pytest.mark.parametrize("rows", [[("general", None)] * 3, [("exact", 1)] * 3 + [("general", None)] * 3])
def test_captions_of_one_kind_are_refused(rows):
    with pytest.raises(ValueError, match=r"captions of \('exact', 'template'\) with 100 copies or more"):
        prompt_sets.labelled(own(*rows))
