"""Every random draw comes from a generator that a caller seeds; nothing depends on global state."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    path
    for folder in ("memlib", "companion", "notebooks", "benchmarks", "workflow")
    for path in (ROOT / folder).rglob("*.py")
)
DRAWS = {
    *("rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like"),
    *("normal", "bernoulli", "multinomial", "poisson"),
    *("normal_", "uniform_", "bernoulli_", "random_", "exponential_", "cauchy_", "log_normal_", "geometric_"),
}
"""Functions and methods of torch that take a `generator`, and the global one without it."""
SEEDING = {"manual_seed", "manual_seed_all", "seed"}


def faults(source: str) -> list[str]:
    """Calls that draw from, or seed, a global generator outside of `torch.random.fork_rng`."""
    tree = ast.parse(source)
    isolated = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.With) and "fork_rng" in ast.unparse(block.items[0])
        for node in ast.walk(block)
    }
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and id(node) not in isolated)
    return [f"line {call.lineno}: {ast.unparse(call)[:80]}" for call in calls if _global(call)]


def _global(call: ast.Call) -> bool:
    whole = ast.unparse(call.func)
    owner, _, name = whole.rpartition(".")
    if name in SEEDING:
        return "Generator(" not in owner
    if name == "default_rng":
        return not (call.args or call.keywords)
    if owner in ("random", "np.random", "numpy.random"):
        return name != "Generator"
    from_torch = owner == "torch" or owner.startswith("torch.nn.init") or name.endswith("_")
    return from_torch and name in DRAWS and "generator" not in {word.arg for word in call.keywords}


def test_nothing_draws_from_a_global_generator():
    found = {str(path.relative_to(ROOT)): faults(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert {path: lines for path, lines in found.items() if lines} == {}
    assert len(found) > 200


@pytest.mark.parametrize(
    ("source", "faulty"),
    [
        ("torch.randn(3)", True),
        ("torch.randn(3, generator=generator)", False),
        ("x.normal_()", True),
        ("torch.nn.init.normal_(weight)", True),
        ("x.normal_(generator=generator)", False),
        ("torch.manual_seed(0)", True),
        ("torch.default_generator.manual_seed(0)", True),
        ("torch.Generator().manual_seed(0)", False),
        ("torch.Generator(device=x.device).manual_seed(0)", False),
        ("np.random.default_rng()", True),
        ("np.random.default_rng(3)", False),
        ("np.random.normal()", True),
        ("random.random()", True),
        ("with torch.random.fork_rng():\n    torch.manual_seed(0)\n    torch.randn(3)", False),
        ("with torch.random.fork_rng():\n    pass\ntorch.manual_seed(0)", True),
    ],
)
def test_what_counts(source, faulty):
    assert bool(faults(source)) is faulty
