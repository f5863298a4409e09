"""Config files that are no YAML, or hold something in the wrong place or of the wrong type."""

from pathlib import Path

import pytest

from tests.bad_input.conftest import Refused
from tests.conftest import QUICK

LINES = QUICK.count("\n")
TABS = QUICK.replace("  class_path: lit", "\tclass_path: lit")
NO_CLASS = "model:\n  class_path: lit_models.LitMPL\ndata: TitanicDataModule\n"
MISPLACED = QUICK.replace("  init_args:\n    hidden_sizes: [4]\n", "  hidden_sizes: [4]\n  init_args:\n")
CODE = "model: !!python/object/apply:os.system ['touch owned']\n"


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


def changed(old: str, new: str) -> str:
    """quick.yaml with one part replaced."""
    assert old in QUICK
    return QUICK.replace(old, new)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds None, not settings such as `model:` and `data:`"),
        ("# nothing else\n", "holds None, not settings"),
        ("just words\n", "holds 'just words', not settings"),
        (BOMB, "has too many values, 4.4e+12 once its aliases are replaced"),
        ("model: &a [*a]\n", "has too many values, inf once its aliases"),
        ("- model\n- data\n", "holds ['model', 'data'], not settings"),
        ("model: [1, 2\n", "is not YAML: expected ',' or ']', but got '<stream end>' in line 2"),
        (TABS, "is not YAML: found character '\\t' that cannot start any token in line 3, column 1"),
        ("model: LitMLP\n---\ndata: TitanicDataModule\n", "found another document in line 2"),
        ("model: *nowhere\n", "found undefined alias 'nowhere' in line 1"),
        (CODE, "could not determine a constructor for the tag"),
        ("model: " + "[" * 3000 + "]" * 3000, "maximum recursion depth exceeded"),
        (QUICK.encode("utf-16"), "is not YAML: invalid start byte; save it as UTF-8"),
        (b"# caf\xe9\n", "is not YAML: invalid continuation byte; save it as UTF-8"),
        (b"model: LitMLP\0\n", "is not YAML: unacceptable character"),
        (bytes(range(256)), "is not YAML"),
        (QUICK + "trainer:\n  max_epochs: 1\n", f"has 'trainer' twice, the second time in line {LINES + 1}"),
        (changed("max_epochs: 2", "max_epochs: 2\n  max_epochs: 5"), "has 'max_epochs' twice"),
        (QUICK + "optimiser: Adam\n", "there is no setting 'optimiser'; did you mean 'model.optimizer'?"),
        (QUICK + "3: 4\n", "there is no setting '3'"),
        (MISPLACED, "model.hidden_sizes stands next to class_path"),
        (
            changed("trainer:\n", "trainer:\n  init_args:\n    max_steps: 3\n"),
            "did you mean 'trainer.max_steps'?",
        ),
        ("model: LitMLP\ntrainer: [1]\n", "trainer is [1], not settings such as `max_epochs: 10`"),
        ("model: LitMLP\ntrainer: fast\n", "trainer is 'fast', not settings"),
        ("trainer: {max_epochs: 1}\n", "the config has no model; add --model LitMLP"),
        ("model: LitMLP\n", "the config has no data; add --data TitanicDataModule"),
        (
            "model: 3\n",
            "model: expected a LightningModule, as its name or as class_path and init_args, not 3",
        ),
        ("model: [LitMLP]\n", "model: expected a LightningModule"),
        (NO_CLASS, "model: there is no 'LitMPL' in lit_models"),
        (changed("lit_models.LitMLP", "torch.nn.Linear"), "model: torch.nn.Linear is no LightningModule"),
        (
            changed("torch.optim.Adam", "torch.optim.Adamm"),
            "model.optimizer: there is no 'Adamm' in torch.optim",
        ),
        (changed("lr: 0.02", "lrr: 0.02"), "model.optimizer: there is no option 'lrr'; did you mean 'lr'?"),
        (changed("lr: 0.02", "lr: fast"), "model.optimizer.lr: expected float, not fast"),
        (changed("[4]", "{a: 4}"), "model.hidden_sizes: expected"),
        (changed("[male, Age]", "[male, age]"), "data.features: there is no 'age'; did you mean [male,Age]?"),
        (changed("max_epochs: 2", "max_epochs: two"), "trainer.max_epochs: expected int, not two"),
        (changed("accelerator: cpu", "acelerator: cpu"), "did you mean 'trainer.accelerator'?"),
        (changed("max_epochs: 2", "callbacks: [GradientMonitr]"), "did you mean 'GradientMonitor'?"),
    ],
)
def test_a_broken_config(content: str | bytes, message: str, refused: Refused, place: Path) -> None:
    (place / "bad.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    refused("fit --config bad.yaml", message)


def test_a_good_config_may_begin_with_a_byte_order_mark_and_repeat_itself_by_name(
    refused: Refused, place: Path
) -> None:
    """What is merged in by `<<` may be overridden; the only mistake here is in the flag."""
    merged = "trainer: &base {max_epochs: 2, devices: 1}\n"
    nested = "data:\n  class_path: TitanicDataModule\n  init_args: {<<: {features: all}, features: [male]}\n"
    (place / "good.yaml").write_bytes(b"\xef\xbb\xbf" + (merged + nested + "model: LitMLP\n").encode())
    refused("fit --config good.yaml --model.depth -1", "depth is -1; it must be at least 0")
