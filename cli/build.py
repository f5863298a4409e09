"""LightningCLI with run folders, checkpoints that bring their config, and closing tables."""

import logging
import math
import os
import pkgutil
import tempfile
import threading
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from jsonargparse import Namespace
from jsonargparse.typing import PositiveInt
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only, rank_zero_warn

import datamodules
import lit_models
from callbacks.pictures.base import Picture
from callbacks.step_hooks import NoProfiler, skip_empty_hooks
from cli.checks import check_cluster, check_learning_rate, check_monitor, check_seed, check_trainer
from cli.cluster import check_leftovers, forget_run, note_run, slurm_job
from cli.defaults import AfterFirstStep, as_list, callbacks_of, loggers_of
from cli.parser import Parser
from cli.reports import print_metrics, print_predictions, print_result
from cli.request import Request
from runtime.errors import UsageError
from runtime.loop import use_lean_loop
from runtime.memory import keep_freed_memory
from runtime.plugins import complete
from runtime.read_checkpoint import (
    check_architecture,
    check_form,
    check_length,
    check_resumable,
    check_shapes,
    newest_valid,
    read_checkpoint,
)
from runtime.replay import replay_training
from runtime.resume import ExactResume
from runtime.run_folder import discard, new_run_folder
from runtime.signals import Interrupted
from runtime.stop import StopOnSignal

warnings.filterwarnings("ignore", message="LightningCLI's args parameter is intended")
# Lightning's own use of a deprecated test
warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
# A run that goes on has checkpoints.
warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
# An evaluation saves nothing.
warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`")
if slurm_job() is None:  # where SLURM is installed, Lightning wants every run to be one of its jobs
    warnings.filterwarnings("ignore", message="The `srun` command is available")
logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(lambda record: "Tip:" not in record.msg)

# TensorBoard's writing thread ends with a traceback where the disk is full; its error comes to the main thread, too.
threading.excepthook = lambda failure: rank_zero_warn(f"{failure.exc_type.__name__}: {failure.exc_value}")

# Lightning sets this on import; on a machine without a GPU each optimizer step would ask the driver again (130 us).
os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)

RANK: int = getattr(rank_zero_only, "rank", 0)
FROM_DATA = ("in_shape", "out_features", "task", "target_mean", "target_std")


class LightningInside(LightningCLI):
    """The four commands of `train.py`.

    Args:
        request: what was asked for.
        started: reading of `time.perf_counter()` when the program began; default: now.
    """

    def __init__(self, request: Request, started: float | None = None) -> None:
        self.request = request
        self.started = time.perf_counter() if started is None else started
        self.start_up = math.nan  # seconds until the first step was done
        self.folder = request.run_folder or Path()  # of a new run, chosen when its model and data exist
        kept = set(self.folder.iterdir()) if request.run_folder else None
        self.claimed = False  # whether this launch made it
        keep_freed_memory()
        # A class can be named on the command line once it is imported.
        for package in (lit_models, datamodules):
            for module in pkgutil.iter_modules(package.__path__):
                import_module(f"{package.__name__}.{module.name}")
        try:
            super().__init__(
                args=request.args,
                parser_class=Parser,
                parser_kwargs={"allow_abbrev": False},
                seed_everything_default=42,
                auto_configure_optimizers=False,
                save_config_callback=None,
                trainer_defaults={"max_epochs": 10, "deterministic": "warn", "logger": None},
            )
        except Exception:
            if RANK == 0 and math.isnan(self.start_up) and (self.claimed or kept):  # no step was trained
                discard(self.folder, kept)
            raise

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--run_name", type=str | None, help="Folder below runs/; by default the config's name."
        )
        parser.add_argument("--resume", type=str | None, help="Folder of a run to go on with (fit only).")
        parser.add_argument("--debug", type=bool, default=False, help="Show the traceback of an error.")
        parser.add_argument("--monitor", type=str, default="val/loss", help="Metric that chooses best.ckpt.")
        parser.add_argument(
            "--monitor_mode",
            type=Literal["min", "max"] | None,
            help="Whether the best is the smallest or the largest; by default small losses and errors, else large.",
        )
        parser.add_argument(
            "--save_every_n_steps",
            type=PositiveInt | None,
            help="Write last.ckpt within an epoch as well, after so many steps; by default after 5 minutes.",
        )
        parser.add_argument("--diagnostics", type=bool, default=True, help="Watch gradients and activations.")
        parser.add_argument("--pictures", type=bool, default=True, help="Draw what the network has learnt.")
        parser.add_argument(
            "--sweep",
            type=dict[str, Any] | None,
            help="What the command sweep varies; fit itself ignores it.",
        )
        for name in FROM_DATA:
            parser.link_arguments(f"data.{name}", f"model.init_args.{name}", apply_on="instantiate")

    def _parse_ckpt_path(self) -> None:
        """Lightning would let the checkpoint's hyper-parameters win over the flags; here a contradiction is refused."""
        if self.resumed:
            self.settings.ckpt_path = str(newest_valid(self.folder, self.settings.trainer.max_epochs))
        path = self.settings.get("ckpt_path")
        self.checkpoint = read_checkpoint(Path(path)) if path else None
        check_seed(self.settings.seed_everything)
        if self.checkpoint is not None:
            check_form(self.checkpoint, path)
            check_architecture(self.checkpoint, path, self.settings.model.class_path)

    @property
    def settings(self) -> Namespace:
        """The config of this command."""
        return self.config[self.request.command]

    def before_instantiate_classes(self) -> None:
        arguments = self.settings.model.get("init_args", {})
        if self.settings.get("data") is None and arguments.get("in_shape", ()) is None:
            raise UsageError("the config has no data; add --data TitanicDataModule, or a `data:` to it")

    def instantiate_classes(self) -> None:
        if self.request.command == "fit" and self.checkpoint is None:  # which brings its learning rate
            check_learning_rate(self.settings.model, self.request.args)
        try:
            super().instantiate_classes()
        except ValueError as error:
            raise original(error) from None

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        if self.checkpoint is not None:
            check_shapes(self.checkpoint, self.settings.ckpt_path, self.model, self.model.hparams)
            if self.request.command == "fit":
                check_resumable(self.checkpoint, self.settings.ckpt_path, self.model.hparams)
            if self.resumed:
                check_length(self.checkpoint, self.folder / "config.yaml", self.settings.trainer.max_epochs)
                self._end_if_finished(self.checkpoint)
        config = self.config_init[self.request.command].trainer
        config.callbacks = as_list(config.callbacks)
        if not self.settings.pictures:
            config.callbacks = [each for each in config.callbacks if not isinstance(each, Picture)]
        check_trainer(config)
        check_monitor(self.settings.monitor, self.model)
        if self.request.run_folder is None:
            self._claim_folder()
        self.config_init[self.request.command].weights_only = True  # checkpoints never run code
        self.trainer_defaults["callbacks"] = self._own_callbacks(config.callbacks)
        if config.logger in (None, True):
            kwargs["logger"] = self._loggers()
        kwargs["plugins"] = complete(config.plugins)
        if config.profiler is None:
            kwargs["profiler"] = NoProfiler()
        if config.default_root_dir is None:
            kwargs["default_root_dir"] = self.folder
        check_leftovers(Path(config.default_root_dir or self.folder))
        trainer = super().instantiate_trainer(**kwargs)
        check_cluster(trainer)
        if self.request.command == "fit":
            use_lean_loop(trainer)
            trainer.callbacks.insert(0, ExactResume())
            replay_training(self.datamodule or self.model, trainer, int(os.environ.get("PL_GLOBAL_SEED", 0)))
        return trainer

    def _end_if_finished(self, checkpoint: dict[str, Any]) -> None:
        """Leave a run that is complete as it is."""
        limits = self.settings.trainer
        epochs, steps = checkpoint["epoch"], checkpoint["global_step"]
        if not 0 <= (limits.max_epochs or -1) <= epochs and not 0 <= limits.max_steps <= steps:
            return
        if RANK == 0:
            print(
                f"{self.folder} is finished: {epochs} epochs, {steps} steps; for more, --trainer.max_epochs"
            )
        if self.request.job_file is not None:
            forget_run(self.request.job_file)
        raise SystemExit(0)

    def _claim_folder(self) -> None:
        """Make the folder of a new run; only now, so that a wrong flag leaves none behind."""
        if self.settings.trainer.fast_dev_run:
            self.folder = Path(tempfile.gettempdir())  # nothing is written
            return
        name = self.settings.run_name or self.request.experiment
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise UsageError(
                f"--run_name is {name}; it is a folder below runs/, without / in front and without .."
            )
        self.settings.run_name = name or self.settings.model.class_path.split(".")[-1]
        self.folder = new_run_folder(self.settings.run_name, RANK)
        self.claimed = True
        if self.request.job_file is not None:
            note_run(self.request.job_file, self.folder)

    def _own_callbacks(self, given: list[Callback]) -> list[Callback]:
        """What is added to the callbacks of the config."""
        own = callbacks_of(self.request.command, self.settings, given, self.folder)
        return [*own, AfterFirstStep(self.first_step_done)] if self.request.command == "fit" else own

    def _loggers(self) -> list[Logger]:
        if self.request.command == "predict":
            return []
        return loggers_of(
            self.folder, self.checkpoint["global_step"] if self.resumed and self.checkpoint else None
        )

    @property
    def resumed(self) -> bool:
        """Whether `fit` goes on in the folder of an earlier one."""
        return self.request.command == "fit" and self.request.run_folder is not None

    def before_fit(self) -> None:
        for each in (self.model, *self.trainer.callbacks):
            skip_empty_hooks(each)
        if not self.resumed:
            self.save_config()

    def first_step_done(self) -> None:
        """Note the time; a run that goes on takes new flags over only if they work."""
        self.start_up = time.perf_counter() - self.started
        if self.resumed:
            self.save_config()

    def save_config(self) -> None:
        """Write the complete config into the run's folder; a kill leaves the one before."""
        if RANK == 0 and not self.settings.trainer.fast_dev_run:
            settings = self.settings.clone()
            settings.resume = settings.sweep = None
            settings.ckpt_path = None if self.resumed else settings.ckpt_path
            options = {"skip_unset": False, "skip_validation": True, "overwrite": True}  # they were validated
            temporary = self.folder / "config.yaml.tmp"
            self._parser("fit").save(settings, temporary, **options)
            os.replace(temporary, self.folder / "config.yaml")

    def after_validate(self) -> None:
        print_metrics(self.trainer, self._title(self.settings.ckpt_path))

    def after_test(self) -> None:
        print_metrics(self.trainer, self._title(self.settings.ckpt_path))

    def after_predict(self) -> None:
        print_predictions(self.trainer)

    def after_fit(self) -> None:
        times = {
            "time": f"{time.perf_counter() - self.started:.0f} s, the first step after {self.start_up:.1f} s"
        }
        print_result(self.trainer, self._title(f"best by {self.settings.monitor}"), times, self.folder)
        for callback in self.trainer.callbacks:  # a signal that came too late still ends the process
            if isinstance(callback, StopOnSignal) and callback.signum is not None:
                raise Interrupted(callback.signum, self.folder)

    def _title(self, about: str) -> str:
        return f"{self.folder.resolve().parent.name}: {about}"


def original(error: BaseException) -> BaseException:
    """What the constructor of a model, data module or callback raised, out of what jsonargparse made of it."""
    while str(error).startswith(("Does not validate", "Parser key")) and error.__cause__ is not None:
        error = error.__cause__
    return error
