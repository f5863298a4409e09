"""A new head on an old backbone: what is loaded, at which rate it learns, and that the old run is not needed again."""

import shutil
from pathlib import Path

import pytest
import torch
from torchvision.models import ShuffleNet_V2_X0_5_Weights, shufflenet_v2_x0_5

from cli.build import Run, build
from cli.new import EXAMPLES
from cli.request import prepare
from tests.examples.figures import QUIET

FOLDER = EXAMPLES / "fine_tuning"
SHORT = [
    "--checkup=false",
    "--diagnostics=false",
    "--trainer.limit_train_batches=2",
    "--trainer.max_epochs=1",
]


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def trained(config: str, mnist_dir: str, *flags: str) -> Run:
    words = [
        f"--config={FOLDER / config}",
        f"--data.data_dir={mnist_dir}",
        "--data.num_val=40",
        *QUIET,
        *SHORT,
    ]
    run = build(prepare(["fit", *words, "--data.subset=100", "--data.batch_size=16", *flags]))
    run.fit()
    return run


def test_the_backbone_comes_from_the_task_before(mnist_dir: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = trained("pretraining.yaml", mnist_dir)
    capsys.readouterr()
    after = trained("fine_tuning.yaml", mnist_dir, "--model.pretrained=pretraining", "--model.optimizer.lr=0")
    printed = capsys.readouterr().out
    assert "head.weight, head.bias begin at random" in printed
    saved = torch.load(before.folder / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    for name, value in after.model.named_parameters():
        assert torch.equal(value, saved[name]) == name.startswith("backbone."), name

    shutil.rmtree("runs/pretraining")
    build(prepare(["test", str(after.folder), *QUIET])).test()
    assert "loaded from" not in capsys.readouterr().out


def test_the_backbone_learns_at_a_tenth_of_the_rate_and_norms_do_not_decay(mnist_dir: str) -> None:
    run = trained("fine_tuning.yaml", mnist_dir)
    settings = {
        id(p): (group["initial_lr"], group["weight_decay"])
        for group in run.trainer.optimizers[0].param_groups
        for p in group["params"]
    }
    for name, parameter in run.model.named_parameters():
        rate = 0.001 if name.startswith("backbone.") else 0.01
        decay = 0.05 if parameter.ndim > 1 else 0.0
        assert settings[id(parameter)] == (pytest.approx(rate), decay), name


def test_weights_of_torchvision_are_loaded_when_a_training_begins(
    mnist_dir: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = shufflenet_v2_x0_5().state_dict()  # in the place of ImageNet's, which would be downloaded
    monkeypatch.setattr(ShuffleNet_V2_X0_5_Weights, "get_state_dict", lambda self, **_: saved)
    run = trained("fine_tuning.yaml", mnist_dir, "--model.weights=DEFAULT", "--model.optimizer.lr=0")
    for name, value in run.model.backbone.named_parameters():
        assert torch.equal(value, saved[name])
