"""Maps against their definitions."""

import pytest
import torch

from companion.under_captions import maps
from memlib.text_to_image import cross_attention

from ...memlib.text_to_image import oracles

CAPTIONS = ["a cat", "cat"]
T = 481


@pytest.fixture
def points(exact, generator):
    """Two points of each of two captions."""
    return exact.noise(4, generator).reshape(2, 2, 4, 4, 4)


def test_the_curvature_map_is_what_sharpens():
    diagonal = torch.tensor([[-2.0, 3.0], [-1.0, -4.0]]).reshape(2, 1, 2)  # two channels of two cells
    assert maps.curvature_map(diagonal).tolist() == [[3.0, 4.0]]


def test_estimated_curvature_errs_as_much_as_it_should(exact, kind, points):
    J = torch.stack(
        [
            oracles.jacobian(exact, kind, T, points[p, i], caption)
            - oracles.jacobian(exact, kind, T, points[p, i], "")
            for p, caption in enumerate(CAPTIONS)
            for i in range(2)
        ]
    )
    probes = 48
    found = maps.estimated_curvature(exact, T, exact.encode(CAPTIONS), points, probes=probes)
    truth = J.diagonal(dim1=1, dim2=2)
    # Hutchinson's variance: the squares of the rest of the column, reverse products being J^T v.
    variance = (J.square().sum(1) - truth.square()) / probes
    z = (found.reshape(4, -1) - truth) / variance.sqrt()
    assert 0.8 < z.square().mean().sqrt() < 1.2
    assert found.shape == points.shape


def test_the_score_map_is_the_squared_difference(exact, kind, points):
    found = maps.score_map(exact, T, exact.encode(CAPTIONS), points)
    for p, caption in enumerate(CAPTIONS):
        gap = oracles.difference(exact, kind, T, points[p, 1], caption).detach()
        torch.testing.assert_close(found[p, 1], gap.square().sum(0), rtol=1e-7, atol=1e-12)


def test_the_attention_map_reads_the_end_mark_of_each_caption(exact, points):
    found = maps.attention_map(exact, T, exact.encode(CAPTIONS), points)
    everywhere = maps.attention_map(exact, T, exact.encode(CAPTIONS), points, block="")
    for p, caption in enumerate(CAPTIONS):
        alone = exact.encode([caption])
        end = alone.tokens[0].tolist().index(exact.tokenizer.eos_token_id)
        with torch.no_grad(), cross_attention(exact.unet) as seen:
            exact.score(T, alone)(points[p])
        fine = seen.maps["down_blocks.0.attentions.0.transformer_blocks.0.attn2"][:, :, end]
        torch.testing.assert_close(found[p], fine.double().reshape(2, 4, 4), rtol=1e-5, atol=1e-8)
        layers = []
        for weights in seen.maps.values():
            side = round(weights.shape[1] ** 0.5)
            grid = weights[:, :, end].double().reshape(2, side, side)
            layers.append(grid.repeat_interleave(4 // side, 1).repeat_interleave(4 // side, 2))
        torch.testing.assert_close(everywhere[p], torch.stack(layers).mean(0), rtol=1e-5, atol=1e-8)
    assert len({len(weights[0]) for weights in seen.maps.values()}) == 2  # layers of two sizes were averaged
    with pytest.raises(ValueError, match="no cross-attention layer starts with 'nowhere'"):
        maps.attention_map(exact, T, exact.encode(CAPTIONS), points, block="nowhere")


def test_all_maps_are_the_maps(exact, points):
    prompts = exact.encode(CAPTIONS)
    found = maps.all_maps(exact, T, prompts, points, probes=8)
    curvature = maps.curvature_map(maps.estimated_curvature(exact, T, prompts, points, probes=8))
    assert torch.equal(found["curvature"], curvature)
    assert torch.equal(found["score"], maps.score_map(exact, T, prompts, points))
    assert torch.equal(found["attention"], maps.attention_map(exact, T, prompts, points))
    assert torch.equal(found["attention_all"], maps.attention_map(exact, T, prompts, points, block=""))
    assert {tuple(of.shape) for of in found.values()} == {(2, 2, 4, 4)}
