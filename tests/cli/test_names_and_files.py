"""The name of a class stands for the class, whatever files lie in the current folder; that of a config for the file."""

from pathlib import Path

import pytest
import pytorch_lightning as pl

from cli.parser import Parser
from runtime.errors import UsageError

PATH = "pytorch_lightning.callbacks.DeviceStatsMonitor"


@pytest.fixture
def parser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parser:
    """Of one callback and of several, in a folder whose files have the names of classes."""
    for name in ("DeviceStatsMonitor", PATH, "Nowhere", "false"):
        (tmp_path / name).write_text("no: [config")
    monkeypatch.chdir(tmp_path)
    parser = Parser(exit_on_error=False)
    parser.add_argument("--one", type=pl.Callback | bool, sub_configs=True)
    parser.add_argument("--several", type=list[pl.Callback], sub_configs=True)
    parser.add_argument("--config", action="config")
    return parser


@pytest.mark.parametrize("name", ["DeviceStatsMonitor", PATH])
def test_a_name_stands_for_the_class(name: str, parser: Parser) -> None:
    given = parser.parse_args([f"--one={name}", f"--several+={name}", "--several.cpu_stats=true"])
    assert given.one.class_path == PATH
    assert [(each.class_path, each.init_args.cpu_stats) for each in given.several] == [(PATH, True)]
    assert [each.class_path for each in parser.parse_args([f"--several=[{name}]"]).several] == [PATH]


def test_so_it_does_in_a_config_and_a_plain_word_stands_for_itself(parser: Parser) -> None:
    Path("own.yaml").write_text("one: DeviceStatsMonitor\nseveral: [DeviceStatsMonitor]\n")
    given = parser.parse_args(["--config=own.yaml"])
    assert given.one.class_path == given.several[0].class_path == PATH
    assert parser.parse_args(["--one=false"]).one is False


@pytest.mark.parametrize("name", ["part.yaml", "./part", "below/part.yml"])
def test_a_path_or_the_name_of_a_config_file_stands_for_the_file(name: str, parser: Parser) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(f"class_path: {PATH}\ninit_args:\n  cpu_stats: true\n")
    given = parser.parse_args([f"--one={name}", f"--several+={name}"])
    for part in (given.one, given.several[0]):
        assert (part.class_path, part.init_args.cpu_stats) == (PATH, True)


def test_a_class_that_does_not_exist_is_named_although_a_file_has_this_name(parser: Parser) -> None:
    with pytest.raises(UsageError, match="there is no class 'Nowhere'"):
        parser.parse_args(["--one=Nowhere"])
