"""Mean teacher: the data, the teacher's weights step by step, and what the points without a label are worth."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from cli.build import build
from cli.new import EXAMPLES
from cli.request import prepare
from examples.teacher_student.data import UNLABELED, MoonsDataModule, draw_moons
from tests.examples.figures import QUIET, trained_and_tested

CONFIG = EXAMPLES / "teacher_student" / "teacher_student.yaml"


def test_points_lie_on_two_half_circles() -> None:
    points, label = draw_moons(400, 0.0, torch.Generator().manual_seed(0))
    for number, center, side in ((0, (0.0, 0.0), 1), (1, (1.0, 0.5), -1)):
        offset = points[label == number] - torch.tensor(center)
        torch.testing.assert_close(offset.norm(dim=1), torch.ones(200))
        assert (side * offset[:, 1] > -1e-6).all()


def test_few_points_have_a_label_and_they_are_repeated() -> None:
    x, y = MoonsDataModule(num_points=1000, num_labels=8, share=0.25).load()["train"]
    is_labeled = y != UNLABELED
    assert len(x[is_labeled].unique(dim=0)) == 8
    assert len(x[~is_labeled].unique(dim=0)) == 992
    assert float(is_labeled.float().mean()) == pytest.approx(0.25, abs=0.01)


class Noting(pl.Callback):
    """Notes the student's weights before the first step and after each."""

    def __init__(self) -> None:
        self.students: list[dict[str, torch.Tensor]] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        self._note(pl_module)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *_: Any) -> None:
        self._note(pl_module)

    def _note(self, pl_module: Any) -> None:
        self.students.append({name: value.clone() for name, value in pl_module.student.state_dict().items()})


def test_the_teacher_is_the_average_of_the_student(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    noting = Noting()
    words = ["fit", f"--config={CONFIG}", *QUIET, "--checkup=false", "--diagnostics=false"]
    run = build(prepare([*words, "--trainer.max_epochs=1"]), callbacks=[noting])
    run.fit()
    mean = noting.students[0]
    for student in noting.students[1:]:
        mean = {name: 0.99 * value + 0.01 * student[name] for name, value in mean.items()}
    saved = torch.load(run.folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
    for name, value in mean.items():
        torch.testing.assert_close(saved[f"teacher.{name}"], value, rtol=1e-5, atol=1e-6)
        assert not torch.equal(value, saved[f"student.{name}"])
    assert all(parameter.grad is None for parameter in run.model.teacher.parameters())


def test_points_without_a_label_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, with_teacher = trained_and_tested("teacher_student", "--checkup=false")
    _, alone = trained_and_tested(
        "teacher_student", "--checkup=false", "--model.consistency=0", "--run_name=alone"
    )
    assert with_teacher["accuracy"] > alone["accuracy"] + 0.05
