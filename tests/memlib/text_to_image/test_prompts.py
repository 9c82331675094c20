"""Captions against what diffusers' pipeline feeds to its U-Net, and their limits."""

import pytest
import torch

from . import oracles

LONG = "cat " * 20


def embeddings(conditions):
    """What the U-Net attends to, a row each."""
    return conditions.arguments["encoder_hidden_states"]


def test_embeddings_are_those_of_each_caption_alone(exact):
    captions = ["a cat", "", "cat"]
    prompts = exact.encode(captions)
    assert prompts.captions == ("a cat", "", "cat")
    assert prompts.embeddings.shape == (3, 12, 16)
    alone = torch.cat([oracles.embedding(exact, caption) for caption in captions])
    torch.testing.assert_close(prompts.embeddings, alone, rtol=0, atol=1e-12)
    assert not prompts.embeddings.requires_grad


def test_tokens_and_their_number(exact):
    prompts = exact.encode(["a cat", ""])
    words = exact.tokenizer.get_vocab()
    start, end = words["<|startoftext|>"], words["<|endoftext|>"]
    assert prompts.tokens[0].tolist() == [start, words["a</w>"], words["cat</w>"], *[end] * 9]
    assert prompts.lengths.tolist() == [4, 2]
    assert prompts.removed == {}


def test_many_captions_pass_in_parts(exact):
    captions = ["a cat", "cat"] * 200
    prompts = exact.encode(captions)
    torch.testing.assert_close(
        prompts.embeddings, exact.encode(captions[:2]).embeddings.repeat(200, 1, 1), rtol=0, atol=1e-12
    )


def test_a_long_caption_is_cut_and_said_to_be(exact):
    with pytest.warns(UserWarning, match=r"1 of 2 captions are longer than 12 tokens .* number 1, lost 'cat"):
        prompts = exact.encode(["a cat", LONG])
    assert prompts.lengths.tolist() == [4, 12]
    assert prompts.removed == {1: " ".join(["cat"] * 10)}
    assert torch.equal(prompts.embeddings[1:], exact.encode(["cat " * 10]).embeddings)


def test_ten_thousand_characters(exact):
    with pytest.warns(UserWarning, match="1 of 1"):
        assert exact.encode(["x" * 10_000]).embeddings.isfinite().all()


@pytest.mark.parametrize("caption", ["Ünï\U0001f600", "a\nb\t\x00", "<|endoftext|>", "日本語"])
def test_any_characters(exact, caption):
    assert exact.encode([caption]).captions == (caption,)


def test_points_that_prompts_share_as_a_batch_and_back(exact):
    prompts, points = exact.encode(["a", "cat", "b"]), torch.randn(2, 4, 3, 3)
    batch = prompts.tiled(points)
    rows = [(p, n) for p in range(3) for n in range(2)]
    assert torch.equal(batch, torch.stack([points[n] for _, n in rows]))
    assert torch.equal(embeddings(prompts.repeated(6)), torch.stack([prompts.embeddings[p] for p, _ in rows]))
    assert torch.equal(prompts.grouped(batch), points.expand(3, -1, -1, -1, -1))
    assert torch.equal(prompts.grouped(torch.arange(6)), torch.tensor([[0, 1], [2, 3], [4, 5]]))


def test_selection(exact):
    with pytest.warns(UserWarning, match="1 of 3 captions"):
        prompts = exact.encode(["a", "cat", LONG])
    for index, captions in ((slice(1, 3), ("cat", LONG)), ([2, 0], (LONG, "a"))):
        some = prompts[index]
        assert some.captions == captions
        assert list(some.removed) == [captions.index(LONG)]
        assert torch.equal(some.embeddings, prompts.embeddings[index])
        assert torch.equal(some.lengths, prompts.lengths[index])
        assert torch.equal(some.tokens, prompts.tokens[index])
    with pytest.raises(ValueError, match="selects none of the 3 prompts"):
        prompts[3:]


def test_repetition(exact):
    prompts = exact.encode(["a", "cat"])
    first, second = prompts.embeddings
    assert torch.equal(embeddings(prompts.repeated(4)), torch.stack([first, first, second, second]))
    with pytest.raises(ValueError, match="2 prompts do not fit a batch of 3 rows"):
        prompts.repeated(3)


@pytest.mark.parametrize("captions", [[], ()])
def test_no_captions(exact, captions):
    with pytest.raises(ValueError, match="one string or more, got 0"):
        exact.encode(captions)


def test_what_is_no_list_of_strings(exact):
    with pytest.raises(ValueError, match=r"got the string 'a cat'; put it in \[\]"):
        exact.encode("a cat")
    with pytest.raises(ValueError, match=r"type \['NoneType', 'str'\]"):
        exact.encode(["a", None])
