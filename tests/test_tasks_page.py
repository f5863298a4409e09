"""Every code block of docs/tasks.md does what the page says."""

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import yaml
from sklearn.metrics import roc_auc_score
from torch.utils.data import DataLoader, TensorDataset

from cli import main
from lit_models import LitLinear, LitMLP
from lit_models.task_choice import make_task
from tests.lit_models.cases import make_trainer

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", PAGE, re.DOTALL)
CLASSES = {
    re.findall(r"^class (\w+)", text, re.MULTILINE)[0]: text for kind, text in BLOCKS if kind == "python"
}
TRIED = {"FlippedTogether", "Confidence", "Survey", "LitPacked", "Counts", "SickAndHeight"}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Gives a class of the page, from a module of that name in an importable folder."""
    monkeypatch.syspath_prepend(tmp_path)

    def import_from(module: str, name: str) -> Any:
        (tmp_path / f"{module}.py").write_text(CLASSES[name], encoding="utf-8")
        monkeypatch.delitem(sys.modules, module, raising=False)
        found: ModuleType = __import__(module)
        return getattr(found, name)

    return import_from


def test_no_block_is_left_out() -> None:
    assert set(CLASSES) == TRIED
    assert [kind for kind, _ in BLOCKS if kind != "python"] == ["", "yaml"]


def test_the_command_is_understood(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    words = next(text for kind, text in BLOCKS if not kind).split()[2:]
    assert main([*words, "--print_config"]) == 0


def test_image_and_mask_are_flipped_together(written: Any) -> None:
    data = written("flipped", "FlippedTogether")()
    torch.manual_seed(0)
    x = torch.rand(40, 1, 3, 4)
    flipped, mask = data.augment_parts((x, (x[:, 0] * 100).long()))
    assert torch.equal((flipped[:, 0] * 100).long(), mask)
    mirrored = [torch.equal(row, before.flip(-1)) for row, before in zip(flipped, x, strict=True)]
    assert 8 < sum(mirrored) < 32


def test_metrics_in_yaml(written: Any, tmp_path: Path) -> None:
    written("own_metrics", "Confidence")
    asked = yaml.safe_load(next(text for kind, text in BLOCKS if kind == "yaml"))
    torch.manual_seed(0)
    model = LitLinear(in_shape=[4], out_features=3, task="multiclass", **asked["model"]["init_args"])
    x, y = torch.randn(30, 4), torch.arange(30) % 3
    trainer = make_trainer(tmp_path)
    trainer.validate(model, DataLoader(TensorDataset(x, y), batch_size=7), verbose=False)
    with torch.no_grad():
        probability = model(x).softmax(1)
    measured = {name: value.item() for name, value in trainer.callback_metrics.items()}
    assert set(measured) == {
        "val/" + name
        for name in ("loss", "accuracy", "f1_score", "perplexity", "multiclass_cohen_kappa", "confidence")
    }
    assert measured["val/confidence"] == pytest.approx(probability.amax(1).mean().item())
    right, by_chance = (
        measured["val/accuracy"],
        sum(float((y == k).float().mean() * (probability.argmax(1) == k).float().mean()) for k in range(3)),
    )
    assert measured["val/multiclass_cohen_kappa"] == pytest.approx(
        (right - by_chance) / (1 - by_chance), abs=1e-6
    )


def test_rows_with_weights(written: Any, tmp_path: Path) -> None:
    data = written("survey", "Survey")(normalize=False)
    model = LitMLP(in_shape=[3], out_features=1, task="binary", hidden_sizes=[4])
    trainer = make_trainer(tmp_path)
    trainer.fit(model, data)
    x, y, people = data.splits["val"]
    with torch.no_grad():
        losses = torch.nn.functional.softplus(torch.where(y == 1, -1, 1) * model(x)[:, 0])
    expected = float((losses * people).sum() / people.sum())
    assert trainer.callback_metrics["val/loss"].item() == pytest.approx(expected, rel=1e-5)


def test_sequences_of_different_lengths(written: Any, tmp_path: Path) -> None:
    model = written("packed", "LitPacked")(in_shape=[7, 2], out_features=1, task="regression")
    x, y, lengths = torch.randn(12, 7, 2), torch.randn(12), torch.arange(12) % 6 + 1
    alone = torch.cat([model(row[None, :length]) for row, length in zip(x, lengths.tolist(), strict=True)])
    torch.testing.assert_close(model(x, lengths), alone)
    loader = DataLoader(TensorDataset(x, y, lengths), batch_size=5)
    trainer = make_trainer(tmp_path)
    trainer.fit(model, loader, loader)
    measured = trainer.callback_metrics["val/mse"].item()
    with torch.no_grad():
        expected = (model(x, lengths)[:, 0] - y).square().mean().item()
        predicted = torch.cat([batch["prediction"] for batch in trainer.predict(model, loader)])
    assert measured == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(predicted, model(x, lengths)[:, 0].detach())


def test_a_task_of_ones_own(written: Any) -> None:
    written("counts", "Counts")
    task = make_task("counts.Counts", out_features=1)
    logits, target = torch.tensor([[0.5], [1.0]]), torch.tensor([2.0, 3.0])
    losses = logits[:, 0].exp() - target * logits[:, 0]
    assert task.loss(logits, target).item() == pytest.approx(losses.mean().item())
    weight = torch.tensor([1.0, 3.0])
    assert task.mean_and_weight(logits, target, weight)[0].item() == pytest.approx(
        ((losses * weight).sum() / 4).item()
    )


def test_two_heads_with_two_terms(written: Any, tmp_path: Path) -> None:
    written("plants", "SickAndHeight")
    torch.manual_seed(0)
    model = LitLinear(in_shape=[4], out_features=2, task="plants.SickAndHeight")
    x = torch.randn(30, 4)
    target = torch.stack([(x[:, 0] > 0).float(), x[:, 1]], 1)
    loader = DataLoader(TensorDataset(x, target), batch_size=7)
    trainer = make_trainer(tmp_path, max_epochs=1, log_every_n_steps=1)
    trainer.fit(model, loader, loader)
    found = {name: value.item() for name, value in trainer.callback_metrics.items()}
    assert found["val/loss"] == pytest.approx(found["val/sick_loss"] + 0.5 * found["val/height_loss"])
    assert found["train/loss"] == pytest.approx(found["train/sick_loss"] + 0.5 * found["train/height_loss"])
    with torch.no_grad():
        sick, height = model(x).T
    assert found["val/height_mae"] == pytest.approx((height - target[:, 1]).abs().mean().item(), rel=1e-5)
    assert found["val/sick_auroc"] == pytest.approx(roc_auc_score(target[:, 0], sick), rel=1e-5)
