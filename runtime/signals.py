"""Signals that ask a run to stop. Nothing heavy is imported: the handlers must be in place before PyTorch is."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

# Ctrl-C; what schedulers send before they kill; what SLURM sends if `--signal=SIGUSR1@90` asks for a warning.
STOP_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]

_raised: list[int] = []  # signals that were raised, in case the exception was lost on its way


class Interrupted(BaseException):
    """A signal stopped the command.

    Args:
        signum: number of the signal; the exit code is 128 more.
        folder: of the run, which was saved and can be resumed; None if nothing was being trained.
    """

    def __init__(self, signum: int, folder: Path | None = None) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum
        self.exit_code = 128 + signum
        self.folder = folder


@contextmanager
def raised_at_once() -> Iterator[None]:
    """Signals raise `Interrupted` while nothing has to be saved; `StopOnSignal` takes over for the training."""
    previous = {signum: signal.signal(signum, _raise) for signum in STOP_SIGNALS}
    try:
        yield
    finally:
        _raised.clear()
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def ignore_signals() -> None:
    """Ignore signals while the command prints its last lines; use within `raised_at_once`."""
    for signum in STOP_SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


def already_raised() -> int | None:
    """A signal from before the training whose exception was swallowed, as in a `__del__`; None if there is none."""
    return _raised[-1] if _raised else None


def _raise(signum: int, frame: FrameType | None) -> None:
    _raised.append(signum)
    raise Interrupted(signum)
