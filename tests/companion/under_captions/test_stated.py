"""The terms of Lemma 4.2 and the statistics that are compared, against dense matrices."""

import pytest
import torch

from companion import experiment
from companion.experiment import results
from companion.under_captions import stated

from ...memlib.text_to_image import oracles

CAPTIONS = ["a cat", "cat"]
T = 481


@pytest.fixture
def points(exact, generator):
    """Three points of each of two captions."""
    return exact.noise(6, generator).reshape(2, 3, 4, 4, 4)


def gaps(model, kind, points):
    """s_Delta `(P, n, d)` and H_Delta `(P, n, d, d)`."""
    s = [[oracles.difference(model, kind, T, x, c).detach().flatten() for x in some]
         for some, c in zip(points, CAPTIONS, strict=True)]  # fmt: skip
    H = [[oracles.jacobian(model, kind, T, x, c) - oracles.jacobian(model, kind, T, x, "") for x in some]
         for some, c in zip(points, CAPTIONS, strict=True)]  # fmt: skip
    return torch.stack([torch.stack(row) for row in s]), torch.stack([torch.stack(row) for row in H])


def test_the_terms_add_up_and_are_those_of_the_lemma(exact, kind, points):
    found = stated.decomposition(exact, T, exact.encode(CAPTIONS), points)
    sigma = exact.level(T)["sigma"]
    s, H = gaps(exact, kind, points)
    torch.testing.assert_close(found["means"] + found["curvatures"], found["total"])
    torch.testing.assert_close(found["curvatures"], sigma**2 * s.var(1).sum(1))
    mean = s.mean(1, keepdim=True)
    along, away = (torch.einsum("pnij,pnj->pni", H, v) for v in (mean.expand_as(s), s - mean))
    spread = sigma**6 * away.square().sum((1, 2)) / 2
    torch.testing.assert_close(found["gain_curvatures"], spread, rtol=1e-4, atol=1e-12)
    means = sigma**6 * along.square().sum(2).mean(1) - spread / 3
    torch.testing.assert_close(found["gain_means"], means, rtol=1e-4, atol=1e-12)


def test_the_terms_have_no_bias():
    """Of s_Delta = m + H z, z standard normal: ||m||^2 and tr H^2, from 4 points of each of many prompts."""
    m, H, generator = torch.tensor([1.0, -2.0]), torch.diag(torch.tensor([3.0, 1.0])), torch.Generator()

    class Linear:
        sample_shape = (2,)

        def level(self, t):
            return {"sigma": 1.0}

        def difference(self, t, prompts):
            return lambda x: m.double() + x @ H.double()

    x = torch.randn(4000, 4, 2, generator=generator.manual_seed(0), dtype=torch.float64)
    found = {k: v.mean().item() for k, v in stated.decomposition(Linear(), 0, range(4000), x).items()}
    assert found["means"] == pytest.approx(5.0, abs=0.2)
    assert found["curvatures"] == pytest.approx(10.0, rel=0.03)
    assert found["gain_means"] == pytest.approx(9.0 + 4.0, rel=0.06)
    assert found["gain_curvatures"] == pytest.approx(81.0 + 1.0, rel=0.03)


def test_statistics_are_what_they_are_called(exact, kind, points):
    found = stated.statistics(exact, T, exact.encode(CAPTIONS), points, probes=64)
    sigma = exact.level(T)["sigma"]
    s, H = gaps(exact, kind, points)
    torch.testing.assert_close(found["norm"], sigma * s.norm(dim=2).mean(1))
    gain = sigma**3 * torch.einsum("pnij,pnj->pni", H, s).norm(dim=2).mean(1)
    torch.testing.assert_close(found["gain"], gain, rtol=1e-4, atol=1e-12)
    trace = -(sigma**2) * H.diagonal(dim1=2, dim2=3).sum(2)
    S = (H + H.mT) / 2
    error = (2 * (S.square().sum((2, 3)) - S.diagonal(dim1=2, dim2=3).square().sum(2)) / 64).sqrt() * sigma**2
    assert ((found["trace"] - trace.mean(1)).abs() < 4 * error.mean(1)).all()


def test_a_model_is_recorded_by_kind_and_by_end(exact, points, tmp_path):
    run = experiment.start("01_toy", {"__annotations__": {"output": str}, "output": str(tmp_path / "run")})
    texts, kinds = CAPTIONS * 3, ["exact", "stated", "general"] * 2
    at_both = {"first": (T, points.repeat(3, 1, 1, 1, 1)), "last": (1, points.repeat(3, 1, 1, 1, 1))}
    terms, areas = stated.both(run, exact, texts, kinds, at_both, probes=4, prefix="second_")
    run.finish()
    found = results.load(run.output).scalars
    assert [row["kind"] for row in terms] == ["exact", "stated", "general"]
    assert [(row["end"], row["name"]) for row in areas] == [
        (end, name) for end in at_both for name in stated.STATISTICS
    ]
    for kind in ("exact", "stated", "general"):
        low, high = found[f"second_means_share_{kind}"].interval
        assert 0 <= low <= high <= 1
        assert found[f"second_curvatures_{kind}"].value > 0
    assert found["second_told_stated_gain_last"].n == 2
    assert 0 <= found["second_told_general_trace_first"].value <= 1
