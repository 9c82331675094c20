"""Similarity, copies and diversity where they can be told by hand."""

import pytest
import torch

from companion.comparison.outcome import diversity, similarity

GENERATOR = torch.Generator().manual_seed(0)
OTHERS = torch.randn(50, 3, 8, 8, generator=GENERATOR)
CENTRE = OTHERS.mean(0)


def test_similarity_is_one_to_itself_and_near_zero_to_others():
    assert similarity(OTHERS[:1], OTHERS[:1], CENTRE).item() == pytest.approx(1.0)
    assert similarity(OTHERS[1:], OTHERS[:1], CENTRE).abs().max() < 0.4
    shift = OTHERS + 5
    assert torch.allclose(
        similarity(shift[1:], shift[:1], shift.mean(0)), similarity(OTHERS[1:], OTHERS[:1], CENTRE), atol=1e-5
    )


def test_similarity_takes_the_best_target_and_only_what_counts():
    x = OTHERS[:1].clone()
    assert similarity(x, OTHERS[:5], CENTRE).item() == pytest.approx(1.0)
    where = torch.zeros(8, 8, dtype=torch.bool)
    where[:4] = True
    x[..., 4:, :] = OTHERS[1, :, 4:]
    assert similarity(x, OTHERS[:1], CENTRE).item() < 0.9
    assert similarity(x, OTHERS[:1], CENTRE, where).item() == pytest.approx(1.0)


def test_diversity_by_hand():
    assert diversity(torch.tensor([[0.0, 0.0], [3.0, 3.0]])) == pytest.approx(3.0)
    assert diversity(OTHERS[:1].repeat(4, 1, 1, 1)) == 0


def test_bad_input():
    with pytest.raises(ValueError, match="centre must have the shape"):
        similarity(OTHERS, OTHERS, CENTRE[0])
    with pytest.raises(ValueError, match="two images or more"):
        diversity(OTHERS[:1])
    with pytest.raises(ValueError, match="target must have shape"):
        similarity(OTHERS, OTHERS[:, :1], CENTRE)
