"""Labels that do not begin at 0, and the targets of language models."""

import pytest
import torch
import torch.nn.functional as F

from callbacks.checkup.checks.labels import first_label, padding_in_loss, token_targets
from tests.callbacks.checkup.examine import examine, found
from tests.callbacks.checkup.language import (
    LENGTH,
    PADDED,
    TEXT,
    VOCABULARY,
    Attention,
    LanguageModel,
    Recurrent,
    texts,
)
from tests.callbacks.plain import Plain, mlp, rows

X = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("labels", "outputs", "kinds"),
    [
        (torch.arange(200) % 4 + 1, 5, [("labels do not begin at 0", "warn")]),
        (torch.arange(200) % 5, 5, []),
        (torch.arange(200) % 3 + 1, 5, []),  # class 4 is missing as well: chance, or classes that come later
        (torch.ones(200).long(), 2, []),  # one class alone
        (torch.arange(200) % 2 + 1, 10, []),
        (
            torch.cat([torch.arange(198) % 3 + 1, torch.tensor([4, 4])]),
            5,
            [],
        ),  # one as rare as 4 may be missing
    ],
)
def test_labels_from_1(labels, outputs, kinds):
    model = Plain(mlp(4, outputs), F.cross_entropy)
    assert found(model, rows(X, labels, batch_size=50), first_label) == kinds


def test_class_0_may_be_ignored_on_purpose():
    model = Plain(mlp(4, 5), lambda z, y: F.cross_entropy(z, y, ignore_index=0))
    observer = examine(model, rows(X, torch.arange(200) % 4 + 1), first_label)
    assert observer.why_not == ["the step has no class for each sample"]


@pytest.mark.parametrize(
    ("shift", "kinds"),
    [(1, []), (0, [("targets are the inputs", "fail")]), (2, [("targets shifted twice", "warn")])],
)
@pytest.mark.parametrize("body", [lambda: Attention(8, causal=True), lambda: Recurrent(8)])
def test_the_next_token(body, shift, kinds):
    assert found(LanguageModel(body(), shift), texts(), token_targets) == kinds


def test_an_autoencoder_of_texts_copies_on_purpose():
    model = LanguageModel(Recurrent(8, bidirectional=True), shift=0)
    assert found(model, texts(), token_targets) == [("targets are the inputs", "info")]


class Masked(LanguageModel):
    """A masked language model: only masked positions have a target."""

    def training_step(self, batch, batch_idx):
        ids = batch[0][:, :LENGTH]
        masked = torch.rand(ids.shape) < 0.3
        logits = self(torch.where(masked, 0, ids))
        return self.loss(logits.flatten(0, 1), torch.where(masked, ids, -100).flatten())


class TwoAhead(LanguageModel):
    """Two heads: the next token, and the one after it."""

    def training_step(self, batch, batch_idx):
        text, logits = batch[0], self(batch[0][:, :LENGTH]).flatten(0, 1)
        return sum(self.loss(logits, text[:, k : k + LENGTH].flatten()) for k in (1, 2))


@pytest.mark.parametrize("kind", [Masked, TwoAhead])
def test_other_targets_are_not_accused(kind):
    assert found(kind(Attention(8, causal=kind is TwoAhead)), texts(), token_targets) == []


class Tagger(LanguageModel):
    """One tag for each token: whether its number is even."""

    def training_step(self, batch, batch_idx):
        ids = batch[0][:, :LENGTH]
        return self.loss(self(ids).flatten(0, 1), (ids % 2).flatten())


@pytest.mark.parametrize("kind", [Masked, Tagger])
def test_targets_that_are_no_next_tokens_are_not_in_order_either(kind):
    observer = examine(kind(Recurrent(8)), texts(), token_targets)
    reason = "the targets are not the tokens there or just after, as with tags or masked tokens"
    assert (observer.verdicts, observer.why_not) == ([], [reason])


def test_constant_texts_say_nothing():
    constant = texts(TEXT[:, :1].expand(-1, LENGTH + 2))
    observer = examine(LanguageModel(Recurrent(8), shift=2), constant, token_targets)
    assert (observer.verdicts, observer.why_not) == ([], ["neighboring tokens are mostly the same"])


def test_a_classifier_of_texts_cannot_be_checked():
    class Classifier(LanguageModel):
        def training_step(self, batch, batch_idx):
            return self.loss(self(batch[0]).mean(1), batch[0][:, 0])

    observer = examine(Classifier(Recurrent(8)), texts(), token_targets)
    assert observer.why_not == ["no targets for the positions of a sequence of embedded tokens"]


def ignoring(logits, y):
    return F.cross_entropy(logits, y, ignore_index=0)


def masked_by_hand(logits, y):
    return (F.cross_entropy(logits, y, reduction="none") * (y != 0)).sum() / (y != 0).sum()


def without_weight(logits, y):
    return F.cross_entropy(logits, y, weight=torch.arange(VOCABULARY).clamp(max=1).to(logits.dtype))


@pytest.mark.parametrize(
    ("loss", "kinds"),
    [
        (F.cross_entropy, [("padding counts in the loss", "warn")]),
        (ignoring, []),
        (masked_by_hand, []),
        (without_weight, []),
    ],
)
def test_padding(loss, kinds):
    for padding in (0, None):  # the embedding need not know of it
        model = LanguageModel(Recurrent(8), padding=padding, loss=loss)
        assert found(model, texts(PADDED), padding_in_loss) == kinds


def test_a_token_within_the_texts_is_no_padding():
    model = LanguageModel(Recurrent(8), padding=3)
    assert found(model, texts(), padding_in_loss) == []
