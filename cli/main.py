"""From the command line's words to an exit code.

    request = prepare(words)            cli/request.py   what is asked for; refuses what can be refused without PyTorch
    run = build(request)                cli/build.py     settings, model, data, Trainer; refuses the rest
    run.fit()                           or validate, test, predict
    report(run)                         cli/reports.py   the summary table

0 done, 1 failed, 2 wrong input; 130, 143 and 138 after Ctrl-C, SIGTERM and SIGUSR1.
"""

import dataclasses
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module

from cli.cluster import forget_run, rank, requeue, slurm_job
from cli.completion_scripts import script
from cli.help import help_text, wants_help
from cli.overview import overview
from cli.request import STUDIES, Request, comparison_requests, prepare, take_flag
from cli.usage import USAGES
from cli.version import version_text
from cli.wrong_settings import malformed_checkpoint, wrong_settings
from runtime.commands import train_py
from runtime.errors import exit_code, explain
from runtime.signals import Interrupted, already_raised, ignore_signals, raised_at_once

STARTED = time.perf_counter()  # before the imports, which take seconds


def main(args: Sequence[str], description: str = "") -> int:
    """Run one command; report any error in a few lines on standard error.

    Args:
        args: the words after `train.py`; none, or only --help, prints the overview.
        description: printed above the overview.
    """
    debug, args = take_flag(args, "--debug")
    with raised_at_once():
        try:
            if (text := answer(args, description)) is not None:
                print(text)
                return flushed(0)
            return flushed(run_command(args))
        except SystemExit as end:  # --help and --print_config; after a Ctrl-C Lightning ends with code 1
            if type(end) is not SystemExit:  # Lightning's SIGTERMException, which carries no code
                return 143
            return 130 if isinstance(end.__context__, KeyboardInterrupt) else int(end.code or 0)
        except Interrupted as stop:
            first = stop.__context__  # set if another signal came while the training was closing down
            return end_after(first if isinstance(first, Interrupted) else stop)
        except KeyboardInterrupt:
            print("stopped by a second SIGINT; what was saved before is whole", file=sys.stderr)
            return 130
        except Exception as error:
            if signum := already_raised():  # a library turned the signal into another error during its import
                return end_after(Interrupted(signum))
            if isinstance(error, BrokenPipeError) and reader_is_gone():
                return 1  # as after `train.py runs | head`
            if debug:
                raise
            error = malformed_checkpoint(error) or wrong_settings(error) or error
            print(explain(error, rank()), file=sys.stderr)
            return exit_code(error)


def answer(args: Sequence[str], description: str) -> str | None:
    """What is printed at once: overview, version, help, and what a shell asks for TAB; None for a command to be run."""
    if not args or args in (["-h"], ["--help"], ["help"]):
        return overview(description)
    if args in (["--version"], ["-V"]):
        return version_text()
    if args[0] == "--completion":
        return script(" ".join(args[1:]))
    if args[0] == "--complete":
        from cli.completion import complete

        return complete(args[1] if len(args) > 1 else "", args[2:])
    return help_text(args[0], args[1:]) if args[0] in USAGES and wants_help(args[1:]) else None


def flushed(code: int) -> int:
    """The exit code, once all that was printed has been taken; else the error would come up after it is too late."""
    sys.stdout.flush()
    return code


def reader_is_gone() -> bool:
    """Whether nobody reads what is printed any more; then the rest is dropped without a message."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def run_command(args: Sequence[str]) -> int:
    """Run one command without catching errors."""
    command, words = args[0], list(args[1:])
    if command == "compare":
        return compare(words)
    if command in STUDIES:
        return int(import_module(STUDIES[command]).main(words))
    return run_request(dataclasses.replace(prepare(args), typed=tuple(args)))


def run_request(request: Request) -> int:
    """Fit, validate, test or predict."""
    say_that_it_loads(request)
    from cli.build import build  # takes seconds to import, so a wrong word is refused before
    from cli.page_at_end import page_at_end
    from cli.reports import report

    run = build(request, started=STARTED)
    if not run.is_finished:
        method: Callable[[], None] = getattr(run, request.command)
        with page_at_end(run):
            method()
    report(run)
    if request.job_file is not None and not run.is_finished:
        run.trainer.strategy.barrier()  # if a process fails, all are restarted, and must find that the run has ended
        forget_run(request.job_file)
    return 0


def say_that_it_loads(request: Request) -> None:
    """Print a first line at once, because the imports take seconds."""
    if rank() != 0:
        return
    print("loading PyTorch and Lightning ...", file=sys.stderr, flush=True)
    if request.job_file is not None and request.run_folder is not None:
        print(f"this job was started before; it resumes {request.run_folder}", file=sys.stderr)


def compare(words: Sequence[str]) -> int:
    """Compare two runs on the same test rows."""
    requests = comparison_requests(words)
    from cli.compare import compare_runs

    compare_runs(*requests)
    return 0


def end_after(stop: Interrupted) -> int:
    """After a signal, say how to resume, or ask SLURM to restart the job; returns the exit code."""
    ignore_signals()  # SLURM ends a job that it is asked to requeue
    if stop.folder is not None and rank() != 0:
        return 0  # the first process still has to requeue; `srun --kill-on-bad-exit` would kill it
    print(how_to_resume(stop), file=sys.stderr)
    if stop.signum == getattr(signal, "SIGUSR1", None) and slurm_job():
        print(requeue(), file=sys.stderr)
    return stop.exit_code


def how_to_resume(stop: Interrupted) -> str:
    """The command that resumes, or a note that there is nothing to resume."""
    if stop.folder is None:
        return f"{stop} while no training was under way"
    if (stop.folder / "checkpoints" / "last.ckpt").exists():
        return f"{stop}; the run is saved. Resume it with: {train_py('fit', '--resume', stop.folder)}"
    return f"{stop} before the first checkpoint; start the run anew"
