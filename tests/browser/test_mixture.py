"""The closed forms behind the plane, in JavaScript, are those of `memlib`, by Node and in a browser."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser

from memlib.mixture import GaussianMixture
from memlib.schedule import VariancePreserving

pytestmark = pytest.mark.browser

ANSWERS = """cases => cases.map(({ modes, t, x, y }) => {
    const noise = figures.noise(t);
    return { ...noise, ...figures.mixture(modes, noise).at(x, y) };
})"""
LINEAR = VariancePreserving.linear()
doubles = partial(torch.tensor, dtype=torch.float64)
Answers = list[Mapping[str, object]]


@pytest.fixture(scope="module")
def cases() -> list[dict[str, object]]:
    """Settings within the ranges of the sliders, at points where the modes are as often as not."""
    rng, found = np.random.default_rng(0), []
    for _ in range(200):
        weight, half, t = rng.uniform(0.01, 0.99), rng.uniform(0, 1.5), int(rng.integers(1000))
        tiny = {"weight": weight, "x": -half, "y": 0.0, "deviation": 10 ** rng.uniform(-3, 0)}
        broad = {"weight": 1 - weight, "x": half, "y": 0.0, "deviation": 0.4}
        alpha, sigma = (f(t).item() for f in (LINEAR.alpha, LINEAR.sigma))
        x, y = (alpha * rng.choice([-half, half, 0]), 0.0) + sigma * rng.standard_normal(2)
        found.append({"modes": [tiny, broad], "t": t, "x": x, "y": y})
    return found


def hold_against_memlib(cases: list[dict[str, object]], answers: Answers) -> None:
    assert len(answers) == len(cases) == 200
    for case, answer in zip(cases, answers, strict=True):
        modes, t = case["modes"], case["t"]
        assert answer["alpha"] == pytest.approx(LINEAR.alpha(t).item(), rel=1e-9)
        assert answer["sigma"] == pytest.approx(LINEAR.sigma(t).item(), rel=1e-9)
        exact = GaussianMixture(
            doubles([mode["weight"] for mode in modes]),
            doubles([[mode["x"], mode["y"]] for mode in modes]),
            doubles([mode["deviation"] ** 2 for mode in modes]),
        ).diffused(LINEAR.alpha(t), LINEAR.sigma(t))
        point = doubles([[case["x"], case["y"]]])
        hessian = exact.hessian(point)[0]
        close = {"rtol": 1e-6, "atol": 1e-6}
        np.testing.assert_allclose(answer["logDensity"], exact.log_prob(point)[0], **close)
        np.testing.assert_allclose(answer["score"], exact.score(point)[0], **close)
        np.testing.assert_allclose(answer["hessian"], hessian.flatten()[[0, 1, 3]], **close)
        np.testing.assert_allclose(answer["eigenvalues"], torch.linalg.eigvalsh(hessian), **close)


def test_node_computes_what_memlib_does(project: Path, cases: list[dict[str, object]]) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node found; the browser's test does the same")
    script = (project / "book/assets/figures/mixture.js").read_text(encoding="utf-8")
    script += f"\nconsole.log(JSON.stringify(({ANSWERS})({json.dumps(cases)})));"
    done = subprocess.run([node, "-"], input=script, capture_output=True, text=True, check=True)
    hold_against_memlib(cases, json.loads(done.stdout))


def test_the_browser_computes_what_memlib_does(
    browser: Browser, project: Path, cases: list[dict[str, object]]
) -> None:
    page = browser.new_page()
    page.add_script_tag(path=project / "book/assets/figures/mixture.js")
    hold_against_memlib(cases, page.evaluate(ANSWERS, cases))
    page.close()
