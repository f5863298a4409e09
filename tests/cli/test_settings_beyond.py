"""Settings that differ from a config or from defaults are the same that the parser would find."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.build import build
from cli.request import prepare
from cli.saved_config import as_plain_values
from cli.settings_beyond import defaults_of, merged, settings_beyond

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


def parsed(*words: str) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """The complete settings, the parser's defaults, and the parser."""
    run = build(prepare(["fit", *words]), with_trainer=False)
    return run.config_dump, run.parser.get_defaults().as_dict(), run.parser


@pytest.fixture(scope="module")
def small() -> tuple[dict[str, Any], dict[str, Any], Any]:
    return parsed(f"--config={CONFIGS[0].parent / 'titanic_mlp.yaml'}")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_config_differs_in_nothing_from_itself(config: Path, small: Any) -> None:
    _, defaults, parser = small
    settings = as_plain_values(parser, parser.parse_args([f"--config={config}"]))
    text = yaml.safe_load(config.read_text(encoding="utf-8"))
    assert settings_beyond(settings, merged(defaults, text)) == {}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_from_defaults_is_what_the_parser_fills_in(config: Path, small: Any) -> None:
    _, defaults, parser = small
    settings = as_plain_values(parser, parser.parse_args([f"--config={config}"]))
    classes = {f"--{name}": settings[name]["class_path"] for name in ("model", "data")}
    plain = as_plain_values(parser, parser.parse_args([f"{flag}={name}" for flag, name in classes.items()]))
    found = settings_beyond(settings, defaults)
    assert found.pop("model.class_path") == classes["--model"]
    assert found.pop("data.class_path") == classes["--data"]
    assert found == settings_beyond(settings, plain)
    for name, value in found.items():
        assert at(settings, name) == value
        assert at(plain, name) != value


def at(settings: Any, name: str) -> Any:
    """The value of a setting; None if a class of that place has no such argument."""
    for part in name.split("."):
        settings = settings.get(part) if isinstance(settings, dict) else None
    return settings


def test_flags_and_presets_differ_from_the_config() -> None:
    folder = CONFIGS[0].parent
    words = [f"--config={folder / 'titanic_mlp.yaml'}", f"--config={folder / 'presets/cpu.yaml'}"]
    flags = [
        "--model.hidden_sizes=[3]",
        "--trainer.max_epochs=20",
        "--model.optimizer.lr=0.1",
        "--run_name=x",
    ]
    settings, defaults, _ = parsed(*words, *flags)
    config = yaml.safe_load((folder / "titanic_mlp.yaml").read_text(encoding="utf-8"))
    assert settings_beyond(settings, merged(defaults, config)) == {
        "trainer.accelerator": "cpu",
        "trainer.devices": 1,
        "model.init_args.hidden_sizes": [3],
        "model.init_args.optimizer.init_args.lr": 0.1,
    }


def test_another_class_differs_by_its_name_and_in_what_is_no_default_of_it(small: Any) -> None:
    settings, defaults, _ = small
    text = {"optimizer": {"class_path": "SGD", "init_args": {"lr": 0.05, "momentum": 0.9}}}
    base = merged(defaults, {"model": {"class_path": "LitMLP", "init_args": {**text, "hidden_sizes": [2]}}})
    found = settings_beyond({"model": settings["model"]}, base)
    assert found == {
        "model.init_args.activation": "sigmoid",
        "model.init_args.init": "xavier",
        "model.init_args.init_gain": 3.0,
        "model.init_args.optimizer.class_path": "torch.optim.Adam",
        "model.init_args.optimizer.init_args.lr": 0.05,
    }


def test_ways_to_write_the_same() -> None:
    callback = {
        "class_path": "pytorch_lightning.callbacks.EarlyStopping",
        "init_args": {"monitor": "val/loss"},
    }
    complete = {**callback, "init_args": {**defaults_of(callback["class_path"]), **callback["init_args"]}}
    same = [
        ({"a": 0.001}, {"a": "1e-3"}),
        ({"a": [0.9, 0.999]}, {"a": (0.9, 0.999)}),
        ({"a": [complete]}, {"a": [callback]}),
        ({"a": [complete]}, {"a": [{**callback, "class_path": "EarlyStopping"}]}),
        ({"a": {"class_path": "torch.nn.ReLU", "init_args": {"inplace": False}}}, {"a": "ReLU"}),
    ]
    assert [settings_beyond(*pair) for pair in same] == [{}] * len(same)
    assert settings_beyond({"a": [complete]}, {"a": [{**callback, "init_args": {"monitor": "x"}}]}) == {
        "a": [complete]
    }
    assert settings_beyond({"a": [1, 2]}, {"a": [1]}) == {"a": [1, 2]}
    assert settings_beyond({"a": 1.0}, {"a": "one"}) == {"a": 1.0}
