"""The page in a real browser: it draws every chart, asks for nothing, reports no error, and its switches work."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pages.report import write_report
from tests.pages.run_folder import STEPS, write_run

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Debian's chromium is not installed"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_report(
        write_run(tmp_path_factory.mktemp("runs") / "tiny" / "version_0"), "finished"
    ).as_uri()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(request: pytest.FixtureRequest, chromium: Any, address: str) -> Iterator[Any]:
    """The page with all its charts, without a network; fails if it asked for anything or reported an error."""
    context = chromium.new_context(**getattr(request, "param", {}), offline=True)
    page, asked, errors = context.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: message.type == "error" and errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.wait_for_function("Bokeh.documents.length === 1 && Bokeh.documents[0].is_idle", timeout=60_000)
    yield page
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [address]
    assert errors == []
    context.close()


def charts(page: Any) -> list[tuple[float, float]]:
    """Width and height of every chart that is drawn."""
    return page.evaluate(
        "[...document.querySelectorAll('figure.chart [data-scale]:not([hidden])')]"
        ".map((place) => place.getBoundingClientRect()).map(({ width, height }) => [width, height])"
    )


WIDE = {"viewport": {"width": 1400, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DARK = {**WIDE, "color_scheme": "dark"}


@pytest.mark.parametrize("opened", [WIDE, PHONE, DARK], indirect=True, ids=["wide", "phone", "dark"])
def test_every_chart_is_drawn_and_nothing_sticks_out(opened: Any) -> None:
    sizes = charts(opened)
    assert len(sizes) == opened.locator("figure.chart").count() > 10
    assert all(width > 150 and height > 60 for width, height in sizes)
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("opened", [WIDE, DARK], indirect=True, ids=["light", "dark"])
def test_words_can_be_read_on_their_background(opened: Any) -> None:
    """The contrast of text, quiet text and background, by the formula of WCAG: at least 4.5."""
    colors = opened.evaluate(
        "['body', '.how', 'dt'].map((name) => getComputedStyle(document.querySelector(name)).color)"
        ".concat(getComputedStyle(document.body).backgroundColor)"
    )
    *words, paper = [luminance(color) for color in colors]
    for word in words:
        light, dark = max(word, paper), min(word, paper)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def luminance(color: str) -> float:
    """Relative luminance of a color such as `rgb(20, 23, 28)`."""
    parts = np.array([float(part) for part in color[color.index("(") + 1 : -1].split(",")[:3]]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("opened", [WIDE], indirect=True, ids=["wide"])
def test_the_crosshair_shows_the_values_of_its_step_in_every_chart(opened: Any) -> None:
    opened.evaluate("showValuesAt(41)")
    shown = opened.evaluate(
        "[...document.querySelectorAll('#curves .key b')].map((value) => value.textContent)"
    )
    assert [float(value) for value in shown[:2]] == pytest.approx([1 / 41, 1.5 / 41], rel=1e-3)
    assert opened.locator("[data-step]").text_content() == "step 41"
    opened.locator("#curves figure.chart").first.hover()
    assert opened.locator("[data-step]").text_content() != "step 41"  # the mouse moves it, too


@pytest.mark.parametrize("opened", [WIDE], indirect=True, ids=["wide"])
def test_smoothing_and_the_logarithmic_axis(opened: Any) -> None:
    opened.locator("[data-smoothing]").evaluate(
        "(slider) => { slider.value = 0.9; slider.dispatchEvent(new Event('input')); }"
    )
    smooth = opened.evaluate("Array.from(curves[0].source.data.shown)")
    mean = total = 0.0
    expected = []
    for value in 1 / (1 + STEPS):
        mean, total = 0.9 * mean + 0.1 * value, 0.9 * total + 0.1
        expected.append(mean / total)
    assert smooth == pytest.approx(expected, rel=1e-4)
    figure = opened.locator("#curves figure.chart").first
    before = figure.locator("[data-scale=log]").is_visible()
    figure.locator("[data-log]").click()
    assert figure.locator("[data-scale=log]").is_visible() != before
    assert figure.locator("[data-scale=linear]").is_visible() == before
    opened.wait_for_timeout(300)
    assert all(width > 150 and height > 60 for width, height in charts(opened))


@pytest.mark.parametrize("opened", [WIDE], indirect=True, ids=["wide"])
def test_sliders_go_through_the_steps(opened: Any) -> None:
    figure = opened.locator("figure.picture").first
    slider = figure.locator("[data-frames]")
    for place, step in enumerate((0, 40, 90)):
        slider.evaluate(
            f"(slider) => {{ slider.value = {place}; slider.dispatchEvent(new Event('input')); }}"
        )
        visible = figure.locator("img:visible")
        assert visible.count() == 1
        assert visible.get_attribute("alt") == f"fit_plane at step {step}"
    network = opened.locator("#weights figure").first
    network.locator("[data-frames]").evaluate(
        "(slider) => { slider.value = 0; slider.dispatchEvent(new Event('input')); }"
    )
    assert network.locator("svg:visible").count() == 1
    assert "after 0 steps" in network.locator("[data-frame]:visible").text_content()


@pytest.mark.parametrize("opened", [WIDE], indirect=True, ids=["wide"])
def test_it_prints_on_a4(opened: Any, tmp_path: Path) -> None:
    opened.pdf(path=str(tmp_path / "page.pdf"), format="A4", prefer_css_page_size=True)
    assert (tmp_path / "page.pdf").read_bytes().count(b"/Type /Page\n") in range(3, 12)
    opened.emulate_media(media="print")
    assert not opened.locator("nav").is_visible()
    assert not opened.locator("[data-smoothing]").is_visible()
