"""Files that are missing, cut or garbage: the page says so, and shows the rest."""

import json
from pathlib import Path

import pytest

from pages.report import report
from pages.run_files import RunFiles
from tests.pages.reading import Reader, section_of, text_of
from tests.pages.run_folder import write_run

FILES = {
    "metrics.csv": "curves",
    "diagnosis.json": "findings",
    "result.json": "result",
    "run.json": "asked",
    "inside/layers.json": "layers",
    "inside/distributions.npz": "distributions",
}
OTHERS = ("config.yaml", "notes.json", "end.json", "inside/weights.csv", "inside/weights_table_units.csv")
DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "bytes": lambda data: bytes(range(256)) * 4,
    "a list": lambda data: b"[1, 2]",
    "a number": lambda data: b"7",
    "null": lambda data: b"null",
    "nested nonsense": lambda data: json.dumps(
        {"verdicts": [1, {}], "validation": {"metrics": {"a": 3}}, "launches": [4], "versions": 5}
    ).encode(),
}


def anchors(html: str) -> int:
    return len(Reader(html).of("section"))


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named_where_it_would_show(name: str, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "tiny" / "version_0")
    (folder / name).unlink()
    html = report(RunFiles(folder), "finished")
    assert f"{name} is missing" in section_of(html, FILES[name])


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("name", [*FILES, *OTHERS])
def test_a_damaged_file_never_stops_the_page(name: str, kind: str, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "tiny" / "version_0")
    path = folder / name
    path.write_bytes(DAMAGE[kind](path.read_bytes() if path.exists() else b"{}"))
    html = report(RunFiles(folder), "finished")
    assert html.endswith("</html>\n")
    other = [anchor for file, anchor in FILES.items() if file != name]
    assert all(section_of(html, anchor) for anchor in other)


def test_a_damaged_file_is_named_with_the_reason(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "tiny" / "version_0")
    (folder / "diagnosis.json").write_text('{"healthy": tr')
    text = section_of(report(RunFiles(folder), "finished"), "findings")
    assert "diagnosis.json is damaged and was left out (JSONDecodeError" in text


def test_half_a_line_is_left_out_and_the_rest_is_shown(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "tiny" / "version_0")
    whole = RunFiles(folder).metrics
    path = folder / "metrics.csv"
    path.write_text(path.read_text() + "100,0.00")
    assert RunFiles(folder).metrics.equals(whole)


def test_an_empty_folder_has_a_page(tmp_path: Path) -> None:
    html = report(RunFiles(tmp_path), "killed")
    assert "stopped before its end" in text_of(html)
    assert "metrics.csv is missing" in text_of(html)
    assert not Reader(html).charts


def test_a_healthy_run_has_nothing_found(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "tiny" / "version_0")
    (folder / "diagnosis.json").write_text('{"healthy": true, "looks": 41, "verdicts": []}')
    text = section_of(report(RunFiles(folder), "finished"), "findings")
    assert "healthy No fault at 41 probe steps; nothing found." in text
