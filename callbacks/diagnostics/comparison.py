"""The network's answers next to the best constant answer: who is ahead, and whether it is a fair comparison."""

from __future__ import annotations

from callbacks.diagnostics.evidence import Evidence
from callbacks.diagnostics.record import TrainingRecord

ENOUGH_STEPS = 200  # healthy recurrent networks and imbalanced data may need dozens to beat a constant answer


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


def answers_rare_classes(record: TrainingRecord, evidence: Evidence) -> bool:
    """Whether weights or a sampler make the network answer rare classes more often than they are right."""
    trained = record.trained
    if evidence.accuracy is None:  # the targets are numbers
        return False
    if not evidence.fair:
        return True
    return isinstance(trained, Evidence) and not (trained.fair and evidence.resembles(trained))


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
