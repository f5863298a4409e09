"""Samples of a batch that influence each other, by mistake and on purpose."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from callbacks.checkup.checks.independence import samples_are_independent
from tests.callbacks.checkup.examine import examine, found
from tests.callbacks.plain import Plain, mlp, rows

X = torch.randn(24, 5, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(24) % 3
FAULT = [("samples influence each other", "fail")]
INFO = [("samples influence each other", "info")]


class Last(nn.Module):
    """A recurrent layer's output at the last step."""

    def __init__(self, batch_first):
        super().__init__()
        self.rnn = nn.GRU(4, 8, batch_first=batch_first)

    def forward(self, x):
        return self.rnn(x)[0][:, -1]


class By(nn.Module):
    """A function, and a linear layer."""

    def __init__(self, function, width=20):
        super().__init__()
        self.function, self.head = function, nn.Linear(width, 3)

    def forward(self, x):
        return self.head(self.function(x).flatten(1))


class Viewed(nn.Module):
    """Time first, by view instead of transpose."""

    def __init__(self, function):
        super().__init__()
        self.function, self.rnn, self.head = function, nn.GRU(4, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.rnn(self.function(x))[0][-1])


def attend(x):
    """Weights for the steps of each sample; the softmax runs over the samples."""
    return (x.mean(2, keepdim=True).softmax(0) * x).sum(1)


NETS = {
    "batch_first": (lambda: nn.Sequential(Last(False), nn.Linear(8, 3)), FAULT),
    "a transformer layer": (
        lambda: nn.Sequential(nn.TransformerEncoderLayer(4, 2, 8), By(lambda x: x)),
        FAULT,
    ),
    "view": (lambda: Viewed(lambda x: x.view(5, -1, 4)), FAULT),
    "reshape": (lambda: Viewed(lambda x: x.reshape(x.shape[1], x.shape[0], 4)), FAULT),
    "samples in the middle": (
        lambda: By(lambda x: x.permute(1, 2, 0).reshape(x.shape[0], 5, 4)),
        FAULT,
    ),
    "softmax": (lambda: By(attend, 4), [("softmax over the batch", "fail")]),
    "centred": (lambda: By(lambda x: x - x.mean(0)), INFO),
    "right": (lambda: nn.Sequential(Last(True), nn.Linear(8, 3)), []),
    "transposed": (lambda: Viewed(lambda x: x.transpose(0, 1)), []),
    "flat": (lambda: By(lambda x: x.view(len(x), -1)), []),
    "BatchNorm": (lambda: nn.Sequential(nn.BatchNorm1d(5), By(lambda x: x)), []),
    "dropout": (lambda: nn.Sequential(nn.Dropout(), By(lambda x: x)), []),
}


@pytest.mark.parametrize("name", NETS)
def test_networks(name):
    make, kinds = NETS[name]
    assert found(Plain(make(), F.cross_entropy), rows(X, Y, batch_size=8), samples_are_independent) == kinds


def test_the_layer_is_named():
    model = Plain(nn.Sequential(Last(False), nn.Linear(8, 3)), F.cross_entropy)
    (verdict,) = examine(model, rows(X, Y, batch_size=8), samples_are_independent).verdicts
    assert verdict.layers == ["net.0.rnn"]
    assert "batch_first=True in GRU" in verdict.advice


class Step(Plain):
    """A network with a step of its own."""

    def __init__(self, step, net=None):
        super().__init__(net or nn.Sequential(nn.Flatten(), mlp(20, 8, 3)))
        self.step = step

    def training_step(self, batch, batch_idx):
        return self.step(self, *batch)


def mixup(model, x, y):
    weight = torch.rand(())
    return F.cross_entropy(model(weight * x + (1 - weight) * x.roll(1, 0)), y)


def contrastive(model, x, y):
    z = model(x)
    return F.cross_entropy(z @ z.T, torch.arange(len(x)))


def nothing_for_the_input(model, x, y):
    return F.cross_entropy(model(x * 0), y)


def negatives(model, x, y):
    """The other samples of the batch are the negatives."""
    z = model(x)
    distance = (z[:, None] - z[None]).square().sum(-1)
    return F.margin_ranking_loss(distance.mean(1), distance[:, 0], torch.ones(len(x)))


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (mixup, "the step mixes pairs of samples before the network gets them, as mixup does"),
        (contrastive, "the predictions compare the samples of the batch with each other"),
        (nothing_for_the_input, "the predictions do not depend on the input"),
    ],
)
def test_what_cannot_be_checked(step, reason):
    observer = examine(Step(step), rows(X, Y, batch_size=8), samples_are_independent)
    assert (observer.verdicts, observer.why_not) == ([], [reason])


class Tagger(Plain):
    """A tag of 7 for each position; padding is packed away. Logits are (N, 7, T), as `cross_entropy` takes them."""

    def __init__(self, batch_first):
        super().__init__(nn.LSTM(4, 4, batch_first=batch_first, bidirectional=True))
        self.head, self.batch_first = nn.Linear(8, 7), batch_first

    def training_step(self, batch, batch_idx):
        x, y = batch
        num, length = x.shape[:2] if self.batch_first else x.shape[1::-1]
        lengths = torch.full((num,), length)
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, self.batch_first, enforce_sorted=False)
        z, _ = nn.utils.rnn.pad_packed_sequence(self.net(packed)[0], self.batch_first)
        return F.cross_entropy(self.head(z).movedim(-1, 1), y[:, None].expand(-1, x.shape[1]))


@pytest.mark.parametrize("size", [7, 16])  # the check takes 7 samples of a larger batch
@pytest.mark.parametrize(("batch_first", "kinds"), [(True, []), (False, INFO)])
def test_as_many_classes_as_samples_are_no_comparison(size, batch_first, kinds):
    observer = examine(Tagger(batch_first), rows(X, Y, batch_size=size), samples_are_independent)
    assert not observer.why_not
    assert [(each.kind, each.severity) for each in observer.verdicts] == kinds


def test_negatives_from_the_batch_is_only_mentioned():
    assert found(Step(negatives), rows(X, Y, batch_size=8), samples_are_independent) == INFO


def test_a_view_in_the_step_itself():
    def viewed(model, x, y):
        return F.cross_entropy(model(x.reshape(5, -1, 4).transpose(0, 1)), y)

    assert found(Step(viewed), rows(X, Y, batch_size=8), samples_are_independent) == FAULT


def test_a_graph_is_one_sample():
    class Graph(Plain):
        def __init__(self):
            super().__init__(nn.Linear(20, 3), F.cross_entropy)
            self.register_buffer("adjacency", torch.rand(24, 24))

        def forward(self, x):
            return self.net(self.adjacency.to(x) @ x.flatten(1))

    observer = examine(Graph(), rows(X, Y), samples_are_independent)
    assert observer.why_not == ["the samples of a batch are the nodes of a graph"]


def test_as_many_images_as_they_have_rows_are_no_graph():
    """8 images of 8 x 8 pixels, and a softmax over them."""
    images = torch.randn(24, 1, 8, 8, generator=torch.Generator().manual_seed(0))

    def weighted(x):
        return x.mean((1, 2, 3)).softmax(0)[:, None] * x.flatten(1)

    for function, expected in ((weighted, INFO), (lambda x: x, [])):
        model = Plain(By(function, width=64), F.cross_entropy)
        checked = examine(model, rows(images, Y, batch_size=8), samples_are_independent)
        assert not checked.why_not
        assert [(each.kind, each.severity) for each in checked.verdicts] == expected


def test_a_mask_of_later_positions_is_no_graph():
    class Causal(Plain):
        def __init__(self):
            super().__init__(nn.Linear(4, 3), F.cross_entropy)
            self.register_buffer("mask", torch.full((5, 5), -torch.inf).triu(1))

        def forward(self, x):
            return self.net((self.mask.to(x).softmax(1) @ x)[:, -1])

    assert not examine(Causal(), rows(X[:20], Y[:20], batch_size=5), samples_are_independent).why_not


def test_statistics_of_the_batch_on_purpose():
    net = nn.Sequential(nn.BatchNorm1d(5, track_running_stats=False), nn.Flatten(), nn.Linear(20, 3))
    observer = examine(Plain(net, F.cross_entropy), rows(X, Y, batch_size=8), samples_are_independent)
    assert observer.why_not == ["net.0 uses the statistics of the batch in eval mode, too"]


def test_batches_with_time_first_are_recognized():
    def time_first(samples):
        x, y = zip(*samples, strict=True)
        return torch.stack(x, 1), torch.stack(y)

    net = nn.GRU(4, 3)
    model = Step(lambda model, x, y: F.cross_entropy(model.net(x)[0][-1], y), net)
    loader = DataLoader(TensorDataset(X, Y), batch_size=8, collate_fn=time_first)
    observer = examine(model, loader, samples_are_independent)
    assert observer.why_not == ["it is not clear which axis of a batch counts its samples"]
