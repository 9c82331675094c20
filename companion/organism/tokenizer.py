"""A tokenizer in CLIP's format whose vocabulary makes one token of every word of the captions.

CLIP's byte-pair encoding keeps its rules: other words fall into letters, and any text has tokens.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from companion.organism.words import Generation, all_words
from memlib.text_to_image.libraries import libraries

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

LENGTH = 16
"""Tokens of a caption, padded; the longest caption takes 15, its start and end counted."""
START, END, WORD_END = "<|startoftext|>", "<|endoftext|>", "</w>"


def tokenizer(generation: Generation = 1) -> CLIPTokenizer:
    """The tokenizer of all models of a generation, the same at every call."""
    return tokenizer_of(all_words(generation))


def tokenizer_of(words: list[str]) -> CLIPTokenizer:
    """A tokenizer to which each of these words is one token, and any other text its letters."""
    _, transformers = libraries()
    pairs = merges(words)
    letters = _letters()
    symbols = [*letters, *(letter + WORD_END for letter in letters), *map("".join, pairs), START, END]
    vocabulary = {symbol: index for index, symbol in enumerate(symbols)}
    made: CLIPTokenizer = transformers.CLIPTokenizer(vocab=vocabulary, merges=pairs, model_max_length=LENGTH)
    return made


def merges(words: list[str]) -> list[tuple[str, str]]:
    """Byte-pair encoding learned until every word is one symbol (Sennrich et al. 2016, algorithm 1).

    Ties go to the first pair in alphabetical order: the `tokenizers` library breaks them by chance.
    """
    spelled = [[*word[:-1], word[-1] + WORD_END] for word in words]
    learned = []
    while counted := Counter(pair for symbols in spelled for pair in pairwise(symbols)):
        best = min(counted, key=lambda pair: (-counted[pair], pair))
        learned.append(best)
        spelled = [_merged(symbols, best) for symbols in spelled]
    return learned


def _merged(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for symbol in symbols:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return merged


def _letters() -> list[str]:
    """The 256 characters that stand for bytes in byte-level encodings."""
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())
