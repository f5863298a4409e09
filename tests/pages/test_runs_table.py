"""`runs/index.html`: what it says, and that it sorts, filters and links in a real browser, without any other host."""

import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from pages.runs_table import page
from runtime.run_list import all_runs
from runtime.run_notes import Notes, write_notes
from tests.handmade import make_run

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`runs` with three runs and its page; one name and one note are full of signs that HTML knows."""
    root = tmp_path_factory.mktemp("place") / "runs"
    make_run(root / "rings/version_0", loss=0.5, depth=3, state="failed", verdicts=("fail", "warn"))
    make_run(root / "rings/version_1", loss=None, started="2026-11-28T07:00:00+00:00", state="killed")
    odd = make_run(root / "a 'b' & #1/version_2", loss=0.25, started="2026-11-20T07:00:00+00:00")
    write_notes(odd, Notes("<script>alert(1)</script> & more", ("baseline",)))
    (odd / "report.html").write_text("the page of a run")
    (root / "rings/version_1/diagnosis.json").write_text("{")
    (root / "index.html").write_text(page(all_runs(root)))
    return root


def test_a_row_for_each_run_and_a_column_for_each_metric(folder: Path) -> None:
    text = (folder / "index.html").read_text()
    rows = [json.loads(unescape(each)) for each in re.findall(r'<tr data-values="([^"]*)">', text)]
    assert [row["run"] for row in rows] == ["a 'b' & #1/version_2", "rings/version_0", "rings/version_1"]
    assert rows[1]["model.depth"] == 3
    assert rows[1]["val/loss"] == 0.5
    headings = re.findall(r"data-column=\"\d+\">([^<]*)<", text)
    assert headings == [
        "run",
        "started",
        "minutes",
        "state",
        "verdict",
        "val/accuracy",
        "val/loss",
        "changed",
        "note",
    ]
    assert "<script>alert" not in text
    assert "damaged: diagnosis.json" in text
    assert "1 FAIL" in text
    assert not re.search(r"(src|href)=\"(https?:)?//", text)
    assert len(text) < 40_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; tests that ask for it are skipped where it is not installed."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def opened(browser: Any, folder: Path) -> Iterator[Any]:
    """The page; at the end it must have asked for nothing else and thrown nothing."""
    tab = browser.new_page()
    asked: list[str] = []
    errors: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto(folder.joinpath("index.html").as_uri())
    yield tab
    assert [url for url in asked if not url.startswith("file:")] == []
    assert errors == []
    tab.close()


def names(tab: Any) -> list[str]:
    """The runs that are seen, in order."""
    found = tab.locator("tbody tr:visible td:first-child").all_inner_texts()
    return [str(each) for each in found]


def test_a_heading_sorts_and_sorts_the_other_way_again(opened: Any) -> None:
    heading = opened.get_by_role("button", name="val/loss")
    heading.click()
    assert [name[-1] for name in names(opened)] == ["2", "0", "1"]  # the run without a value is the last
    assert heading.locator("xpath=..").get_attribute("aria-sort") == "ascending"
    heading.click()
    assert [name[-1] for name in names(opened)] == ["0", "2", "1"]
    opened.get_by_role("button", name="started").click()
    assert [name[-1] for name in names(opened)] == ["2", "0", "1"]
    assert opened.locator("[aria-sort]").count() == 1


@pytest.mark.parametrize(
    ("words", "versions", "count"),
    [
        ("", "201", "3 runs"),
        ("rings", "01", "2 of 3 runs"),
        ("state=failed", "0", "1 of 3 runs"),
        ("state!=failed", "21", "2 of 3 runs"),
        ("val/loss<0.5", "2", "1 of 3 runs"),
        ("val/loss>=0.25", "20", "2 of 3 runs"),
        ("model.depth=3 RINGS", "0", "1 of 3 runs"),
        ("tag=baseline", "2", "1 of 3 runs"),
        ("#baseline more", "2", "1 of 3 runs"),
        ("damaged", "1", "1 of 3 runs"),
        ("nothing", "", "0 of 3 runs"),
        ("val/loss<", "", "0 of 3 runs"),
    ],
)
def test_the_field_filters(words: str, versions: str, count: str, opened: Any) -> None:
    opened.fill("#filter", words)
    assert "".join(name[-1] for name in names(opened)) == versions
    assert opened.inner_text("#count") == count


def test_a_run_leads_to_its_page(opened: Any) -> None:
    assert opened.locator("tbody a").count() == 1
    opened.click("tbody a")
    assert opened.inner_text("body") == "the page of a run"


def test_a_phone_scrolls_the_table_and_not_the_page(opened: Any) -> None:
    opened.set_viewport_size({"width": 390, "height": 800})
    assert opened.evaluate("document.documentElement.scrollWidth") == 390
