"""From the command line's words to an exit code: 0 done, 1 failed, 2 wrong input, 130 Ctrl-C, 143 SIGTERM."""

import sys
import time
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from cli.arguments import COMPARE_USAGE, STUDIES, comparison_requests, prepare
from cli.errors import exit_code, explain
from cli.overview import overview

if TYPE_CHECKING:
    from callbacks.interrupt import Interrupted

STARTED = time.perf_counter()  # before the seconds that the imports take


def main(args: Sequence[str], description: str = "") -> int:
    """Run one command; whatever goes wrong is told in a few lines on standard error.

    Args:
        args: the words after `train.py`; none, or a lone --help, asks for the overview.
        description: printed on top of the overview.
    """
    if not args or list(args) in (["-h"], ["--help"], ["help"]):
        print(overview(description))
        return 0
    debug, args = take_flag(args, "--debug")
    if debug:
        return run(args)
    try:
        return run(args)
    except KeyboardInterrupt:
        print("stopped by SIGINT before training began, or by a second one", file=sys.stderr)
        return 130
    except Exception as error:
        print(explain(error), file=sys.stderr)
        return exit_code(error)


def take_flag(args: Sequence[str], name: str) -> tuple[bool, list[str]]:
    """Whether a flag is set, alone or as `name true` or `name=true`, and the words without it."""
    words, value = list(args), False
    while found := [place for place, word in enumerate(words) if word.partition("=")[0] == name]:
        given = words.pop(found[0]).partition("=")[2]
        if not given and words[found[0] : found[0] + 1] in (["true"], ["false"]):
            given = words.pop(found[0])
        value = given != "false"
    return value, words


def run(args: Sequence[str]) -> int:
    """Run one command and let errors through."""
    if args[0] == "compare":
        return run_compare(args[1:])
    command = args[0]
    request = None if command in STUDIES else prepare(args)
    from pytorch_lightning.utilities.exceptions import SIGTERMException

    from callbacks.interrupt import Interrupted  # seconds of imports, which a wrong word should not cost
    from cli.lightning import LightningInside

    try:
        if request is None:
            return int(import_module(STUDIES[command]).main(list(args[1:])))
        LightningInside(request, STARTED)
    except SIGTERMException:  # Lightning's, which carries no code
        return 143
    except SystemExit as end:  # --help and --print_config; after a Ctrl-C Lightning ends with code 1
        return 130 if isinstance(end.__context__, KeyboardInterrupt) else int(end.code or 0)
    except Interrupted as stop:
        print(how_to_go_on(stop), file=sys.stderr)
        return stop.exit_code
    return 0


def run_compare(words: Sequence[str]) -> int:
    """Compare two runs on the same test rows."""
    if {"-h", "--help"} & set(words):
        print(f"{COMPARE_USAGE}\nIs the difference between them on the same test rows real?")
        return 0
    requests = comparison_requests(words)
    from cli.compare import compare

    compare(*requests)
    return 0


def how_to_go_on(stop: "Interrupted") -> str:
    """What is said after a signal: the command that continues, or that there is nothing to continue from."""
    if (stop.folder / "checkpoints" / "last.ckpt").exists():
        return f"{stop}; the run is saved. Go on with: python train.py fit --resume {stop.folder}"
    return f"{stop} before the first checkpoint; start the run anew"
