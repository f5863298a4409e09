"""The rules on learning: what the loss and the answers of a whole training say, next to a constant answer.

What healthy trainings do, too, is only a note: to overfit a little, to stop early, to have converged. A note becomes a
warning if the network is no better than a constant answer, beyond what chance explains, after `ENOUGH_STEPS` steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from callbacks.diagnostics.curve import slope
from callbacks.diagnostics.evidence import Evidence
from callbacks.diagnostics.loss_calls import CLASS_LOSSES
from callbacks.diagnostics.record import TrainingRecord
from callbacks.diagnostics.verdict import Verdict

ENOUGH_STEPS = 200  # healthy recurrent networks and imbalanced data may need dozens to beat a constant answer
FEW_STEPS = 20  # below, nothing is said about learning
RATE_AT_END = 0.05  # of the peak; below, a schedule leaves the loss nearly as it is

NO_BETTER = "no better than a constant answer"
# Notes that become warnings if nothing was learned.
GRAVE = {
    "not converged",
    "never better than at the start",
    "one class predicted",
    "weight decay stronger than the gradient",
    "learning rate is gone",
}


def judge_learning(record: TrainingRecord, ended: bool) -> list[Verdict]:
    """What holds now.

    Args:
        record: of the training so far.
        ended: whether it is over; before, only what is a warning is of interest, and only after half of the plan.
    """
    half = record.planned_steps and record.step >= record.planned_steps / 2
    if record.step < FEW_STEPS or not (ended or half):
        return []
    found = [verdict for rule in RULES for verdict in rule(record)]
    if any(each.kind == NO_BETTER and each.severity == "warn" for each in found):
        found = [replace(each, severity="warn") if each.kind in GRAVE else each for each in found]
    return found if ended else [each for each in found if each.severity != "info"]


def is_sure(record: TrainingRecord) -> bool:
    """Whether it is beyond doubt that the network is no better than a constant answer, and that it should be."""
    evidence = record.evidence
    return (
        isinstance(evidence, Evidence)
        and evidence.surely_no_better
        and record.step >= ENOUGH_STEPS
        and is_fair(record, evidence)
    )


def is_fair(record: TrainingRecord, evidence: Evidence) -> bool:
    """Whether the network was trained for these classes as they are.

    Weights of classes or rows, or a sampler that draws the rare class more often, make it answer the rare class more
    often on purpose.
    """
    trained = record.trained
    if not isinstance(trained, Evidence):
        return False
    return record.given and evidence.fair and trained.fair and evidence.resembles(trained)


def no_better(record: TrainingRecord) -> Iterator[Verdict]:
    evidence = record.evidence
    if not isinstance(evidence, Evidence) or not evidence.is_judged or evidence.beats_constant:
        return
    message = f"on {evidence.counted} of the {record.where}, {against_constant(record, evidence)}."
    advice = "`python train.py check`, which looks for the usual mistakes; or a learning rate 10 times higher or lower"
    yield Verdict(NO_BETTER, [], message, advice, "warn" if is_sure(record) else "info")


def against_constant(record: TrainingRecord, evidence: Evidence) -> str:
    """The result in numbers, next to that of the best constant answer."""
    plain = "" if evidence.fair else "unweighted "  # the logged loss is weighted
    if evidence.accuracy is None:
        numbers = f"{evidence.loss:.3g} against {evidence.constant:.3g}"
        return f"the {plain}error is {numbers} for always the mean of the targets"
    return (
        f"accuracy {evidence.accuracy:.3f} against {evidence.majority:.3f} for always {record.name_of(evidence.answer)}, "
        f"{plain}loss {evidence.loss:.3f} against {evidence.constant:.3f} for the shares of the classes"
    )


def one_class(record: TrainingRecord) -> Iterator[Verdict]:
    evidence = record.evidence
    if not isinstance(evidence, Evidence) or not evidence.is_judged or evidence.only is None:
        return
    message = (
        f"all {evidence.counted} of the {record.where} are predicted to be {record.name_of(evidence.only)}, though "
        f"{evidence.classes} classes occur; {1 - evidence.majority:.1%} are not {record.name_of(evidence.answer)}."
    )
    if evidence.beats_constant:
        message += " The probabilities tell the classes apart: the loss is below that of a constant answer."
    option = "class_weights" if evidence.loss_name in CLASS_LOSSES else "pos_weight"
    flag = f" (`--model.{option} balanced`)" if option in record.unset else ""
    advice = f"another threshold for the probability, class weights in the loss{flag}, or a sampler for rare classes"
    yield _note("one class predicted", message, advice)


def not_converged(record: TrainingRecord) -> Iterator[Verdict]:
    """The loss still falls by more than 2 % of its whole fall within the last third.

    A schedule that ends near 0 makes any loss fall at its end, and no further: then only a tenth counts.
    """
    curve, rate, peak = record.course, record.rate, record.peak_rate
    if not curve.is_judged:
        return
    fall, has_ended = curve.fall(), 0 < rate < RATE_AT_END * peak
    if fall.errors < 4 or fall.total < (0.1 if has_ended else 0.02) * curve.scale:
        return
    message = f"the {_course(record)} loss still falls by {fall.pace}; it is {curve.losses[-1]:.4g}."
    advice = f"`{record.more}`"
    if has_ended:
        message = (
            f"the {_course(record)} loss fell by {fall.pace} until the schedule ended, where the learning rate is "
            f"{rate:.2g}; it is {curve.losses[-1]:.4g}."
        )
        advice += " with a schedule as long as that"
    if peak > 0:
        highest = "a peak learning rate" if rate < peak else "a learning rate"
        advice += f", or {highest} of {10 * peak:.3g} instead of {peak:.3g}"
    yield _note("not converged", message, advice)


def converged(record: TrainingRecord) -> Iterator[Verdict]:
    """No longer falls; "settled" if more than half of a constant answer's loss is left."""
    curve = record.course
    if (
        record.step < ENOUGH_STEPS / 2
        or not curve.is_judged
        or any(not_converged(record))
        or any(overfits(record))
    ):
        return
    since = curve.settled_since(0.02 * curve.scale)
    if since >= 0.9 * len(curve.losses):
        return
    evidence = record.evidence
    message = (
        f"the {_course(record)} loss has changed by less than 2 % of its whole fall since {curve.when(since)}; "
        f"it is {curve.level:.4g}."
    )
    if not isinstance(evidence, Evidence) or evidence.loss <= 0.5 * evidence.constant:
        yield _note("converged", message, "fewer epochs, if time matters")
        return
    share = evidence.loss / evidence.constant
    message += f" That is {share:.0%} of a constant answer's loss. Whether a wider network gets further is not known."
    yield _note(
        "settled", message, "a wider or deeper network, or other inputs; if nothing helps, the rest is noise"
    )


def overfits(record: TrainingRecord) -> Iterator[Verdict]:
    """The validation loss has risen steadily since its minimum, by more than 10 %."""
    curve = record.validation
    if not curve.is_judged:
        return
    best = min(range(len(curve.losses)), key=curve.losses.__getitem__)
    if len(curve.losses) - best < 5 or curve.level < 1.1 * curve.losses[best]:
        return
    rise = slope(curve.losses[best:], curve.steps[best:], curve.epochs[best:])
    if rise.errors > -4:
        return
    message = (
        f"the validation loss was lowest at {curve.when(best)}, {curve.losses[best]:.4g}, and has risen to "
        f"{curve.level:.4g}; the training loss is {record.training.level:.4g}."
    )
    yield _note(
        "overfits", message, "the checkpoint `best.ckpt`, fewer epochs, weight decay, dropout, or more data"
    )


def memorized(record: TrainingRecord) -> Iterator[Verdict]:
    """The training rows are known by heart, and that is of no use for others."""
    trained, validated = record.trained, record.validated
    if not isinstance(trained, Evidence) or not isinstance(validated, Evidence):
        return
    if not trained.is_judged or not validated.is_judged or trained.loss > 0.1 * trained.constant:
        return
    if validated.beats_constant:
        return
    message = (
        f"the training loss is {trained.loss:.3g} on {trained.counted}, and on {validated.counted} of the validation "
        f"{against_constant(record, validated)}."
    )
    advice = "to prepare validation rows as training rows are, and to check that inputs and targets belong together"
    yield Verdict("memorized", [], message, advice, "warn" if is_sure(record) else "info")


def never_better(record: TrainingRecord) -> Iterator[Verdict]:
    """No training loss after the first was lower, at ten probe steps or more."""
    losses = record.training.losses
    if not record.training.is_judged or record.training.steps[0] != 0 or len(losses) <= 10:
        return
    if min(losses[1:]) < losses[0]:
        return
    message = f"the training loss was {losses[0]:.4g} at step 0 and never lower since; it is {record.training.level:.4g}."
    yield _note(
        "never better than at the start",
        message,
        "a learning rate 10 times lower, and `python train.py check`",
    )


def oscillates(record: TrainingRecord) -> Iterator[Verdict]:
    """From point to point, the loss goes up and down by 10 % of a constant answer's loss or more."""
    curve, evidence = record.course, record.evidence
    if not curve.is_judged:
        return
    scale = evidence.constant if isinstance(evidence, Evidence) else abs(curve.losses[0])
    swing = curve.swing()
    if swing < 0.1 * scale or scale <= 0:
        return
    message = (
        f"the {_course(record)} loss goes up and down by {swing:.3g} from one measurement to the next; "
        f"it is {curve.level:.4g}."
    )
    yield _note(
        "oscillates",
        message,
        "a learning rate that falls, such as a cosine schedule, a lower one, or larger batches",
    )


def always_clipped(record: TrainingRecord) -> Iterator[Verdict]:
    if record.probes < 5 or record.clipped <= record.probes / 2:
        return
    message = (
        f"gradients were clipped at {record.clipped} of {record.probes} probe steps, so clipping sets the length of "
        "most steps."
    )
    yield _note("always clipped", message, "a higher gradient_clip_val, or a lower learning rate")


def decay_too_strong(record: TrainingRecord) -> Iterator[Verdict]:
    """Stronger at most probe steps, or at the first by far: decay that has shrunk the weights is small itself."""
    if record.probes < 5 or (record.decayed <= record.probes / 2 and record.decay_at_start < 3):
        return
    message = (
        f"weight decay moved the weights more than the gradient did at {record.decayed} of {record.probes} probe steps; "
        f"at the first it was {record.decay_at_start:.2g} times as strong."
    )
    yield _note("weight decay stronger than the gradient", message, "a weight decay 100 times smaller")


def rate_is_gone(record: TrainingRecord) -> Iterator[Verdict]:
    """Below 1 % of its peak in the first third of the plan, and it did not come back."""
    planned = record.planned_steps
    if not planned or record.step < planned / 2 or record.step < FEW_STEPS or record.peak_rate == 0:
        return
    if record.rate_gone_after >= planned / 3 or record.rate >= 0.01 * record.peak_rate:
        return
    message = (
        f"the learning rate was {record.peak_rate:.2g} and fell below 1 % of that soon after step "
        f"{record.rate_gone_after} of {planned}; it is {record.rate:.2g}."
    )
    advice = (
        "a schedule over the whole training; check whether it counts steps or epochs (`scheduler_interval`)"
    )
    yield _note("learning rate is gone", message, advice)


def in_words(record: TrainingRecord) -> str:
    """What is right, for the first line of the summary."""
    said = []
    curve, evidence = record.course, record.evidence
    for rule, words in ((not_converged, "not converged"), (overfits, "overfits")):
        said += [words] * any(rule(record))
    if any(converged(record)):
        said.append(f"converged since {curve.when(curve.settled_since(0.02 * curve.scale))}")
    if not said and not curve.is_judged:
        said.append(f"too few measurements of the loss to judge its course ({len(curve.losses)})")
    if not isinstance(evidence, Evidence):
        said.append(f"not compared with a constant answer: the training step {evidence}" if evidence else "")
    elif evidence.is_judged:
        said.append(f"{against_constant(record, evidence)}, on {evidence.counted} of the {record.where}")
    return "; ".join(filter(None, said))


def _note(kind: str, message: str, advice: str) -> Verdict:
    return Verdict(kind, [], message, advice, "info")


def _course(record: TrainingRecord) -> str:
    return "validation" if record.course is record.validation else "training"


RULES = (
    no_better,
    one_class,
    not_converged,
    converged,
    overfits,
    memorized,
    never_better,
    oscillates,
    always_clipped,
    decay_too_strong,
    rate_is_gone,
)
