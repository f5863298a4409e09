"""What was changed in a run from before there was run.json: its config.yaml against the config of its experiment.

A setting that the experiment's config does not name is compared with its default, which is read from the source.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from runtime.signatures import REQUIRED, signature

CONFIGS = Path(__file__).parents[1] / "configs"
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
OWN_DEFAULTS = {  # of this project
    "seed_everything": 42,
    "monitor": "val/loss",
    "trainer.max_epochs": 10,
    "trainer.deterministic": "warn",
}
SILENT = (
    "run_name",
    "tag",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.default_root_dir",
)


def changes_of(config: Mapping[str, Any], experiment: str) -> dict[str, Any] | None:
    """The settings that differ from those of the experiment; None if no config has its name, or the run's is missing.

    Args:
        config: all settings of the run, see `flat`.
        experiment: its name.
    """
    base = config_of(experiment)
    if base is None or not config:
        return None
    return {name: value for name, value in config.items() if differs(name, value, base, config)}


def differs(name: str, value: Any, base: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether a setting has another value than in `base`, or, if that lacks it, than its default."""
    if name in SILENT:
        return False
    if name in base:
        return not is_same(value, base[name])
    if name in OWN_DEFAULTS:
        return not is_same(value, OWN_DEFAULTS[name])
    section, _, last = name.rpartition(".")
    owner = "pytorch_lightning.Trainer" if section == "trainer" else config.get(section)
    known = signature(owner) if isinstance(owner, str) else None
    argument = known[last] if known else None
    return argument is not None and argument.default is not REQUIRED and not is_same(value, argument.default)


def is_same(value: Any, other: Any) -> bool:
    """Whether two values are the same; of two classes, one may be only a name."""
    if isinstance(value, dict) and isinstance(
        other, dict | str
    ):  # what a class in a list does not name, is its default
        named = flat({"": other} if isinstance(other, dict) else {"class_path": other})
        return all(is_same(flat({"": value}).get(name), part) for name, part in named.items())
    if isinstance(value, list | tuple) and isinstance(other, list | tuple):
        return len(value) == len(other) and all(map(is_same, value, other))
    if isinstance(value, str) and isinstance(other, str):
        return other in (value, value.rpartition(".")[2]) or value == other.rpartition(".")[2]
    if isinstance(value, int | float) and isinstance(other, str):  # YAML reads 1e-3 as text
        try:
            return float(other) == value
        except ValueError:
            return False
    return bool(value == other)


@cache
def config_of(experiment: str) -> dict[str, Any] | None:
    """The settings of an experiment's own config; None if there is no such config."""
    try:
        content = yaml.load((CONFIGS / f"{experiment}.yaml").read_text(encoding="utf-8"), Loader)
    except (OSError, ValueError, yaml.YAMLError):
        return None
    return flat(content) if isinstance(content, dict) else None


def flat(settings: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Nested settings as one level, by dotted names without `init_args`; `class_path` counts as the section's value."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        parts = [
            part for part in f"{place}.{key}".strip(".").split(".") if part not in ("init_args", "class_path")
        ]
        name = ".".join(parts)
        if isinstance(value, dict) and value:
            found |= flat(value, name)
        else:
            found[name] = value
    return found
