"""What the model takes from the data module: shape and task, and any argument that it requires and no setting gives."""

from collections.abc import Callable, Sequence
from typing import Any

from pytorch_lightning.cli import LightningArgumentParser

from cli.options import FROM_DATA, class_named, settings_of
from runtime.signatures import REQUIRED


def link_to_data(parser: LightningArgumentParser, command: str, words: Sequence[str]) -> None:
    """Let arguments of the model be attributes of the data module.

    Args:
        words: of the command, which say what model it is, and which of its arguments they give.
    """
    for name in FROM_DATA:
        parser.link_arguments(f"data.{name}", f"model.init_args.{name}", apply_on="instantiate")
    for name in required_of_data(command, words):
        target = f"model.init_args.{name}"
        parser.link_arguments("data", target, compute_fn=attribute(name), apply_on="instantiate")


def required_of_data(command: str, words: Sequence[str]) -> list[str]:
    """Arguments of the model that have no default, and no value in the settings, if there is a data module."""
    settings = settings_of(command, words)
    model = class_named("model", settings.get("model"))
    if model is None or settings.get("data") is None:
        return []
    given = {name.removeprefix("model.").partition(".")[0] for name in settings if name.startswith("model.")}
    required = [each.name for each in model.arguments if each.default is REQUIRED]
    return [name for name in required if name not in given and name not in FROM_DATA]


def attribute(name: str) -> Callable[[Any], Any]:
    """A function that reads this attribute of the data module."""

    def read(data: Any) -> Any:
        if not hasattr(data, name):
            raise ValueError(
                f"model.{name} has no value, and {type(data).__name__} no attribute of that name that could be it; give "
                f"--model.{name}"
            )
        return getattr(data, name)

    return read
