"""`train.py watch`: a page in the browser in which a network is seen to learn. Nothing is written to `runs/`."""

import contextlib
import os
import sys
import tempfile
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cli.build import Run, build
from cli.request import Request, option_values, prepare, take_flag, take_option
from cli.run_paths import run_of
from cli.watch_run import follow
from pages.watch.controls import Controls
from pages.watch.server import Server
from pages.watch.show import Show
from pages.watch.watcher import Restart, Watcher
from runtime.commands import train_py
from runtime.errors import UsageError
from runtime.signals import Interrupted
from sweeps.trials import silence

QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
NOTHING_KEPT = "a watched training keeps nothing"
KEEPS_NOTHING = [
    "--trainer.logger=false",
    "--trainer.enable_checkpointing=false",
    "--trainer.num_sanity_val_steps=0",
    "--trainer.devices=1",
    "--trainer.num_nodes=1",
    "--trainer.strategy=auto",
    "--pictures=false",
    "--graph=false",
]


def main(given: Sequence[str]) -> int:
    """Serve the page until Ctrl-C; returns the exit code.

    Raises:
        UsageError: for a wrong command.
    """
    hidden, words = take_flag(given, "--no-browser")
    number, words = take_option(words, "--port")
    port = as_port(number)
    folder = run_of(words.pop(0)) if words and not words[0].startswith("-") else None
    for flag in ("--resume", "--ckpt_path"):
        if option_values(words, flag):
            raise UsageError(
                f"{flag} does not go with watch; a run is watched with: {train_py('watch', 'RUN')}"
            )
    request = prepare(["fit", *words]) if folder is None else None
    controls = Controls(can_train=folder is None)
    server = Server(controls, port)
    try:
        invite(server.address, hidden, is_training=folder is None)
        if request is not None:
            train(request, controls, server)
        elif folder is not None:
            follow(folder, words, controls, server)
        return 0
    except Interrupted as stop:
        print(f"{stop}; {NOTHING_KEPT if folder is None else 'the run is as it was'}", file=sys.stderr)
        return stop.exit_code
    finally:
        server.close()


def as_port(number: str | None) -> int:
    """The port, 0 for any."""
    if number is None:
        return 0
    if not number.isdecimal() or not 0 < int(number) < 65536:
        raise UsageError(f"--port is {number}; it must be a number from 1 to 65535")
    return int(number)


def invite(address: str, hidden: bool, *, is_training: bool) -> None:
    """Print the address, and open it in a browser if there is one."""
    waits = " It trains only while a page is open." if is_training else ""
    print(f"watch it at {address}\nOnly this machine can open it.{waits} Ctrl-C ends it.", flush=True)
    if not hidden and has_screen():
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(address)


def has_screen() -> bool:
    """Whether a browser can open a window; without a screen one in the terminal would take it over."""
    return sys.platform != "linux" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def train(request: Request, controls: Controls, server: Server) -> None:
    """Train, and train anew as often as a page asks for it."""
    words, title = request.args[1:], request.experiment or "watch"
    seed: list[str] = []
    while True:
        try:
            with tempfile.TemporaryDirectory() as scratch, silence():
                (folder := Path(scratch) / "run").mkdir()
                watched([*words, *seed], title, folder, controls, server.publish).fit()
        except Restart as restart:
            seed = [f"--seed_everything={restart.seed}"]
            controls.begin_anew()


def watched(
    words: list[str], title: str, folder: Path, controls: Controls, publish: Callable[[dict[str, Any]], None]
) -> Run:
    """A training that pages play; its `fit` ends with `Restart`, or with a signal."""
    show = Show(controls, publish, title)
    watcher = Watcher(controls, show)
    run = build(
        Request("fit", ["fit", *QUIET, *words, *KEEPS_NOTHING]),
        callbacks=(watcher.gradients, watcher),
        folder=folder,
    )
    watcher.seed = run.settings.seed_everything
    return run
