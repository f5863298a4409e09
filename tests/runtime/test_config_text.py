"""One setting is read from a config as the whole config would say it."""

from pathlib import Path

import pytest
import yaml

from cli import main
from runtime.config_text import setting_in
from runtime.old_runs import flat

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["titanic_mlp", "mnist_best", "titanic_deep", "trend_rnn"])
def test_every_setting_of_a_complete_config(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["fit", "--config", f"configs/{name}.yaml", "--print_config"]) == 0
    text = f"# pytorch_lightning==2.6.6\n{capsys.readouterr().out}"
    settings = flat(yaml.safe_load(text))
    assert len(settings) > 50
    assert {name: setting_in(text, name) for name in settings} == settings
    assert setting_in(text, "model.init_args.optimizer.init_args.lr") == settings["model.optimizer.lr"]


@pytest.mark.parametrize("name", ["", ".", "model.nothing", "nothing", "monitor.deeper", "mode"])
def test_what_is_not_there_is_none(name: str) -> None:
    assert setting_in("model:\n  class_path: a.B\n  init_args:\n    x: 1\nmonitor: val/loss\n", name) is None


@pytest.mark.parametrize("text", ["", "\n", "model:", "model: [1,\n", "- 1\n", "model:\n    x: 1\n  y: 2\n"])
def test_other_text_is_no_crash(text: str) -> None:
    for name in ("model", "model.x", "model.x.y"):
        setting_in(text, name)
