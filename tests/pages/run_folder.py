"""A run's folder made by hand, with everything that a page shows."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

LAYERS = [
    {"name": "layers.0", "label": "hidden 1", "type": "Linear", "input": [2], "output": [2], "parameters": 6},
    {"name": "layers.2", "label": "output", "type": "Linear", "input": [2], "output": [1], "parameters": 3},
]
RECORD: dict[str, Any] = {
    "experiment": "tiny",
    "launches": [
        {
            "command": ["fit", "--config", "mine/tiny.yaml", "--model.lr", "0.1"],
            "started": "2026-11-27T07:39:00+00:00",
            "ended": "2026-11-27T07:40:00+00:00",
            "error": None,
            "from_step": 0,
            "seconds": {
                "start-up": 8.0,
                "check-up": 0.5,
                "training": 30.0,
                "validation": 1.0,
                "drawing": 0.5,
            },
        },
        {
            "command": ["fit", "--resume", "runs/tiny/version_0"],
            "started": "2026-11-27T08:00:00+00:00",
            "ended": None,
            "error": "OSError: the disk is full",
            "from_step": 40,
            "seconds": {"training": 60.0},
        },
    ],
    "from_config": {"model.init_args.lr": 0.1},
    "from_defaults": {"model.init_args.hidden_sizes": [2], "model.class_path": "lit_models.LitMLP"},
    "seed": 7,
    "commit": {"hash": "0123456789abcdef0123456789abcdef01234567", "clean": False},
    "versions": {"python": "3.11.9", "torch": "2.15.0"},
    "machine": {"system": "Linux", "processor": "a chip", "cores": 2, "memory_gib": 24, "accelerator": "CPU"},
}
RESULT = {
    "validation": {
        "checkpoint": "checkpoints/best.ckpt",
        "step": 80,
        "epoch": 3,
        "rows": 714,
        "metrics": {
            "accuracy": {
                "value": 0.7913,
                "low": 0.7600,
                "high": 0.8197,
                "constant": 0.5938,
                "constant_words": "always 'died'",
            },
            "loss": {
                "value": 0.497,
                "low": None,
                "high": None,
                "constant": 0.6754,
                "constant_words": "shares",
            },
        },
    }
}
VERDICT = {
    "kind": "vanishing gradient",
    "layers": ["00_layers.0"],
    "message": "delta is 2.4e-09 of that at the last layer.",
    "advice": "relu with `--model.init he`",
    "severity": "warn",
    "because": "",
    "link": "docs/diagnosis.md#vanishing-gradient",
    "first_step": 0,
    "last_step": 80,
    "holds": True,
}
SYMPTOM = VERDICT | {
    "kind": "one class predicted",
    "because": "vanishing gradient",
    "holds": False,
    "layers": [],
}
STEPS = np.arange(0, 100, 10)


def metrics_csv(columns: dict[str, Any]) -> str:
    """A table as the logger writes it; None is an empty cell."""
    rows = zip(*columns.values(), strict=True)
    lines = [",".join("" if value is None else repr(value) for value in row) for row in rows]
    return "\n".join([",".join(columns), *lines]) + "\n"


def png(shade: int, size: int = 40) -> bytes:
    """A picture in one shade of gray."""
    out = io.BytesIO()
    Image.new("L", (size, size), shade).save(out, "PNG")
    return out.getvalue()


def write_run(folder: Path) -> Path:
    """Write every file that a page reads; returns the folder."""
    for name in ("pictures", "inside", "checkpoints"):
        (folder / name).mkdir(parents=True)
    steps = [int(step) for step in STEPS]
    columns: dict[str, Any] = {
        "step": steps,
        "train/loss": [1.0 / (1 + step) for step in steps],
        "val/loss": [None if step % 20 else 1.5 / (1 + step) for step in steps],
        "val/accuracy": [None if step % 20 else 0.5 + step / 200 for step in steps],
        "lr-Adam": [0.1] * len(steps),
    }
    for quantity, size in (
        ("grad_norm", 1.0),
        ("delta_norm", 0.1),
        ("update_ratio", 0.001),
        ("activation_std", 1.0),
    ):
        for depth, layer in enumerate(("00_layers.0", "01_layers.2")):
            columns[f"{quantity}/{layer}"] = [size * 10.0**-depth / (1 + step) for step in steps]
    (folder / "metrics.csv").write_text(metrics_csv(columns))
    (folder / "config.yaml").write_text(
        "seed_everything: 7\ndata:\n  init_args:\n    features: [male, Age]\n"
    )
    (folder / "run.json").write_text(json.dumps(RECORD))
    (folder / "result.json").write_text(json.dumps(RESULT))
    verdicts = {"healthy": False, "looks": 9, "verdicts": [VERDICT, SYMPTOM]}
    (folder / "diagnosis.json").write_text(json.dumps(verdicts))
    (folder / "notes.json").write_text(json.dumps({"note": "first try\nof two", "tags": ["course"]}))
    layers = [layer | {"trainable": layer["parameters"]} for layer in LAYERS]
    (folder / "inside" / "layers.json").write_text(json.dumps(layers))
    names = [f"layers.0.weight[{row},{column}]" for row in range(2) for column in range(2)]
    names += [
        "layers.0.bias[0]",
        "layers.0.bias[1]",
        "layers.2.weight[0,0]",
        "layers.2.weight[0,1]",
        "layers.2.bias[0]",
    ]
    quoted = {f'"{name}"' if "," in name else name: place for place, name in enumerate(names)}
    weights = {"step": steps} | {
        name: [round(0.1 * place - 0.3 + step / 100, 3) for step in steps] for name, place in quoted.items()
    }
    (folder / "inside" / "weights.csv").write_text(metrics_csv(weights))
    in_table = {"step": steps} | {
        name: [round(12.5 + place, 3)] * len(steps) for name, place in quoted.items()
    }
    (folder / "inside" / "weights_table_units.csv").write_text(metrics_csv(in_table))
    edges = np.tile(np.linspace(-1, 1, 5), (2, 1))
    counts = np.array([[1, 2, 3, 4], [4, 3, 2, 1]])
    arrays = {"steps": np.array([0, 90])}
    for kind, layer, times in (("weights", "00_layers.0", 1), ("weights", "01_layers.2", 10)):
        arrays |= {f"{kind}/{layer}/counts": counts * times, f"{kind}/{layer}/edges": edges}
        arrays |= {f"activations/{layer}/counts": counts, f"activations/{layer}/edges": edges}
    np.savez(folder / "inside" / "distributions.npz", **arrays)
    for step in (0, 40, 90):
        (folder / "pictures" / f"fit_plane_{step:06d}.png").write_bytes(png(step))
    (folder / "pictures" / "mine_own_000090.png").write_bytes(png(200))
    (folder / "checkpoints" / "best.ckpt").touch()
    return folder
