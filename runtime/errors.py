"""Errors for people: what is wrong, where, the value found, and how to fix it; never a traceback."""

import difflib
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path

MAX_LINES = 10
HINTS = {  # what helps, by the operating system's message
    "No space left on device": "the disk is full; make room, and resume with: python train.py fit --resume RUN",
    "EADDRINUSE": "another program uses this port; set MASTER_PORT to a free one, or do not set it",
}


OWN_PACKAGES = {  # the modules of what `setup.cfg` installs
    *(
        "bokeh",
        "filelock",
        "google_crc32c",
        "jsonargparse",
        "matplotlib",
        "numpy",
        "optuna",
        "pandas",
        "pytorch_lightning",
    ),
    *(
        "PIL",
        "rich",
        "scipy",
        "sklearn",
        "tensorboard",
        "torch",
        "torchmetrics",
        "torchvision",
        "tornado",
        "yaml",
    ),
}
OTHER_NAMES = {
    "PIL": "pillow",
    "cv2": "opencv-python",
    "skimage": "scikit-image",
}  # packages, by their module


PROJECT = Path(__file__).parents[1]
PARTS = ("callbacks", "cli", "datamodules", "lit_models", "pages", "runtime", "sweeps", "train.py")


class UsageError(Exception):
    """The command, a flag or a config is wrong."""


class RunError(Exception):
    """Something outside the program went wrong, such as a full disk; the message says it all."""


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "--help lists what there is") -> str:
    """A hint such as "did you mean 'test'?". If nothing is close: the whole list, or `otherwise` if the list is long."""
    known = sorted(known)
    if not known:
        return "there is none"
    if close := closest(word, known):
        return f"did you mean {close!r}?"
    return f"it can be: {', '.join(known)}" if len(known) <= 20 else otherwise


def closest(word: str, known: Iterable[str]) -> str | None:
    """The name that was probably meant; None if no name is close."""
    known = sorted(known)
    last = word.lstrip("-").lower()
    close = [name for name in known if name.rpartition(".")[2].lower() == last][:1]  # --lr for --a.b.lr
    close = close or difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if not close and len(word) > 1:  # names that differ in case, or contain each other
        close = [name for name in known if word.lower() in name.lower() or name.lower() in word.lower()][:1]
    return close[0] if close else None


def how_to_install(error: BaseException) -> str | None:
    """The `pip install` line for a missing package; None if the message has one, or does not name the package."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None or "pip install" in str(error):
        return None
    module = error.name.partition(".")[0]
    if module in OWN_PACKAGES:
        return "install what this project needs: pip install -c constraints.txt -e ."
    return f"pip install {OTHER_NAMES.get(module, module)}"


def place_of_import(error: BaseException) -> str:
    """Where an import failed, as " (lit_models/own.py, line 3)"; "" if it was no import, or the message has the file."""
    frames = [each for each in traceback.walk_tb(error.__traceback__) if each[0].f_code.co_name == "<module>"]
    if not frames or isinstance(error, SyntaxError):
        return ""
    frame, line = frames[-1]
    path = Path(frame.f_code.co_filename)
    return f" ({path.parent.name}/{path.name}, line {line})"


def place_in_users_code(error: BaseException) -> str:
    """Where code that is no library's and not this project's was last, as " (mine/net.py, line 3)"; "" if none was."""
    ours = [PROJECT / name for name in PARTS]
    libraries = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")]
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        path = Path(frame.f_code.co_filename)
        if path.is_file() and not any(path.is_relative_to(each) for each in [*ours, *libraries]):
            return f" ({path.parent.name}/{path.name}, line {line})"
    return ""


def exit_code(error: Exception) -> int:
    """2 if the user can fix it, else 1."""
    names = {cls.__name__ for cls in type(error).__mro__}
    wrong_input = {"UsageError", "ValueError", "FileNotFoundError", "NotADirectoryError", "PermissionError"}
    return 2 if names & (wrong_input | {"MisconfigurationException", "UnpicklingError"}) else 1


def explain(error: Exception, rank: int = 0) -> str:
    """The message for standard error, at most a dozen lines; of several processes, all but the first name themselves."""
    text = str(error).strip("«» \n") or type(error).__name__
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], "..."]
    if exit_code(error) == 1 and not isinstance(error, RunError):
        place = place_of_import(error)
        is_users = place.startswith((" (lit_models/", " (datamodules/"))
        lines[0] = f"{type(error).__name__}: {lines[0]}{place if is_users else place_in_users_code(error)}"
        hints = [hint for cause, hint in HINTS.items() if cause in text]
        hints += [install] if (install := how_to_install(error)) else []
        lines += hints or ["--debug shows where this comes from"]
    elif isinstance(error, OSError):
        lines[0] += place_in_users_code(error)
    return f"error{f' in process {rank}' if rank else ''}: " + "\n  ".join(lines)
