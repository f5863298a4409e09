"""Does the learning rate's schedule fit the planned training? A dry run of copies of the schedulers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch.optim import lr_scheduler

from callbacks.checkup.check import Check
from callbacks.checkup.copying import CannotCheckError
from callbacks.checkup.planning import Plan, dry_run, parts_of, schedulers_of
from callbacks.checkup.subject import Subject
from callbacks.diagnostics.verdict import Severity, Verdict

MAX_CALLS = 500  # of one scheduler in a dry run
GONE = 0.01  # of the peak
LONGEST_DRY_RUN = 5_000  # calls; a second of them


# --- learning rate is 0 ---


def learning_rates_are_above_zero(subject: Subject) -> list[Verdict]:
    """Every group of parameters has a learning rate above 0 at some time."""
    verdicts = []
    names = {id(p): name for name, p in subject.still.module.named_parameters()}
    for optimizer in subject.still.optimizers:
        groups = [g for g in optimizer.param_groups if isinstance(g.get("lr"), float | int | torch.Tensor)]
        zero = [g for g in groups if float(g["lr"]) == 0 and not _becomes_positive(subject, optimizer, g)]
        zero = [g for g in zero if g.get("initial_lr") or not _moves(subject, g, names)]
        inside = [names[id(p)] for g in zero for p in g["params"] if id(p) in names and p.requires_grad]
        if not inside:
            continue
        every = len(zero) == len(optimizer.param_groups)
        verdicts.append(
            Verdict(
                "learning rate is 0",
                sorted({name.rpartition(".")[0] or "root" for name in inside}),
                f"{'all' if every else len(zero)} of {len(optimizer.param_groups)} parameter groups have a learning rate "
                f"of 0 throughout, so their {len(inside)} parameters never change.",
                "a learning rate above 0, or requires_grad_(False) for what should stay as it is",
                "fail" if every else _severity(subject, inside),
            )
        )
    return verdicts


def _severity(subject: Subject, names: list[str]) -> Severity:
    """A backbone may be frozen in this way; nobody freezes the last layer, which gives the answer."""
    with_parameters = {
        name for name, part in subject.still.module.named_modules() if list(part.parameters(recurse=False))
    }
    ran = [name for name in subject.watch.called if name in with_parameters]
    return "warn" if ran and any(name.rpartition(".")[0] == ran[-1] for name in names) else "info"


def _moves(subject: Subject, group: Any, names: dict[int, str]) -> bool:
    """Whether real steps change its weights all the same: the module may set the learning rate itself."""
    owned = [names[id(p)] for p in group["params"] if id(p) in names]
    return any(
        subject.steps.moved(name) for name in owned if subject.module.get_parameter(name).requires_grad
    )


def _becomes_positive(subject: Subject, optimizer: Any, group: Any) -> bool:
    """Whether some scheduler raises its rate above 0 before the last step, or may do so."""
    number = next(k for k, each in enumerate(optimizer.param_groups) if each is group)
    for config, scheduler in zip(subject.trainer.lr_scheduler_configs, subject.still.schedulers, strict=True):
        if scheduler.optimizer is not optimizer:
            continue
        if not isinstance(scheduler, lr_scheduler.LRScheduler):
            return True  # nobody knows
        try:
            calls = Plan(subject.trainer).calls(config)
            rates = dry_run(scheduler, min(calls, LONGEST_DRY_RUN) - 1)
        except Exception:  # the end is not known, or the scheduler refuses
            return True
        if calls > LONGEST_DRY_RUN or any(each[number] > 0 for each in rates):
            return True
    return False


# --- horizon ---


def schedule_fits_the_training(subject: Subject) -> list[Verdict]:
    """Schedules end with the training, not in its first tenth, and count what Lightning counts."""
    plan, verdicts = Plan(subject.trainer), []
    for config, scheduler in schedulers_of(subject):
        verdict = _too_many_calls(plan, config, scheduler) or _wrong_unit(plan, config, scheduler)
        if verdict is None and not plan.may_end_earlier:
            verdict = _too_early(plan, config, scheduler)
        if verdict is not None:
            verdicts.append(verdict)
    if not verdicts and plan.may_end_earlier:
        raise CannotCheckError("a callback may end the training earlier than planned")
    return verdicts


def _too_many_calls(plan: Plan, config: Any, scheduler: Any) -> Verdict | None:
    """OneCycleLR raises an error when it is called more often than it was made for."""
    total = getattr(scheduler, "total_steps", None)
    calls = plan.calls(config)
    if not isinstance(scheduler, lr_scheduler.OneCycleLR) or total is None or calls <= total:
        return None
    message = (
        f"OneCycleLR was made for {total} calls, but Lightning will call it {calls} times, once per {config.interval} "
        f"(frequency {config.frequency}); it raises an error at call {total}."
    )
    advice = "total_steps=self.trainer.estimated_stepping_batches"
    return Verdict("schedule counted in the wrong unit", [], message, advice, "fail")


def _wrong_unit(plan: Plan, config: Any, scheduler: Any) -> Verdict | None:
    """Its length is that of the training in the other unit."""
    per_step = config.interval == "step"
    right, wrong = (plan.steps, plan.epochs) if per_step else (plan.epochs, plan.steps)
    if config.frequency != 1 or max(right, wrong) < 5 * min(right, wrong) or min(right, wrong) < 3:
        return None
    for what, length in _lengths(scheduler):
        if not _is_length(length, wrong, plan, per_step) or _is_length(length, right, plan, not per_step):
            continue
        return _counted_wrong(plan, config, f"{type(scheduler).__name__} has {what}={length}")
    for function in getattr(scheduler, "lr_lambdas", ()):
        if _ends_at(function, wrong) and not _ends_at(function, right):
            return _counted_wrong(plan, config, f"the schedule falls to 0 at call {wrong}")
    return None


def _is_length(length: int, unit: int, plan: Plan, in_epochs: bool) -> bool:
    """Exactly in epochs; in steps also with an epoch's rounding, as loaders may drop the last batch."""
    return length == unit if in_epochs else abs(length - unit) <= plan.epochs and length > 2 * plan.epochs


def _counted_wrong(plan: Plan, config: Any, what: str) -> Verdict:
    units = {"step": ("batch", "epochs", '"epoch"'), "epoch": ("epoch", "steps", '"step"')}
    each, counted, other = units[config.interval]
    return Verdict(
        "schedule counted in the wrong unit",
        [],
        f"{what}, which is the training's length in {counted}, but Lightning calls the scheduler once per {each} "
        f"(planned: {plan.epochs} epochs, {plan.steps} steps).",
        f'"interval": {other} in the dict that configure_optimizers returns for the scheduler',
        "warn",
    )


def _lengths(scheduler: Any) -> Iterator[tuple[str, int]]:
    """After how many calls a schedule is over, as far as its class says."""
    for each in (scheduler, *parts_of(scheduler)):
        if isinstance(each, lr_scheduler.CosineAnnealingLR):
            yield "T_max", int(each.T_max)
        if isinstance(each, lr_scheduler.OneCycleLR):
            yield "total_steps", int(each.total_steps)
        falls = isinstance(each, lr_scheduler.LinearLR) and each.end_factor < each.start_factor
        if falls or isinstance(each, lr_scheduler.PolynomialLR):
            yield "total_iters", int(each.total_iters)


def _ends_at(function: Callable[[int], float], call: int) -> bool:
    """Whether a factor is gone at this call, and not at half of it."""
    with contextlib.suppress(Exception):
        values = [float(function(k)) for k in (call // 4, call // 2, call - 1, call)]
        peak = max(values)
        return peak > 0 and values[1] > 0.2 * peak and values[3] <= GONE * peak
    return False


def _too_early(plan: Plan, config: Any, scheduler: Any) -> Verdict | None:
    """The learning rate is gone within the first tenth, and does not come back in a dry run."""
    calls = plan.calls(config)
    limit = min(calls // 10, MAX_CALLS // 2)
    if limit < 2:
        return None
    try:
        rates = [max(each) for each in dry_run(scheduler, min(calls - 1, max(2 * limit, MAX_CALLS)))]
    except Exception as error:
        raise CannotCheckError(f"the schedule's dry run failed ({type(error).__name__}: {error})") from error
    peak = max(rates)
    last = max((k for k, rate in enumerate(rates) if rate > GONE * peak), default=0)
    if peak <= 0 or last >= limit:
        return None
    unit = "steps" if config.interval == "step" else "epochs"
    return Verdict(
        "schedule ends too early",
        [],
        f"the learning rate falls from {peak:.3g} to less than 1 % of that after {(last + 1) * config.frequency} of "
        f"{calls * config.frequency} planned {unit} ({type(scheduler).__name__}).",
        'a schedule as long as the training, such as T_max=self.trainer.max_epochs, or in steps with "interval": "step"',
        "warn",
    )


# --- stepped twice ---


def scheduler_is_stepped_once(subject: Subject) -> list[Verdict]:
    """With automatic optimization only Lightning calls the schedulers."""
    configs, steps = schedulers_of(subject), subject.steps
    if is_overridden("on_train_batch_end", subject.module):
        with contextlib.suppress(Exception):
            steps.copy.module.on_train_batch_end(None, subject.batch, 0)
    counts, schedulers = steps.scheduler_calls, steps.copy.schedulers
    known = {id(config) for config, _ in configs}
    planned = [id(config) in known for config in subject.trainer.lr_scheduler_configs]
    twice = [k for k, count in enumerate(counts) if count and planned[k]]
    if not twice:
        return []
    scheduler = type(schedulers[twice[0]]).__name__
    interval = subject.trainer.lr_scheduler_configs[twice[0]].interval
    return [
        Verdict(
            "schedule stepped twice",
            [],
            f"the module itself called {scheduler}.step() {counts[twice[0]]} times in {len(steps.losses)} batches, and "
            f"Lightning calls it again after each {'batch' if interval == 'step' else 'epoch'}.",
            'without the own call; "interval": "step" in configure_optimizers if it should be called after each batch',
            "warn",
        )
    ]


CHECKS = (
    Check("every learning rate is above 0", learning_rates_are_above_zero),
    Check("the schedule fits the training's length", schedule_fits_the_training),
    Check("only Lightning calls the scheduler", scheduler_is_stepped_once),
)
