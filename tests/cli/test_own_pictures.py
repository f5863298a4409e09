"""docs/pictures.md: its example, typed in as it stands, is drawn, shown in TensorBoard and explained on the page."""

import re
import sys
import warnings
from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cli import main
from tests.pages.reading import Reader, section_of

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "pictures.md").read_text(encoding="utf-8")
(CODE,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
(SETTINGS,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
FIT = [
    "fit",
    "--config",
    f"{ROOT}/configs/linear_regression.yaml",
    "--trainer.max_epochs=2",
    "--checkup=false",
]
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]


@pytest.fixture(autouse=True)
def _in_a_folder_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("LIGHTNING_INSIDE_RUN", "")
    monkeypatch.delitem(sys.modules, "my_pictures", raising=False)


def sentence() -> str:
    """How to read the picture, as the page of the docs has it."""
    (found,) = re.findall(r'"mine/largest_errors": "(.+?)"', CODE)
    return str(found)


def test_the_example_is_short() -> None:
    assert len(CODE.splitlines()) <= 22


def test_the_example_is_drawn_shown_and_explained() -> None:
    Path("my_pictures.py").write_text(CODE)
    Path("mine.yaml").write_text(SETTINGS)
    assert yaml.safe_load(SETTINGS)["trainer"]["callbacks"]
    assert main([*FIT, *QUIET, "--config", "mine.yaml", "--run_name=mine"]) == 0
    folder = Path("runs/mine/version_0")
    drawn = sorted(path.name for path in (folder / "pictures").glob("mine_*"))
    assert len(drawn) >= 2
    assert drawn[0] == "mine_largest_errors_000000.png"
    images = EventAccumulator(str(folder), {"images": 0}).Reload().Images("mine/largest_errors")
    assert [f"mine_largest_errors_{image.step:06d}.png" for image in images] == drawn
    html = (folder / "report.html").read_text(encoding="utf-8")
    text = section_of(html, "pictures")
    assert "mine/largest_errors" in text
    assert sentence() in text
    assert {image["alt"].partition(" ")[0] for image in Reader(html).of("img")} >= {
        "mine_largest_errors",
        "fit_curve",
    }


def test_a_mistake_in_it_is_one_warning() -> None:
    Path("my_pictures.py").write_text(CODE.replace("pl_module(x)", "pl_module(y, x)"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        flag = "--trainer.callbacks+=my_pictures.LargestErrors"
        assert main([*FIT, *QUIET, flag, "--run_name=wrong"]) == 0
    found = [str(each.message) for each in caught if "drawn" in str(each.message)]
    assert len(found) == 1
    assert found[0].startswith("LargestErrors cannot be drawn (TypeError: ")
    assert not list(Path("runs/wrong/version_0/pictures").glob("mine_*"))
    assert list(Path("runs/wrong/version_0/pictures").glob("fit_curve_*"))
