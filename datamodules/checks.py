"""Refuse values of data options, in words that name a valid one."""

from collections.abc import Iterable
from difflib import get_close_matches


def closest_name(word: object, known: Iterable[object]) -> str:
    """The name in `known` that is spelled most like `word`, or "" if none is close."""
    by_lower = {str(name).lower(): str(name) for name in known}
    return by_lower[close[0]] if (close := get_close_matches(str(word).lower(), by_lower, n=1)) else ""


def check_choice(option: str, value: object, known: Iterable[object]) -> None:
    """Raise a ValueError that names the closest valid value unless `value` is one of `known`."""
    known = list(known)
    if value not in known:
        close = closest_name(value, known)
        hint = f"did you mean {close!r}?" if close else "choose from " + ", ".join(map(str, known))
        raise ValueError(f"{option} is {value!r}; {hint}")


def check_seed(option: str, value: int) -> None:
    """Raise a ValueError unless NumPy accepts `value` as a seed."""
    if not 0 <= value < 2**32:
        raise ValueError(f"{option} is {value}; a seed must be from 0 to 4294967295")
