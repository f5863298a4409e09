"""The page of several runs says where they differ, and nothing that they do not."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pages.comparison import comparison, letters_for, write_comparison
from pages.run_files import RunFiles
from runtime.compared import FILE, read_compared, write_compared
from tests.pages.reading import Reader, section_of, text_of
from tests.pages.run_folder import RESULT, write_run


def settings(lr: float, **model: Any) -> str:
    return yaml.safe_dump(
        {
            "seed_everything": 7,
            "run_name": f"tiny{lr}",
            "model": {"class_path": "lit_models.LitMLP", "init_args": {"lr": lr, "depth": 1, **model}},
        }
    )


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """Two runs of one experiment, which differ in a setting, an accuracy and a finding, and a third of another."""
    made = [write_run(tmp_path / name) for name in ("tiny/version_0", "tiny/version_1", "other/version_0")]
    for folder, lr in zip(made, (0.1, 0.2, 0.1), strict=True):
        (folder / "config.yaml").write_text(settings(lr), encoding="utf-8")
    result = json.loads(json.dumps(RESULT))
    result["validation"]["metrics"]["accuracy"] |= {"value": 0.85, "low": 0.82, "high": 0.87}
    (made[1] / "result.json").write_text(json.dumps(result), encoding="utf-8")
    (made[1] / "diagnosis.json").write_text('{"healthy": true, "verdicts": []}', encoding="utf-8")
    return made


def page_of(folders: list[Path]) -> str:
    return comparison([RunFiles(folder) for folder in folders], folders[0].parent.parent)


def test_what_differs(folders: list[Path]) -> None:
    page = page_of(folders[:2])
    assert section_of(page, "settings").endswith("setting A B --model.lr 0.1 0.2")
    head = text_of(page).partition("Is the difference real?")[0]
    assert "tiny: version_0, version_1" in head
    text = section_of(page, "figures")
    assert "accuracy 0.791 0.760 to 0.820 0.850 0.820 to 0.870" in text
    assert "<strong>0.850</strong>" in page
    assert "<strong>0.791</strong>" not in page
    assert "rows 714 714" in text
    assert "vanishing gradient WARN" in section_of(page, "findings")


def test_runs_that_are_the_same(folders: list[Path]) -> None:
    text = section_of(page_of([folders[0], folders[2]]), "settings")
    assert text.endswith("All settings are the same.")
    assert (
        "<strong>"
        not in page_of([folders[0], folders[2]]).partition('id="figures"')[2].partition("</section")[0]
    )


def test_a_setting_that_one_run_lacks(folders: list[Path]) -> None:
    (folders[1] / "config.yaml").write_text(settings(0.1, width=[3, 4]), encoding="utf-8")
    assert section_of(page_of(folders[:2]), "settings").endswith("--model.width - [3, 4]")


def test_curves_lie_over_each_other(folders: list[Path]) -> None:
    reader = Reader(page_of(folders))
    assert reader.charts
    for chart in reader.charts:
        colors = {curve["color"] for curve in chart["curves"]}
        assert len(colors) == 3
        steps = [curve["steps"] for curve in chart["curves"]]
        assert max(map(len, steps)) > 1


def test_what_compare_said(folders: list[Path]) -> None:
    assert "compare" in section_of(page_of(folders[:2]), "compared")
    assert "train.py compare" in section_of(page_of(folders[:2]), "compared")
    write_compared(folders[0], folders[1], {"test rows": "179"}, "The difference may be <chance>.")
    for pair in (folders[:2], folders[1::-1], folders):
        text = section_of(page_of(pair), "compared")
        assert "A is tiny/version_0 here, B is tiny/version_1" in text
        assert "The difference may be <chance>. test rows 179" in text
    assert "may be" not in section_of(page_of([folders[0], folders[2]]), "compared")


def test_compare_json_keeps_the_newest_of_each_pair(folders: list[Path]) -> None:
    write_compared(folders[0], folders[1], {}, "first")
    write_compared(folders[0], folders[2], {}, "second")
    write_compared(folders[1], folders[0], {}, "third")
    assert [each["sentence"] for each in read_compared(folders[0])] == ["second", "third"]
    assert [each["sentence"] for each in read_compared(folders[1])] == ["third"]
    (folders[1] / FILE).write_text("{", encoding="utf-8")
    assert read_compared(folders[1]) == []


def test_nothing_of_a_user_is_taken_for_html_and_nothing_is_fetched(folders: list[Path]) -> None:
    evil = "<img src=x onerror=alert(1)>"
    (folders[0] / "notes.json").write_text(json.dumps({"note": evil, "tags": [evil]}), encoding="utf-8")
    (folders[0] / "config.yaml").write_text(settings(0.1, note=evil), encoding="utf-8")
    write_compared(folders[0], folders[1], {evil: evil}, evil)
    page = page_of(folders[:2])
    reader = Reader(page)
    assert [each for each in reader.of("img") if "onerror" in each] == []
    assert evil in reader.text
    links = [
        each.get("href") or each.get("src", "")
        for kind in ("a", "img", "script", "link")
        for each in reader.of(kind)
    ]
    assert [each for each in links if "//" in each] == []


def test_damaged_and_missing_files_stop_nothing(folders: list[Path], tmp_path: Path) -> None:
    empty = tmp_path / "tiny" / "version_7"
    empty.mkdir()
    for path in folders[1].rglob("*.*"):
        if path.is_file():
            path.write_bytes(b"\x00{")
    page = page_of([*folders, empty])
    assert "tiny/version_7" in text_of(page)
    assert "config.yaml is missing or damaged in tiny/version_1, tiny/version_7" in section_of(
        page, "settings"
    )


def test_it_is_written_next_to_the_experiments(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folders[0].parent.parent.parent)
    root = folders[0].parent.parent.name
    assert str(write_comparison(folders[:2])) == f"{root}/comparison_tiny_0_tiny_1.html"
    more = write_comparison([*folders, *folders])
    assert more.name == "comparison_tiny_0_tiny_1_other_0_and_3_more.html"
    (folders[0] / "report.html").write_text("", encoding="utf-8")
    text = write_comparison(folders[:2]).read_text(encoding="utf-8")
    assert 'href="tiny/version_0/report.html"' in text
    assert 'href="tiny/version_1/report.html"' not in text
    assert letters_for(28)[-3:] == ["Z", "27", "28"]
