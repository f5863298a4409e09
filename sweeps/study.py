"""Which run comes next: an Optuna study in a journal file shared by processes, machines and array tasks."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, Trial, TrialState

from callbacks.files import cut_unfinished_line
from runtime.errors import UsageError
from sweeps.plan import Plan
from sweeps.space import Setting, key


@dataclass
class Run:
    """One trial of the study that this process has taken.

    Args:
        trial: receives the outcome.
        setting: what varies, and its values.
        seed: of the run.
        begun: the folder of the same run if it was interrupted; None for a new one.
        lock: held while this process lives; the system releases it when the process is killed.
    """

    trial: Trial
    setting: Setting
    seed: int
    begun: Path | None
    lock: FileLock


class Queue:
    """The study of a plan, opened or created.

    Runs wait in it. A process takes one under a lock, and holds another lock until it has reported the outcome. If the
    journal says that a run is under way, but nobody holds its lock, its process is gone and the run is queued again.

    Raises:
        UsageError: if the folder holds a sweep with another definition, or its journal is damaged.
    """

    def __init__(self, plan: Plan) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.plan = plan
        (plan.folder / "running").mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(plan.folder / "study.lock")
        with self._lock:
            self.study = open_study(plan)
            self._check_definition()
            num_known = len(self.study.trials)
            if plan.sampler == "tpe":
                # Unfinished runs of other processes count as bad ones, so that not all processes try the same.
                self.study.sampler = optuna.samplers.TPESampler(seed=num_known, constant_liar=True)
            known = {(key(setting_of(trial)), trial.user_attrs.get("seed")) for trial in self.trials()}
            for setting, seed in plan.runs():
                if (key(setting), seed) not in known:
                    self.study.enqueue_trial(setting, user_attrs={"seed": seed})

    def trials(self) -> list[FrozenTrial]:
        """All runs, without those that were lost and queued again."""
        return [trial for trial in self.study.get_trials(deepcopy=False) if not is_lost(trial)]

    def next(self) -> Run | None:
        """Take the next run; None if none is left for this process."""
        with self._lock:
            self._requeue_lost()
            trials = self.trials()
            waiting = any(trial.state == TrialState.WAITING for trial in trials)
            num_taken = sum(trial.state != TrialState.WAITING for trial in trials)
            budget = self.plan.options.trials
            if budget is not None and num_taken >= budget:
                return None
            if not waiting and not self._tpe_goes_on(trials):
                return None
            trial = self.study.ask()
            setting = {axis.flag: axis.suggest(trial) for axis in self.plan.all_axes()}
            seed = trial.user_attrs.get("seed")
            if seed is None:  # just found by tpe
                seed = self.plan.seeds[0]
                trial.set_user_attr("seed", seed)
            begun = trial.user_attrs.get("folder")
            lock = self._lock_of(trial.number)
            lock.acquire()
            return Run(trial, setting, seed, Path(begun) if begun else None, lock)

    def complete(self, run: Run, score: float, **attributes: Any) -> None:
        """Record that a run has ended; tpe tries a setting with further seeds once the first one has succeeded."""
        self._finish(run, attributes, value=score)
        if self.plan.sampler == "tpe" and run.seed == self.plan.seeds[0]:
            for seed in self.plan.seeds[1:]:
                self.study.enqueue_trial(run.setting, user_attrs={"seed": seed})

    def prune(self, run: Run, **attributes: Any) -> None:
        """Record that a run was stopped because others do better."""
        self._finish(run, attributes, state=TrialState.PRUNED)

    def fail(self, run: Run, error: str, **attributes: Any) -> None:
        """Record that a run has failed; the sweep continues."""
        self._finish(run, {**attributes, "error": error}, state=TrialState.FAIL)

    def _finish(self, run: Run, attributes: dict[str, Any], **outcome: Any) -> None:
        for name, value in attributes.items():
            run.trial.set_user_attr(name, value)
        self.study.tell(run.trial, outcome.get("value"), state=outcome.get("state"))
        drop(run.lock)

    def _tpe_goes_on(self, trials: list[FrozenTrial]) -> bool:
        tried = {key(setting_of(trial)) for trial in trials}
        return self.plan.sampler == "tpe" and len(tried) < self.plan.num_settings

    def _requeue_lost(self) -> None:
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            lock = self._lock_of(trial.number)
            try:
                lock.acquire(timeout=0)
            except Timeout:  # its process is alive
                continue
            self.study.tell(trial.number, state=TrialState.FAIL)
            drop(lock)
            setting = setting_of(trial)
            if "seed" in trial.user_attrs and setting.keys() == {axis.flag for axis in self.plan.all_axes()}:
                self.study.enqueue_trial(setting, user_attrs=trial.user_attrs)

    def _lock_of(self, number: int) -> FileLock:
        return FileLock(self.plan.folder / "running" / f"trial_{number}.lock")

    def _check_definition(self) -> None:
        definition = json.loads(json.dumps(self.plan.definition()))
        before = self.study.user_attrs.get("definition")
        for name, now in definition.items():
            if before is None or before.get(name, {}) == now:  # older sweeps have no "replicate"
                continue
            more_seeds = name == "seeds" and set(before[name]) < set(now) and self.plan.sampler != "tpe"
            if not more_seeds:  # tpe adds a setting's seeds once the first one has succeeded
                raise UsageError(
                    f"{self.plan.folder} holds a sweep with other {name}: {before.get(name, {})}, and now {now}; "
                    "give this one its own --run_name"
                )
        if before != definition:
            self.study.set_user_attr("definition", definition)


class JournalLock(JournalFileSymlinkLock):
    """Optuna's lock, held while a process appends a line; first removes one that a full disk or a kill cut short.

    Without that, the next line would be appended to it, and the journal could not be read any more.
    """

    def __init__(self, journal: Path) -> None:
        super().__init__(str(journal))
        self.journal = journal

    def acquire(self) -> bool:
        acquired = super().acquire()
        cut_unfinished_line(self.journal)
        return acquired


def open_study(plan: Plan) -> optuna.Study:
    """The study in the plan's folder; a new one if there is none.

    Raises:
        UsageError: if its journal cannot be read.
    """
    journal = plan.folder / "study.journal"
    try:
        return optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal), JournalLock(journal))),
            study_name=plan.name,
            direction="minimize" if plan.mode == "min" else "maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=1),
        )
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        number = first_damaged_line(journal)
        place = f"line {number} of {journal} is" if number else f"{journal} is"
        raise UsageError(
            f"{place} damaged ({error}); remove that line, which loses what it recorded, or give the sweep another "
            "--run_name"
        ) from None


def first_damaged_line(journal: Path) -> int | None:
    """Number of the first line that is no JSON object, counted from 1."""
    with journal.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                is_record = isinstance(json.loads(line), dict)
            except ValueError:
                is_record = False
            if not is_record:
                return number
    return None


def drop(lock: FileLock) -> None:
    """Release a run's lock and remove its file."""
    lock.release()
    Path(lock.lock_file).unlink(missing_ok=True)


def setting_of(trial: FrozenTrial) -> Setting:
    """What varies in a run, even one that is still waiting."""
    return trial.system_attrs.get("fixed_params") or trial.params


def is_lost(trial: FrozenTrial) -> bool:
    """Whether the process of a run was killed; such a run is queued again with another number."""
    return trial.state == TrialState.FAIL and "error" not in trial.user_attrs
