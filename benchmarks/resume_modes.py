"""The ways of training that `kill_and_resume.py` interrupts; in most of them a resume was once wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

CALLBACKS = "pytorch_lightning.callbacks"


@dataclass(frozen=True)
class Mode:
    """One way of training.

    Args:
        config: of the run.
        processes: more than one use DDP with gloo.
        promised: from where it resumes exactly: "everywhere", "between epochs" or "nowhere".
        says: the words with which the run says at its start that this is not everywhere.
    """

    config: dict[str, Any]
    processes: int = 1
    promised: str = "everywhere"
    says: str = ""


def mode(
    kind: str = "shuffled",
    style: str = "step",
    *,
    workers: int = 0,
    val_workers: int = 0,
    callbacks: Sequence[dict[str, Any]] = (),
    processes: int = 1,
    promised: str = "everywhere",
    **trainer: Any,
) -> Mode:
    """A module and data from elsewhere, for 50 steps unless `trainer` says otherwise."""
    foreign = {
        "kind": kind,
        "num_workers": workers,
        "batch_size": 8 // processes,
        "num_val_workers": val_workers,
    }
    config = {
        "model": {"class_path": "benchmarks.killed_training.Noisy", "init_args": {"style": style}},
        "data": {"class_path": "benchmarks.killed_loaders.ForeignData", "init_args": foreign},
        "checkup": False,
    }
    says = "" if promised == "everywhere" else "the training data are a stream"
    return Mode(with_trainer(config, trainer, callbacks), processes, promised, says)


def own(processes: int = 1) -> Mode:
    """This repository's model and data, augmented, with a schedule by step and a check-up."""
    optimizer = {"class_path": "torch.optim.Adam"}
    scheduler = {"class_path": "torch.optim.lr_scheduler.OneCycleLR", "init_args": {"max_lr": 0.02}}
    model = {"hidden_sizes": [16], "dropout": 0.2, "optimizer": optimizer, "scheduler": scheduler}
    data = {"batch_size": 16 // processes, "eval_batch_size": 16, "augment": {"degrees": 20.0, "shift": 2.0}}
    config = {
        "model": {"class_path": "lit_models.LitMLP", "init_args": model},
        "data": {"class_path": "datamodules.MNISTDataModule", "init_args": data},
    }
    return Mode(with_trainer(config, {}, ()), processes)


def with_trainer(
    config: dict[str, Any], trainer: dict[str, Any], callbacks: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """A config with what all modes have in common."""
    common = {
        "accelerator": "cpu",
        "max_epochs": 5,
        "log_every_n_steps": 3,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "callbacks": [{"class_path": "benchmarks.killed_training.ReportPhase"}, *callbacks],
    }
    return {**config, "trainer": {**common, **trainer}, "save_every_n_steps": 4, "pictures": False}


def callback(name: str, **arguments: Any) -> list[dict[str, Any]]:
    """One callback of a config."""
    return [{"class_path": name, "init_args": arguments}]


STOPPING = callback(f"{CALLBACKS}.EarlyStopping", monitor="val/loss", min_delta=10.0, patience=3)
AVERAGING = callback(f"{CALLBACKS}.StochasticWeightAveraging", swa_lrs=0.01, swa_epoch_start=2)
SAVING = callback(f"{CALLBACKS}.ModelCheckpoint", every_n_train_steps=3)

MODES: dict[str, Mode] = {
    "one process": own(),
    "two processes": own(processes=2),
    "two workers, plateau": mode(style="plateau", workers=2),
    "two processes, two workers": mode(style="plateau", workers=2, processes=2),
    "validation within epochs": mode(style="plateau", val_check_interval=3),
    "validation across epochs": mode(val_check_interval=7, check_val_every_n_epoch=None),
    "validation in persistent workers": mode(val_workers=1),
    "validation in persistent workers, not checked first": mode(val_workers=1, num_sanity_val_steps=0),
    "validation at every step": mode(val_check_interval=1, max_epochs=3),
    "accumulation": mode(accumulate_grad_batches=2, max_epochs=8),
    "accumulation, validation within epochs": mode(
        accumulate_grad_batches=2, val_check_interval=3, max_epochs=8
    ),
    "accumulation in two processes": mode(
        accumulate_grad_batches=2, val_check_interval=3, max_epochs=8, processes=2
    ),
    "manual optimization, two optimizers": mode(style="two optimizers"),
    "gradual unfreezing (BaseFinetuning)": mode(callbacks=callback("benchmarks.killed_training.Unfreeze")),
    "averaged weights (SWA)": mode(style="epoch", callbacks=AVERAGING),
    "early stopping": mode(max_epochs=9, callbacks=STOPPING),
    "max_steps": mode(max_epochs=-1, max_steps=47, val_check_interval=4),
    "ModelCheckpoint(every_n_train_steps)": mode(callbacks=SAVING),
    "bfloat16": mode(precision="bf16-mixed"),
    "dict of loaders": mode("dict"),
    "dict of loaders, workers": mode("dict", workers=2),
    "CombinedLoader(min_size)": mode("combined", max_epochs=10),
    "sampler with random.Random": mode("python sampler"),
    "sampler with random.Random, workers": mode("python sampler", workers=2),
    "sampler with a NumPy generator": mode("numpy sampler"),
    "sampler with a NumPy generator, workers": mode("numpy sampler", workers=2),
    "sampler that counts epochs": mode("counting sampler"),
    "sampler that counts epochs, workers": mode("counting sampler", workers=2),
    "data set with its own generator": mode("own noise"),
    "data set with its own generator, workers": mode("own noise", workers=2),
    "endless sampler": mode("endless sampler", limit_train_batches=10),
    "endless sampler, workers": mode("endless sampler", workers=2, limit_train_batches=10),
    "loader that saves itself": mode("saves itself"),
    "stream (IterableDataset)": mode("stream", promised="between epochs"),
    "stream with a state of its own": mode("stream with a state", promised="nowhere"),
}
