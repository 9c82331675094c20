"""One token a word, the same at every call, and tokens for any text."""

import pytest

pytest.importorskip("transformers")

from companion.organism import captions
from companion.organism.parts import TextToImageConfig
from companion.organism.tokenizer import LENGTH, merges, tokenizer
from companion.organism.words import all_words


@pytest.fixture(scope="module")
def clip():
    return tokenizer()


def test_every_word_is_one_token(clip):
    assert [word for word in all_words() if len(clip.tokenize(word)) != 1] == []
    assert len(clip) == TextToImageConfig().vocabulary


def test_captions_fit_and_come_back(clip):
    for caption in captions():
        ids = clip(caption.text).input_ids
        assert len(ids) < LENGTH
        assert len(ids) == len(caption.text.replace(",", " ,").split()) + 2
        assert clip.decode(ids, skip_special_tokens=True).replace(" ,", ",").strip() == caption.text


def test_start_end_and_padding(clip):
    ids = clip("", padding="max_length").input_ids
    assert ids == [len(clip) - 2] + [len(clip) - 1] * (LENGTH - 1)
    assert (clip.bos_token_id, clip.eos_token_id, clip.model_max_length) == (ids[0], ids[1], LENGTH)


@pytest.mark.parametrize("text", ["Xylophone!", "naïve 漢字", "quietly", "🙂", "12 & 3"])
def test_any_text_has_tokens_and_nothing_is_lost(clip, text):
    ids = clip(text).input_ids[1:-1]
    assert clip.eos_token_id not in ids
    assert clip.decode(ids).replace(" ", "") == text.lower().replace(" ", "")


def test_merges_by_hand():
    """(a, b) and (b, c</w>) stand there twice: the first of the alphabet goes first."""
    assert merges(["ab", "abc", "abc"]) == [("a", "b"), ("ab", "c</w>"), ("a", "b</w>")]
    assert merges(["aa"]) == [("a", "a</w>")]
    assert merges(["a"]) == []
    assert merges(sorted(all_words())) == merges(sorted(all_words()))
