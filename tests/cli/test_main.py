"""What is settled before a command runs."""

import pytest

from cli.request import take_flag


@pytest.mark.parametrize(
    ("words", "value", "kept"),
    [
        ("fit --config a.yaml", False, "fit --config a.yaml"),
        ("fit --debug --config a.yaml", True, "fit --config a.yaml"),
        ("fit --debug true --config a.yaml", True, "fit --config a.yaml"),
        ("fit --config a.yaml --debug=true", True, "fit --config a.yaml"),
        ("fit --debug=false --config a.yaml", False, "fit --config a.yaml"),
        ("fit --config a.yaml --debug false", False, "fit --config a.yaml"),
        ("fit --debugger --run_name debug", False, "fit --debugger --run_name debug"),
    ],
)
def test_debug_is_understood_in_every_form(words: str, value: bool, kept: str) -> None:
    assert take_flag(words.split(), "--debug") == (value, kept.split())
