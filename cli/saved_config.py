"""The config in a run's folder. It is read back once before it is kept, because the run may be resumed from it."""

import contextlib
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from pytorch_lightning.cli import LightningArgumentParser

from callbacks.files import replacing
from cli.trust import with_mark
from runtime.errors import UsageError

NOT_YAML = (
    "Unable to serialize instance"  # what jsonargparse writes for an object such as torch.device("cpu")
)
PLAIN = (bool, int, float, str)
_read_back: set[str] = (
    set()
)  # configs that were read back, without their numbers: runs of a sweep differ in these


def write_config(parser: LightningArgumentParser, settings: Namespace, path: Path) -> None:
    """Write a complete config; a kill leaves the old file.

    An object that YAML cannot hold is left out if it is the default. The current folder stays the same meanwhile, because
    a resumed run writes its config after its first step, when other threads are writing into the run's folder.

    Raises:
        UsageError: if the config could not be read again.
    """
    options = {"skip_unset": False, "skip_validation": True, "overwrite": True}  # already validated
    options["multifile"] = False  # with several files, jsonargparse changes the current folder
    with replacing(path) as temporary:
        with no_word_of_objects():
            parser.save(settings, temporary, **options)
        text = temporary.read_text(encoding="utf-8")
        if NOT_YAML in text:
            content = yaml.safe_load(text)
            left_out = [*leave_out(content, settings)]
            text = yaml.safe_dump(content, sort_keys=False)
            temporary.write_text(text, encoding="utf-8")
        else:
            left_out = []
        if (marked := with_mark(text)) != text:
            temporary.write_text(marked, encoding="utf-8")
        pattern = re.sub(r"[0-9.e+-]+", "0", text)
        if pattern in _read_back and not left_out:
            return
        check_read_back(parser, settings, text, left_out)
        _read_back.add(pattern)


def as_plain_values(parser: LightningArgumentParser, settings: Namespace) -> dict[str, Any]:
    """A config as plain values, from which a model takes its hyper-parameters; it was validated when it was read."""
    with no_word_of_objects():
        text = parser.dump(settings, skip_link_targets=False, skip_unset=False, skip_validation=True)
    return yaml.safe_load(text)


@contextlib.contextmanager
def no_word_of_objects() -> Iterator[None]:
    """Hide the warning that a value is no YAML; this module deals with it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", rf"\s*{NOT_YAML}")
        yield


def check_read_back(
    parser: LightningArgumentParser, settings: Namespace, text: str, left_out: list[list[Any]]
) -> None:
    """Refuse settings that would be others if they were read from their config."""
    try:
        again = parser.parse_args([f"--config={text}"])
    except UsageError as error:
        raise UsageError(
            f"the run could not be resumed, because its config cannot be read again: {error}"
        ) from None
    for place in left_out:
        value = at(settings, place)
        if repr(at(again, place)) != repr(value):
            name = ".".join(str(part) for part in place if part != "init_args")
            raise UsageError(
                f"{name} is {value!r}, which a config cannot hold; leave it out, or give a plain value"
            )


def leave_out(content: Any, settings: Any, place: tuple[Any, ...] = ()) -> Iterator[list[Any]]:
    """Remove from `content` what is no YAML; yields the place of each.

    Args:
        content: nested dicts and lists, as read from the written config.
        settings: the same with the values themselves. A plain one, such as a function's name, is put back.
        place: of both, in the whole.
    """
    members = list(content.items() if isinstance(content, dict) else enumerate(content))
    for key, value in members:
        if isinstance(value, dict | list):
            yield from leave_out(value, settings[key], (*place, key))
        elif isinstance(value, str) and value.startswith(NOT_YAML):
            if isinstance(settings[key], PLAIN) or not isinstance(content, dict):
                content[key] = settings[key]
            else:
                del content[key]
                yield [*place, key]


def at(settings: Any, place: list[Any]) -> Any:
    """The value at a place in nested settings."""
    for part in place:
        settings = settings[part]
    return settings
