"""The config in a run's folder, from which the run is resumed."""

from pathlib import Path

import pytest
from jsonargparse import ArgumentParser

from cli.build import build
from cli.request import prepare

WORDS = [
    "fit",
    "--model=LitLinear",
    "--data=TitanicDataModule",
    "--trainer.max_epochs=1",
    "--trainer.accelerator=cpu",
]


def test_a_kill_while_it_is_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = build(prepare([*WORDS, "--pictures=false"]))
    run.fit()
    config = run.folder / "config.yaml"
    before = config.read_text()
    assert "LitLinear" in before

    def killed(self: ArgumentParser, cfg: object, path: Path, **options: object) -> None:
        Path(path).write_text("")
        raise KeyboardInterrupt

    monkeypatch.setattr(ArgumentParser, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        run.save_config()
    assert config.read_text() == before
