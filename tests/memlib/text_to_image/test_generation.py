"""What is kept of a trajectory is what the model gives at each of its points."""

import pytest
import torch

from memlib.text_to_image import cross_attention, generate, paths

CAPTIONS = ["a cat", "cat", "tac"]


def test_everything_kept_is_what_the_model_gives_there(exact, generator):
    prompts, noise = exact.encode(CAPTIONS), exact.noise(2, generator)
    made = generate(exact, prompts, noise, steps=4, guidance=3.0, attention=True)
    times = exact.timesteps(4)
    assert made.times == times
    assert made.complete
    assert torch.equal(made.sigma, exact.schedule.sigma(torch.tensor(times)))
    assert made.states.shape == (5, 3, 2, 4, 4, 4)
    assert torch.equal(made.states[0], noise.expand(3, -1, -1, -1, -1))
    expected = exact.sample(prompts, noise.repeat(3, 1, 1, 1), steps=4, guidance=3.0).samples
    torch.testing.assert_close(made.samples, expected.unflatten(0, (3, 2)), rtol=0, atol=1e-11)
    assert made.attention.shape[:1] + made.attention.shape[2:] == (4, 3, 2, 12)
    for step, t in enumerate(times):
        for p in range(3):
            with torch.no_grad(), cross_attention(exact.unet) as seen:
                score = exact.score(t, prompts[[p]])(made.states[step, p])
                maps = dict(seen.maps)
                free = exact.score(t)(made.states[step, p])
            torch.testing.assert_close(made.conditional[step, p], score, rtol=0, atol=1e-11)
            torch.testing.assert_close(made.unconditional[step, p], free, rtol=0, atol=1e-11)
            for layer, name in enumerate(maps):
                torch.testing.assert_close(
                    made.attention[step, layer, p], maps[name].mean(1), rtol=0, atol=1e-6
                )
                if step == 3:
                    torch.testing.assert_close(made.last_attention[name][p], maps[name], rtol=0, atol=1e-6)


def test_only_the_first_steps(exact, generator):
    prompts, noise = exact.encode(CAPTIONS), exact.noise(2, generator)
    whole, part = (generate(exact, prompts, noise, steps=5, first_steps=count) for count in (None, 2))
    assert not part.complete
    assert part.times == whole.times[:2]
    torch.testing.assert_close(part.states, whole.states[:3], rtol=0, atol=1e-12)
    assert part.attention is part.last_attention is None


def test_processors_are_restored(exact, generator):
    before = dict(exact.unet.attn_processors)
    generate(exact, exact.encode(["cat"]), exact.noise(1, generator), steps=2, attention=True)
    assert all(exact.unet.attn_processors[name] is processor for name, processor in before.items())


def test_bad_noise(exact):
    with pytest.raises(ValueError, match=r"noise must have shape \(B, 4, 4, 4\)"):
        generate(exact, exact.encode(["cat"]), torch.zeros(2, 4, 8, 8, dtype=torch.float64))


def test_the_unconditional_scores_at_the_shared_noise_are_computed_once(exact, generator):
    rows, (prompts, noise) = [], (exact.encode(CAPTIONS), exact.noise(2, generator))
    hook = exact.unet.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    try:
        generate(exact, prompts, noise, steps=3)
    finally:
        hook.remove()
    assert rows == [2, 6, 12, 12]


def test_paths_are_those_of_sampling_in_pieces_or_whole(exact, generator):
    prompts, noise = exact.encode(CAPTIONS), exact.noise(2, generator)
    times = exact.timesteps(4)
    made = generate(exact, prompts, noise, steps=4, guidance=3.0)
    for rows in (1, 4, 64):
        found = paths(exact, prompts, noise, times=[times[2], times[0]], steps=4, guidance=3.0, rows=rows)
        torch.testing.assert_close(found.samples, made.samples, rtol=0, atol=1e-11)
        assert found.states.keys() == {times[2], times[0]}
        torch.testing.assert_close(found.states[times[2]], made.states[2], rtol=0, atol=1e-11)
        assert torch.equal(found.states[times[0]], made.states[0])
    with pytest.raises(ValueError, match=r"times among \[.*\], got 4 and \[2\]"):
        paths(exact, prompts, noise, times=[2], steps=4, rows=4)
    with pytest.raises(ValueError, match="rows must be at least 1"):
        paths(exact, prompts, noise, steps=4, rows=0)
