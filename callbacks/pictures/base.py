"""Picture: what all kinds of pictures share: when they are drawn, on which batch, and where they go.

A kind of picture is a file in this folder, or a class of one's own anywhere (docs/pictures.md). It has a subclass of
`Picture`, which says what it suits and which figures it has, and plain functions that make the figures:

    class DecisionPlane(Picture):
        how_to_read: ClassVar = {"fit/plane": "A dot on the other color is a sample that the network gets wrong."}

        def suits(self, pl_module, data):
            return spec_of(data).in_shape == (2,)

        def figures(self, pl_module, data, batch):
            x, y, *_ = batch
            yield "fit/plane", draw_plane(x.cpu().numpy(), pl_module(x).cpu().numpy())

The figure's `suptitle` is its title; the number of steps trained so far is added to it. matplotlib is only imported
where a figure is made, so that a run that draws nothing need not wait for it.
"""

from __future__ import annotations

import contextlib
import copy
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.model_helpers import is_overridden
from pytorch_lightning.utilities.rank_zero import rank_zero_warn
from pytorch_lightning.utilities.seed import isolate_rng

from callbacks.diagnostics.reduction import is_sharded
from callbacks.observing import Observing
from callbacks.pictures.no_outputs import NoOutputError, has_positions, why_no_outputs
from callbacks.pictures.own_pictures import keep_how_to_read
from callbacks.pictures.style import drawing, to_png
from callbacks.steps import steps_done
from callbacks.tensorboard import write_image, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_DRAWINGS = 5  # including the first, before training, and the last; TensorBoard keeps ten images per tag


class Picture(pl.Callback):
    """Draws before training, after a few epochs (further and further apart), and at the end.

    The network runs in eval mode, without gradients, on rank zero, on one validation batch that stays the same;
    random states stay unchanged. If drawing fails, there is one warning, and training continues without this picture. A
    full disk is another matter: the picture itself is sound, and the run can draw it when it is resumed.

    Args:
        folder: for the PNG files; default: `pictures` in the folder of the Trainer's first logger.

    Raises:
        OSError: while training, if the system cannot write a picture.

    `seconds` is the time spent so far.
    """

    how_to_read: ClassVar[
        Mapping[str, str]
    ] = {}  # one or two plain sentences for each tag; a tag may hold a *
    only_at_end = False  # True if it shows nothing earlier, or takes long
    one_class_per_sample = (
        False  # True if it does not suit a class for each pixel or token, which only a batch shows
    )
    needs_batch = True  # False if it can be drawn without validation data, too; the batch is then None

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self.seconds = 0.0
        self.batch: Any = None  # the validation batch, while training
        self.why_skipped = ""  # what the network gives instead of outputs
        self._active = False

    # --- what a kind of picture is ---

    def suits(self, pl_module: pl.LightningModule, data: Any) -> bool:
        """Whether this kind of picture can be drawn for this model and data module (None: plain loaders)."""
        raise NotImplementedError

    def suits_batch(self, data: Any, batch: Any) -> bool:
        """Whether it suits this batch, too: for what a data module does not say, such as a class for each pixel."""
        return not (self.one_class_per_sample and has_positions(batch))

    def figures(
        self, pl_module: pl.LightningModule, data: Any, batch: Any
    ) -> Iterable[tuple[str, Figure | str]]:
        """TensorBoard's tag and the figure, or a text, for each figure; `batch` is on the model's device."""
        raise NotImplementedError

    # --- when ---

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage == "fit" and self.folder is None and trainer.loggers:
            folder = trainer.log_dir  # read here because every process must take part
            self.folder = Path(folder) / "pictures" if folder else None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seconds, self.batch = 0.0, None
        self._active = trainer.is_global_zero and not trainer.fast_dev_run
        self._active = self._active and bool(self._attempt(self.suits, pl_module, datamodule(trainer)))
        if self._active and any(is_sharded(p, trainer) for p in pl_module.parameters()):
            self._active = False
            rank_zero_warn("no pictures are drawn: each process holds only a part of the model")
        self._epochs = epochs_to_draw(num_epochs(trainer))
        if steps_done(trainer) == 0 and not self.only_at_end:
            self._draw(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch + 1 in self._epochs and not self.only_at_end:
            self._draw(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._draw(trainer, pl_module)
        self.batch = None

    # --- how ---

    def skip(self) -> None:
        """Never draw again."""
        self._active = False

    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._active:
            with evaluating(pl_module, trainer):
                self._attempt(self._draw_all, trainer, pl_module)

    def _attempt(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call the function and count the time; if it fails, warn and never draw again."""
        started = time.perf_counter()
        try:
            with Observing(self, "cannot be drawn", meant=(NoValidationError, NoOutputError)):
                return function(*args)
        except NoOutputError as error:
            self.skip()
            trainer, self.why_skipped = args[0], str(error)
            if [each.why_skipped for each in pictures_of(trainer)].count(self.why_skipped) == 1:
                rank_zero_warn(f"pictures of outputs are not drawn: {error}")
        except NotValidatedYetError:
            pass  # the next drawing finds the data, unless the training ends before
        except NoValidationError:
            self.skip()
            # the same words for all pictures, so that they are shown once
            rank_zero_warn("no pictures are drawn, as there are no validation data")
        finally:
            self.seconds += time.perf_counter() - started

    def _draw_all(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.batch is None:
            self.batch = self._find_batch(trainer)
        data = datamodule(trainer)
        if not self.suits_batch(data, self.batch):
            if self.batch is not None:
                self.skip()
            return
        step = steps_done(trainer)
        when = f"after {step:,} steps" if step else "before training"
        with drawing():
            for tag, figure in self._checked_figures(pl_module, data):
                if isinstance(figure, str):
                    write_text(trainer, tag, figure, step)
                    self._keep(tag, f"{step:06d}.txt", figure.encode())
                else:
                    figure.suptitle(f"{figure.get_suptitle()}, {when}")
                    self._write(trainer, tag, to_png(figure), step)

    def _find_batch(self, trainer: pl.Trainer) -> Any:
        """See `fixed_batch`; None without validation data, if the picture needs none."""
        try:
            return fixed_batch(trainer)
        except NoValidationError:
            if self.needs_batch:
                raise
            return None

    def _checked_figures(
        self, pl_module: pl.LightningModule, data: Any
    ) -> Iterator[tuple[str, Figure | str]]:
        """The figures; if they fail because the network gives no outputs for these data, all pictures say the same."""
        try:
            yield from self.figures(pl_module, data, self.batch)
        except Exception as error:
            if reason := why_no_outputs(pl_module, data, self.batch):
                raise NoOutputError(reason) from error
            raise

    def _write(self, trainer: pl.Trainer, tag: str, png: bytes, step: int) -> None:
        write_image(trainer, tag, png, step)
        self._keep(tag, f"{step:06d}.png", png)

    def _keep(self, tag: str, ending: str, content: bytes) -> None:
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / f"{tag.replace('/', '_')}_{ending}").write_bytes(content)
            keep_how_to_read(self.folder, tag, self.how_to_read)


class NoValidationError(Exception):
    """There is no validation batch to draw."""


class NotValidatedYetError(NoValidationError):
    """There is no validation batch before the first validation."""


def num_epochs(trainer: pl.Trainer) -> int | None:
    """How many epochs there will be; None if that is unknown."""
    limits = [trainer.max_epochs or -1]
    if trainer.max_steps > 0 and math.isfinite(trainer.num_training_batches):
        batches = trainer.max_steps * trainer.accumulate_grad_batches
        limits.append(math.ceil(batches / max(1, int(trainer.num_training_batches))))
    return min((limit for limit in limits if limit > 0), default=None)


def epochs_to_draw(total: int | None) -> set[int]:
    """The epochs, counted from 1, after which there is a picture, without the last, which is drawn at the end.

    Their ratio is constant, because the first epochs change most; if the end is unknown, they are 2, 4, 8, 16.
    """
    if total is None:
        return {2**k for k in range(1, 5)}
    return {round(total ** (k / (NUM_DRAWINGS - 1))) for k in range(1, NUM_DRAWINGS - 1)} - {total}


def datamodule(trainer: pl.Trainer) -> Any:
    """The Trainer's data module; None if it was given loaders."""
    return getattr(trainer, "datamodule", None)


def pictures_of(trainer: pl.Trainer) -> list[Picture]:
    """All pictures of a Trainer, including those in a `Gallery`."""
    groups = (getattr(callback, "pictures", [callback]) for callback in trainer.callbacks)
    return [each for group in groups for each in group if isinstance(each, Picture)]


def fixed_batch(trainer: pl.Trainer) -> Any:
    """The first validation batch, on the device; the loader used for training and validation is not touched.

    The pictures of one Trainer share it.

    Raises:
        NoValidationError: if nothing is validated.
        NotValidatedYetError: if Lightning makes the loaders only for the first validation, which is still to come.
    """
    for picture in pictures_of(trainer):
        if picture.batch is not None:
            return picture.batch
    data = datamodule(trainer)
    if data is not None and is_overridden("val_dataloader", data):
        loaders = data.val_dataloader()
    else:
        loaders = copy.copy(trainer.val_dataloaders)
    while isinstance(loaders, list | tuple | dict):  # if there are several, take the first
        loaders = next(iter(loaders.values() if isinstance(loaders, dict) else loaders), None)
    if loaders is None:
        raise NotValidatedYetError if trainer.enable_validation else NoValidationError
    batch = trainer.precision_plugin.convert_input(next(iter(loaders)))
    return as_parts(trainer.lightning_module, trainer.strategy.batch_to_device(batch))


def as_parts(pl_module: pl.LightningModule, batch: Any) -> Any:
    """Inputs and target of a dictionary, if the module's `unpack` says what they are; any other batch as it is."""
    unpack = getattr(pl_module, "unpack", None)
    if not isinstance(batch, Mapping) or unpack is None:
        return batch
    inputs, target, _ = unpack(batch)
    return inputs[0], target


@contextlib.contextmanager
def evaluating(pl_module: pl.LightningModule, trainer: pl.Trainer) -> Iterator[None]:
    """Eval mode, no gradients, the Trainer's precision; restores everything afterwards."""
    modes = {module: module.training for module in pl_module.modules()}
    with contextlib.ExitStack() as stack:
        stack.enter_context(isolate_rng())
        stack.enter_context(torch.no_grad())
        stack.enter_context(trainer.precision_plugin.forward_context())
        if "torch._dynamo" in sys.modules:  # otherwise nothing is compiled, and the import takes a second
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            pl_module.eval()
            yield
        finally:
            for module, mode in modes.items():
                module.training = mode
