"""Every product of the Jacobian operator against a float64 Jacobian from autograd, row by row."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from memlib.hessian import JacobianOperator, dense
from memlib.mixture import GaussianMixture
from memlib.networks import MLP, MLPConfig, UNet, UNetConfig

EPS = torch.finfo(torch.float64).eps
PRODUCTS = ["vjp", "jvp", "symmetric", "difference"]


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def randomized(module, seed=0):
    """Weights none of which is zero, so that every part of the network shows in the Jacobian."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data.normal_(0.0, 0.3, generator=generator)
    return module.double().requires_grad_(False)


def mlp():
    network = randomized(MLP(MLPConfig(dim=5, width=16, blocks=2)))
    return lambda x: network(x, 300), normal(3, 5)


def unet():
    network = randomized(UNet(UNetConfig(image_size=8, channels=(8, 16), blocks=1, classes=3)))
    return lambda x: network(x, 300, 1), normal(2, 1, 8, 8)


def group_norm():
    """The points arrive transposed in memory, and so does what GroupNorm sees."""
    network = randomized(
        nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.GroupNorm(4, 8), nn.SiLU(), nn.Conv2d(8, 2, 1))
    )
    x = normal(3, 4, 3, 2).permute(0, 3, 1, 2)
    assert not x.is_contiguous()
    return lambda z: network(z.transpose(2, 3)).transpose(2, 3), x


def mixture():
    S = torch.tensor([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 0.1]])
    exact = GaussianMixture(
        torch.tensor([0.3, 0.7]),
        torch.tensor([[-1.0, 0.0, 0.5], [1.0, 0.0, 0.0]]),
        torch.stack([S, torch.eye(3)]),
    )
    return exact.score, normal(4, 3)


CASES = {"mlp": mlp, "unet": unet, "group_norm": group_norm, "mixture": mixture}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]()


def oracle(score, x):
    """J `(B, d, d)` by reverse mode, one sample at a time."""

    def of_row(row):
        return torch.autograd.functional.jacobian(lambda z: score(z[None])[0], row)

    return torch.stack([of_row(row).reshape(row.numel(), row.numel()) for row in x])


def expected(J, product):
    return {"jvp": J, "difference": J, "vjp": J.mT, "symmetric": 0.5 * (J + J.mT)}[product]


def tolerance(product, score, J, x):
    """Absolute error of an entry of a product with a vector of unit length."""
    size = max(1.0, torch.linalg.matrix_norm(J, 2).max().item(), score(x).abs().max().item())
    if product == "difference":
        # With h = sqrt(eps) ||x||, curvature times h and roundings eps |s| / h both go with sqrt(eps).
        return 100 * EPS**0.5 * size * max(1.0, x.flatten(1).norm(dim=1).max().item())
    return 1e3 * EPS * size  # some hundred additions in another order


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("chunk_size", [None, 1, 7])
def test_products_agree_with_autograd(case, product, chunk_size):
    score, x = case
    J = oracle(score, x)
    op = JacobianOperator(score, x, product=product, chunk_size=chunk_size)
    V = torch.nn.functional.normalize(normal(op.batch, op.dim, 5, seed=1), dim=1)
    bound = tolerance(product, score, J, x)
    assert (op.matmat(V) - expected(J, product) @ V).abs().max() < bound
    assert (op.matvec(V[:, :, 0]) - (expected(J, product) @ V)[:, :, 0]).abs().max() < bound
    assert (op.value - score(x).flatten(1)).abs().max() < 1e3 * EPS * score(x).abs().max()
    assert (op.batch, op.dim, op.dtype, op.device) == (len(x), x[0].numel(), torch.float64, x.device)


@pytest.mark.parametrize("product", PRODUCTS)
def test_one_sample_is_its_row_of_the_batch(case, product):
    score, x = case
    J = oracle(score, x)
    V = torch.nn.functional.normalize(normal(len(x), x[0].numel(), 3, seed=2), dim=1)
    whole = JacobianOperator(score, x, product=product).matmat(V)
    for i in range(len(x)):
        alone = JacobianOperator(score, x[i : i + 1], product=product).matmat(V[i : i + 1])
        assert (alone[0] - whole[i]).abs().max() < 2 * tolerance(product, score, J, x)


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("chunk_size", [1, 3, 5, 7, 64])
def test_matmat_is_stacked_matvecs(product, chunk_size):
    score, x = mlp()
    op = JacobianOperator(score, x, product=product, chunk_size=chunk_size)
    V = torch.nn.functional.normalize(normal(3, 5, 11, seed=3), dim=1)
    stacked = torch.stack([op.matvec(V[:, :, k]) for k in range(11)], dim=2)
    assert (op.matmat(V) - stacked).abs().max() < 2 * tolerance(product, score, oracle(score, x), x)


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("chunk_size", [3, 7, 12, 30])
def test_no_pass_has_more_rows_than_a_chunk(product, chunk_size):
    score, x = mlp()
    rows = []

    def counted(z):
        rows.append(len(z))
        return score(z)

    op = JacobianOperator(counted, x, product=product, chunk_size=chunk_size)
    op.matmat(normal(3, 5, 40))
    assert max(rows) <= chunk_size
    # More than half of a chunk is used (chunks are even), or the bound would be met by going one by one.
    assert 2 * max(rows) > chunk_size - 3


def test_a_batch_larger_than_a_chunk_goes_one_direction_at_a_time():
    score, x = mlp()
    rows = []
    op = JacobianOperator(lambda z: (rows.append(len(z)), score(z))[1], x, chunk_size=2)
    op.matmat(normal(3, 5, 4))
    assert set(rows) == {3}


@pytest.mark.parametrize(
    ("product", "sweeps", "graph"), [("vjp", 1, 1), ("jvp", 2, 2), ("symmetric", 3, 2), ("difference", 1, 1)]
)
def test_products_and_passes_are_counted(product, sweeps, graph):
    score, x = mlp()
    op = JacobianOperator(score, x, product=product, chunk_size=12)  # 4 directions for 3 samples
    assert (op.products, op.passes) == (0, graph)
    op.matvec(normal(3, 5))
    assert (op.products, op.passes) == (1, graph + sweeps)
    before = op.passes
    op.matmat(normal(3, 5, 8))
    repeated_graph = 0 if product == "difference" else 4 * graph  # of 4 copies, used twice
    assert (op.products, op.passes) == (9, before + 8 * sweeps + repeated_graph)


def test_no_directions_cost_nothing():
    op = JacobianOperator(*mlp())
    assert op.matmat(torch.zeros(3, 5, 0)).shape == (3, 5, 0)
    assert op.products == 0


@pytest.mark.parametrize("product", PRODUCTS)
def test_works_under_no_grad_and_leaves_the_points_alone(product):
    score, x = mlp()
    x.requires_grad_()
    before = x.detach().clone()
    with torch.no_grad():
        op = JacobianOperator(score, x, product=product)
        out = op.matvec(normal(3, 5))
    assert not out.requires_grad
    assert x.grad is None
    assert torch.equal(x, before)


def test_later_changes_of_the_points_do_not_matter():
    score, x = mlp()
    op, v = JacobianOperator(score, x, chunk_size=1), normal(3, 5)
    before = op.matmat(v[:, :, None].expand(-1, -1, 2))
    x.zero_()
    assert torch.equal(op.matmat(v[:, :, None].expand(-1, -1, 2)), before)


@pytest.mark.parametrize("product", PRODUCTS)
def test_released_operators_refuse(product):
    score, x = mlp()
    with JacobianOperator(score, x, product=product) as op:
        op.matvec(normal(3, 5))
    with pytest.raises(RuntimeError, match=r"was released.*build a new JacobianOperator"):
        op.matvec(normal(3, 5))


@pytest.mark.parametrize("product", PRODUCTS)
def test_inference_mode(product):
    score, x = mlp()
    outside = JacobianOperator(score, x, product=product)
    v = normal(3, 5)
    with torch.inference_mode():
        if product == "difference":
            inside = JacobianOperator(score, x, product=product)
            assert torch.equal(inside.matvec(v), outside.matvec(v))
        else:
            with pytest.raises(RuntimeError, match=r"torch\.inference_mode\(\).*torch\.no_grad\(\)"):
                JacobianOperator(score, x, product=product)
            with pytest.raises(RuntimeError, match=r"torch\.inference_mode\(\).*torch\.no_grad\(\)"):
                outside.matvec(v)


def with_bias(x):
    """Depends on a parameter and not on the points."""
    return nn.Parameter(torch.ones_like(x[0])) + 0 * x.detach()


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda x: x[:, :2], r"shape and dtype of x, \(3, 5\) torch.float64, got \(3, 2\)"),
        (lambda x: x[:1], r"got \(1, 5\)"),
        (lambda x: x.float(), r"got \(3, 5\) torch.float32"),
        (lambda x: (x, x), "got tuple"),
        (
            lambda x: torch.where(torch.arange(3)[:, None] == 1, x * float("nan"), x),
            r"NaN or infinite at rows \[1\]",
        ),
        (lambda x: x / 0, r"at rows \[0, 1, 2\]"),
        (
            lambda x: x.detach() * 2,
            r"does not depend on x through autograd.*\.detach\(\).*product='difference'",
        ),
        (torch.no_grad()(lambda x: x * 2), "does not depend on x through autograd"),
        (with_bias, "does not depend on x through autograd"),
    ],
)
@pytest.mark.parametrize("product", ["vjp", "jvp", "symmetric"])
def test_bad_scores_are_refused(score, message, product):
    x = normal(3, 5)
    with pytest.raises(ValueError, match=message):
        JacobianOperator(score, x, product=product).matvec(x)


def test_a_detached_score_has_differences():
    x, v = normal(3, 5), normal(3, 5, seed=1)
    op = JacobianOperator(lambda z: 2 * z.detach(), x, product="difference")
    assert torch.allclose(
        op.matvec(v), 2 * v, rtol=0, atol=1e-6
    )  # sqrt(eps) times |x| and |v| of a few units


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(0, 5), r"empty, of shape \(0, 5\)"),
        (torch.zeros(5), r"shape \(B, \.\.\.\)"),
        (torch.zeros(3, 5, dtype=torch.int64), "floating dtype"),
        (torch.full((3, 5), float("nan")), r"rows \[0, 1, 2\]"),
    ],
)
def test_bad_points_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        JacobianOperator(lambda z: -z, x)


def test_bad_arguments_are_refused():
    x = torch.zeros(3, 5)
    with pytest.raises(ValueError, match=r"product must be one of .*'vjp'.*got 'hvp'"):
        JacobianOperator(lambda z: -z, x, product="hvp")
    with pytest.raises(ValueError, match="chunk_size must be at least 1, got 0"):
        JacobianOperator(lambda z: -z, x, chunk_size=0)
    for step in (0.0, -1e-3, float("nan")):
        with pytest.raises(ValueError, match="step must be a positive length"):
            JacobianOperator(lambda z: -z, x, product="difference", step=step)
    op = JacobianOperator(lambda z: -z, x)
    with pytest.raises(ValueError, match=r"v must have shape \(3, 5\), got \(5,\)"):
        op.matvec(torch.zeros(5))
    with pytest.raises(ValueError, match=r"V must have shape \(3, 5, K\), got \(3, 5\)"):
        op.matmat(torch.zeros(3, 5))
    with pytest.raises(ValueError, match="V must have a floating dtype"):
        op.matmat(torch.zeros(3, 5, 2, dtype=torch.int64))


class Full:
    """A score with room for so many rows; `counts` holds what it was asked for."""

    def __init__(self, room, error=torch.OutOfMemoryError):
        self.score, self.room, self.error, self.counts = mlp()[0], room, error, []

    def __call__(self, x):
        self.counts.append(len(x))
        if len(x) > self.room:
            raise self.error(f"can't allocate memory for {len(x)} rows")
        return self.score(x)


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])  # a GPU's, and what the CPU raises
def test_out_of_memory_halves_the_chunk(product, error):
    _, x = mlp()
    score = Full(10, error)
    op = JacobianOperator(score, x, product=product, chunk_size=60)
    V = normal(3, 5, 23)
    out = op.matmat(V)
    plain = JacobianOperator(score.score, x, product=product, chunk_size=6).matmat(V)
    assert (out - plain).abs().max() < 10 * V.abs().max() * tolerance(
        product, score.score, oracle(score.score, x), x
    )
    assert op.rows <= 10
    assert op.products == 23
    attempts = len([count for count in score.counts if count > 10])
    op.matmat(V)
    assert len([count for count in score.counts if count > 10]) == attempts  # the smaller chunk is remembered


def test_memory_that_does_not_suffice_for_one_direction_is_an_error():
    score, x = Full(5), mlp()[1]
    op = JacobianOperator(score, x, product="difference") if score.room >= 3 else None
    score.room = 2
    with pytest.raises(torch.OutOfMemoryError) as caught:
        op.matvec(normal(3, 5))
    assert "one direction for 3 samples does not fit; pass fewer samples" in caught.value.__notes__[0]


def test_other_errors_of_a_score_pass_through():
    calls = []

    def fragile(z):
        calls.append(len(z))
        if len(z) > 3:
            raise RuntimeError("the network broke")
        return -z

    op = JacobianOperator(fragile, mlp()[1])
    with pytest.raises(RuntimeError, match="the network broke"):
        op.matmat(normal(3, 5, 4))
    assert calls == [3, 3, 12]  # not tried again after the value and the check


def flags():
    backends = torch.backends.cuda
    return [
        backends.flash_sdp_enabled(),
        backends.mem_efficient_sdp_enabled(),
        backends.math_sdp_enabled(),
        backends.cudnn_sdp_enabled(),
    ]


@pytest.mark.parametrize("product", PRODUCTS)
def test_attention_backends_are_as_before(product):
    score, x = unet()
    before = flags()
    op = JacobianOperator(score, x, product=product)
    op.matmat(normal(2, 64, 3))
    assert flags() == before
    with pytest.raises(ValueError, match="NaN"):
        JacobianOperator(lambda z: z * float("nan"), x, product=product)
    assert flags() == before


@pytest.mark.parametrize("make", [mlp, unet])
def test_asymmetry_is_within_its_error_of_the_exact_one(make):
    score, x = make()
    exact = dense(JacobianOperator(score, x)).asymmetry
    estimate = JacobianOperator(score, x).asymmetry(64, torch.Generator().manual_seed(0))
    assert estimate.probes == 64
    assert (exact > 0.05).all()
    assert ((estimate.ratio - exact).abs() < 4 * estimate.standard_error).all()
    assert (estimate.standard_error < 0.2 * exact).all()  # an error bar of any size would pass the line above


def test_error_of_the_asymmetry_covers_as_often_as_it_says():
    score, x = mlp()
    x = x[:1].expand(200, -1)
    exact = dense(JacobianOperator(score, x[:1])).asymmetry
    estimate = JacobianOperator(score, x).asymmetry(64, torch.Generator().manual_seed(1))
    inside = ((estimate.ratio - exact).abs() < 2 * estimate.standard_error).double().mean()
    # 95 % of 200 intervals, less a ratio's skewness and three binomial standard errors of 1.5 %.
    assert inside > 0.88


def test_asymmetry_of_a_gradient_field_is_zero():
    score, x = mixture()
    estimate = JacobianOperator(score, x).asymmetry(4, torch.Generator().manual_seed(0))
    assert (estimate.ratio < 100 * EPS).all()


def test_asymmetry_of_a_rotation_is_two_and_of_nothing_is_zero():
    turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    x = normal(2, 2)
    assert torch.allclose(
        JacobianOperator(lambda z: z @ turn, x).asymmetry(8).ratio, torch.tensor(2.0).double()
    )
    nothing = JacobianOperator(lambda z: 0 * z, x).asymmetry(8)
    assert nothing.ratio.tolist() == [0.0, 0.0]
    assert nothing.standard_error.tolist() == [0.0, 0.0]


def test_bad_asymmetries_are_refused():
    score, x = mlp()
    with pytest.raises(ValueError, match="at least 2 probes, got 1"):
        JacobianOperator(score, x).asymmetry(1)
    with pytest.raises(ValueError, match="'difference' has no transpose"):
        JacobianOperator(score, x, product="difference").asymmetry()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_network_runs_in_the_dtype_of_the_points_and_vectors_in_their_own(dtype):
    seen = set()

    def score(x):
        seen.add(x.dtype)
        return -2 * x

    op = JacobianOperator(score, torch.ones(2, 3), dtype=dtype)
    out = op.matvec(torch.ones(2, 3, dtype=torch.float64))
    assert seen == {torch.float32}
    assert out.dtype == op.value.dtype == op.dtype == dtype


def test_a_zero_direction_gives_zero_differences_even_far_out():
    """At ||x|| = 1e6 in float32 the naive sqrt(eps) ||x|| / tiny overflows."""
    op = JacobianOperator(lambda z: -z, torch.full((1, 4), 1e6), product="difference")
    assert op.matvec(torch.zeros(1, 4)).tolist() == [[0.0] * 4]


def test_step_is_the_length_of_the_displacement():
    moved = []

    def score(z):
        moved.append(z)
        return z**3

    x = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    op = JacobianOperator(score, x, product="difference", step=0.1, check=False)
    found = op.matvec(torch.tensor([[5.0, 0.0]]))
    assert moved[1][0, 0].item() == pytest.approx(1.1)
    assert found[0, 0].item() == pytest.approx(5 * (1.1**3 - 1) / 0.1)


# -- values at hand, and scores that are random or couple rows --------------------------------------


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_known_value_saves_the_pass_of_a_difference_and_changes_nothing(product):
    score, x = mlp()
    rows = []

    def counted(z):
        rows.append(len(z))
        return score(z)

    with torch.no_grad():
        value = score(x)
    v = normal(3, 5, seed=1)
    known = JacobianOperator(counted, x, product=product, value=value, check=False)
    assert torch.equal(known.value, value)
    before = len(rows)
    assert before == (0 if product == "difference" else 1)
    assert torch.equal(known.matvec(v), JacobianOperator(score, x, product=product).matvec(v))
    assert len(rows) - before == (1 if product == "difference" else 0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(3, 4).double(), r"value must have the shape and dtype of x, \(3, 5\) .*, got \(3, 4\)"),
        (torch.zeros(3, 5), r"got \(3, 5\) torch.float32"),
        (torch.full((3, 5), torch.nan).double(), r"value is NaN or infinite at rows \[0, 1, 2\]"),
        (torch.ones(3, 5).double(), "or the value given is not the score at x"),
    ],
)
@pytest.mark.parametrize("product", ["vjp", "difference"])
def test_values_that_are_not_the_score(value, message, product):
    with pytest.raises(ValueError, match=message):
        JacobianOperator(*mlp(), product=product, value=value)


class Training(nn.Module):
    """A network in training mode."""

    def __init__(self, layer):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(6, 32), layer, nn.SiLU(), nn.Linear(32, 6)).double()

    def forward(self, x):
        return self.layers(x)


@pytest.mark.parametrize("product", PRODUCTS)
@pytest.mark.parametrize("batch", [1, 2, 16])
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Dropout(0.1), r"it is random, as with dropout.*call \.eval\(\)"),
        (nn.BatchNorm1d(32), r"rows of the score are coupled.*batch normalisation.*call \.eval\(\)"),
    ],
)
def test_training_mode_is_noticed_and_evaluation_mode_passes(layer, message, batch, product):
    network, x = Training(layer).train(), normal(batch, 6)
    if batch == 1 and isinstance(layer, nn.BatchNorm1d):
        x = x.repeat(2, 1)  # batch normalisation refuses a single row by itself
    with torch.random.fork_rng(), pytest.raises(ValueError, match=message):
        JacobianOperator(network, x, product=product)
    network.eval()
    plain, checked = (JacobianOperator(network, x, product=product, check=c) for c in (False, True))
    v = torch.ones(len(x), 6, dtype=torch.float64)
    assert torch.equal(plain.matvec(v), checked.matvec(v))
    assert plain.passes == checked.passes


def test_the_switch_lets_training_mode_pass():
    network = Training(nn.BatchNorm1d(32)).train()
    assert JacobianOperator(network, normal(4, 6), check=False).matvec(normal(4, 6)).isfinite().all()


def test_a_score_that_turns_random_is_noticed_by_the_repeated_batch():
    """Without a pass more: the first call is plain, the one for several directions is not."""
    calls = []

    def score(x):
        calls.append(len(x))
        return -x if len(calls) < 3 else -x * (1 + 0.1 * torch.rand(len(x), 1, dtype=x.dtype))

    op = JacobianOperator(score, normal(2, 5))
    with torch.random.fork_rng(), pytest.raises(ValueError, match="it is random"):
        op.matmat(normal(2, 5, 4))
    assert calls == [2, 2, 8]


def test_coupled_neighbours_are_noticed():
    with pytest.raises(ValueError, match="rows of the score are coupled"):
        JacobianOperator(lambda x: -x + 1e-3 * x.roll(1, 0), normal(5, 4))
