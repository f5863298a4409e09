"""A parser whose complaints fit on a line or two and name what was probably meant."""

import ast
import re
import sys
from enum import Enum
from typing import NoReturn

import pytorch_lightning as pl
import torch
import yaml
from jsonargparse import ArgumentParser
from pytorch_lightning.cli import LightningArgumentParser

import callbacks
import datamodules
import lit_models
from cli.config_files import ELSEWHERE
from runtime.errors import UsageError, nearest

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
    (r"NestedArg\(key='[\w.]+', val='?(.*?)'?\)", r"\1"),
    (r"Import path (?:(\S+) )?does not correspond to a subclass of (\w+), not ([^\s{]*).*", r"\1\3 is no \2"),
    (r"Not a valid subclass of (\w+)", r"expected a \1, as its name or as class_path and init_args"),
    (r"Unexpected import path format: .*, not ", "expected the name of a class, not "),
    (r"; Given value:$|^Given value:$", ", not ''"),
    (r"^, not", "expected the name of a class, not"),
    (r"\., not \w+$", ""),
)


# Lightning's Timer has an Enum for the default of a string, which YAML cannot write by itself.
yaml.SafeDumper.add_multi_representer(Enum, lambda dumper, member: dumper.represent_data(member.value))


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
        option = re.match(r"there is no option '(\w+)'", inner[2])
        path = path_inside(message, option[1] if option else inner[1] or "")
        path = path.rpartition(".")[0] if option else path
        key = ".".join(part for part in (key, path) if part)
        reason = inner[2]
    else:
        reason = find_reason(message, parser, key)
    return f"«{key}: {reason}»" if key else f"«{reason}»"


def path_inside(message: str, name: str) -> str:
    """Where the setting `name` stands in the value that the message complains of: `optimizer.lr` for `lr`."""
    last = name.rpartition(".")[2]
    if nested := re.search(r"NestedArg\(key='([\w.]+)'", message):
        return nested[1] if nested[1].rpartition(".")[2] == last else name
    try:
        value = ast.literal_eval(message.rpartition("Given value: ")[2])
    except (ValueError, SyntaxError):  # not plain
        return name
    return path_to(value, last) or name


def path_to(value: object, name: str) -> str:
    """Path of the first setting of that name in nested settings, without `init_args`; "" where there is none."""
    if not isinstance(value, dict):
        return ""
    for key, part in value.items():
        if key == name:
            return str(key)
        if inside := path_to(part, name):
            return inside if key == "init_args" else f"{key}.{inside}"
    return ""


def find_reason(message: str, parser: ArgumentParser, key: str) -> str:
    """What is wrong, and what was probably meant."""
    if unknown := re.search(r"unrecognized arguments: (\S+)", message):
        flag = unknown[1].partition("=")[0]
        return f"there is no flag {flag}; {nearest(flag, flags(parser))}"
    if unknown := re.search(
        r"(?:Option|does not accept option|[Kk]ey) '([\w.]+)'(?: is not (?:accepted|expected))?", message
    ):
        deeper = [name for name in ELSEWHERE.split() if name.count(".") > 1]
        known = [*(flag[2:] for flag in flags(parser)), *deeper]
        return f"there is no option {unknown[1]!r}; {nearest(unknown[1], known)}"
    if re.search(r"arguments are required: \w+\.model", message):
        return "the config has no model; add --model LitMLP, or a `model:` to it"
    if missing := re.search(r"No module named '([\w.]+)'", message):
        return f"there is no module {missing[1]!r}; it has to be installed, or lie beside train.py"
    if missing := re.search(r"module '([\w.]+)' has no attribute '(\w+)'", message):
        home = sys.modules[missing[1]]
        names = [name for name in getattr(home, "__all__", dir(home)) if not name.startswith("_")]
        return f"there is no {missing[2]!r} in {missing[1]}; {nearest(missing[2], names)}"
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
    return reason or "needs a value"


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
