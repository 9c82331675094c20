"""What an organism is fine-tuned on: repeats, files, and captions that stay unseen."""

from collections import Counter

import pytest
import torch

from companion.fine_tuning.unseen import unseen, unseen_images, write_set
from companion.organism import captions
from companion.organism.fine_tune_set import fine_tune_set
from memlib.audit import training_set
from memlib.audit.duplicates import repetition


def test_images_are_shown_as_often_as_they_say():
    data = fine_tune_set(2)
    shown = Counter(data.pairs.caption.tolist())
    assert [shown[k] for k in range(len(data.captions))] == [10, 10, 3, 3, 1, 1, 1, 1]
    assert [caption.family for caption in data.captions] == ["general"] * 6 + ["stated"] * 2
    pairs = data.pairs
    images = pairs.images(torch.arange(len(pairs)))
    for own in range(len(data.captions)):
        same = images[pairs.caption == own]
        assert torch.equal(same, same[:1].expand_as(same))
    assert set(data.deduplicated.times) == {1}
    assert torch.equal(data.deduplicated.rows, data.rows)


def test_the_organism_has_read_none_of_the_captions():
    read = {caption.text for caption in captions(held_out=False)}
    data = fine_tune_set(5)
    mine = {caption.text for caption in data.captions}
    others = [caption.text for caption in unseen(data.captions)]
    assert len(set(others)) == len(others) > 300
    assert not mine & read
    assert not set(others) & (read | mine)
    titles = [text.rpartition(", ")[2] for text in (*others, *mine, *read)]
    assert len(set(titles)) == len(titles)


def test_fresh_captions_state_colours_as_their_images_have_them():
    stated = [caption for caption in unseen() if caption not in captions() and caption.family == "stated"]
    assert len(stated) > 30
    assert all(f" in {c.colours[0]} on {c.colours[1]}, " in c.text for c in stated)
    assert len({c.colours for c in stated}) > 10


def test_more_than_there_are_is_refused():
    with pytest.raises(ValueError, match=r"each must lie in \[1, 56\], got 60"):
        fine_tune_set(60)


def test_files_are_those_of_a_training_script(tmp_path):
    data = fine_tune_set(1)
    examples = training_set.read(write_set(data, tmp_path / "images"))
    assert Counter(example.caption for example in examples) == {
        caption.text: times for caption, times in zip(data.captions, data.times, strict=True)
    }
    assert {example.family for example in examples} == {"general", "stated"}
    found = repetition(examples)
    assert sorted(found.copies, reverse=True) == [10] * 10 + [3] * 3 + [1, 1]
    number = examples.index(next(e for e in examples if e.caption == data.captions[1].text))
    pixels = torch.tensor(list(examples[number].open().tobytes())).reshape(32, 32, 3).permute(2, 0, 1)
    own = data.pairs.images(torch.tensor([10]))[0]
    torch.testing.assert_close(pixels / 127.5 - 1, own, rtol=0, atol=1e-6)


def test_unseen_images_are_in_handwriting_that_no_training_has():
    wanted = unseen()[:3]
    first, second = (unseen_images(wanted, 4, seed=seed) for seed in (0, 1))
    assert first.shape == (4, 3, 32, 32)
    assert not torch.equal(first, second)
    assert torch.equal(first, unseen_images(wanted, 4, seed=0))
