"""Evidence against the closed forms: entropy, variance, shares, and their standard errors."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from callbacks.diagnostics.curve import Curve
from callbacks.diagnostics.learning import against_constant
from callbacks.diagnostics.loss_calls import LossRecorder
from callbacks.diagnostics.tallies import evidence_of, new_tally

G = torch.Generator().manual_seed(11)
N, K = 400, 3
LOGITS = torch.randn(N, K, generator=G)
LABELS = torch.randint(0, K, (N,), generator=G).clamp(max=1)  # class 2 never occurs


def evidence(*calls):
    """Of some calls of loss functions, each counted on its own."""
    tallies = []
    for call in calls:
        with LossRecorder() as recorder:
            call()
        tallies.append(new_tally(recorder.calls[0], getattr(tallies[0], "center", None) if tallies else None))
        assert tallies[-1].add(recorder.calls[0])
    return evidence_of(tallies)


def entropy(labels):
    shares = labels.bincount() / len(labels)
    return -(shares * shares.log()).nansum().item()


def test_classes():
    found = evidence(
        lambda: F.cross_entropy(LOGITS[:100], LABELS[:100], label_smoothing=0.1),
        lambda: F.nll_loss(LOGITS[100:].log_softmax(1), LABELS[100:]),
    )
    hits = (LOGITS.argmax(1) == LABELS).double()
    losses = F.cross_entropy(LOGITS, LABELS, reduction="none").double()
    constant = -(LABELS.bincount() / N).log()[LABELS]
    assert (found.rows, found.classes, found.only) == (N, 2, None)
    assert found.accuracy == pytest.approx(hits.mean().item())
    assert found.majority == pytest.approx(LABELS.bincount().max().item() / N)
    assert found.loss == pytest.approx(losses.mean().item(), rel=1e-6)
    assert found.constant == pytest.approx(entropy(LABELS), rel=1e-6)
    assert found.gain_error == pytest.approx(
        (constant - losses).std(correction=0).item() / math.sqrt(N), rel=1e-5
    )
    assert found.loss_error == pytest.approx(losses.std().item() / math.sqrt(N), rel=1e-5)
    lead = hits - (found.answer == LABELS).double()
    assert found.lead_error == pytest.approx(lead.std(correction=0).item() / math.sqrt(N), rel=1e-5)


def test_padding_is_not_counted():
    labels = torch.where(torch.arange(N) < 100, -100, LABELS)
    assert evidence(lambda: F.cross_entropy(LOGITS, labels)).rows == N - 100
    assert evidence(lambda: F.cross_entropy(LOGITS, LABELS, ignore_index=0)).classes == 1


def test_pixels_of_an_image_are_not_independent():
    scores, labels = torch.randn(8, K, 4, 5, generator=G), torch.randint(0, K, (8, 4, 5), generator=G)
    found = evidence(lambda: F.cross_entropy(scores, labels))
    assert (found.rows, found.targets_per_row) == (160, 20)
    assert found.loss == pytest.approx(F.cross_entropy(scores, labels).item(), rel=1e-6)


def test_binary():
    logits, labels = LOGITS[:, 0], LABELS.float()
    found = evidence(lambda: F.binary_cross_entropy_with_logits(logits, labels))
    same = evidence(lambda: F.binary_cross_entropy(logits.sigmoid(), labels))
    loss = F.binary_cross_entropy_with_logits(logits, labels).item()
    assert (found.loss, same.loss) == (pytest.approx(loss, rel=1e-5), pytest.approx(loss, rel=1e-5))
    assert found.constant == pytest.approx(entropy(LABELS), rel=1e-6)
    assert (
        found.accuracy
        == same.accuracy
        == pytest.approx(((logits > 0) == (labels > 0)).double().mean().item())
    )


@pytest.mark.parametrize("shape", [(N,), (N, 1), (N, 4)])
def test_numbers(shape):
    """The variance does not depend on the center, which is here that of the first rows."""
    answers, y = torch.randn(shape, generator=G), 50 + 3 * torch.randn(shape, generator=G)
    found = evidence(
        *(lambda k=k: F.mse_loss(answers[k : k + 100], y[k : k + 100]) for k in range(0, N, 100))
    )
    assert found.rows == N
    assert found.constant == pytest.approx(y.double().var(0).mean().item(), rel=1e-5)
    assert found.loss == pytest.approx(F.mse_loss(answers.double(), y.double()).item(), rel=1e-5)
    errors = (answers.double() - y.double()).square().reshape(N, -1).mean(1)
    assert found.loss_error == pytest.approx(errors.std().item() / math.sqrt(N), rel=1e-4)
    assert not found.beats_constant
    assert found.surely_no_better


def test_what_cannot_be_compared():
    soft = torch.full((N, K), 1 / K)
    assert (
        evidence(lambda: F.cross_entropy(LOGITS, soft)) == "compares with targets that are no single classes"
    )
    with LossRecorder() as recorder:
        F.kl_div(LOGITS.log_softmax(1), soft)
        F.mse_loss(LOGITS, LOGITS[:, :1])
    assert new_tally(recorder.calls[0], None) == "kl_div has no constant answer to compare with"
    assert not new_tally(recorder.calls[1], None).add(recorder.calls[1])


def test_weights_make_the_comparison_unfair():
    assert not evidence(lambda: F.cross_entropy(LOGITS, LABELS, weight=torch.ones(K))).fair
    assert evidence(lambda: F.cross_entropy(LOGITS, LABELS)).fair
    x, y = torch.randn(N, 2, generator=G), torch.randn(N, 2, generator=G)
    assert evidence(lambda: F.mse_loss(x, y)).fair
    for rows in (
        lambda: F.cross_entropy(LOGITS, LABELS, reduction="none"),
        lambda: F.mse_loss(x, y, reduction="none"),
    ):
        assert not evidence(rows).fair  # the step gives rows weights of their own


def test_pixels_of_an_image_are_counted_together():
    """The error of the accuracy and of the loss is that of images drawn at random, here by the bootstrap."""
    logits = torch.randn(80, 2, 50, generator=G)
    blurred = torch.rand(80, 1, generator=G) < 0.4  # images in which nothing can be recognized
    labels = torch.randint(0, 2, (80, 50), generator=G).where(blurred, logits.argmax(1))
    labels[:, 40:] = labels[:, 40:].where(torch.rand(80, 1, generator=G) < 0.5, -100)
    parts = [
        lambda part=part: F.cross_entropy(logits[part], labels[part]) for part in torch.arange(80).split(32)
    ]
    found = evidence(*parts)
    kept = labels >= 0
    hits = (logits.argmax(1) == labels) & kept
    losses = F.cross_entropy(logits, labels, reduction="none").double()
    samples = torch.randint(80, (4000, 80), generator=G)
    sizes = kept.sum(1)[samples].sum(1)
    errors = [(each.sum(1)[samples].sum(1) / sizes).std().item() for each in (hits, losses)]
    assert (found.clusters, found.counted) == (80, f"{int(kept.sum())} positions")
    assert found.accuracy == pytest.approx((hits.sum() / kept.sum()).item())
    assert [found.accuracy_error, found.loss_error] == pytest.approx(errors, rel=0.06)
    alone = math.sqrt(found.accuracy * (1 - found.accuracy) / found.rows)
    assert found.accuracy_error > 1.5 * alone  # what independent pixels would say


def test_words_say_what_was_counted_and_whether_the_loss_is_weighted():
    record = SimpleNamespace(name_of=str)
    weight = torch.ones(K)
    plain, weighted = (
        evidence(lambda: F.cross_entropy(LOGITS, LABELS)),
        evidence(lambda: F.cross_entropy(LOGITS, LABELS, weight=weight)),
    )
    assert plain.counted == f"{N} rows"
    assert ", loss " in against_constant(record, plain)
    assert ", unweighted loss " in against_constant(record, weighted)
    labels = evidence(lambda: F.binary_cross_entropy_with_logits(LOGITS, (LOGITS > 0).float()))
    assert labels.counted == f"{N * K} targets"


def test_chance_is_not_accused_by_few_rows():
    """Of networks that gain a tenth of the loss, none is accused, however few rows there are."""
    accused = 0
    for seed in range(300):
        generator = torch.Generator().manual_seed(seed)
        y = torch.randn(60, generator=generator)
        answers = (
            0.32 * y + 0.47 * torch.randn(60, generator=generator) * 0.95
        )  # explains 10 % of the variance
        accused += evidence(lambda y=y, a=answers: F.mse_loss(a, y)).surely_no_better
    assert accused == 0


def test_a_curve_keeps_its_first_and_last_points():
    curve = Curve()
    for step in range(5000):
        curve.add(step, 0, 1 / (step + 1))
    assert len(curve.losses) <= 1000
    assert (curve.steps[0], curve.steps[-1]) == (0, 4999)
    assert curve.steps == sorted(set(curve.steps))


def test_the_slope_of_a_straight_line():
    curve = Curve(list(range(0, 300, 10)), list(range(30)), [3 - 0.1 * k for k in range(30)])
    fall = curve.fall()
    assert fall.total == pytest.approx(0.9)
    assert fall.pace == "0.1 per epoch"
    assert fall.errors > 1000
