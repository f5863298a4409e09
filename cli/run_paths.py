"""Which checkpoint is meant: a file, that of a run by its folder, or of the newest run by the name of an experiment."""

from pathlib import Path

from runtime.run_folder import ROOT

NAMES = ("best.ckpt", "last.ckpt")


def checkpoint_of(given: Path) -> Path:
    """The best checkpoint of a run, or the last one if it has no best; the path itself if it is none of these."""
    if given.is_file() or (given / "meta.pt").is_file():  # meta.pt: FSDP's shards
        return given
    run = given.parent if given.name == "checkpoints" else given
    for folder in (run, *newest_first(run), ROOT / run, *newest_first(ROOT / run)):
        for name in NAMES:
            if (checkpoint := folder / "checkpoints" / name).exists():
                return checkpoint
    return given


def newest_first(experiment: Path) -> list[Path]:
    """The folders of an experiment's runs."""
    runs = [path for path in experiment.glob("version_*") if path.name[8:].isdecimal()]
    return sorted(runs, key=lambda path: int(path.name[8:]), reverse=True)
