"""Words that belong to no flag: the message has the command as it should be."""

import shlex

import pytest

from cli.stray_words import check_stray_words
from runtime.errors import UsageError

IN_QUOTES = ", and a value with spaces in quotes: "


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "sweep --vary lr=0.1 0.2",
            "0.2 belongs to no flag; values are separated by commas, without spaces: ",
        ),
        ("sweep --vary lr=0.1 0.2 0.3 --sweep.seeds 2", "without spaces: --vary lr=0.1,0.2,0.3"),
        ("sweep --vary lr=0.1, 0.2,0.3", "without spaces: --vary lr=0.1,0.2,0.3"),
        ("sweep --vary=lr=0.1 0.2", "without spaces: --vary lr=0.1,0.2"),
        ("sweep --vary lr = 0.1,0.2", "without spaces: --vary lr=0.1,0.2"),
        ("sweep --vary lr 0.1 0.2", "without spaces: --vary lr=0.1,0.2"),
        ("sweep --vary lr= 0.1 0.2", "without spaces: --vary lr=0.1,0.2"),
        (
            "sweep --sweep.seeds 1 2",
            "2 belongs to no flag; write a list in brackets, without spaces: --sweep.seeds [1,2]",
        ),
        ("sweep --config a.yaml lr=0.1,0.2", "lr=0.1,0.2 belongs to no flag; write --vary lr=0.1,0.2"),
        ("sweep a.yaml", "a.yaml belongs to no flag; a command begins with a flag, such as --config a.yaml"),
        (
            "fit --model.hidden_sizes 3 4",
            "write a list in brackets, without spaces: --model.hidden_sizes [3,4]",
        ),
        ("fit --model.hidden_sizes [3, 4]", "without spaces: --model.hidden_sizes [3,4]"),
        ("fit --model.hidden_sizes=3 4 --x 1", "without spaces: --model.hidden_sizes [3,4]"),
        ("fit --data.features [male, Age]", "without spaces: --data.features [male,Age]"),
        ("fit --data.features male Age", f"--data.features [male,Age]{IN_QUOTES}--data.features 'male Age'"),
        ("fit --config my file.yaml", f"{IN_QUOTES}--config 'my file.yaml'"),
        ("fit --config a.yaml model.optimizer.lr=0.1", "write --model.optimizer.lr=0.1"),
        ("fit --trainer.max_epochs = 3", "write --trainer.max_epochs=3, without spaces"),
    ],
)
def test_the_command_as_it_should_be(line: str, message: str) -> None:
    command, *words = line.split()
    with pytest.raises(UsageError) as raised:
        check_stray_words(command, words)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--config a.yaml --model.hidden_sizes [3,4] --lr -0.1 --pictures=false",
        "--config 'my file.yaml' -c b.yaml --print_config",
        "--print_config --config a.yaml",
        "--vary lr=0.1,0.2 --vary 'model.hidden_sizes=[3, 4], [5]' --sweep.seeds 3",
        "--model.init_gain -inf --trainer.callbacks+=EarlyStopping --trainer.callbacks.monitor val/loss",
    ],
)
def test_every_flag_has_one_value_at_most(line: str) -> None:
    check_stray_words("fit", shlex.split(line))
