"""Weights to begin with: what is loaded under which name, when, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lit_models import LitMLP
from lit_models.pretrained import load_pretrained, load_weights, matching
from tests.lit_models.cases import CASES, make, make_loader, make_trainer

CASE = "mlp-binary"  # layers.0 and layers.2


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A state_dict of `source()`."""
    torch.save(source().state_dict(), tmp_path / "source.pt")
    return tmp_path / "source.pt"


def source() -> nn.Module:
    torch.manual_seed(5)
    encoder = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16))
    return nn.ModuleDict({"encoder": encoder, "head": nn.Linear(16, 4)})


def target(classes: int = 4, prefix: str = "encoder") -> nn.Module:
    torch.manual_seed(6)
    return nn.ModuleDict(
        {
            prefix: nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16)),
            "head": nn.Linear(16, classes),
        }
    )


def same(model: nn.Module, other: nn.Module, names: dict[str, str]) -> bool:
    ours, theirs = model.state_dict(), other.state_dict()
    return all(torch.equal(ours[name], theirs[source]) for source, name in names.items())


def test_what_has_the_same_name_is_loaded(file: Path) -> None:
    model = target()
    model["more"] = nn.Linear(2, 2)
    before = model["more"].weight.clone()
    report = load_weights(model, file)
    assert same(model, source(), {name: name for name in source().state_dict()})
    assert torch.equal(model["more"].weight, before)
    assert (
        report
        == f"9 of the 9 tensors in {file} are loaded; the model's more.weight, more.bias begin at random"
    )


def test_parts_are_loaded_under_other_names(file: Path) -> None:
    model = target(classes=7, prefix="backbone")
    head = model["head"].weight.clone()
    report = load_weights(model, file, {"encoder.*": "backbone.*"})
    expected = {name: name.replace("encoder", "backbone") for name in source().state_dict() if "enc" in name}
    assert len(expected) == 7
    assert same(model, source(), expected)
    assert torch.equal(model["head"].weight, head)
    assert (
        report
        == f"7 of the 9 tensors in {file} are loaded; the model's head.weight, head.bias begin at random"
    )


def test_what_is_null_is_left_out(tmp_path: Path) -> None:
    torch.save(source().state_dict(), tmp_path / "whole.pt")
    model = nn.ModuleDict({"net": target(classes=7)})
    head = model["net"]["head"].weight.clone()
    load_weights(model, tmp_path / "whole.pt", {"head.*": None, "*": "net.*"})
    assert torch.equal(model["net"]["encoder"][0].weight, source()["encoder"][0].weight)
    assert torch.equal(model["net"]["head"].weight, head)


def test_names_with_another_prefix_are_named(file: Path) -> None:
    with pytest.raises(ValueError, match=r'such as \{"\*": "net\.\*"\}'):
        load_weights(nn.ModuleDict({"net": target()}), file)


def test_the_first_pattern_decides_and_prefixes_can_be_taken_off(tmp_path: Path) -> None:
    weights = {f"module.{name}": value for name, value in source().state_dict().items()}
    torch.save(weights, tmp_path / "wrapped.pt")
    model = target()
    model["other"] = nn.Linear(16, 4)
    report = load_weights(model, tmp_path / "wrapped.pt", {"module.head.*": "other.*", "module.*": "*"})
    assert torch.equal(model["other"].weight, source()["head"].weight)
    assert torch.equal(model["encoder"][0].weight, source()["encoder"][0].weight)
    assert report.endswith("the model's head.weight, head.bias begin at random")


@pytest.mark.parametrize(
    ("name", "pattern", "part"),
    [
        ("encoder.0.weight", "encoder.*", "0.weight"),
        ("encoder.0.weight", "*.weight", "encoder.0"),
        ("encoder.0.weight", "encoder.*.weight", "0"),
        ("encoder.0.weight", "encoder.0.weight", ""),
        ("encoder.0.weight", "head.*", None),
        ("encoder.weight", "encoder.*.weight", None),
        ("encoder", "encoder.*", None),
        ("my[0].weight", "my[0].*", "weight"),
    ],
)
def test_what_a_pattern_matches(name: str, pattern: str, part: str | None) -> None:
    assert matching(name, pattern) == part


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (None, r"head.weight has shape \[4, 16\] in .*source.pt, but head.weight has \[7, 16\] in the model"),
        ({"encodr.*": "encoder.*"}, r"'encodr\.\*', which matches no tensor of .*; one is called 'encoder"),
        (
            {"encoder.*": "backbone.*"},
            r"makes 'backbone.0.weight' of 'encoder.0.weight', which the model does",
        ),
        ({"encoder.*": "encoder"}, r"both take one \*, or neither"),
        ({"*.0.*": "*.0.*"}, r"both take one \*, or neither"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_loaded(parts: Any, message: str, file: Path) -> None:
    model = target(classes=7)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        load_weights(model, file, parts)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Code:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("ran"),))


def test_files_that_are_none_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Code()}, "code.pt")
    torch.save([1, 2], "list.pt")
    torch.save({"state_dict": {"odd.weight": torch.zeros(2)}}, "odd.ckpt")
    Path("text.pt").write_text("no weights")
    Path("empty").mkdir()
    for name, message in {
        "missing.pt": "missing.pt, which does not exist",
        "empty": "empty, which is a folder without a checkpoint",
        "code.pt": "may carry code",
        "list.pt": "holds no weights",
        "text.pt": "text.pt",
        "odd.ckpt": "has no tensor with a name of this model",
    }.items():
        with pytest.raises(ValueError, match=message):
            load_weights(target(), name)
    assert not Path("ran").exists()


def test_a_run_is_its_best_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    last, best = target(), source()
    torch.save({"state_dict": last.state_dict()}, folder / "last.ckpt")
    model = target()
    assert str(folder / "last.ckpt") in load_weights(model, tmp_path)
    torch.save({"state_dict": best.state_dict()}, folder / "best.ckpt")
    assert str(folder / "best.ckpt") in load_weights(model, tmp_path)
    assert same(model, best, {name: name for name in best.state_dict()})


def weights_of(case: str, seed: int) -> dict[str, Tensor]:
    cls, arguments = CASES[case]
    torch.manual_seed(seed)
    return cls(**arguments).state_dict()


def test_a_training_begins_with_them_and_other_stages_do_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = weights_of(CASE, seed=9)
    torch.save(saved, tmp_path / "saved.pt")
    model = make(CASE, pretrained=str(tmp_path / "saved.pt"), frozen=["layers.0.*"])
    first = {name: value.clone() for name, value in model.state_dict().items()}
    make_trainer(tmp_path).test(model, make_loader(CASE), verbose=False)
    assert all(torch.equal(value, first[name]) for name, value in model.state_dict().items())
    trainer = make_trainer(tmp_path, max_epochs=1)
    trainer.fit(model, make_loader(CASE), make_loader(CASE))
    assert "4 of the 4 tensors in" in capsys.readouterr().out
    assert torch.equal(model.state_dict()["layers.0.weight"], saved["layers.0.weight"])
    trainer.save_checkpoint(tmp_path / "run.ckpt")

    (tmp_path / "saved.pt").unlink()
    again = LitMLP.load_from_checkpoint(tmp_path / "run.ckpt", weights_only=True)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in again.state_dict().items())
    make_trainer(tmp_path).test(again, make_loader(CASE), verbose=False)
    resumed = make_trainer(tmp_path, max_epochs=2)
    resumed.ckpt_path = tmp_path / "run.ckpt"
    resumed.fit(again, make_loader(CASE), make_loader(CASE), weights_only=True)
    assert "loaded from" not in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"saved.pt, which does not exist"):
        make_trainer(tmp_path).fit(make(CASE, pretrained=str(tmp_path / "saved.pt")), make_loader(CASE))


class Plain(pl.LightningModule):
    """A module from elsewhere, with one line for its weights."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.backbone = nn.Linear(5, 1)

    def setup(self, stage: str) -> None:
        load_pretrained(self, stage, self.path, {"layer.*": "backbone.*"})

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        return self.backbone(batch[0]).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def test_any_module_can_load_them(tmp_path: Path) -> None:
    layer = nn.Linear(5, 1)
    torch.save({f"layer.{name}": value for name, value in layer.state_dict().items()}, tmp_path / "layer.pt")
    model = Plain(str(tmp_path / "layer.pt"))
    make_trainer(tmp_path, max_epochs=1).fit(model, make_loader(CASE))
    assert torch.equal(model.backbone.weight, layer.weight)
