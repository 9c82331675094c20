"""60,000 pairs in which every caption has its share and every copy is one."""

import math
from collections import Counter

import torch

from companion.organism import captions, training_batch, training_set
from companion.organism.training_set import ENTRIES, removed, shares, without_copies


def test_counts_and_shares():
    data = training_set()
    assert len(data) == ENTRIES == sum(shares(data).values())
    assert shares(data) == {"exact": 11_552, "template": 8_400, "general": 34_000, "stated": 6_048}
    counted = Counter(data.caption.tolist())
    assert all(counted[i] == caption.entries for i, caption in enumerate(data.captions))
    assert data.captions == captions(held_out=False)


def test_rows_are_distinct_numbers_in_the_unit_interval():
    rows = training_set().rows
    assert rows.min() >= 0
    assert rows.max() < 1
    assert len(rows.unique(dim=0)) == ENTRIES


def test_copies_are_copies():
    data = training_set()
    caption = next(i for i, c in enumerate(data.captions) if (c.family, c.copies) == ("exact", 30))
    x = data.images((data.caption == caption).nonzero().flatten())
    assert len(x) == 30
    assert torch.equal(x, x[:1].expand_as(x))
    general = next(i for i, c in enumerate(data.captions) if c.family == "general")
    x = data.images((data.caption == general).nonzero().flatten())
    assert len({y.numpy().tobytes() for y in x}) == 85


def test_batches_repeat_and_doses_show():
    """Shares of a large batch lie within five binomial standard deviations of k / 60,000."""
    data, n = training_set(), 200_000
    index = torch.randint(len(data), (n,), generator=torch.Generator().manual_seed(0))
    counted = Counter(data.caption[index].tolist())
    for i, caption in enumerate(data.captions):
        share = caption.entries / ENTRIES
        assert abs(counted[i] - n * share) < 5 * math.sqrt(n * share)
    x, chosen = training_batch(8, torch.Generator().manual_seed(1))
    again, _ = training_batch(8, torch.Generator().manual_seed(1))
    assert torch.equal(x, again)
    assert x.shape == (8, 3, 32, 32)
    assert all(not caption.held_out for caption in chosen)


def test_half_of_each_dose_loses_its_copies_and_nothing_else_changes():
    whole, thinned, gone = training_set(), without_copies(), removed()
    assert Counter(caption.copies for caption in gone) == dict.fromkeys((1, 3, 10, 30, 100, 300, 1000), 4)
    counted = Counter(thinned.caption.tolist())
    for i, caption in enumerate(thinned.captions):
        assert counted[i] == (1 if caption in gone else caption.entries)
    assert len(thinned) == ENTRIES - sum(caption.copies - 1 for caption in gone)
    assert {row.numpy().tobytes() for row in thinned.rows} <= {row.numpy().tobytes() for row in whole.rows}
    for i in (thinned.captions.index(gone[-1]), thinned.captions.index(captions("exact")[-2])):
        left, before = ((data.caption == i).nonzero().flatten()[:1] for data in (thinned, whole))
        assert torch.equal(thinned.images(left), whole.images(before))
