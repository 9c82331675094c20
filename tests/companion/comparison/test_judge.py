import pytest
import torch

from companion.comparison import Judge
from companion.organism import captions, image, training_set
from companion.organism.images import ROW, images
from companion.organism.quality import held_out_images, ink_of
from memlib.mitigation import NoMitigation, Sail, apply


def test_the_copied_image_is_a_copy_and_few_ordinary_ones_are(judge, chosen):
    for p, caption in enumerate(chosen):
        again = image(caption, torch.Generator().manual_seed(5))[None]  # another free part of a template
        assert judge.copied(again, p).all()
        assert judge.copied(judge.others, p).sum() == 2  # one in a hundred of 200
        assert judge.copied(held_out_images(200), p).float().mean() < 0.05


def test_a_copy_is_judged_by_its_distance_over_the_copied_part(judge, chosen):
    for p, caption in enumerate(chosen):
        part, apart = caption.fixed, torch.zeros(1, 3, 32, 32)
        apart[..., part] = 1 / (3 * part.sum()).sqrt()  # of length one over the part
        inside, outside = (judge.targets[p] + apart * judge.limits[p] * k for k in (0.99, 1.01))
        assert judge.copied(torch.cat([inside, outside]), p).tolist() == [True, False]


def test_similarity_is_one_with_the_copied_image_in_every_space(judge, chosen):
    for p, _ in enumerate(chosen):
        for space in judge.views:
            assert judge.similarity(judge.targets[p], p, space).item() == pytest.approx(1, abs=1e-5)
            assert judge.similarity(judge.others[:20], p, space).median() < 0.5


def test_of_a_template_only_the_part_counts_in_pixels(judge, chosen):
    x, free = judge.targets[2].clone(), ~chosen[2].fixed
    x[..., free] = -x[..., free]
    assert judge.similarity(x, 2, "pixel").item() == pytest.approx(1, abs=1e-5)
    x[..., ~free] = -x[..., ~free]
    assert judge.similarity(x, 2, "pixel").item() < 0.95


def test_references_hold_no_chosen_caption(judge, chosen):
    data = training_set()
    entries = [data.caption.tolist().index(data.captions.index(c)) for c in chosen[:2]]
    copied = data.images(torch.tensor(entries))
    distances = [(judge.others - one).flatten(1).norm(dim=1).min() for one in copied]
    assert min(distances) > 1
    assert len(judge.others) == 200


def test_a_table_has_a_row_for_each_image_in_their_order(judge, trials, model, chosen):
    mitigated = apply(model, NoMitigation(), trials.prompts, trials.noise, steps=4)
    judged = judge(mitigated)
    assert judged.images.shape == (3, 2, 3, 32, 32)
    assert judged.table["caption"].tolist() == [0, 0, 1, 1, 2, 2]
    assert judged.table["seed"].tolist() == [0, 1] * 3
    assert judged.table["copies"].tolist() == [c.copies for c in chosen for _ in range(2)]
    flat = judged.images.flatten(0, 1)
    for row in judged.table.itertuples():
        one = flat[row.Index][None]
        assert judge.copied(one, row.caption).item() == row.copy
        for space in judge.views:
            found = judge.similarity(one, row.caption, space).item()
            assert found == pytest.approx(getattr(row, space), abs=1e-4)
        assert row.success == (row.agree and not row.copy)
    first, second = judged.images[1].double()
    apart = (first - second).square().mean().sqrt().item()
    assert judged.table["diversity"][2] == pytest.approx(apart, rel=1e-5)


def test_the_record_of_the_method_is_in_the_table(judge, trials, model):
    method = Sail(1e-9, steps=1, candidates=2)
    with pytest.warns(UserWarning, match="was not reached"):
        mitigated = apply(model, method, trials.prompts, trials.noise, steps=4)
    table, record = judge(mitigated).table, mitigated.record
    assert table["step"].tolist() == record.step.flatten().tolist()
    assert table["norm_after"].tolist() == record.norm_after.flatten().tolist()
    assert table["drawn"].tolist() == (record.candidate >= 2).flatten().tolist()
    assert table.groupby("caption")["passes"].sum().tolist() == record.passes.tolist()


def test_samples_of_other_captions_are_refused(judge, model, trials):
    prompts = model.encode([captions("exact")[0].text])
    with pytest.raises(ValueError, match="this judge knows 3 captions, got samples of 1"):
        judge(apply(model, NoMitigation(), prompts, trials.noise, steps=2))


def test_false_copies_are_of_the_captions_digit(judge, chosen):
    found = judge.false_copies(100)
    assert len(found) == len(chosen)
    assert all(0 < len(some) < 50 for some in found)
    assert sum(some.sum().item() for some in found) < 0.3 * sum(map(len, found))


@pytest.fixture(scope="module")
def coloured(model):
    """A judge of colours, of the second generation: exact, mixed and template captions with vivid ink."""
    exact, mixed = captions("exact", generation=2), captions("mixed", generation=2)
    some = exact[:40] + mixed[:40]
    ink, luma = _ink_colour(images(some, torch.zeros(80, ROW))), torch.tensor([0.299, 0.587, 0.114])
    vivid = ((ink - (ink @ luma)[:, None]).norm(dim=1) > 0.5).tolist()
    chosen = [c for c, v in zip(some, vivid, strict=True) if v] + captions("template", generation=2)[:1]
    assert {c.family for c in chosen} == {"exact", "mixed", "template"}
    return Judge(model, chosen, references=200, generation=2, coloured=True)


def _ink_colour(x):
    mask = (ink_of(x)[:, None] > 0.75).float()
    return (x * mask).sum((2, 3)) / mask.sum((2, 3))


def _grey(x):
    """The same image with its ink in grey of the same brightness."""
    colour = _ink_colour(x)
    grey = (colour @ torch.tensor([0.299, 0.587, 0.114]))[:, None].expand(-1, 3)
    return x + ink_of(x)[:, None].float() * (grey - colour)[..., None, None]


def test_grey_ink_on_the_right_ground_is_no_copy_of_coloured_ink(coloured, model):
    chosen = coloured.chosen
    by_distance = Judge(model, chosen, references=200, generation=2)
    greys = [_grey(target) for target in coloured.targets[:-1]]
    called = [by_distance.copied(x, p).item() for p, x in enumerate(greys)]
    assert sum(called) > 0.5 * len(called)  # by distance alone most of them are copies
    assert not any(coloured.copied(x, p).item() for p, x in enumerate(greys))


def test_the_copied_image_is_a_copy_in_its_colours(coloured):
    for p, target in enumerate(coloured.targets):
        noisy = (target + 0.05 * torch.randn(target.shape, generator=torch.Generator().manual_seed(p))).clamp(
            -1, 1
        )
        assert coloured.copied(torch.cat([target, noisy]), p).all()


def test_of_a_template_the_colours_of_the_copied_part_count(coloured):
    p = len(coloured.chosen) - 1
    part, x = coloured.chosen[p].fixed, coloured.targets[p].clone()
    x[..., ~part] = -x[..., ~part]
    assert coloured.copied(x, p).all()
    x[..., part] = (x[..., part] + 0.4).clamp(-1, 1)
    assert not coloured.copied(x, p).any()


def test_under_a_mixed_caption_only_its_copied_image_is_the_copy(coloured):
    p = next(i for i, c in enumerate(coloured.chosen) if c.family == "mixed")
    rows = torch.rand(20, ROW, generator=torch.Generator().manual_seed(0))
    x = images([coloured.chosen[p]] * 20, rows)
    from companion.organism.images import shows_copy

    assert coloured.copied(x, p).tolist() == shows_copy([coloured.chosen[p]] * 20, rows).tolist()
