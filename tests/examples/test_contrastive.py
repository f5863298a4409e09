"""The loss by its formula, and what a linear layer makes of the codes, compared with scikit-learn."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression

from cli.build import Run, build
from cli.new import EXAMPLES
from cli.request import prepare
from examples.contrastive.model import nt_xent
from tests.examples.figures import QUIET

PROBE = EXAMPLES / "contrastive" / "linear_probe.yaml"


def test_the_loss_by_its_formula() -> None:
    """Equation 1 of the paper, view by view."""
    torch.manual_seed(0)
    z, temperature = torch.randn(10, 6), 0.3
    total = 0.0
    for i in range(10):
        partner = (i + 5) % 10
        similar = [math.exp(float(F.cosine_similarity(z[i], z[k], dim=0)) / temperature) for k in range(10)]
        total -= math.log(similar[partner] / (sum(similar) - similar[i]))
    assert float(nt_xent(z, temperature)) == pytest.approx(total / 10, rel=1e-5)


def accuracy_of_probe(data: str, *flags: str) -> tuple[Run, float]:
    trained = build(prepare(["fit", f"--config={PROBE}", data, *QUIET, "--checkup=false", *flags]))
    trained.fit()
    run = build(prepare(["test", f"--ckpt_path={trained.folder}", *QUIET]))
    run.test()
    return run, float(run.trainer.callback_metrics["test/accuracy"])


def test_a_hundred_steps_without_labels_make_better_codes(
    full_mnist_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = f"--data.data_dir={full_mnist_dir}"
    short = ["--trainer.limit_train_batches=100", "--checkup=false", "--diagnostics=false"]
    pretrained = build(
        prepare(["fit", f"--config={EXAMPLES}/contrastive/contrastive.yaml", data, *QUIET, *short])
    )
    pretrained.fit()
    run, accuracy = accuracy_of_probe(data)
    _, of_random_codes = accuracy_of_probe(
        data, "--model.pretrained=null", "--model.pretrained_parts=null", "--run_name=random"
    )
    assert accuracy > of_random_codes + 0.05

    encoder = run.model.encoder.eval()
    for name, value in pretrained.model.encoder.state_dict().items():
        assert torch.equal(encoder.state_dict()[name], value)
    codes = {}
    for split in ("train", "test"):
        x, y = run.datamodule.splits[split]
        with torch.no_grad():
            codes[split] = encoder(run.datamodule.transform_batch(x)), y
    reference = LogisticRegression(max_iter=2000).fit(*codes["train"]).score(*codes["test"])
    assert accuracy == pytest.approx(reference, abs=0.04)
