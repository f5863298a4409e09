"""Take the pictures of TensorBoard in docs/: train ten sigmoid and ten relu layers, and look at the pages in Chromium.

python benchmarks/screenshots.py        a few minutes; needs Chromium and the package playwright (`pip install -e .[dev]`)
"""

import io
import os
import socket
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from shutil import which
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from PIL import Image

from cli import main as train_py

ROOT = Path(__file__).resolve().parents[1]
RUNS: dict[str, list[str]] = {"sigmoid": [], "relu_he": ["--model.activation=relu", "--model.init=he"]}
# Picture: page of TensorBoard, what there must be before it is taken, and the size of the window.
PAGES = {
    "tensorboard_first_screen": ("", "scalar-card", (1400, 900)),
    "tensorboard_custom_scalars": ("#custom_scalars", "tf-custom-scalar-multi-line-chart-card", (1100, 1140)),
}
COLORS = 256


def main() -> None:
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name, flags in RUNS.items():
            os.environ.pop("LIGHTNING_INSIDE_RUN", None)  # left by the previous run
            words = [
                "fit",
                f"--config={ROOT / 'configs' / 'titanic_deep.yaml'}",
                f"--run_name={name}",
                *flags,
            ]
            if train_py([*words, "--trainer.enable_progress_bar=false"]):
                raise SystemExit(f"{name} could not be trained")
        port = free_port()
        options = ["--logdir", "runs", "--host", "127.0.0.1", "--port", str(port)]
        server = subprocess.Popen([sys.executable, "-m", "tensorboard.main", *options])
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=which("chromium"), args=["--no-sandbox"])
                for name, (page, awaited, size) in PAGES.items():
                    keep(name, picture_of(browser, f"http://127.0.0.1:{port}/{page}", awaited, size))
                browser.close()
        finally:
            server.kill()
            server.wait()


def free_port() -> int:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def picture_of(browser: Any, url: str, awaited: str, size: tuple[int, int]) -> bytes:
    """The page as PNG, once an element is there that takes data to draw."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    for _ in range(60):
        try:
            page.goto(url)
            page.wait_for_selector(awaited, timeout=10_000)
            break
        except Exception:  # TensorBoard has not started, or has not read the runs
            page.wait_for_timeout(1000)
    page.wait_for_timeout(6000)  # until the lines are drawn
    return page.screenshot()


def keep(name: str, png: bytes) -> None:
    """Write a picture into docs/, with few colors."""
    path = ROOT / "docs" / f"{name}.png"
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(COLORS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
