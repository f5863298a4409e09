"""TensorBoard's first screen, as a browser shows it."""

import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.end_to_end.commands import RUN

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(table: str) -> Iterator[str]:
    """Of a TensorBoard on the run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [
        "-m",
        "tensorboard.main",
        "--logdir",
        str(RUN.parent),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    server = subprocess.Popen([sys.executable, *words], stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(240):
            with suppress(OSError), urllib.request.urlopen(f"{url}data/runs") as answer:
                if b"version_0/val" in answer.read():
                    break
            time.sleep(0.5)
        yield url
    finally:
        server.kill()
        server.wait()


def test_the_first_cards_are_loss_and_accuracy_of_training_and_validation(
    address: str, tmp_path: Path
) -> None:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(address)
        page.wait_for_selector("scalar-card", timeout=60_000)
        page.wait_for_timeout(2000)
        cards = page.locator("scalar-card")
        boxes = [cards.nth(k).bounding_box() for k in range(2)]
        words = [cards.nth(k).inner_text().replace("\n/", "/") for k in range(2)]
        groups = page.locator("metrics-card-group-toolbar").all_inner_texts()
        browser.close()
    assert "Learning/Loss" in words[0]
    assert "Learning/accuracy" in words[1]
    for text in words:
        assert "version_0/train" in text
        assert "version_0/val" in text
    assert all(box["y"] + box["height"] <= 900 for box in boxes)  # both are seen without scrolling
    assert groups[0].startswith("Learning")
    assert groups[1].startswith("Log10_delta_norm")
