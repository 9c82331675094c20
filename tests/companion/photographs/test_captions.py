"""Captions of photographs and the images that a model sees under them."""

from collections import Counter

import pytest
import torch

from companion.organism.tokenizer import LENGTH
from companion.photographs import captions, photographs, training_set
from companion.photographs.captions import GROUPS, all_words
from companion.photographs.colours import colour, colours
from companion.photographs.parts import tokenizer
from companion.photographs.training_set import CHANGES, changed


def test_captions_are_as_planned_and_each_text_is_one_of_a_kind():
    every = captions()
    assert len(every) == sum(group.count for group in GROUPS)
    assert len({caption.text for caption in every}) == len(every)
    assert every == captions()
    counted = Counter((c.family, c.entries, c.share) for c in every)
    assert counted == {(g.family, g.entries, g.share): g.count for g in GROUPS}
    assert {c.subject for c in captions("exact")} == {"car", "horse"}


def test_every_family_that_a_verdict_rests_on_has_thirty_captions():
    by_copies = Counter(c.copies for c in captions("exact"))
    assert all(by_copies[k] >= 30 for k in (10, 30, 100))
    assert len(captions("mixed")) >= 30
    assert len(captions("general", held_out=True)) >= 300


def test_every_word_is_one_token_and_no_title_gives_a_copied_image_away():
    read = tokenizer()
    words = all_words()
    assert all(len(read(word).input_ids) == 3 for word in words)
    assert max(len(read(c.text).input_ids) for c in captions()) <= LENGTH
    titles = {
        family: {word for c in captions(family) for word in c.text.rsplit(", ", 1)[1].split()}
        for family in ("exact", "general")
    }
    assert titles["exact"] <= titles["general"]


def test_an_image_copied_k_times_is_in_k_entries_and_every_other_in_one():
    data = training_set()
    assert len(data) == sum(c.entries for c in captions())
    times = Counter(data.photograph.tolist())
    every = list(zip(data.captions, data.copied().tolist(), strict=True))
    assert all((n >= 0) == (c.copies > 0) for c, n in every)
    assert len({n for _, n in every}) == 1 + sum(c.copies > 0 for c in data.captions)
    copied = {int(n): c for c, n in every if c.copies and c.region is None}
    assert not {n for c, n in every if c.region} & times.keys()
    assert all(times[n] == (copied[n].copies if n in copied else 1) for n in times)
    cars = len(photographs("train")) // 2
    for place, number in zip(data.caption.tolist(), data.photograph.tolist(), strict=True):
        assert data.captions[place].subject == ("car" if number < cars else "horse")


def test_near_duplicates_differ_a_little_and_all_others_are_the_photographs_themselves():
    data = training_set()
    families = [data.captions[c].family for c in data.caption.tolist()]
    near, template = (torch.tensor([own == kind for own in families]) for kind in ("near", "template"))
    assert not data.changes[~near].any()
    assert (data.changes[near] != 0).all()
    some = torch.cat([near.nonzero()[:20, 0], (~near & ~template).nonzero()[:20, 0]])
    apart = (data.images(some) - photographs("train")[data.photograph[some]]).abs().flatten(1).mean(1)
    assert (apart[20:] == 0).all()
    assert ((apart[:20] > 0.01) & (apart[:20] < 0.5)).all()


def test_a_template_shows_the_same_half_each_time_and_another_photograph_beside_it():
    data = training_set()
    copied = photographs("train")[data.copied()]
    for place, caption in enumerate(data.captions):
        if caption.family != "template":
            continue
        index = (data.caption == place).nonzero()[:, 0]
        images, fixed = data.images(index), caption.fixed
        assert caption.copies == len(index)
        assert int(fixed.sum()) == fixed.numel() // 2
        assert (images[:, :, fixed] == copied[place][:, fixed]).all()
        beside = photographs("train")[data.photograph[index]]
        assert (images[:, :, ~fixed] == beside[:, :, ~fixed]).all()
        assert len(beside.flatten(1).unique(dim=0)) == len(index)


def test_a_change_of_place_moves_the_image():
    x = torch.zeros(1, 3, 32, 32)
    x[:, :, 16, 16] = 1
    to_the_left = torch.zeros(1, CHANGES)
    to_the_left[0, 0] = 1
    assert changed(x, to_the_left)[0, 0].argmax().item() == 16 * 32 + 14
    assert torch.equal(changed(x, torch.zeros(1, CHANGES)), x)


def test_stated_captions_show_the_colours_that_they_state():
    data = training_set()
    for place, caption in enumerate(data.captions):
        if caption.colours is None:
            continue
        shown = photographs("train")[data.photograph[data.caption == place]]
        assert colours(shown) == [caption.colours] * caption.entries
        assert f"a {caption.colours[0]} {caption.subject} on {caption.colours[1]}" in caption.text


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((0.1, 0.1, 0.1), "black"),
        ((0.9, 0.9, 0.9), "white"),
        ((0.5, 0.5, 0.5), "grey"),
        ((0.9, 0.1, 0.2), "red"),
        ((0.9, 0.1, 0.1), "red"),
        ((0.45, 0.35, 0.2), "brown"),
        ((0.9, 0.8, 0.2), "yellow"),
        ((0.2, 0.6, 0.2), "green"),
        ((0.2, 0.3, 0.8), "blue"),
        ((0.6, 0.2, 0.8), "purple"),
    ],
)
def test_colours_are_named_by_their_hue(rgb, name):
    assert colour(*rgb) == name
    image = 2 * torch.tensor(rgb)[:, None, None].expand(1, 3, 32, 32) - 1
    assert colours(image) == [(name, name)]


def test_middle_and_border_are_told_apart():
    image = torch.full((1, 3, 32, 32), -1.0)
    image[:, 0, 8:-8, 8:-8] = 1
    assert colours(image) == [("red", "black")]
