"""How fast images from a folder are trained on, with `train.py fit` and with a plain PyTorch loop over the same loaders.

python benchmarks/loaders.py                    without workers and with two; about 5 minutes
python benchmarks/loaders.py --workers 4        with another number of them
python benchmarks/loaders.py --clock cpu        CPU time, that of the workers included, for a busy machine

A turn is an epoch of `examples/image_folder`: 1,800 images are read from PNG files, augmented and trained on, 32 in a
step; then 600 are validated. The template has everything on but pictures: logs, diagnostics, checkpoints, progress bar,
and batches that a resumed run can replay. A ratio is its time over that of the plain loop in the same round (see
`interleave.py`): median and quartiles.
"""

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
import torch.nn.functional as F

from benchmarks.interleave import Contender, EndTurn, time_interleaved
from benchmarks.report import ROOT, clock_options, machine
from cli.build import build
from cli.request import prepare
from examples.image_folder.data import TexturesDataModule
from examples.image_folder.model import LitTextures

NUM_IMAGES = 3000
IMAGES_PER_TURN = NUM_IMAGES * 4 // 5  # those of training and validation
BATCH_SIZE, LR = 32, 0.01


def by_hand(data_dir: str, num_workers: int, end_turn: EndTurn) -> None:
    """A plain loop over the data module's loaders."""
    data = TexturesDataModule(
        data_dir=data_dir, num_images=NUM_IMAGES, batch_size=BATCH_SIZE, num_workers=num_workers
    )
    data.setup()
    train, val = data.train_dataloader(), data.val_dataloader()
    model = LitTextures(in_shape=data.in_shape, out_features=data.out_features, task=data.task)
    network = torch.nn.Sequential(model.blocks, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), model.head)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR)
    while True:
        network.train()
        for x, y in train:
            loss = F.cross_entropy(network(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            sum((network(x).argmax(1) == y).sum() for x, y in val)
        end_turn()


def ours(data_dir: str, num_workers: int, every: int, end_turn: EndTurn) -> None:
    """`train.py fit` with the example's config, which logs and probes `every` so many steps.

    Its schedule is left out, as the training has no end.
    """
    words = ["fit", f"--config={ROOT}/examples/image_folder/image_folder.yaml", "--model.scheduler=null"]
    words += [f"--model.optimizer.lr={LR}", f"--data.batch_size={BATCH_SIZE}", f"--data.data_dir={data_dir}"]
    words += [f"--data.num_images={NUM_IMAGES}", f"--data.num_workers={num_workers}"]
    words += ["--trainer.accelerator=cpu", "--trainer.max_epochs=-1", "--pictures=false", "--checkup=false"]
    words += [f"--trainer.log_every_n_steps={every}"]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        run = build(prepare(words))
        run.model.on_train_epoch_start = end_turn  # a callback would add to each step
        run.fit()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], help="processes that read")
    parser.add_argument("--every", type=int, default=50, help="steps between two that are logged and probed")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--data_dir", help="where the images are or go; default: a temporary folder")
    clock_options(parser)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        data_dir = str(Path(options.data_dir or temporary).resolve())
        TexturesDataModule(data_dir=data_dir, num_images=NUM_IMAGES).prepare_data()
        for num_workers in options.workers:
            contenders: dict[str, Contender] = {
                "plain loop": partial(by_hand, data_dir, num_workers),
                "plain loop once more": partial(by_hand, data_dir, num_workers),
                "this template": partial(ours, data_dir, num_workers, options.every),
            }
            title = f"{num_workers} workers"
            results = time_interleaved(contenders, options.rounds, clock=options.clock, title=title)
            for name, ratio in results.items():
                speed = f"{IMAGES_PER_TURN / ratio.seconds:6.0f} images per second ({options.clock})"
                print(f"{title:10}  {name:22}  {ratio}   {speed}", flush=True)
    print(machine(options.threads))


if __name__ == "__main__":
    main()
