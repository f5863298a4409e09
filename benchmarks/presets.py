"""Train `mnist_convnet` for an epoch with each hardware preset, then test the checkpoint on the GPU and on the CPU.

python benchmarks/presets.py --data_dir data              on one NVIDIA GPU, all at the same time; about 2 minutes
python benchmarks/presets.py bf16 fsdp --data_dir data    some of them
python benchmarks/presets.py cpu --data_dir data --least 0.5 --flags "--data.subset=2000 --checkup=false"   a rehearsal

A preset passes if it trains, if the accuracy is above that of chance by far, and if both tests agree on it.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
NONE = "(none)"
FLAGS = {  # of each preset, on a machine with one GPU
    NONE: ["--pictures=true"],
    "gpu": [],
    "bf16": [],
    "fp16": [],
    "ddp": ["--trainer.devices=1"],
    "fsdp": [],
    "compile": [],
    "graph": [],
}
ON_CPU = ["accelerator=cpu", "devices=1", "strategy=auto", "precision=32-true"]
LEAST, TOLERANCE = 0.95, 0.002  # accuracy after an epoch; between the two tests, which round differently


def train_py(words: list[str], folder: Path, seconds: float) -> str:
    """Run `train.py`; returns what it printed.

    Raises:
        RuntimeError: if it failed or took too long; the message is the end of its output.
    """
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    command = [
        sys.executable,
        str(ROOT / "train.py"),
        *words,
        "--debug",
        "--trainer.enable_progress_bar=false",
    ]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{words[0]} took longer than {seconds:.0f} s") from None
    if done.returncode:
        raise RuntimeError(f"{words[0]} failed\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def accuracy(printed: str) -> float:
    """The one of the test split, in the closing table."""
    found = re.search(r"test/accuracy\s+([\d.]+)", printed)
    if found is None:
        raise RuntimeError(f"there is no test/accuracy in\n{printed[-1000:]}")
    return float(found[1])


def row(name: str, options: argparse.Namespace) -> str:
    """What came out for one preset, as a row of Markdown; after a failure with the end of the output."""
    start = time.perf_counter()
    preset = [] if name == NONE else [f"--config={ROOT / 'configs' / 'presets' / name}.yaml"]
    fit = ["fit", f"--config={ROOT / 'configs' / 'mnist_convnet.yaml'}", *preset, "--trainer.max_epochs=1"]
    fit += ["--pictures=false", f"--data.data_dir={Path(options.data_dir).resolve()}", *FLAGS.get(name, [])]
    on_cpu = [f"--trainer.{setting}" for setting in ON_CPU]
    if name == "compile":
        on_cpu.append("--model.compile=false")  # on a CPU it takes over a minute
    with tempfile.TemporaryDirectory() as folder:
        run = partial(train_py, folder=Path(folder), seconds=options.seconds)
        test = ["test", "--ckpt_path=runs/mnist_convnet/version_0/checkpoints/last.ckpt"]
        try:
            run([*fit, *shlex.split(options.flags)])
            fitted = time.perf_counter() - start
            as_trained, cpu = accuracy(run(test)), accuracy(run([*test, *on_cpu]))
        except RuntimeError as error:
            return f"| {name} | failed | | | {time.perf_counter() - start:.0f} s |\n{error}"
    verdict = "passed" if min(as_trained, cpu) >= options.least else "does not learn"
    if abs(as_trained - cpu) > TOLERANCE:
        verdict = "the tests differ"
    return f"| {name} | {verdict} | {as_trained:.4f} | {cpu:.4f} | {fitted:.0f} s |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("presets", nargs="*", help=f"default: {', '.join(FLAGS)}")
    parser.add_argument("--data_dir", default="data", help="where MNIST is or goes")
    parser.add_argument("--flags", default="", help="further flags of `train.py fit`, in one argument")
    parser.add_argument("--least", type=float, default=LEAST, help="accuracy that must be reached")
    parser.add_argument("--seconds", type=float, default=150, help="limit for each command")
    options = parser.parse_args()
    names = options.presets or [name for name in FLAGS if name == NONE or preset_exists(name)]
    with ThreadPoolExecutor(len(names)) as pool:
        rows = list(pool.map(partial(row, options=options), names))
    print(*(each for each in rows if " failed " in each), sep="\n\n")
    print("| preset | | accuracy, as trained | on the CPU | `fit` took |", "|---|---|---|---|---|", sep="\n")
    print(*(each.partition("\n")[0] for each in rows), sep="\n")
    sys.exit(any(" passed " not in each for each in rows))


def preset_exists(name: str) -> bool:
    return (ROOT / "configs" / "presets" / f"{name}.yaml").is_file()


if __name__ == "__main__":
    main()
