"""`train.py report RUN ...`: the page of a run, of several runs side by side, or of a sweep, made again from files.

It imports no PyTorch.
"""

from collections.abc import Sequence

from cli.run_paths import run_of
from pages.comparison import write_comparison
from pages.report import write_report
from pages.sweep import sweep_of, write_sweep
from runtime.commands import train_py
from runtime.errors import UsageError


def main(words: Sequence[str]) -> int:
    """Write the page of a run, of several runs or of a sweep, and print where it is; returns the exit code.

    Raises:
        UsageError: for a wrong command, or a run that is not there.
    """
    usage = train_py("report", "RUN", "...")
    if odd := next((word for word in words if word.startswith("-")), None):
        raise UsageError(f"report takes no flags, and {odd} looks like one; write: {usage}")
    if not words:
        raise UsageError(f"report needs a run; write: {usage}")
    if len(words) == 1 and (sweep := sweep_of(words[0])) is not None:
        print(write_sweep(sweep))
        return 0
    runs = [run_of(word) for word in words]
    print(write_report(runs[0]) if len(runs) == 1 else write_comparison(runs))
    return 0
