"""Make the pictures of docs/gallery.md and README.md: train what they show, and keep the last pictures, small.

python benchmarks/gallery.py                              all of them
python benchmarks/gallery.py rings titanic_mlp            some of them
python benchmarks/gallery.py --data_dir PATH              where MNIST is; by default data/
python benchmarks/gallery.py activations                  only the picture of the activation functions
python benchmarks/gallery.py vanishing                    README.md's: ten layers that vanish and ten that do not
"""

import argparse
import csv
import io
import os
import sys
import tempfile
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image

from callbacks.pictures.style import BLUE, VERMILION, drawing, legend_below, new_figure, to_png
from cli import main as train_py
from lit_models.layers import ACTIVATIONS

ROOT = Path(__file__).parent.parent
GALLERY = ROOT / "docs" / "gallery"
MAX_BYTES = 120_000
SHOWN = {  # experiment or example: tags of the pictures
    "titanic_mlp": ["fit/plane", "fit/lines", "fit/units", "depth/gradient_over_steps"],
    "titanic_full": [
        "fit/importance",
        "fit/roc",
        "fit/precision_recall",
        "fit/calibration",
        "fit/confusion",
    ],
    "titanic_deep": ["depth/gradients"],
    "linear_regression": ["fit/curve"],
    "nonlinear_regression": ["fit/curve", "fit/terms"],
    "damped_sine": ["fit/curve", "fit/terms", "fit/steps"],
    "circles": ["fit/plane", "fit/lines", "fit/units"],
    "blobs": ["fit/plane"],
    "rings": ["fit/plane", "fit/lines", "fit/unit_space"],
    "mnist_4v9_logistic": ["filters/00_linear", "errors/hardest"],
    "mnist_mlp": ["filters/00_layers.0", "fit/confusion"],
    "mnist_convnet": [
        "filters/00_blocks.0.0",
        "feature_maps/blocks",
        "errors/hardest",
        "robustness/accuracy",
    ],
    "mnist_autoencoder": ["reconstruction/images", "code/plane", "code/neighbors"],
    "trend_rnn": ["fit/forecast", "depth/delta_over_time"],
    "segmentation": ["fit/masks"],
    "language_model": ["fit/tokens"],
    "vae": ["code/grid", "samples/images"],
    "diffusion": ["samples/points"],
}
ALONE = ["activations", "vanishing"]  # pictures that do not come from a single run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="experiment", default=[*SHOWN, *ALONE])
    parser.add_argument("--data_dir", type=Path, default=ROOT / "data")
    options = parser.parse_args()
    names, data_dir = options.names, options.data_dir.resolve()
    sys.path[0] = str(ROOT)  # for the examples, which examples.py in this folder would hide
    if unknown := set(names) - {*SHOWN, *ALONE}:
        parser.error(f"{', '.join(unknown)}: not in the gallery")
    GALLERY.mkdir(parents=True, exist_ok=True)
    if "activations" in names:
        with drawing():
            keep(to_png(draw_activations()), "activations")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        if "vanishing" in names:
            make_vanishing()
        for name in names:
            if name in SHOWN:
                make(name, data_dir)


def make(name: str, data_dir: Path) -> None:
    """Train the experiment in the current folder, and keep its last picture of each tag."""
    reads_mnist = name.startswith("mnist") or name == "vae"
    run = train(name, [f"--data.data_dir={data_dir}"] if reads_mnist else [])
    for tag in SHOWN[name]:
        stem = tag.replace("/", "_")
        last = max((run / "pictures").glob(f"{stem}_[0-9]*.png"))
        keep(last.read_bytes(), f"{name}_{stem}")


def train(name: str, flags: list[str]) -> Path:
    """Train the experiment or example in the current folder; returns the run's folder."""
    (config,) = [*ROOT.glob(f"configs/{name}.yaml"), *ROOT.glob(f"examples/{name}/{name}.yaml")]
    os.environ.pop("LIGHTNING_INSIDE_RUN", None)  # left by the previous run
    if train_py(["fit", f"--config={config}", "--trainer.enable_progress_bar=false", *flags]):
        raise SystemExit(f"{name} could not be trained")
    return max(Path("runs", name).iterdir(), key=lambda folder: folder.stat().st_mtime)


def make_vanishing() -> None:
    """Train ten sigmoid layers, and ten relu layers with He weights; draw the delta of each layer at the last step."""
    sigmoid = last_delta(train("titanic_deep", []))
    relu = last_delta(train("titanic_deep", ["--model.activation=relu", "--model.init=he"]))
    with drawing():
        keep(to_png(draw_vanishing(sigmoid, relu)), "vanishing", GALLERY.parent)


def last_delta(run: Path) -> list[float]:
    """Norm of the loss gradient at each layer's output, in order of depth, at the last logged step of a run."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["delta_norm/00_layers.0"]]
    return [float(rows[-1][tag]) for tag in sorted(rows[-1]) if tag.startswith("delta_norm/")]


def draw_vanishing(sigmoid: list[float], relu: list[float]) -> Figure:
    """Delta against depth on a log scale, for both networks."""
    figure = new_figure(7.2, 3.0)
    axes = figure.subplots()
    for deltas, color, label in ((relu, BLUE, "relu, He weights"), (sigmoid, VERMILION, "sigmoid")):
        axes.semilogy(deltas, "o-", color=color, label=label)
    axes.text(0.2, sigmoid[0] / 3, "the first layers hardly learn", va="top")
    axes.set(
        xlabel="layer (0 is the first)", ylabel="norm of dL/dy", xticks=range(len(relu)), ylim=(1e-12, 1)
    )
    axes.set_title("How much of the loss gradient reaches each layer")
    legend_below(figure, axes)
    axes.grid(alpha=0.3)
    return figure


def keep(png: bytes, name: str, folder: Path = GALLERY) -> None:
    """Write a picture into the gallery or another folder, with as many colors as fit."""
    path = folder / f"{name}.png"
    path.write_bytes(png)
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for colors in (128, 64, 32, 16):
        if path.stat().st_size <= MAX_BYTES:
            break
        picture.quantize(colors, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


def draw_activations() -> Figure:
    """Every activation function that a model here can have, and its derivative, over [-6, 6]."""
    figure = new_figure(8.0, 4.6)
    panels = figure.subplots(2, 4, sharex=True, sharey=True)
    for axes, (name, make_function) in zip(panels.flat, ACTIVATIONS.items(), strict=True):
        x = torch.linspace(-6, 6, 601, requires_grad=True)
        y = make_function()(x)
        (slope,) = torch.autograd.grad(y.sum(), x)
        axes.plot(x.detach(), y.detach(), color=BLUE, label="function")
        axes.plot(x.detach(), slope, color=VERMILION, linestyle="--", label="derivative")
        axes.set(title=name, xlim=(-6, 6), ylim=(-1.3, 3))
        axes.grid(alpha=0.3)
    for axes in panels[-1]:
        axes.set_xlabel("x")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.suptitle("Activation functions")
    return figure


if __name__ == "__main__":
    main()
