"""Random additions keep the words of a caption, in order."""

import warnings

import pytest
import torch

from memlib.mitigation import RandomAddition, apply


@pytest.mark.parametrize("kind", ["token", "number"])
def test_words_are_kept_and_so_many_added(models, kind):
    model = models["epsilon", torch.float64]
    captions = [f"{chr(97 + n % 26)}{n} cat a" for n in range(40)]
    noise = model.noise(1, torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numbers of five digits do not fit into twelve tokens
        found = apply(model, RandomAddition(kind, 3), model.encode(captions), noise).prompts
    assert len(set(found.captions)) > 30  # each prompt draws for itself
    places = set()
    for given, caption in zip(captions, found.captions, strict=True):
        words = caption.split()
        rest = iter(words)
        assert all(word in rest for word in given.split())  # a subsequence
        if kind == "number":
            assert len(words) == 6
            added = [word for word in words if word.isdigit()]
            assert len(added) == 3
            assert all(int(word) < 100_000 for word in added)
            places |= {i for i, word in enumerate(words) if word.isdigit()}
    if kind == "number":
        assert places == set(range(6))  # before the first word, after the last, and between
        assert found.removed  # and the end that was cut is named


def test_special_tokens_are_never_added(models):
    model = models["epsilon", torch.float64]
    noise = model.noise(1, torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="were cut"):
        found = apply(model, RandomAddition("token", 200), model.encode(["cat"]), noise).prompts
    assert "<|" not in found.captions[0]
