"""Measures of how well a map finds a region, against countings by hand."""

import pytest
import torch

from companion import localisation
from memlib import intervals


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_a_cell_belongs_to_a_region_if_all_its_pixels_do():
    region = torch.zeros(8, 8, dtype=torch.bool)
    region[:, :4] = True
    region[0, 4] = True  # one pixel of a third cell
    mask = localisation.latent_mask(region, (4, 4))
    assert mask.tolist() == [[True, True, False, False]] * 4
    region[7, 0] = False
    assert localisation.latent_mask(region, (4, 4)).sum() == 7
    with pytest.raises(ValueError, match="8 x 8 pixels do not divide into 3 x 4"):
        localisation.latent_mask(region, (3, 4))


def left(batch, size=8):
    masks = torch.zeros(batch, size, size, dtype=torch.bool)
    masks[:, :, : size // 2] = True
    return masks


def test_measures_by_caption_are_means_over_its_points(generator):
    masks = torch.rand(3, 4, 4, generator=generator) < 0.5
    maps = torch.rand(3, 2, 4, 4, generator=generator)
    for measure in (localisation.overlap, localisation.separation):
        found = localisation.by_caption(measure, maps, masks)
        one, two = (measure(maps[:, i], masks) for i in range(2))
        torch.testing.assert_close(found, (one + two) / 2)
    found = localisation.held_out_by_caption(maps, masks)
    for p in range(3):
        others = [i for i in range(3) if i != p]
        cut = localisation.best_threshold(maps[others].flatten(0, 1), masks[others].repeat_interleave(2, 0))
        above = maps[p] > cut
        shared = (above & masks[p]).flatten(1).sum(1) / (above | masks[p]).flatten(1).sum(1)
        assert found[p].item() == pytest.approx(shared.mean().item())


def test_overlap_of_perfect_opposite_and_shifted_maps():
    masks = left(3, 4)
    maps = masks.double()
    maps[1] = -maps[1]
    maps[2] = torch.tensor([0.0, 2.0, 1.0, 0.0])  # columns 1 and 2 instead of 0 and 1
    assert localisation.overlap(maps, masks).tolist() == [1.0, 0.0, 4 / 12]


def test_a_map_without_information_gets_the_overlap_of_chance(generator):
    masks = torch.rand(4000, 4, 4, generator=generator) < 0.4
    masks = masks[masks.flatten(1).any(1) & ~masks.flatten(1).all(1)]
    chance = localisation.chance_overlap(masks)
    for maps in (torch.zeros(masks.shape), torch.rand(masks.shape, generator=generator)):
        found = intervals.mean(localisation.overlap(maps, masks) - chance, level=0.999)
        assert found.low < 0 < found.high
        assert found.high - found.low < 0.03


def test_chance_overlap_by_hand():
    mask = torch.tensor([[[True, False], [False, False]]])  # one of four cells: right once in four
    assert localisation.chance_overlap(mask).item() == pytest.approx(0.25)


def test_separation_is_the_area_under_the_curve(generator):
    masks = torch.rand(5, 4, 4, generator=generator) < 0.5
    maps = torch.randint(5, (5, 4, 4), generator=generator).double() + masks  # with ties
    found = localisation.separation(maps, masks)
    for map_, mask, value in zip(maps, masks, found.tolist(), strict=True):
        assert value == pytest.approx(intervals.auc(map_[mask], map_[~mask]).value)


def test_a_held_out_threshold_did_not_see_the_map():
    masks, groups = left(6), torch.tensor([0, 0, 1, 2, 3, 4])
    maps = masks.double() + torch.linspace(0, 0.1, 64).reshape(8, 8)
    assert localisation.best_threshold(maps, masks) == pytest.approx(0.1, abs=0.05)
    assert localisation.held_out_overlap(maps, masks, groups).tolist() == [1.0] * 6
    maps[2] *= 0.01  # a map in another unit: its order is right, the others' threshold is not
    found = localisation.held_out_overlap(maps, masks, groups)
    assert found[2] == 0
    assert found[3] == 1
    assert localisation.overlap(maps, masks).tolist() == [1.0] * 6
    with pytest.raises(ValueError, match="at least 2 groups"):
        localisation.held_out_overlap(maps, masks, torch.zeros(6))


@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        (torch.zeros(2, 4, 4), torch.ones(2, 4, 4, dtype=torch.bool), "inside and outside"),
        (torch.zeros(2, 4, 4), torch.zeros(2, 4, 4, dtype=torch.bool), "inside and outside"),
        (torch.zeros(2, 4, 4), left(3, 4), "must both be"),
        (torch.zeros(2, 4, 4), torch.zeros(2, 4, 4), "must both be"),
        (torch.full((2, 4, 4), torch.nan), left(2, 4), "NaN"),
    ],
)
def test_maps_and_masks_are_checked(maps, masks, message):
    for measure in (localisation.overlap, localisation.separation, localisation.best_threshold):
        with pytest.raises(ValueError, match=message):
            measure(maps, masks)


def test_maps_are_judged_three_ways():
    masks = torch.zeros(2, 2, 2, dtype=torch.bool)
    masks[:, 0] = True
    found = localisation.judged(masks.double()[:, None], masks)
    assert {way: values.tolist() for way, values in found.items()} == {
        "area": [1, 1],
        "iou": [1, 1],
        "held_out": [1, 1],
    }


def test_the_cut_of_known_maps_is_put_to_others():
    masks = torch.zeros(2, 2, 2, dtype=torch.bool)
    masks[:, 0] = True
    maps = masks.double()[:, None]
    others = torch.tensor([[[[1.0, 1.0], [1.0, 0.0]]], [[[0.0, 0.0], [0.0, 0.0]]]])
    assert localisation.flagged(maps, masks, others).tolist() == [0.75, 0]
