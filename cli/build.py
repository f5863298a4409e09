"""From a request to a run: settings, model, data, callbacks and Trainer.

`build` reads the words, refuses what cannot work (`cli/checks.py`) and makes all objects. Only `fit` trains.
"""

import contextlib
import copy
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from callbacks.step_hooks import skip_empty_hooks
from cli import checks
from cli.cluster import check_leftovers, note_run
from cli.defaults import AfterFirstStep, as_list, callbacks_of, loggers_of, plugins_of, prepare
from cli.flags import add_flags
from cli.links import link_to_data
from cli.parser import Parser
from cli.recording import launch, save_settings
from cli.request import Request
from cli.resume_checks import changed_settings, check_objects
from cli.saved_config import as_plain_values
from cli.switched_off import not_switched_off
from runtime.end_record import End, forget_end, recorded_end
from runtime.ending import has_ended
from runtime.own_loggers import RunTrainer, all_loggers
from runtime.process import prepare_process
from runtime.read_checkpoint import newest_valid, read_checkpoint
from runtime.restored import Changed
from runtime.resume import first_step_to_log, record_end
from runtime.run_folder import discard, new_run_folder
from runtime.run_lock import RunLock
from runtime.run_text import write_text
from runtime.signals import Interrupted
from runtime.step_plan import NoProfiler
from runtime.stop import StopOnSignal


def build(
    request: Request,
    *,
    callbacks: Sequence[Callback] = (),
    folder: Path | None = None,
    with_trainer: bool = True,
    started: float | None = None,
) -> "Run":
    """Read the settings of a request and make its objects.

    Args:
        callbacks: added to those of the config and of every run.
        folder: of the run; default: the next `runs/<experiment>/version_N`.
        with_trainer: False leaves out callbacks, loggers and Trainer, and makes no folder.
        started: `time.perf_counter()` when the program began; default: now.

    Raises:
        UsageError: for settings that cannot work; then nothing is left behind.
    """
    prepare_process()
    return Run(
        request,
        callbacks=callbacks,
        folder=folder,
        with_trainer=with_trainer,
        started=started or time.perf_counter(),
    )


class Run(LightningCLI):
    """One command with all its objects: `settings`, `model`, `datamodule`, `trainer`, `checkpoint` and `folder`.

    The methods of `LightningCLI` are called in the order in which they appear here.
    """

    def __init__(
        self,
        request: Request,
        *,
        callbacks: Sequence[Callback],
        folder: Path | None,
        with_trainer: bool,
        started: float,
    ) -> None:
        self.request = request
        self.added_callbacks = callbacks
        self.folder = folder or request.run_folder or Path()  # of a new run, chosen once its model exists
        self.with_trainer = with_trainer
        self.started = started
        self.start_up = math.nan  # seconds until the first step is done
        self.checkpoint: dict[str, Any] | None = None
        self.changed: Changed = {}  # settings other than those with which the checkpoint was written
        self.end: End | None = None  # how the training ended
        self.is_finished = False  # whether it had ended before
        self.lock = RunLock()
        self._claims_folder = folder is None and request.run_folder is None
        self._claimed = False
        self._kept: set[Path] | None = None  # what an older run's folder held before
        with self._nothing_left_behind():
            super().__init__(
                args=request.args[1:],
                run=False,
                trainer_class=RunTrainer,
                parser_class=Parser,
                parser_kwargs={"prog": f"train.py {request.command}", "imports": request.imports},
                seed_everything_default=42,
                auto_configure_optimizers=False,
                save_config_callback=None,
                trainer_defaults={"max_epochs": 10, "deterministic": "warn", "logger": None},
            )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the flags of this project, and the arguments of the Trainer's method."""
        add_flags(parser)
        command = self.request.command
        link_to_data(parser, command, self.request.args[1:])
        parser.add_method_arguments(Trainer, command, skip=set(self.subcommands()[command]))
        if command in ("validate", "test"):
            parser.set_defaults(verbose=False)  # the summary table has the same figures

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Read the words, then the checkpoint they name; both must be valid before any class is made."""
        super().parse_arguments(parser, args)
        if self.resumed:
            self.end = recorded_end(self.folder)
            self.is_finished = has_ended(self.end, self.settings.trainer)
            if not self.is_finished:
                self.lock.acquire(self.folder, was_restarted=self.request.job_file is not None)
            self.settings.ckpt_path = str(newest_valid(self.folder))
        if self.request.run_folder:
            self._kept = set(self.folder.rglob("*"))
        if path := self.settings.get("ckpt_path"):
            self.checkpoint = read_checkpoint(Path(path))
        elif self.request.command == "fit":
            checks.find_pretrained(self.settings.model)
        checks.check_settings(self.settings, self.checkpoint)
        self.changed = changed_settings(self)
        self.purge_step = first_step_to_log(self.checkpoint) if self.resumed and self.checkpoint else None

    @property
    def settings(self) -> Namespace:
        """The config."""
        return self.config

    @property
    def resumed(self) -> bool:
        """Whether `fit` continues in the folder of an earlier run."""
        return self.request.command == "fit" and self.request.run_folder is not None

    def instantiate_classes(self) -> None:
        """Make model, data and Trainer."""
        if self.request.command == "fit" and self.checkpoint is None:  # a checkpoint has its own rate
            checks.check_learning_rate(self.settings.model, self.request.args)
        super().instantiate_classes()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer | None:
        """Check what needs the model, claim the run's folder, and add what every run has."""
        checks.check_checkpoint(self)
        check_objects(self)
        if not self.with_trainer or self.is_finished:
            return None
        config = self.config_init.trainer
        config.callbacks = not_switched_off(as_list(config.callbacks), self.settings)
        checks.check_trainer(config)
        checks.check_callbacks(config.callbacks)
        checks.check_monitor(self)
        if self._claims_folder:
            self.claim_folder()
        check_leftovers(Path(config.default_root_dir or self.folder))
        own = callbacks_of(self, config.callbacks)
        if self.request.command == "fit":
            own.append(AfterFirstStep(self._first_step_done))
        self.trainer_defaults["callbacks"] = [*own, *self.added_callbacks]
        kwargs["logger"] = all_loggers(config.logger, self.new_loggers, self.folder)
        kwargs["plugins"] = plugins_of(config.plugins)
        kwargs["profiler"] = NoProfiler() if config.profiler is None else config.profiler
        kwargs["default_root_dir"] = config.default_root_dir or self.folder
        kwargs["enable_model_summary"] = False  # this project has its own
        trainer = super().instantiate_trainer(**kwargs)
        checks.check_cluster(trainer)
        prepare(self, trainer)
        return trainer

    def check_words(self, words: Sequence[str]) -> None:
        """Refuse invalid words of another run of this command, without building it."""
        checks.check_learning_rate(self.parser.parse_args(list(words)).model, words)

    def __deepcopy__(self, memo: Any) -> "Run":
        return self  # a model's factories refer to it, and a copied model is of the same run

    def variant(self, config: Namespace) -> "Run":
        """The same command and data with another config, without Trainer; the parser, slow to make, is the same."""
        other = copy.copy(self)
        other.with_trainer = False
        other.instantiate_anew(config)
        other.datamodule = self.datamodule
        return other

    def instantiate_anew(self, config: Namespace) -> None:
        """Make the model and data of another config."""
        self.config = config
        self.__dict__.pop("config_dump", None)
        self._add_instantiators()
        self.instantiate_classes()

    def _dump_config(self) -> None:
        """Set the config from which a model takes its hyper-parameters; unlike Lightning, do not validate it again."""
        if not hasattr(self, "config_dump"):
            self.config_dump = as_plain_values(self.parser, self.config)

    def claim_folder(self) -> None:
        """Make the folder of a new run; not earlier, so that a wrong flag leaves none behind."""
        if self.settings.trainer.fast_dev_run:
            self.folder = Path(tempfile.gettempdir())
            return  # nothing is written
        name = self.settings.run_name or self.request.experiment
        checks.check_run_name(name)
        self.settings.run_name = name or self.settings.model.class_path.split(".")[-1]
        self.folder = new_run_folder(self.settings.run_name, rank_zero_only.rank)
        self.lock.acquire(self.folder)
        self._claimed = True
        if self.request.job_file is not None:
            note_run(self.request.job_file, self.folder)

    def new_loggers(self) -> list[Any]:
        """See `loggers_of`."""
        return loggers_of(self)

    def fit(self) -> None:
        """Train.

        Raises:
            Interrupted: if a signal requested it; the run is saved first.
        """
        for each in (self.model, *self.trainer.callbacks):
            skip_empty_hooks(each)
        if not self.resumed:
            with self._nothing_left_behind():
                self.save_config()
        with self.lock:
            with launch(self):
                self._call_trainer("fit")
            self.end = record_end(self.trainer, self.folder)
        for callback in self.trainer.callbacks:  # a signal that came too late still ends the process
            if isinstance(callback, StopOnSignal) and callback.signum is not None:
                raise Interrupted(callback.signum, self.folder)

    def validate(self) -> None:
        """Measure the metrics of the validation split."""
        self._call_trainer("validate", verbose=self.settings.get("verbose", False))

    def test(self) -> None:
        """Measure the metrics of the test split; after `fit`, with the weights of its last step."""
        self._call_trainer("test", verbose=self.settings.get("verbose", False))

    def predict(self) -> None:
        """Write predictions.csv."""
        self._call_trainer("predict", return_predictions=self.settings.get("return_predictions"))

    def _call_trainer(self, method: str, **options: Any) -> None:
        # as an argument it would be unknown in `setup`
        self.trainer.ckpt_path = self.settings.ckpt_path if method == self.request.command else None
        with self._nothing_left_behind():
            getattr(self.trainer, method)(
                self.model,
                datamodule=self.datamodule,
                weights_only=True,  # checkpoints never run code
                **options,
            )

    def _first_step_done(self) -> None:
        """Note the time. A resumed run keeps new flags only if they work, so its config is saved now."""
        self.start_up = time.perf_counter() - self.started
        if self.resumed:
            forget_end(self.folder)
            self.save_config()
        write_text(self.trainer, self.folder)

    def save_config(self) -> None:
        """Write config.yaml and run.json into the run's folder; a kill leaves the old files."""
        save_settings(self)

    @contextlib.contextmanager
    def _nothing_left_behind(self) -> Iterator[None]:
        """Remove what was written if the run fails before the first step."""
        try:
            yield
        except Exception:
            self.lock.release()
            if rank_zero_only.rank == 0 and math.isnan(self.start_up) and (self._claimed or self._kept):
                discard(self.folder, self._kept)
            raise
