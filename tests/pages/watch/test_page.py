"""The page in a real browser: Debian's chromium without a window, driven by playwright."""

from __future__ import annotations

import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.processes import Forked, train_py

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
api = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM, reason="there is no chromium")]

SECONDS = 60_000  # milliseconds that playwright waits at most


class Served:
    """A command that serves, and its address."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.process = Forked(train_py, "watch", *words, "--no-browser", folder=folder)
        found = re.search(r"http\S+", self.process.first_line())
        assert found, self.process.communicate()
        self.address = found.group()

    def cpu_seconds(self) -> float:
        """That the process has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def end(self) -> tuple[int, str]:
        """Press Ctrl-C; the exit code and the last words."""
        self.process.send_signal(signal.SIGINT)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The two circles."""
    folder = tmp_path_factory.mktemp("plane")
    served = Served(folder, f"--config={ROOT}/configs/circles.yaml", "--trainer.max_epochs=-1")
    yield served
    assert served.end() == (130, served_words("a watched training keeps nothing"))
    assert not list(folder.iterdir())


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, mnist_dir: str) -> Iterator[Served]:
    """Digits of bars, and a convolutional network."""
    words = (
        f"--config={ROOT}/configs/mnist_convnet.yaml",
        f"--data.data_dir={mnist_dir}",
        "--model.channels=[4,8]",
    )
    served = Served(tmp_path_factory.mktemp("images"), *words)
    yield served
    served.end()


def served_words(end: str) -> str:
    return f"stopped by SIGINT; {end}\n"


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[[Served], Any]]:
    """Open a page, which must neither complain nor ask any other host."""
    contexts, complaints, hosts = [], [], set()

    def opened(served: Served) -> Any:
        context = browser.new_context()
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(SECONDS)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: hosts.add(re.sub(r"^(data):.*|^\w+://([^/:]+).*", r"\1\2", request.url)),
        )
        page.goto(served.address)
        page.wait_for_selector(".unit")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert hosts <= {"127.0.0.1", "data"}


def count(page: Any) -> int:
    return int(page.inner_text("#count").replace(",", ""))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS / 1000
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def pause(page: Any) -> None:
    if page.inner_text("#state") == "training":
        page.click("#play")
    wait_until(lambda: page.inner_text("#state") == "paused")


def test_the_network_is_drawn(open_page: Any, plane: Served) -> None:
    page = open_page(plane)
    assert page.locator(".unit").count() == 2 + 5 + 1
    assert page.locator("#edges path").count() == 2 * 5 + 5
    assert page.locator("#edges path title").first.text_content().startswith("weight ")
    assert page.inner_text("#title") == "circles"
    assert {page.inner_text(".head >> nth=0"), page.inner_text(".head >> nth=2")} == {
        "input",
        "output\nlayers.2",
    }


def test_a_step_is_one_step(open_page: Any, plane: Served) -> None:
    page = open_page(plane)
    before = count(page)
    for steps in (1, 2):
        page.click("#step")
        wait_until(lambda steps=steps: count(page) >= before + steps)
        time.sleep(0.3)
        assert count(page) == before + steps
    assert page.locator("#layers tr").count() == 1 + 2
    assert f"measured at step {before + 1}" in page.inner_text("#layers-note")


def test_play_and_pause(open_page: Any, plane: Served) -> None:
    page = open_page(plane)
    before = count(page)
    page.select_option("#speed", "10")
    page.click("#play")
    wait_until(lambda: count(page) >= before + 30)
    pause(page)
    stopped = count(page)
    time.sleep(0.5)
    assert count(page) == stopped


def test_two_pages_show_the_same_and_both_can_ask(open_page: Any, plane: Served) -> None:
    one, two = open_page(plane), open_page(plane)
    one.click("#step")
    wait_until(lambda: count(one) == count(two) > 0)
    one.locator("#rate").fill("1")
    wait_until(lambda: two.inner_text("#rate-value").startswith("0.2 (10"))
    assert two.input_value("#rate") == "1"
    two.locator("#rate").fill("0")
    wait_until(lambda: one.inner_text("#rate-value") == "0.02")


def test_without_a_page_the_training_waits_and_uses_no_core(open_page: Any, plane: Served) -> None:
    page = open_page(plane)
    page.select_option("#speed", "0")
    page.click("#play")
    before = count(page)
    wait_until(lambda: count(page) > before)
    page.close()

    def is_idle() -> bool:
        used = plane.cpu_seconds()
        time.sleep(2)
        return plane.cpu_seconds() - used < 0.1

    wait_until(is_idle)
    page = open_page(plane)
    before = count(page)
    wait_until(lambda: count(page) > before)  # it plays again
    pause(page)


def test_another_seed_begins_anew(open_page: Any, plane: Served) -> None:
    page = open_page(plane)
    page.click("#step")
    wait_until(lambda: count(page) > 0)
    weight = page.locator("#edges path title").first.text_content()
    page.fill("#seed", "7")
    page.click("#restart")
    wait_until(lambda: count(page) == 0)
    assert page.locator("#edges path title").first.text_content() != weight
    assert page.input_value("#seed") == "7"


def test_a_foreign_page_and_a_missing_token_are_refused(browser: Any, plane: Served) -> None:
    """A page from elsewhere that even knows the token gets nothing; nor does one of this host without it."""
    page = browser.new_page()
    assert page.goto(plane.address.rsplit("/", 2)[0] + "/").status == 403
    assert page.goto(plane.address.replace(plane.address.split("/")[3], "guess")).status == 403
    page.goto("about:blank")
    script = """address => new Promise(tell => {
        const socket = new WebSocket(address.replace("http", "ws") + "live");
        socket.onopen = () => tell("open");
        socket.onerror = () => tell("refused");
    })"""
    assert page.evaluate(script, plane.address) == "refused"
    assert (
        page.evaluate("address => fetch(address).then(() => 'read', () => 'refused')", plane.address)
        == "refused"
    )
    page.close()


def draw(page: Any, *points: tuple[float, float]) -> None:
    """Draw a line over the paper; places are shares of its side."""
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def picture(page: Any, canvas: str) -> str:
    """What a canvas shows."""
    return page.locator(canvas).first.evaluate("canvas => canvas.toDataURL()")


def test_a_drawn_digit_goes_through_the_layers(open_page: Any, images: Served) -> None:
    page = open_page(images)
    assert page.locator(".unit").count() == 1 + 4 + 8 + 10
    before = [picture(page, f'[data-unit="{unit}"] canvas') for unit in ("0-0", "1-0", "2-0")]
    shares = page.inner_text(".bars")
    draw(page, (0.3, 0.2), (0.7, 0.2), (0.4, 0.8))
    wait_until(lambda: "your drawing" in page.inner_text("#output"))
    wait_until(lambda: page.inner_text(".bars") != shares)
    assert [picture(page, f'[data-unit="{unit}"] canvas') for unit in ("0-0", "1-0", "2-0")] != before
    page.click("#next")
    wait_until(lambda: "class" in page.inner_text("#output"))


def test_a_kernel_of_ones_own(open_page: Any, images: Served) -> None:
    page = open_page(images)
    assert page.inner_text("#filtered-range") == "from 0 to 1"
    page.select_option("#preset", "edges")
    wait_until(lambda: page.input_value("#kernel input >> nth=4") == "8")
    wait_until(lambda: page.inner_text("#filtered-range").startswith("from -"))
    for place in range(9):
        page.fill(f"#kernel input >> nth={place}", "-3" if place == 4 else "0")
    wait_until(lambda: page.inner_text("#filtered-range") == "from -3 to 0")
    assert page.input_value("#preset") == "own"


def test_an_image_trains_too(open_page: Any, images: Served) -> None:
    page = open_page(images)
    page.click("#step")
    wait_until(lambda: count(page) == 1)
    assert page.inner_text("#layers").count("convolution") == 2
