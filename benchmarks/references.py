"""What each experiment is compared with: scikit-learn, NumPy or a hand-written loop on the same rows.

A reference takes the run object of a trained run (its data module, model and trainer), and returns the source of the
figure, and the figure.
"""

import warnings
from collections.abc import Callable
from statistics import fmean

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from cli.build import Run
from datamodules import TitanicDataModule

Figures = dict[str, float]
Reference = Callable[[Run], tuple[str, float]]


def coefficient_error(cli: Run) -> Figures:
    """Largest difference between the model's coefficients, in table units, and the textbook solution's."""
    weight, bias = cli.datamodule.coefficients_in_table_units(cli.model.linear.weight, cli.model.linear.bias)
    ours = np.concatenate([weight.detach().numpy().ravel(), bias.detach().numpy().ravel()])
    return {"coefficient error": float(np.abs(ours - textbook_coefficients(cli)).max())}


def textbook_coefficients(cli: Run) -> np.ndarray:
    """Weights and intercept by maximum likelihood (scikit-learn, no penalty) or by least squares (NumPy)."""
    x, y = (part.double().numpy() for part in cli.datamodule.splits["train"])
    if cli.datamodule.task == "binary":
        fit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(x, y)
        return np.concatenate([fit.coef_.ravel(), fit.intercept_])
    return np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y, rcond=None)[0]


def textbook_loss(cli: Run) -> tuple[str, float]:
    """Log loss or mean squared error of `textbook_coefficients`."""
    x, y = (part.double() for part in cli.datamodule.splits["train"])
    coefficients = torch.from_numpy(textbook_coefficients(cli))
    logits = x @ coefficients[:-1] + coefficients[-1]
    if cli.datamodule.task == "binary":
        return "scikit-learn", float(torch.nn.functional.binary_cross_entropy_with_logits(logits, y))
    return "NumPy", float(torch.nn.functional.mse_loss(logits, y))


def sklearn_accuracy(make: Callable[[], object]) -> Reference:
    """Accuracy of a scikit-learn classifier on the training and validation rows of the last run."""

    def accuracy(cli: Run) -> tuple[str, float]:
        data = cli.datamodule
        (x_train, y_train), (x_val, y_val) = (
            (data.transform_batch(data.prepare_inputs(x)).flatten(1).numpy(), y.numpy())
            for x, y in (data.splits["train"], data.splits["val"])
        )
        with warnings.catch_warnings(action="ignore"):
            return "scikit-learn", float(make().fit(x_train, y_train).score(x_val, y_val))

    return accuracy


def sklearn_folds(cli: Run) -> tuple[str, float]:
    """Mean accuracy of scikit-learn's MLP over the same folds."""
    scores = []
    for seed in range(10):
        for fold in range(5):
            data = TitanicDataModule(split_seed=seed, fold=fold)
            data.setup()
            (x_train, y_train), (x_val, y_val) = (
                (data.prepare_inputs(x).numpy(), y.numpy())
                for x, y in (data.splits["train"], data.splits["val"])
            )
            with warnings.catch_warnings(action="ignore"):
                fit = MLPClassifier((32,), alpha=1.0, max_iter=200, random_state=0).fit(x_train, y_train)
            scores.append(float(fit.score(x_val, y_val)))
    return "scikit-learn's MLP", fmean(scores)


def hand_written_loop(metric: str) -> Reference:
    """The same network, data and seed, trained without Lightning in float32; its metric on the test split."""

    def train(cli: Run) -> tuple[str, float]:
        data, epochs = cli.datamodule, cli.trainer.max_epochs
        torch.manual_seed(42)
        skip = ("optimizer", "scheduler", "_class_path", "_instantiator")
        model = type(cli.model)(**{key: value for key, value in cli.model.hparams.items() if key not in skip})
        optimizer = cli.model.optimizer_factory(model.parameters())
        data.trainer = None
        loader = data.train_dataloader()
        scheduler = None
        if cli.model.scheduler_factory is not None:
            scheduler = cli.model.scheduler_factory(optimizer, total_steps=epochs * len(loader))
        for epoch in range(epochs):
            loader.set_epoch(epoch)
            for x, y in loader:
                loss = model.task.loss(model(x), model.target(x, y))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if scheduler is not None:
                    scheduler.step()
        model.eval()
        with torch.no_grad():
            for batch in data.test_dataloader():
                model.update_metrics(model.test_metrics, batch)
        return "hand-written loop", float(model.test_metrics[metric].compute())

    return train
