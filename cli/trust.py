"""Whether a run's config may import code: naming a class in a config runs the module that defines it.

The config next to a checkpoint is read without being named on the command line, so a run from elsewhere could run any
code. Three kinds of configs are read without asking:

- one that names only code of this repository and of a few libraries; while it is read, nothing else can be imported;
- one that was written by this user, whose last line is a mark made from its text and a key that only this user has;
- one that is accepted with `--trust`; it gets this user's mark, so it is asked for once.

A config that the user names, with `--config`, is always read.
"""

import contextlib
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from runtime.errors import UsageError

ALLOWED = (  # their classes run no code from elsewhere
    "lit_models",
    "datamodules",
    "callbacks",
    "runtime.averaging",
    "examples",
    "torch.nn",
    "torch.optim",
    "torchmetrics",
    "pytorch_lightning",
    "lightning.pytorch",
    "lightning_fabric",
)
IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
FILES = [
    "ckpt",
    "csv",
    "gz",
    "json",
    "npy",
    "npz",
    "png",
    "pt",
    "txt",
    "yaml",
    "yml",
]  # `table.csv` is no class
MARK = "# written by this user: "
KEY = "key"
CLONE = Path(__file__).parents[1]
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def allowed_imports(config: Path, trust: bool, words: Sequence[str]) -> tuple[str, ...] | None:
    """What reading the config of a run may import: None for anything, else names of modules and classes.

    Args:
        config: of the run.
        trust: whether the user accepts it.
        words: of the command line; the classes named there may be imported, too.

    Raises:
        UsageError: for a config that names other code, unless it has the user's mark or is accepted.
    """
    text = config.read_text(encoding="utf-8-sig")
    if has_mark(text):
        return None
    if trust:
        with contextlib.suppress(OSError):  # the folder is somebody else's: it is asked for again
            write_mark(config)
        return None
    foreign = sorted(set(foreign_names(yaml.load(text, Loader=Loader))))
    if not foreign:
        return (*ALLOWED, *(match[0] for word in words for match in IMPORT_PATH.finditer(word)))
    raise UsageError(
        f"{config} was not written by you here, and it names code that would run: {', '.join(foreign)}\n"
        "if you know this code and who wrote the config, add --trust; it is asked once"
    )


def foreign_names(value: Any) -> Iterator[str]:
    """The import paths in a config, or in a part of it, that can be imported and are not in `ALLOWED`."""
    if isinstance(value, dict | list):
        for part in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from foreign_names(part)
    elif isinstance(value, str) and is_foreign(value):
        yield value


def is_foreign(value: str) -> bool:
    """Whether a text may name code outside of `ALLOWED`: something in a module that exists. Nothing is imported."""
    first, last = value.split(".")[0], value.split(".")[-1]
    if not IMPORT_PATH.fullmatch(value) or last in FILES:
        return False
    if any(value.startswith(f"{prefix}.") for prefix in ALLOWED):
        return False
    try:
        return find_spec(first) is not None
    except ValueError:  # __main__
        return True


def with_mark(text: str) -> str:
    """The text of a new config; with this user's mark if it names code that would be asked for."""
    return marked(text) if any(foreign_names(yaml.load(text, Loader=Loader))) else text


def marked(text: str) -> str:
    """A text with this user's mark as its last line; without it where no key can be kept."""
    mark = mark_of(text, create=True)
    return text if mark is None else f"{text}{MARK}{mark}\n"


def has_mark(text: str) -> bool:
    """Whether the text ends with this user's mark, and has not changed since."""
    body, found, mark = text.rpartition(MARK)
    right = mark_of(body, create=False) if found else None
    return right is not None and hmac.compare_digest(mark.strip().encode(), right.encode())


def write_mark(config: Path) -> None:
    """Put this user's mark at the end of a config."""
    body = config.read_text(encoding="utf-8").partition(MARK)[0]
    temporary = config.with_name(f".{config.name}.{os.getpid()}")
    temporary.write_text(marked(body.rstrip("\n") + "\n"), encoding="utf-8")
    temporary.replace(config)


def mark_of(text: str, create: bool) -> str | None:
    """The mark of a text; None without a key."""
    key = user_key(create)
    return None if key is None else hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def user_key(create: bool) -> bytes | None:
    """This user's secret, in the folder for settings; if nothing can be written there, in this clone."""
    settings = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    places = [Path(settings, "lightning-inside", KEY), CLONE / f".{KEY}"]
    if not Path(settings).is_absolute():  # a container whose user has no home
        del places[0]
    for path in places:
        with contextlib.suppress(OSError):
            return path.read_bytes()
    for path in places if create else []:
        with contextlib.suppress(OSError):
            write_key(path)
            return path.read_bytes()
    return None


def write_key(path: Path) -> None:
    """Write a new secret that nobody else can read, unless another process has just written one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)  # unlike a rename, it never replaces a file
    finally:
        temporary.unlink(missing_ok=True)
