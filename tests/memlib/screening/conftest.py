"""The tiny pipelines of the tests of `memlib.text_to_image`, some prompts, and a screening of them."""

from dataclasses import replace

import pyarrow as pa
import pytest
import torch

from memlib.screening import Screening, detection_task, prompt_files

from ..text_to_image.conftest import folders, kind, models

__all__ = ["folders", "kind", "models"]

TEXTS = ["a cat", "cat", 'tac "a" <b>/../\t\U0001f408', "a, b", "abcdefghijklmnopqrs cat", "ça", "x"]


@pytest.fixture
def model(models):
    """The epsilon model in float32."""
    return models["epsilon", torch.float32]


def table(texts, **columns):
    """A table of prompts."""
    n = len(texts)
    given = {"prompt": texts, "label": [None] * n, "family": [None] * n} | columns
    return pa.table(given, prompt_files.SCHEMA)


@pytest.fixture
def screening(model):
    """A function that makes a screening of `TEXTS` with three seeds; keywords change it."""

    def make(**changes):
        seeds = range(5, 8)
        task = detection_task(model, seeds, ["jeon", "wen"])
        made = Screening(
            model, table(TEXTS), seeds, task, ["jeon", "wen"], {"average_steps": 1, "product": "difference"}
        )
        return replace(made, **changes)

    return make
