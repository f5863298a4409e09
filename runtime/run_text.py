"""The page "Text" of TensorBoard: the command, commit and versions of a run, which come first, and its config."""

from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer

from runtime.run_record import Record, read_record
from runtime.tensorboard import BufferedTensorBoardLogger


def write_text(trainer: Trainer, folder: Path) -> None:
    """Write the newest launch and the config as the texts `Run` and `config`, at the step where this launch began.

    Args:
        trainer: whose own TensorBoard logger gets the texts; loggers of the user's config do not.
        folder: of the run, with run.json and config.yaml.
    """
    loggers = [each for each in trainer.loggers if isinstance(each, BufferedTensorBoardLogger)]
    if not loggers or not trainer.is_global_zero:
        return
    record = read_record(folder)
    step = record.launches[-1].from_step if record.launches else 0
    texts = {"Run": launch_table(record), "config": fenced(config_of(folder))}
    for logger in loggers:
        for tag, text in texts.items():
            logger.experiment.add_text(tag, text, step)


def launch_table(record: Record) -> str:
    """A Markdown table of the newest launch: what was asked, and with what it runs."""
    rows: dict[str, Any] = {}
    if record.launches:
        launch = record.launches[-1]
        rows = {"command": f"`python train.py {' '.join(launch.command)}`", "started": launch.started}
        rows["on"] = f"{launch.host}, process {launch.process}"
    if record.commit is not None:
        changed = "" if record.commit["clean"] else ", with changes that are not committed"
        rows["commit"] = f"`{record.commit['hash']}`{changed}"
    rows["seed"] = record.seed
    rows |= {f"differs from the config: {name}": f"`{value}`" for name, value in record.from_config.items()}
    rows |= record.versions | record.machine
    lines = [f"| {name} | {escaped(value)} |" for name, value in rows.items()]
    return "\n".join(["| | |", "|---|---|", *lines])


def escaped(value: Any) -> str:
    """A value as a cell of a Markdown table."""
    return str(value).replace("|", "\\|").replace("\n", " ")


def config_of(folder: Path) -> str:
    """The text of config.yaml; empty if there is none."""
    path = folder / "config.yaml"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def fenced(text: str) -> str:
    """A block of code in Markdown."""
    return f"```yaml\n{text}\n```"
