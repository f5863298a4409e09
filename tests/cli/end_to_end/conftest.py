"""A folder of its own for each file here, and a run in it that the file's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import main
from tests.cli.end_to_end.commands import FIT


@pytest.fixture(scope="module", autouse=True)
def inside(workplace: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        patch.setenv("LIGHTNING_INSIDE_RUN", "")  # put back afterwards
        yield


@pytest.fixture(scope="module")
def table(inside: None, request: pytest.FixtureRequest) -> str:
    """Train once for all tests of this file; what was printed."""
    manager = request.config.pluginmanager.getplugin("capturemanager")
    with manager.global_and_fixture_disabled(), pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *words, **kwargs: lines.append(" ".join(map(str, words))))
        assert main(FIT) == 0
    return "\n".join(lines)
