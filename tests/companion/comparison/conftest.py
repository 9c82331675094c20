"""Three captions whose image or part of it was copied, and the shipped model, few steps."""

import pytest
import torch

from companion.comparison import Judge, Trials
from companion.organism import captions
from companion.recipes import text_to_image


@pytest.fixture(scope="session")
def model():
    return text_to_image.load("organism_epsilon")


@pytest.fixture(scope="session")
def chosen():
    return [*captions("exact")[-2:], captions("template")[-1]]


@pytest.fixture(scope="session")
def judge(model, chosen):
    return Judge(model, chosen, references=200)


@pytest.fixture(scope="session")
def trials(model, judge, chosen):
    noise = model.noise(2, torch.Generator().manual_seed(0))
    return Trials(model, judge, model.encode([c.text for c in chosen]), noise, steps=4)
