"""A parser whose complaints fit on a line or two and name what was probably meant."""

import re
from typing import NoReturn

import pytorch_lightning as pl
import torch
from jsonargparse import ArgumentParser
from pytorch_lightning.cli import LightningArgumentParser

import callbacks
import datamodules
import lit_models
from cli.errors import UsageError, nearest

NOISE = (
    "Does not validate",
    "Subtypes:",
    "Errors:",
    "Given value type",
    "Parser key",
    "Problem with given",
    "Expected a dot import path",
    "Expected a path but",
    "Subclass types expect",
    "a class path (str)",
    "a dict with",
    "a dict without",
)
READABLE = (  # from the library's words to ours
    (r"<class '(?:[\w.]*\.)?(\w+)'>|typing\.", r"\1"),
    (r"; Expected (?:a )?", " or "),
    (r"Expected (?:a )?", "expected "),
    (r"(?:; Given value|\. Got value): ", ", not "),
    (r"Import path does not correspond to a subclass of (\w+), not (\S+)", r"\2 is no \1"),
    (r"(module '[\w.]+' has no attribute .*), not \S+", r"\1"),
)


class Parser(LightningArgumentParser):
    """Raises a `UsageError` where the library would print its usage and end the process."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        parser = getattr(ex, "subcommand_parser", None) or self
        raise UsageError(shorten(message, parser))


def shorten(message: str, parser: ArgumentParser) -> str:
    """Keep the one reason that matters out of the many that jsonargparse lists.

    A class has a parser of its own, whose complaint arrives inside that of the parser around it; what is in
    angle quotes has been shortened already.
    """
    key = match[1] if (match := re.search(r'[Pp]arser key "([^"]+)"', message)) else ""
    if inner := re.search(r"«(?:([\w.]+): )?(.*?)»", message, re.DOTALL):
        key = ".".join(part for part in (key, inner[1]) if part)
        reason = inner[2]
    else:
        reason = find_reason(message, parser, key)
    return f"«{key}: {reason}»" if key else f"«{reason}»"


def find_reason(message: str, parser: ArgumentParser, key: str) -> str:
    """What is wrong, and what was probably meant."""
    if unknown := re.search(r"unrecognized arguments: (\S+)", message):
        flag = unknown[1].partition("=")[0]
        return f"there is no flag {flag}; {nearest(flag, flags(parser))}"
    if unknown := re.search(
        r"(?:Option|does not accept option|[Kk]ey) '([\w.]+)'(?: is not (?:accepted|expected))?", message
    ):
        return (
            f"there is no option {unknown[1]!r}; {nearest(unknown[1], [flag[2:] for flag in flags(parser)])}"
        )
    if re.search(r"arguments are required: \w+\.model", message):
        return "the config has no model; add --model LitMLP, or a `model:` to it"
    if missing := re.search(r"No module named '([\w.]+)'", message):
        return f"there is no module {missing[1]!r}; it has to be installed, or lie beside train.py"
    is_number = re.search(r"Expected a? ?<class '(int|float|bool|str)'>", message)
    if not is_number and (name := re.search(r"Expected a dot import path string: (\S+)", message)):
        return f"there is no class {name[1]!r}; {nearest(name[1], class_names(key))}"
    if literals := re.findall(r"Expected a? ?(?:typing\.)?Literal\[(.*?)\]", message):
        choices = dict.fromkeys(name.strip("' ") for literal in literals for name in literal.split(","))
        value = re.findall(r"(?:Got|Given) value: (.*)", message)[-1]
        return f"{value!r} is not one of {', '.join(choices)}"
    lines = [line.strip(" -") for line in message.splitlines()]
    kept = [line for line in lines if line and not line.startswith(NOISE) and "NoneType" not in line]
    reason = "; ".join(dict.fromkeys(kept))
    for pattern, replacement in READABLE:
        reason = re.sub(pattern, replacement, reason)
    return reason


def flags(parser: ArgumentParser) -> list[str]:
    """All flags of a parser, without those that only read a file."""
    return [flag for flag in parser._option_string_actions if flag.startswith("--") and flag != "--help"]


def class_names(key: str) -> list[str]:
    """Names that may stand for the class asked for by the option `key`."""
    homes = {
        "model": lit_models,
        "data": datamodules,
        "optimizer": torch.optim,
        "scheduler": torch.optim.lr_scheduler,
    }
    home = homes.get(key.rpartition(".")[2])
    if home is None:
        return [*callbacks.__all__, *pl.callbacks.__all__]
    return [name for name in getattr(home, "__all__", dir(home)) if name[0].isupper()]
