"""Words of a command that belong to no flag: what was probably meant."""

import re
from collections.abc import Sequence

from runtime.errors import UsageError


def check_stray_words(command: str, words: Sequence[str]) -> None:
    """Refuse a word that follows neither a flag nor stands for one; every flag takes one value.

    Raises:
        UsageError: with the words as they have to be written, such as a list in brackets.
    """
    flag, values = "", [""]  # the flag before, and what follows it
    for place, word in enumerate(words):
        if word.startswith("-") and (values or not is_number(word)):
            flag, has_value, value = word.partition("=")
            values = [value] if has_value else []
        elif not values:
            values = [word]
        else:
            following = [*words[place:], "-"]
            strays = following[: next(i for i, each in enumerate(following) if each.startswith("-"))]
            raise UsageError(f"{word} belongs to no flag; {remedy(command, flag, values[0], strays)}")


def remedy(command: str, flag: str, value: str, strays: list[str]) -> str:
    """How a flag, its value and the words after it have to be written."""
    if flag in ("--vary", "--replicate"):
        name, _, first = value.partition("=")
        values = [each.strip(",") for each in [first, *strays] if each.strip(",=")]
        return f"values are separated by commas, without spaces: {flag} {name}={','.join(values)}"
    if re.match(r"[a-z_]\w*(\.\w+)*=", strays[0]):
        return f"write {'--vary ' if command == 'sweep' else '--'}{strays[0]}"
    if not flag:
        return f"a command begins with a flag, such as --config {strays[0]}"
    if "=" in (value, strays[0]):
        return f"write {flag}={''.join([value, *strays]).strip('=')}, without spaces"
    whole = [value, *strays]
    items = [item for each in whole for item in each.strip("[], ").split(",") if item]
    as_list = f"write a list in brackets, without spaces: {flag} [{','.join(items)}]"
    if all(map(is_number, items)) or value.startswith("["):
        return as_list
    return f"{as_list}, and a value with spaces in quotes: {flag} '{' '.join(whole)}'"


def is_number(text: str) -> bool:
    """Whether text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
