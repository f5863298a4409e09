"""The page of a run says what the run's files say, and needs nothing else."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest

from callbacks.pictures import how_to_read
from pages.report import report, write_report
from pages.run_files import RunFiles
from tests.pages.reading import Reader, section_of, text_of
from tests.pages.run_folder import STEPS, VERDICT, metrics_csv, png, write_run

MAX_BYTES = 5_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "tiny" / "version_0")


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return report(RunFiles(folder), "failed")


def test_the_sections_come_in_the_order_in_which_questions_are_asked(page: str) -> None:
    anchors = re.findall(r'<section id="([\w-]+)">', page)
    assert anchors == [
        "asked",
        "result",
        "findings",
        "curves",
        "layers",
        "distributions",
        "weights",
        "pictures",
        "time",
        "repeat",
    ]
    assert [each["href"] for each in Reader(page).of("a") if each["href"].startswith("#")] == [
        f"#{a}" for a in anchors
    ]


def test_what_was_asked(page: str) -> None:
    text = section_of(page, "asked")
    assert "python train.py fit --config mine/tiny.yaml --model.lr 0.1" in text
    assert "python train.py fit --resume runs/tiny/version_0" in text
    assert "--model.lr 0.1" in text
    assert "--model.hidden_sizes [2]" in text
    assert "--model lit_models.LitMLP" in text
    assert "first try of two" in text
    assert "course" in text_of(page).partition("What was asked")[0]
    assert "OSError: the disk is full" in text_of(page).partition("What was asked")[0]


def test_the_result_with_its_interval_and_the_constant_answer(page: str) -> None:
    text = section_of(page, "result")
    assert "0.791 on 714 rows (0.760 to 0.820); always 'died' 0.594" in text
    assert "0.497 on 714 rows; shares 0.675" in text
    assert "accuracy · higher is better" in text
    assert "loss · lower is better" in text


def test_findings_with_severity_cause_and_advice(page: str) -> None:
    text = section_of(page, "findings")
    assert "vanishing gradient WARN" in text
    assert VERDICT["message"] in text
    assert "Try relu with --model.init he ." in text
    assert "docs/diagnosis.md#vanishing-gradient" in text
    assert "Because of vanishing gradient" in text
    assert text.count("over") >= 1  # the second has ended
    assert "Steps 0 to 80." in text


def test_curves_have_the_numbers_of_the_table(page: str) -> None:
    lines = [chart for chart in Reader(page).charts if chart["kind"] == "lines"]
    loss = next(chart for chart in lines if len(chart["curves"]) == 2)
    assert loss["curves"][0]["steps"] == STEPS.tolist()
    np.testing.assert_allclose(loss["curves"][0]["values"], 1 / (1 + STEPS), rtol=1e-5)
    np.testing.assert_allclose(loss["curves"][1]["values"], 1.5 / (1 + STEPS[::2]), rtol=1e-5)
    rates = [chart for chart in lines if chart["curves"][0]["values"] == [0.1] * len(STEPS)]
    assert len(rates) == 1
    assert "learning rate" in section_of(page, "curves")
    assert json.loads(Reader(page).of("main")[0]["data-resumed"]) == [40]


def test_layers_over_depth_and_over_time(page: str) -> None:
    text = section_of(page, "layers")
    assert "1 hidden 1 layers.0 Linear 2 → 2 6" in text
    assert "9 parameters in all" in text
    maps = [chart for chart in Reader(page).charts if chart["kind"] == "heat"]
    gradients = next(
        chart for chart in maps if chart["values"][0][0] == 1.0 and chart["rows"] == ["hidden 1", "output"]
    )
    np.testing.assert_allclose(gradients["values"][1], 0.1 / (1 + STEPS), rtol=1e-5)
    assert gradients["edges"] == [-5.0, *(STEPS + 5).tolist()]
    profile = next(chart for chart in Reader(page).charts if chart["kind"] == "profiles")
    assert profile["names"] == ["hidden 1", "output"]
    assert profile["lines"][0]["name"] == "step 0"
    assert profile["lines"][-1]["name"] == "step 90"
    np.testing.assert_allclose(profile["lines"][-1]["values"], [1 / 91, 0.1 / 91], rtol=1e-5)


def test_distributions_are_densities(page: str) -> None:
    found = [chart for chart in Reader(page).charts if chart["kind"] == "outlines"]
    assert len(found) == 3  # activations of two layers; weights of the one that has enough
    for line in (line for chart in found for line in chart["lines"]):
        assert np.sum(np.diff(line["edges"]) * line["density"]) == pytest.approx(1, rel=1e-5)


def test_every_weight_is_a_number_and_an_edge(page: str) -> None:
    text = section_of(page, "weights")
    assert "hidden 1 Age to unit 1 layers.0.weight[0,1] -0.2 0.7 13.5" in text
    assert "output bias of the output layers.2.bias[0] 0.5 1.4 20.5" in text
    assert "male" in text
    assert "Age" in text
    body = page.partition('<section id="weights">')[2].partition("</section>")[0]
    last = body.rpartition("<svg")[2]
    edges = re.findall(r'<line .*? stroke="(#\w+)" stroke-width="([\d.]+)"', last)
    assert len(edges) == 6
    widths = [float(width) for _, width in edges]
    assert widths == sorted(widths)  # the weights were made in rising order
    first = body.partition("<svg")[2].partition("</svg>")[0]
    assert len({color for color, _ in re.findall(r'stroke="(#\w+)" stroke-width="([\d.]+)"', first)}) == 2


def test_pictures_with_a_sentence_and_a_slider(page: str, folder: Path) -> None:
    images = Reader(page).of("img")
    assert [image["alt"] for image in images] == [
        "fit_plane at step 0",
        "fit_plane at step 40",
        "fit_plane at step 90",
        "mine_own at step 90",
    ]
    assert ["hidden" in image for image in images] == [True, True, False, False]
    content = base64.b64decode(images[2]["src"].partition("base64,")[2])
    assert content == (folder / "pictures" / "fit_plane_000090.png").read_bytes()
    assert " ".join(how_to_read("fit/plane").split()) in section_of(page, "pictures")


def test_pictures_of_ones_own_have_their_tag_and_their_sentence(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "tiny" / "version_0")
    (folder / "pictures" / "how_to_read.json").write_text(json.dumps({"mine/own": f"Read {EVIL} so."}))
    html = report(RunFiles(folder), "finished")
    text = section_of(html, "pictures")
    assert "mine/own" in text
    assert " ".join(f"Read {EVIL} so.".split()) in text
    assert len(Reader(html).of("img")) == 4


def test_what_the_network_wrote_is_text(tmp_path: Path) -> None:
    """With a slider, as pictures have it; what looks like HTML is shown as it is."""
    folder = write_run(tmp_path / "tiny" / "version_0")
    words = {0: f"first {EVIL}", 40: "second\nline", 90: "third"}
    for step, text in words.items():
        (folder / "pictures" / f"samples_text_{step:06d}.txt").write_text(text)
    html = report(RunFiles(folder), "finished")
    body = html.partition("<strong>samples/text</strong>")[2].partition("</figure>")[0]
    assert re.findall(r'<div data-frame="(\d)"( hidden)?', body) == [
        ("0", " hidden"),
        ("1", " hidden"),
        ("2", ""),
    ]
    assert 'max="2" value="2"' in body
    text = text_of(body)
    assert how_to_read("samples/text") in text
    assert f"before training first {EVIL}" in text
    assert "after 40 steps second line after 90 steps third" in text


def test_a_run_may_have_texts_only(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "samples_text_000003.txt").write_text("x" * 20_000)
    text = section_of(report(RunFiles(tmp_path), "finished"), "pictures")
    assert "x" * 10_000 + " ..." in text
    assert "x" * 10_001 not in text


def test_time_commit_versions_and_files(page: str) -> None:
    assert "training 90.0 s 90 %" in section_of(page, "time")  # of both launches
    assert "in all 100 s" in section_of(page, "time").replace("1 min 40 s", "100 s")
    text = section_of(page, "repeat")
    assert "0123456789ab (with changes that are not committed)" in text
    assert "seed 7" in text
    assert "torch 2.15.0" in text
    links = [each["href"] for each in Reader(page).of("a")]
    assert {"config.yaml", "metrics.csv", "checkpoints/best.ckpt"} <= set(links)


def test_nothing_is_fetched(page: str) -> None:
    """No address leads anywhere but into the page itself or the run's folder."""
    for tag, attributes in Reader(page).elements:
        for name in ("src", "href", "data", "action", "poster", "srcset"):
            value = attributes.get(name, "")
            assert not re.match(r"(?i)\s*(\w+:)?//", value), (tag, value)
            assert not value.startswith("http"), (tag, value)
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize(("state", "reloads"), [("running", True), ("finished", False), ("killed", False)])
def test_only_the_page_of_a_running_training_reloads(folder: Path, state: str, reloads: bool) -> None:
    html = report(RunFiles(folder), state, 1234)
    refresh = [each for each in Reader(html).of("meta") if each.get("http-equiv") == "refresh"]
    assert bool(refresh) == reloads
    assert "step 1,234" in text_of(html)
    assert ("this page follows the training" in text_of(html)) == reloads


EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&`"


def test_what_comes_from_the_user_is_text(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "tiny" / "version_0")
    plain = Reader(report(RunFiles(folder), "failed"))
    record = json.loads((folder / "run.json").read_text())
    record["experiment"] = EVIL
    record["launches"][0]["command"] += [EVIL]
    record["launches"][1]["error"] = EVIL
    record["from_config"] = {EVIL: EVIL}
    record["machine"]["processor"] = record["versions"]["torch"] = EVIL
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "notes.json").write_text(json.dumps({"note": EVIL, "tags": [EVIL]}))
    layers = json.loads((folder / "inside" / "layers.json").read_text())
    layers[0] |= {"label": EVIL, "type": EVIL, "input": [EVIL]}
    (folder / "inside" / "layers.json").write_text(json.dumps(layers))
    verdicts = {
        "healthy": False,
        "verdicts": [dict.fromkeys(VERDICT, EVIL) | {"layers": [EVIL], "severity": EVIL}],
    }
    (folder / "diagnosis.json").write_text(json.dumps(verdicts))
    result = {"validation": {"checkpoint": EVIL, "metrics": {EVIL: {"value": 1.0, "constant_words": EVIL}}}}
    (folder / "result.json").write_text(json.dumps(result))
    table = (folder / "metrics.csv").read_text().replace("val/accuracy", '"val/<script>alert(3)</script>"')
    (folder / "metrics.csv").write_text(table)
    found = Reader(report(RunFiles(folder), "failed"))
    assert len(found.of("script")) == len(plain.of("script")) + 0
    assert not [each for _, each in found.elements if any(name.startswith("on") for name in each)]
    assert len(found.of("img")) == len(plain.of("img"))
    assert EVIL in found.text
    assert "<script>alert(3)</script>" in found.text


def test_a_heavy_run_stays_small_and_keeps_its_peaks(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "tiny" / "version_0")
    length = 100_000
    values = np.random.default_rng(0).normal(1.0, 0.01, length)
    values[54_321] = 17.25
    names = ["train/loss", *(f"grad_norm/{depth:02d}_layer{depth}" for depth in range(20))]
    columns = {"step": range(length)} | {name: values.round(6).tolist() for name in names}
    (folder / "metrics.csv").write_text(metrics_csv(columns))
    noise = np.random.default_rng(1)
    from PIL import Image

    for tag in ("fit_confusion", "fit_roc", "errors_hardest"):
        for step in range(0, 50, 10):
            pixels = noise.integers(0, 255, (500, 600, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "pictures" / f"{tag}_{step:06d}.png")
    path = write_report(folder)
    assert path.stat().st_size < MAX_BYTES
    html = path.read_text()
    loss = next(chart for chart in Reader(html).charts if chart["kind"] == "lines")["curves"][0]
    assert len(loss["values"]) <= 1002
    assert max(loss["values"]) == 17.25
    assert loss["steps"][loss["values"].index(17.25)] == 54_321
    assert "The longest curve has 100,000 points" in section_of(html, "curves")
    shown = {image["alt"] for image in Reader(html).of("img") if "hidden" not in image}
    assert {"fit_confusion at step 40", "fit_roc at step 40", "errors_hardest at step 40"} <= shown
    assert "more pictures are only in the folder pictures" in section_of(html, "pictures")


def test_a_picture_is_written_smaller_before_one_is_left_out(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "tiny" / "version_0")
    for step in range(40):
        (folder / "pictures" / f"fit_curve_{step:06d}.png").write_bytes(png(step, size=10) + bytes(60_000))
    html = report(RunFiles(folder), "finished")
    assert len([image for image in Reader(html).of("img") if image["alt"].startswith("fit_curve")]) == 40
