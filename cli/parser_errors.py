"""What lies below an error of jsonargparse.

It reports an error as one exception with the others as its causes, down to the import that failed, to the error of a
constructor, or to our parser's error for a nested class. A value that may be of several types has one cause for each.
"""

import re
import traceback
from collections.abc import Iterator

from cli.private import NSKeyError, union_errors


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception, what caused it, and so on; for a union, why each of its types refused the value."""
    if error is None:
        return
    yield error
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    for each in union_errors(error) or (cause,):
        yield from causes(each)


def constructor_error(error: BaseException) -> BaseException:
    """The error that the constructor of a model, data module or callback raised, unwrapped from jsonargparse's."""
    for cause in causes(error):
        modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(cause.__traceback__)]
        if modules and not modules[-1].startswith("jsonargparse"):
            return cause
    return error


def came_up_in_import(error: BaseException) -> bool:
    """Whether an exception was raised by a module that was being imported, or by its syntax."""
    functions = [frame.f_code.co_name for frame, _ in traceback.walk_tb(error.__traceback__)]
    return isinstance(error, SyntaxError) or "<module>" in functions


def is_of_nested_import(error: ModuleNotFoundError) -> bool:
    """Whether the module that was asked for is there, and one that it imports is missing."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and not frames[-1].f_globals.get("__name__", "").startswith(
        ("importlib", "jsonargparse")
    )


def class_in(messages: list[str]) -> str | None:
    """The name that stands where a class is expected and is none of that kind; None if no message shows one."""
    for message in reversed(messages):
        if found := re.search(
            r"(?:^(?:- )?Import path (\S+) does not|dot import path string: ?(\S+))", message, re.M
        ):
            return found[1] or found[2].strip("\"'")
    return None


def several_classes(messages: list[str]) -> tuple[str, str] | None:
    """A name that several classes have, and their paths; None if that is not the error."""
    found = (re.search(r"Multiple subclasses with name (\w+)\..*: (.*)\.", message) for message in messages)
    return next(((each[1], each[2]) for each in found if each), None)


def value_in(messages: list[str]) -> str | None:
    """The value named by a message, the shortest one, as that is the innermost; None if no message shows one."""
    found = [re.search(r"(?:Got value|Given value): ?(.*)$", message, re.DOTALL) for message in messages]
    values = [each[1].strip("\"' ").partition("\nSubclass types expect")[0] for each in found if each]
    return min(reversed(values), key=len, default=None)


def unknown_name(message: str, chain: list[BaseException]) -> tuple[str, str] | None:
    """The kind ("flag", or "option" of a class) and name of what does not exist; None if the error is another one."""
    if flag := re.search(r"unrecognized arguments: ([^\s=]+)", message):
        return "flag", flag[1]
    is_key_error = any(isinstance(cause, NSKeyError) for cause in chain)
    if is_key_error and (option := re.search(r"(?:option|key) '([\w.]+)'", message, re.IGNORECASE)):
        return "option", option[1]
    return None
