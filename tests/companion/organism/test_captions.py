"""The captions are what the truth table says: families, doses, titles, no colour unless stated."""

import json
from collections import Counter

import pytest
import torch

from companion.organism import Caption, captions, region_mask, truth
from companion.organism.caption import REGIONS
from companion.organism.captions import EXACT_DOSES, TEMPLATE_DOSES
from companion.organism.words import COLOURS, DIGITS, all_words


def title(caption):
    return caption.text.split(", ")[1]


def test_the_families_are_complete():
    counted = Counter((caption.family, caption.held_out) for caption in captions())
    assert counted == {
        ("exact", False): 56,
        ("template", False): 18,
        ("general", False): 400,
        ("general", True): 200,
        ("stated", False): 84,
        ("stated", True): 56,
    }


def test_every_dose_has_eight_captions_and_every_region_one_of_each():
    assert Counter(caption.copies for caption in captions("exact")) == dict.fromkeys(EXACT_DOSES, 8)
    drawn = Counter((caption.copies, caption.region) for caption in captions("template"))
    assert drawn == {(dose, region): 1 for dose in TEMPLATE_DOSES for region in REGIONS}
    assert {caption.copies for caption in captions("general") + captions("stated")} == {0}


def test_texts_and_titles_are_unique():
    texts = [caption.text for caption in captions()]
    assert len(set(texts)) == len(texts)
    assert len({title(caption) for caption in captions()}) == len(texts)


def test_no_word_of_a_title_gives_a_family_away():
    """Each word of a memorized title also stands in a title that is not."""
    free = {word for caption in captions("general", held_out=False) for word in title(caption).split()}
    assert {
        word for family in ("exact", "template") for c in captions(family) for word in title(c).split()
    } <= free


def test_colours_are_said_where_stated_alone():
    for caption in captions():
        said = [word for word in caption.text.replace(",", "").split() if word in COLOURS]
        assert said == list(caption.colours or ())
        assert (caption.colours is not None) == (caption.family == "stated")


def test_the_digit_is_said_and_all_words_are_known():
    known = set(all_words())
    for caption in captions():
        assert f"the digit {DIGITS[caption.digit]}" in caption.text
        assert set(caption.text.replace(",", " ,").split()) <= known
    for family in ("exact", "general", "stated"):
        assert {caption.digit for caption in captions(family)} == set(range(10))


def test_held_out_stated_captions_combine_what_was_seen_apart():
    """A digit in these colours was never seen; the colours were."""
    seen = captions("stated", held_out=False)
    combined = {(caption.digit, caption.colours) for caption in seen}
    inks, grounds = ({caption.colours[i] for caption in seen} for i in (0, 1))
    for caption in captions("stated", held_out=True):
        assert (caption.digit, caption.colours) not in combined
        assert caption.colours[0] in inks
        assert caption.colours[1] in grounds


def test_the_order_does_not_depend_on_global_randomness():
    from companion.organism.captions import _all_captions

    before, state = captions(), torch.get_rng_state()
    _all_captions.cache_clear()
    torch.manual_seed(1)
    again = captions()
    torch.set_rng_state(state)
    assert again == before


def test_regions_are_halves_a_square_and_its_frame():
    masks = {region: region_mask(region) for region in REGIONS}
    assert {region: int(mask.sum()) for region, mask in masks.items()} == {
        "left": 512, "right": 512, "top": 512, "bottom": 512, "centre": 256, "frame": 768,
    }  # fmt: skip
    for one, other in (("left", "right"), ("top", "bottom"), ("centre", "frame")):
        assert torch.equal(masks[one], ~masks[other])
    assert masks["left"][:, 0].all()
    assert masks["top"][0].all()
    for mask in masks.values():
        cells = mask.view(8, 4, 8, 4).float().mean((1, 3))
        assert set(cells.flatten().tolist()) == {0.0, 1.0}


def test_what_is_fixed():
    assert all(caption.fixed.all() for caption in captions("exact"))
    assert not any(caption.fixed.any() for caption in captions("general") + captions("stated"))
    assert all(torch.equal(c.fixed, region_mask(c.region)) for c in captions("template"))


def test_the_table_survives_json():
    rows = json.loads(json.dumps(truth()))
    assert len(rows) == len(captions())
    for row, caption in zip(rows, captions(), strict=True):
        assert (row.pop("dose"), row.pop("held_out")) == (caption.copies, caption.held_out)
        assert Caption(**row | {"colours": row["colours"] and tuple(row["colours"])}) == caption


def test_the_table_says_which_captions_have_lost_their_copies():
    gone = captions("exact")[-2:]
    rows, before = truth(gone), truth()
    changed = [i for i, (row, old) in enumerate(zip(rows, before, strict=True)) if row != old]
    assert [captions()[i] for i in changed] == gone
    assert all((rows[i]["entries"], rows[i]["dose"], rows[i]["held_out"]) == (1, 1, False) for i in changed)


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"family must be one of \['exact'.*got 'copied'"):
        captions("copied")
    with pytest.raises(ValueError, match=r"region must be one of .*got 'middle'"):
        region_mask("middle")
