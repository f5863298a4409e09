"""`train.py compare RUN_A RUN_B`: is the difference between two runs real, or would chance bring it about?

Both networks answer the same test rows, so the comparison is paired, which sees smaller differences than two separate
figures do. It is about these two trained networks: what another seed would give is not in it (Dietterich 1998,
https://doi.org/10.1162/089976698300017197).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jsonargparse import Namespace
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from callbacks.predictions import PredictionWriter
from cli.arguments import Request
from cli.errors import UsageError
from cli.lightning import LightningInside
from cli.paired import mcnemar_exact, paired_t, tango_interval
from cli.tables import number, print_table
from datamodules.base import TensorDataModule
from lit_models.base import LitModel


@dataclasses.dataclass(frozen=True)
class Answers:
    """What one network says to the rows of its test split.

    Args:
        checkpoint: the network's file.
        right: (N,) whether each class was predicted correctly; None where classes are not the task.
        errors: (N,) mean squared error of each row, in the units of the metrics; None where classes are the task.
        truth: (N, ...) what should have been answered.
        names: of the input columns, where the data module has them.
        inputs: (N, ...) as they come from the source, where the data module keeps them.
        trained_on: whether the network was trained on these very rows.
    """

    checkpoint: str
    right: Tensor | None
    errors: Tensor | None
    truth: Tensor
    names: Any
    inputs: Tensor | None
    trained_on: bool


class Collector(Callback):
    """Keeps the predictions and the truth of every batch that has both."""

    def __init__(self) -> None:
        self.batches: list[dict[str, Tensor]] = []

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *args: Any
    ) -> None:
        columns = dict(outputs) if isinstance(outputs, Mapping) else {"prediction": outputs}
        truth = batch[1]
        if isinstance(pl_module, LitModel):
            truth = pl_module.task.truth(pl_module.target(*batch))
        self.batches.append({name: values.cpu() for name, values in {**columns, "truth": truth}.items()})


class OnTestSplit(LightningInside):
    """`predict`, on the rows of `test`, and nothing is written."""

    def __init__(self, request: Request) -> None:
        self.collector = Collector()
        super().__init__(request)

    def _own_callbacks(self, config: Namespace) -> list[Callback]:
        usual = super()._own_callbacks(config)
        return [*(each for each in usual if not isinstance(each, PredictionWriter)), self.collector]

    def before_predict(self) -> None:
        if self.datamodule is None:
            raise UsageError(f"{self.folder} has no data module, so its test rows are unknown")
        self.datamodule.predict_dataloader = self._test_dataloader

    def _test_dataloader(self) -> Any:
        self.datamodule.setup("test")  # Lightning has prepared the data of `predict` only
        return self.datamodule.test_dataloader()

    def after_predict(self) -> None:
        """No table of predictions."""

    def answers(self) -> Answers:
        """What was collected."""
        batches = self.collector.batches
        columns = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
        right, errors = score(columns, self.settings.ckpt_path)
        splits = self.datamodule.splits if isinstance(self.datamodule, TensorDataModule) else {}
        inputs = splits["test"][0] if splits else None
        return Answers(
            checkpoint=str(self.settings.ckpt_path),
            right=right,
            errors=errors,
            truth=columns["truth"],
            names=getattr(self.datamodule, "features", None),
            inputs=inputs,
            trained_on=inputs is not None and "train" in splits and same(inputs, splits["train"][0]),
        )


def score(columns: Mapping[str, Tensor], checkpoint: str) -> tuple[Tensor | None, Tensor | None]:
    """Whether each class was predicted correctly (N,), or the mean squared error of each row (N,)."""
    if "mse" in columns:
        return None, columns["mse"]
    truth, prediction = columns["truth"], columns.get("prediction")
    if prediction is None or prediction.numel() != truth.numel():
        raise UsageError(
            f"{checkpoint}: its predict_step returns neither `prediction`, of the shape of the targets, "
            "nor an error per row, `mse`; there is nothing to compare"
        )
    if not prediction.is_floating_point():
        return prediction == truth, None
    squares = (prediction.reshape(truth.shape) - truth).square()
    return None, squares.reshape(len(truth), -1).mean(1)


def compare(first: Request, second: Request) -> None:
    """Let both runs predict, then print one table and one sentence."""
    a, b = (OnTestSplit(request).answers() for request in (first, second))
    check_same_rows(a, b)
    rows = {"A": a.checkpoint, "B": b.checkpoint, "test rows": str(len(a.truth))}
    if a.trained_on or b.trained_on:
        rows["note"] = "trained on these rows: this says how well they fit, not how well they predict"
    results, sentence = compare_classes(a, b) if a.right is not None else compare_errors(a, b)
    print_table("compare", rows | results)
    print(f"\n{sentence}")


def check_same_rows(a: Answers, b: Answers) -> None:
    """Refuse two runs that do not answer the same questions."""
    names = f"{a.checkpoint} and {b.checkpoint}"
    if (a.right is None) != (b.right is None):
        raise UsageError(f"{names} cannot be compared: one predicts classes, the other numbers")
    if len(a.truth) != len(b.truth):
        raise UsageError(
            f"{names} have other test rows, {len(a.truth)} and {len(b.truth)}; "
            "give both the same data options, such as --data.classes or --data.missing"
        )
    same_inputs = a.inputs is None or b.inputs is None or a.names != b.names or same(a.inputs, b.inputs)
    if not same(a.truth, b.truth) or not same_inputs:
        raise UsageError(
            f"{names} have {len(a.truth)} test rows each, but not the same ones, or with other labels or units; "
            "give both the same data options, such as --data.fold, --data.data_seed or --data.normalize"
        )


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors agree to float32 rounding; missing values agree with each other."""
    return a.shape == b.shape and bool(torch.isclose(a.double(), b.double(), rtol=1e-5, equal_nan=True).all())


def compare_classes(a: Answers, b: Answers) -> tuple[dict[str, str], str]:
    """The table's rows and the sentence about the difference in accuracy."""
    assert a.right is not None
    assert b.right is not None
    num_rows = len(a.right)
    only_a, only_b = int((a.right & ~b.right).sum()), int((~a.right & b.right).sum())
    p_value = mcnemar_exact(only_a, only_b)
    low, high = (100 * limit for limit in tango_interval(only_a, only_b, num_rows))
    difference = 100 * (only_b - only_a) / num_rows
    rows = {
        "accuracy of A": number(float(a.right.double().mean())),
        "accuracy of B": number(float(b.right.double().mean())),
        "only A is right": str(only_a),
        "only B is right": str(only_b),
        "both are right": str(int((a.right & b.right).sum())),
        "both are wrong": str(int((~a.right & ~b.right).sum())),
        "accuracy of B - A": f"{difference:+.2f} percentage points",
        "95 % confidence interval": f"{low:+.2f} to {high:+.2f} (Tango's score interval)",
        "McNemar's exact test": p_text(p_value),
    }
    amount = f"{abs(difference):.2f} percentage points more accurate"
    interval = f"95 % confidence interval of B - A {low:+.2f} to {high:+.2f}, McNemar's exact test"
    return rows, say(difference, amount, interval, p_value)


def compare_errors(a: Answers, b: Answers) -> tuple[dict[str, str], str]:
    """The table's rows and the sentence about the difference in mean squared error."""
    assert a.errors is not None
    assert b.errors is not None
    differences = (b.errors.double() - a.errors.double()).numpy()
    p_value, (low, high) = paired_t(differences)
    mean = float(np.mean(differences))
    rows = {
        "mse of A": number(float(a.errors.double().mean())),
        "mse of B": number(float(b.errors.double().mean())),
        "mse of B - A": f"{mean:+.4g}",
        "95 % confidence interval": f"{low:+.4g} to {high:+.4g} (Student, paired rows)",
        "paired t-test": p_text(p_value),
    }
    interval = f"95 % confidence interval of B - A {low:+.4g} to {high:+.4g}, paired t-test"
    return rows, say(-mean, f"more exact by a mean squared error of {abs(mean):.4g}", interval, p_value)


def say(gain: float, amount: str, interval: str, p_value: float) -> str:
    """One sentence; the test decides, at the level of 5 %."""
    better, worse = ("B", "A") if gain > 0 else ("A", "B")
    if gain == 0:
        return f"No difference: A and B do equally well ({interval} {p_text(p_value)})."
    if p_value < 0.05:
        return f"The difference is real: {better} is {amount} than {worse} ({interval} {p_text(p_value)})."
    return (
        f"The difference may be chance: {better} is {amount} than {worse}, but two equally good networks "
        f"would differ as much with probability {p_value:.2g} ({interval} {p_text(p_value)})."
    )


def p_text(p_value: float) -> str:
    """A p-value with two digits; what rounds to 0 is still above it."""
    return f"p = {p_value:.2g}" if p_value > 1e-300 else "p < 1e-300"
