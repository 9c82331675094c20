"""Figures under the reader's hand: pointer and keyboard, the numbers of `memlib`, pictures in print."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect

from companion.claims import load_ledger
from companion.recipes.mixture import two_modes
from memlib import detection
from memlib.schedule import VariancePreserving

pytestmark = pytest.mark.browser

PLANES = ["book/intro", "notebooks/02_gaussian_mixture"]


@contextmanager
def opened(
    browser: Browser, file: Path, width: int = 1280, fragment: str = "", **options: object
) -> Iterator[Page]:
    """A page from the file system, without a network; what the browser complains of fails the test."""
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **options)
    page, faults = context.new_page(), []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda m: faults.append(m.text) if m.type in {"error", "warning"} else None)
    try:
        page.goto(f"{file.as_uri()}#{fragment}")
        yield page
        assert faults == []
    finally:
        context.close()


def numbers(text: str) -> list[float]:
    return [float(found.replace("−", "-")) for found in re.findall(r"−?\d+(?:\.\d+)?(?:e−\d+)?", text)]


def slide(panel: Locator, label: str, value: float) -> None:
    panel.get_by_label(label).evaluate(
        "(node, value) => { node.value = value; node.dispatchEvent(new Event('input')); }", value
    )


def exact(page: Page, t: int) -> tuple[list[float], int]:
    """Eigenvalues times sigma squared where the point is, and how many are not negative."""
    text = page.locator(".plane [role=slider]").get_attribute("aria-valuetext") or ""
    x, y = numbers(text)
    alpha, sigma = (
        f(t).item() for f in (VariancePreserving.linear().alpha, VariancePreserving.linear().sigma)
    )
    hessian = two_modes().diffused(alpha, sigma).hessian(torch.tensor([[x, y]]))
    values = torch.linalg.eigvalsh(hessian)[0]
    return (values * sigma**2).tolist(), int((values >= 0).sum())


@pytest.mark.parametrize("name", PLANES)
def test_the_plane_tells_the_eigenvalues_of_its_point(browser: Browser, book: Path, name: str) -> None:
    with opened(browser, book / f"{name}.html") as page:
        panel, point = page.locator(".plane .handled"), page.locator(".plane [role=slider]")
        slide(panel, "Noise", 150)
        panel.get_by_role("button", name="On the broad mode").click()
        for key in (*["ArrowLeft"] * 7, "Shift+ArrowLeft", "Shift+ArrowLeft", "ArrowUp"):
            point.press(key)
            values, count = exact(page, 150)
            told = numbers(panel.locator("output").inner_text())
            assert told[:2] == pytest.approx(values, abs=2e-3)
            assert told[2] == count
        before = point.get_attribute("aria-valuetext")
        box = panel.locator(".area").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.45 * box["width"], box["y"] + 0.5 * box["height"], steps=3)
        page.mouse.up()
        assert point.get_attribute("aria-valuetext") != before
        assert numbers(panel.locator("output").inner_text())[:2] == pytest.approx(
            exact(page, 150)[0], abs=2e-3
        )


def test_the_plane_says_what_a_memorized_mode_is(browser: Browser, book: Path) -> None:
    """Narrow: at -1 whatever its weight; wide: as the broad one."""
    with opened(browser, book / "book/intro.html", width=390) as page:
        panel = page.locator(".plane .handled")
        told = panel.locator("output")
        slide(panel, "Noise", 20)
        assert numbers(told.inner_text())[:2] == pytest.approx([-1, -1], abs=0.01)
        slide(panel, "Weight, tiny mode", 0.5)
        assert numbers(told.inner_text())[:2] == pytest.approx([-1, -1], abs=0.01)
        slide(panel, "Width, tiny mode", -0.3)
        assert all(value > -0.1 for value in numbers(told.inner_text())[:2])


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_only_readers_who_want_motion_are_offered_it(browser: Browser, book: Path, motion: str) -> None:
    with opened(browser, book / "book/intro.html", reduced_motion=motion) as page:
        button = page.get_by_role("button", name="Take the noise away")
        if motion == "reduce":
            expect(button).to_have_count(0)
        else:
            button.click()
            expect(page.get_by_label("Noise")).to_have_value("0", timeout=20_000)


@pytest.mark.parametrize("scripts", [True, False])
def test_the_picture_stays_for_print_and_without_scripts(browser: Browser, book: Path, scripts: bool) -> None:
    with opened(browser, book / "book/intro.html", java_script_enabled=scripts) as page:
        picture = page.locator("figure.plane img")
        if scripts:
            expect(picture).to_be_hidden()
            page.emulate_media(media="print")
            expect(page.locator(".plane .handled")).to_be_hidden()
        expect(picture).to_be_visible()


def test_the_landing_page_is_light(browser: Browser, book: Path) -> None:
    """Less than 1.5 MB before the reader scrolls, text compressed as web servers send it."""
    with opened(browser, book / "book/intro.html") as page:
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.reload()
        page.wait_for_timeout(500)
        files = {Path(url2pathname(urlsplit(url).path)) for url in requested}
        assert len(files) > 5
        assert sum(len(gzip.compress(path.read_bytes())) for path in files) < 1_500_000


def test_the_threshold_finds_what_memlib_finds(browser: Browser, book: Path) -> None:
    """At 1 % of false alarms the rates of the run's own tables, elsewhere those of its values."""
    tables = book / "_static/runs/08_latent_detection/tables"
    values = pd.read_csv(tables / "values.csv")
    values = values[values["seed"] < 4].groupby("caption", sort=False)
    families, means = values["family"].first(), values[["wen_1", "jeon_1"]].mean()
    with opened(browser, book / "notebooks/08_latent_detection.html") as page:
        panel = page.locator(".threshold .handled")
        told, slider = panel.locator("output"), panel.get_by_label("Threshold")
        for question, title in (("middle", "Wen"), ("stated", "Jeon (the paper)")):
            panel.get_by_label("Question").select_option(label=f"{question} against general")
            words = panel.get_by_label("Statistic").locator("option").all_inner_texts()
            chosen = next(text for text in words if text.startswith(title))
            panel.get_by_label("Statistic").select_option(label=chosen)
            table = pd.read_csv(tables / f"table_{question}_general.csv").set_index(["statistic", "n"])
            row = table.loc[f"{title}, 1 step", 4]
            _, _, found, _, _, rate, area = numbers(told.inner_text())
            assert (found, rate, area) == pytest.approx((row["TPR"], row["FPR"], row["AUC"]), abs=6e-4)
        stated = families == "stated"
        among = stated | (families == "general")
        scores, labels = means["jeon_1"][among].to_numpy(), stated[among].to_numpy()
        for _ in range(12):
            slider.press("ArrowLeft")
            _, _, found, _, _, rate, _ = numbers(told.inner_text())
            exact = detection.evaluate(scores, labels, target=rate + 5e-4)
            threshold = np.sort(scores)[int(slider.input_value())]
            assert found == pytest.approx((scores[labels] >= threshold).mean(), abs=6e-4)
            assert rate == pytest.approx((scores[~labels] >= threshold).mean(), abs=6e-4)
            assert found <= exact.tpr.value + 6e-4
            assert exact.fpr == pytest.approx(rate, abs=6e-4)
        pictures = panel.locator(".side").first.get_by_role("img")
        expect(pictures).to_have_count(len(scores) - int(slider.input_value()))


OVER_TIME = {"04_mnist": "fig-mnist-over-time", "07_latent_spectra": "fig-latent-over-time"}


@pytest.mark.parametrize("chapter", OVER_TIME)
def test_spectra_over_time_are_those_of_the_run(browser: Browser, book: Path, chapter: str) -> None:
    """At every time of the run's table: counts, both curves against the line at 0, the pictures."""
    with np.load(book / "_static/runs" / chapter / "tables/over_time.npz") as file:
        found = dict(file)
    with opened(browser, book / f"notebooks/{chapter}.html") as page:
        panel = page.locator(f"#{OVER_TIME[chapter]} .handled")
        slider, told = panel.get_by_label("Time"), panel.locator("output")
        assert len(found["t"]) >= 4
        for place, (t, sigma) in enumerate(zip(found["t"], found["sigma"], strict=True)):
            assert numbers(slider.get_attribute("aria-valuetext") or "") == pytest.approx(
                [t, sigma], abs=0.006
            )
            size, memorized, general, n = numbers(told.inner_text())
            assert (n, size) == found["general_eigenvalues"].shape[1:]
            for name, count in (("memorized", memorized), ("general", general)):
                assert count == found[f"{name}_count"][place].mean()
                curve = panel.locator(f".spectrum path.{name}").first.get_attribute("d") or ""
                drawn = np.array(numbers(curve)).reshape(-1, 2)[:, 1]
                values = found[f"{name}_eigenvalues"][place, 0]
                zero = float(panel.locator(".zero").get_attribute("y1") or "nan")
                scale = (drawn - zero) @ values / (values @ values)
                assert scale < -50
                np.testing.assert_allclose(drawn, zero + scale * values, atol=0.3)
                for state, picture in zip(
                    ("noised", "denoised"), panel.locator(f".picture.{name}").all(), strict=True
                ):
                    image = found[f"{name}_{state}"][place, 0]
                    assert np.median(np.abs(seen(picture, image.shape[1]) - image)) <= 2
                    assert f"{name}, " in (picture.get_attribute("aria-label") or "")
            slider.press("ArrowRight")
        strip = panel.locator(".strip").bounding_box()
        assert strip is not None
        page.mouse.click(strip["x"] + 0.1 * strip["width"], strip["y"] + 0.4 * strip["height"])
        assert numbers(slider.get_attribute("aria-valuetext") or "")[0] == found["t"][0]


def seen(picture: Locator, side: int) -> np.ndarray:
    """The pixels `(3, side, side)` of a picture on the page, each read at its middle."""
    screen = np.asarray(Image.open(io.BytesIO(picture.screenshot())).convert("RGB")).astype(int)
    border, width = 2, min(screen.shape[:2]) - 4
    at = (border + width * (np.arange(side) + 0.5) / side).astype(int)
    return screen[at][:, at].transpose(2, 0, 1)


@pytest.mark.parametrize("scripts", [True, False])
def test_spectra_over_time_have_a_picture_for_print(browser: Browser, book: Path, scripts: bool) -> None:
    page_of = book / "notebooks/07_latent_spectra.html"
    with opened(browser, page_of, 390, java_script_enabled=scripts, reduced_motion="reduce") as page:
        figure = page.locator("#fig-latent-over-time")
        if scripts:
            expect(figure.get_by_label("Time")).to_be_visible()
            expect(figure.get_by_role("button", name="Take the noise away")).to_have_count(0)
            expect(figure.locator("img")).to_be_hidden()
            page.emulate_media(media="print")
            expect(figure.locator(".handled")).to_be_hidden()
        expect(figure.locator("img")).to_be_visible()


def test_the_ledger_shows_the_chosen_claims_and_prints_them_open(
    browser: Browser, book: Path, project: Path
) -> None:
    ledger = load_ledger(project / "book/claims.yml")
    with opened(browser, book / "book/results.html") as page:
        assert page.evaluate("document.querySelector('main').scrollHeight") < 6000
        claims = page.locator("details.claim")
        expect(claims.filter(visible=True)).to_have_count(len(ledger.claims))
        page.get_by_label("Model").select_option(label="MNIST")
        page.get_by_label("Verdict").select_option(label="not reproduced")
        mnist = [claim for claim in ledger.claims if ledger.model(claim).name == "MNIST"]
        chosen = [claim for claim in mnist if claim.verdict == "not reproduced"]
        assert chosen
        expect(claims.filter(visible=True)).to_have_count(len(chosen))
        told = f"{len(chosen)} of {len(ledger.claims)} claims are shown."
        expect(page.locator(".ledger output")).to_have_text(told)
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        expect(page.locator("details.claim:not([open])")).to_have_count(0)
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        expect(page.locator("details.claim[open]")).to_have_count(0)
    with opened(browser, book / "book/results.html", fragment="lemma-4-1") as page:
        expect(page.locator("details#lemma-4-1")).to_have_attribute("open", "")
