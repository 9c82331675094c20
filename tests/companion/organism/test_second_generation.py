"""The captions, images and pairs of the second generation: shares, copies, near-duplicates, held out."""

import json
from collections import Counter

import pytest
import torch

from companion.organism import captions, images, training_set, truth
from companion.organism.images import NEAR, ROW, shows_copy
from companion.organism.training_set import shares
from companion.organism.words import ADJECTIVES, MORE_ADJECTIVES, NOUNS, PLACES, STYLES, all_words


def of(family, **which):
    return captions(family, generation=2, **which)


def rows(count, seed=0):
    return torch.rand(count, ROW, generator=torch.Generator().manual_seed(seed))


def title(caption):
    return caption.text.split(", ")[1]


def different(x):
    return len({y.numpy().tobytes() for y in x})


@pytest.fixture(scope="module")
def data():
    return training_set(2)


def entries(data, caption):
    return (data.caption == data.captions.index(caption)).nonzero().flatten()


def test_the_families_have_their_sizes():
    assert Counter(caption.copies for caption in of("exact")) == {
        10: 30, 20: 30, 30: 30, 45: 30, 60: 30, 100: 30, 300: 10, 1000: 5,
    }  # fmt: skip
    assert Counter(caption.share for caption in of("mixed")) == dict.fromkeys((0.1, 0.3, 0.5, 0.7, 0.9), 10)
    assert Counter((caption.copies, caption.varied) for caption in of("near")) == {
        (k, varied): 8 for k in (60, 200) for varied in ("place", "colour")
    }
    assert len(of("general", held_out=True)) == 300
    stated = Counter((bool(c.colours), bool(c.manner), c.held_out) for c in of("stated"))
    assert stated == {(True, False, False): 50, (True, False, True): 40, (False, True, False): 40,
                      (False, True, True): 40}  # fmt: skip


def test_a_title_belongs_to_one_caption_and_its_words_to_all_families():
    every = captions(generation=2)
    assert len({title(caption) for caption in every}) == len(every)
    free = {word for caption in of("general", held_out=False) for word in title(caption).split()}
    assert free == {*ADJECTIVES, *MORE_ADJECTIVES, *NOUNS}
    known = set(all_words(2))
    assert all(set(caption.text.replace(",", " ,").split()) <= known for caption in every)
    assert set(all_words(1)) < known


def test_place_and_style_are_said_where_stated_alone():
    for caption in captions(generation=2):
        said = [word for word in caption.text.split(", ")[0].split() if word in {*PLACES, *STYLES}]
        assert sorted(said) == sorted(caption.manner or ())


def test_the_generations_share_no_key():
    keys = [{c.key for c in captions(generation=g)} - {None} for g in (1, 2)]
    assert not keys[0] & keys[1]


def test_each_mixed_caption_shows_its_image_in_exactly_its_share(data):
    for caption in of("mixed"):
        own = entries(data, caption)
        assert len(own) == caption.entries == 300
        copy = shows_copy([caption] * len(own), data.rows[own])
        assert int(copy.sum()) == caption.copies == round(caption.share * 300)
    caption = of("mixed")[20]
    x, copy = (
        data.images(entries(data, caption)),
        shows_copy([caption] * 300, data.rows[entries(data, caption)]),
    )
    assert different(x[copy]) == 1
    assert different(x[~copy]) == 300 - caption.copies
    assert not {y.numpy().tobytes() for y in x[copy]} & {y.numpy().tobytes() for y in x[~copy]}


def test_exact_captions_have_the_image_of_their_key(data):
    caption = of("exact")[100]
    own = entries(data, caption)
    assert len(own) == caption.copies
    x = data.images(own)
    assert different(x) == 1
    assert torch.equal(images([caption], rows(1), split="test"), x[:1])


def test_nothing_held_out_is_trained(data):
    held = [caption for caption in captions(generation=2) if caption.held_out]
    assert held
    assert not set(held) & set(data.captions)
    assert not {caption.text for caption in held} & {caption.text for caption in data.captions}
    assert sum(shares(data).values()) == len(data) == sum(c.entries for c in captions(generation=2))


@pytest.mark.parametrize("varied", ["place", "colour"])
def test_near_duplicates_differ_but_are_near(varied):
    chosen = [caption for caption in of("near") if caption.varied == varied]
    general = {caption.digit: caption for caption in of("general")}
    for caption in chosen:
        x = images([caption] * 20, rows(20))
        assert different(x) == 20
        others = images([general[caption.digit]] * 20, rows(20))
        near, far = torch.cdist(x.flatten(1), x.flatten(1)), torch.cdist(x.flatten(1), others.flatten(1))
        assert near.max() < far.quantile(0.05)
        if varied == "colour":  # a cast: every pixel of a channel moves alike, by NEAR of the range at most
            assert (x - x[:1]).abs().max() <= 2 * 2 * NEAR + 2 / 255


def test_templates_keep_the_region_and_the_strokes():
    """Outside of the region the colours alone are others: where the ink is, is the same."""
    for caption in of("template")[:6]:
        x = images([caption] * 10, rows(10))
        varies = (x != x[:1]).any(0)
        assert not varies[:, caption.fixed].any()
        assert varies[:, ~caption.fixed].all()


@pytest.mark.parametrize("place", PLACES)
def test_a_stated_place_is_where_the_digit_stands(place):
    from companion.organism.quality import ink_of

    chosen = [caption for caption in of("stated") if caption.manner and caption.manner[0] == place]
    ink = ink_of(images(chosen, rows(len(chosen))))
    axis = torch.arange(32, dtype=torch.float64) - 15.5
    mass = ink.sum((1, 2))
    centre = torch.stack([(ink.sum(1) @ axis) / mass, (ink.sum(2) @ axis) / mass], 1).mean(0)
    along = centre @ torch.tensor(PLACES[place], dtype=torch.float64)
    assert 2.5 < along < 5.5


def test_the_table_survives_json_and_has_the_columns_that_say_something():
    table = json.loads(json.dumps(truth(generation=2)))
    assert {"share", "varied", "manner", "colours", "region", "key"} <= set(table[0])
    assert not {"share", "varied", "manner"} & set(truth()[0])
    assert [row["dose"] for row in table] == [caption.copies for caption in captions(generation=2)]


def test_one_word_is_one_token_and_captions_fit():
    pytest.importorskip("transformers")
    from companion.organism.tokenizer import LENGTH, tokenizer
    from companion.recipes.organism import ORGANISM2_LARGE, ORGANISM2_SMALL

    clip = tokenizer(2)
    assert [word for word in all_words(2) if len(clip.tokenize(word)) != 1] == []
    assert max(len(clip(caption.text).input_ids) for caption in captions(generation=2)) <= LENGTH
    for recipe in (ORGANISM2_SMALL, ORGANISM2_LARGE):
        assert recipe.network().config.vocabulary == len(clip)
