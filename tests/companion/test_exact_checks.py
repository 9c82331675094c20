"""Means at draws from exact densities, against closed forms and against the same numbers by hand."""

from __future__ import annotations

import pytest
import torch

from companion import exact_checks
from companion.gaussians import Pair, gaussian
from memlib.mixture import GaussianMixture


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_identity_has_a_row_for_each_pair_and_covers_its_closed_form():
    table = exact_checks.every_identity([2, 5], 2, 2000, generator(), level=0.9999)
    assert len(table) == 2 * 2 * 2 * 2 * 4
    assert table.groupby(["d", "commuting", "equal means", "key"]).size().eq(2).all()
    assert table["covered"].mean() > 0.98
    assert table["ratio"].to_numpy() == pytest.approx(1, abs=0.5)


def test_a_wrong_closed_form_is_not_covered(monkeypatch):
    lemma = exact_checks.IDENTITIES["score"]
    wrong = type(lemma)(lemma.where, lambda pair: 2 * lemma.closed(pair), lemma.statistic)
    monkeypatch.setitem(exact_checks.IDENTITIES, "score", wrong)
    table = exact_checks.every_identity([5], 2, 2000, generator())
    assert not table.loc[table["key"] == "score", "covered"].any()


def test_both_lemmas_hold_on_a_gaussian_and_the_cubed_trace_fails_between_two_modes():
    one = gaussian(torch.zeros(3).double(), torch.diag(torch.tensor([0.5, 1.0, 2.0]).double()))
    for found in exact_checks.lemma_ratios(one, 20_000, generator(), level=0.999).values():
        assert found.low <= 1 <= found.high
    centres = torch.tensor([[-2.0, 0.0], [2.0, 0.0]])
    two = GaussianMixture(torch.tensor([0.5, 0.5]), centres, torch.tensor([1.0, 1.0]))
    ratios = exact_checks.lemma_ratios(two, 20_000, generator(), level=0.999)
    assert ratios["B.2"].low <= 1 <= ratios["B.2"].high
    assert ratios["4.3"].low > 1


@pytest.mark.parametrize("scale", [0.25, 1.0, 4.0])
def test_the_plain_ratio_falls_with_the_scale_and_the_weighted_one_does_not(scale):
    origin, eye = torch.zeros(4).double(), torch.eye(4).double()
    pair = Pair(origin, scale * eye, origin, scale * 1.01 * eye)
    found = exact_checks.fisher_ratios(pair, 20_000, generator())
    assert found["plain"].value == pytest.approx(1 / scale, rel=0.05)
    assert found["weighted"].value == pytest.approx(1, rel=0.05)


def test_flipd_finds_the_subspace_at_clean_points_and_the_whole_space_at_noisy_ones():
    variances = torch.tensor([0.5, 1.0]).double()
    found = exact_checks.subspace_dimension(variances, 10, 0.995, 0.1, 4000, generator(), level=0.999)
    q = 0.01 / (0.995**2 * variances + 0.01)
    assert found["predicted clean"] == pytest.approx(float((1 - q**2).sum()))
    assert found["predicted effective"] == pytest.approx(float((1 - q).sum()))
    assert found["effective"] == pytest.approx(found["predicted effective"], rel=1e-6)
    assert found["clean"].low <= found["predicted clean"] <= found["clean"].high
    assert found["noisy"].low <= 10 <= found["noisy"].high


def test_all_dimensions_count_in_the_norm_and_few_in_the_differences():
    variances = torch.tensor([1.0, 1e-6, 1e-6, 1e-6]).double()
    found = exact_checks.effective_dimensions(variances, 0.5, 1.0)
    assert found["norm"] == pytest.approx(4)
    assert found["difference"] == pytest.approx(1, abs=1e-6)
    alike = exact_checks.effective_dimensions(torch.ones(4).double(), 0.5, 1.0)
    assert alike["gain"] == pytest.approx(4)
