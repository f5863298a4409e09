"""The table of results and the headers of the configs come from one measurement."""

import re
import shutil
from pathlib import Path

import pytest

from benchmarks import reproduce
from benchmarks.report import duration, write_time

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the configs and the page, to be written into; runs go there, too."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "results.md", tmp_path / "docs")
    monkeypatch.setattr(reproduce, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_headers_and_the_table_agree(config: Path) -> None:
    rows, _ = reproduce.rows_on_page()
    times = [cells[-1] for name, cells in rows.items() if name.startswith(f"`{config.stem}`")]
    assert re.findall(r"^# Takes (.*?) on ", config.read_text(encoding="utf-8"), re.MULTILINE) == times[:1]


def test_the_table_has_every_experiment_and_all_reach_their_goals() -> None:
    rows, measured = reproduce.rows_on_page()
    assert list(rows) == reproduce.NAMES
    assert measured.startswith("PyTorch ")
    for experiment in reproduce.EXPERIMENTS:
        reached = re.findall(r"([\w ]+?) ([\d.e-]+)(?:, |$)", rows[experiment.name][2])
        assert [name for name, _ in reached] == list(experiment.goals)
        assert all(reproduce.holds(float(figure), experiment.goals[name]) for name, figure in reached)


def test_one_run_gives_the_row_and_the_header(copy: Path) -> None:
    """An experiment of a second, measured and written in full; the rest stays as it is."""
    before = {path.name: path.read_text() for path in (copy / "configs").glob("*.yaml")}
    page = copy / "docs" / "results.md"
    rows, old = reproduce.rows_on_page()
    with pytest.raises(SystemExit):  # the other rows were measured elsewhere
        reproduce.main(["linear_regression", "--write"])
    measured = f"{reproduce.machine(reproduce.torch.get_num_threads())}; times are those of `fit`, pictures included."
    page.write_text(page.read_text().replace(old, measured))

    assert reproduce.main(["linear_regression", "--write"]) == 0

    after, line = reproduce.rows_on_page()
    assert line == measured
    assert list(after) == list(rows)
    changed = {name for name in rows if after[name] != rows[name]}
    assert changed <= {"`linear_regression`", "`linear_regression`, 3 features"}
    config = copy / "configs" / "linear_regression.yaml"
    assert f"# Takes {after['`linear_regression`'][-1]} on " in config.read_text()
    for path in (copy / "configs").glob("*.yaml"):
        differing = set(path.read_text().splitlines()) ^ set(before[path.name].splitlines())
        assert all(text.startswith("# Takes ") for text in differing), path.name


def test_a_config_without_the_line_is_named(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("# Mine.\nmodel: {}\n")
    with pytest.raises(ValueError, match=r"mine\.yaml has 0 lines"):
        write_time(config, "1 s on a machine")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (9.4, "9 s"), (119, "119 s"), (130, "2 min"), (363, "6 min")]
)
def test_durations_are_whole(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("figure", "goal", "met"),
    [(0.97, ">= 0.97", True), (0.96, ">= 0.97", False), (0.01, "<= 0.01", True), (0.02, "<= 0.01", False)],
)
def test_goals_hold_or_not(figure: float, goal: str, met: bool) -> None:
    assert reproduce.holds(figure, goal) is met
