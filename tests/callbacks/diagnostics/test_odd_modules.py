"""Modules that few people write: each trains as it does without observers, and none of these says that it failed."""

import dataclasses
import warnings

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn

from callbacks import ActivationMonitor, Diagnosis, GradientMonitor, LayerSummary, NonFiniteGuard
from tests.callbacks.plain import fit, has_hooks, rows

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(1))
Y = (X.sum(1) > 0).long()


class Odd(pl.LightningModule):
    """Two layers with something odd in between, and cross-entropy."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 2)
        self.build()

    def build(self):
        """Make further layers."""

    def between(self, h):
        return h.relu()

    def training_step(self, batch, batch_idx):
        x, y = batch
        return F.cross_entropy(self.last(self.between(self.first(x))), y)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class ReluOnIntegers(Odd):
    def between(self, h):
        counts = (h > 0).sum(1).clamp_min(1)
        return h.relu() / torch.relu(counts).clamp(min=0)[:, None] + F.relu((h > 0).long()) * 0.1


class Scripted(Odd):
    def build(self):
        self.scripted = torch.jit.script(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8)))

    def between(self, h):
        return self.scripted(h).relu()


class Traced(Scripted):
    def build(self):
        self.scripted = torch.jit.trace(nn.Sequential(nn.Linear(8, 8), nn.Tanh()), torch.zeros(2, 8))


class Ragged(Odd):
    """Sentences of different length, as one jagged tensor."""

    def build(self):
        self.inner = nn.Linear(8, 8)

    def between(self, h):
        whole = torch.nested.nested_tensor_from_jagged(h, torch.tensor([0, 3, 10, 32]))
        return self.inner(whole).relu().values()


class Padded(Ragged):
    """Nested tensors of the older layout."""

    def between(self, h):
        whole = torch.nested.as_nested_tensor([h[:5], h[5:]])
        return self.inner(whole).relu().to_padded_tensor(0.0).flatten(0, 1)[[*range(5), *range(27, 54)]]


class SparseInput(Odd):
    def between(self, h):
        return torch.sparse.mm(torch.eye(len(h)).to_sparse(), h).relu()


class SparseRows(nn.Module):
    """Returns a sparse matrix of the other layout."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(8))

    def forward(self, h):
        return (h * self.scale).to_sparse_csr()


class SparseOutput(Odd):
    def build(self):
        self.sparse = SparseRows()

    def between(self, h):
        return self.sparse(h.relu()).to_dense()


class SparseGradients(Odd):
    def build(self):
        self.table = nn.Embedding(32, 8, sparse=True)

    def between(self, h):
        return (h + self.table(torch.arange(len(h)))).relu()


class Returns(nn.Module):
    """A layer that returns what `wrap` makes of its output."""

    def __init__(self, wrap):
        super().__init__()
        self.weight, self.wrap = nn.Parameter(torch.eye(8)), wrap

    def forward(self, h):
        return self.wrap(h @ self.weight)


@dataclasses.dataclass
class Answer:
    hidden: torch.Tensor
    name: str = "answer"


@dataclasses.dataclass(slots=True)
class Slots:
    hidden: torch.Tensor


class Holder:
    def __init__(self, hidden):
        self.hidden = hidden


class Wrapped(Odd):
    """Layers that return None, dataclasses, dicts, other objects."""

    def build(self):
        self.box = []
        self.nothing = Returns(self.box.append)
        self.answer = Returns(Answer)
        self.slots = Returns(Slots)
        self.holder = Returns(Holder)
        self.mapping = Returns(lambda h: {"hidden": h, "others": [None, "word", {1: h.detach()}]})

    def between(self, h):
        self.nothing(h)
        h = self.answer(self.box.pop()).hidden
        h = self.holder(self.slots(h).hidden).hidden
        return self.mapping(h)["hidden"].relu()


class Complex(Odd):
    def build(self):
        self.mix = nn.Parameter(torch.randn(8, 8, dtype=torch.complex64))
        self.complex = Returns(lambda h: torch.fft.fft(h).conj())

    def between(self, h):
        return (self.complex(h) @ self.mix).abs().relu()


class NoRows(Odd):
    """A detector with nothing to detect: a layer and a relu get an empty batch."""

    def build(self):
        self.found = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))

    def between(self, h):
        return torch.cat([h, self.found(h[:0])]).relu()


class Answering(nn.Module):
    """Has every attribute that is asked for."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def __getattr__(self, name):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return lambda *args, **kwargs: None

    def forward(self, h):
        return self.inner(h)


class Refusing(Answering):
    """Raises another error than AttributeError for an attribute that is missing."""

    def __getattr__(self, name):
        modules = self.__dict__.get("_modules", {})
        return modules[name] if name in modules else self.__dict__["_parameters"][name]


class OddAttributes(Odd):
    def build(self):
        self.answering, self.refusing = Answering(), Refusing()

    def between(self, h):
        return self.refusing(self.answering(h).relu()).relu()


class OwnState(nn.LSTM):
    """A recurrent layer that returns a dict."""

    def forward(self, x):
        output, (h, c) = super().forward(x)
        return {"state": (h, c), "output": output}


class Recurrent(Odd):
    def build(self):
        self.lstm = OwnState(8, 8)

    def between(self, h):
        return self.lstm(h[None])["output"][0]


class SameName(Odd):
    """A function that is called like one of torch's, and a loss that is called like another."""

    def build(self):
        def relu(x):
            return x if torch.overrides.has_torch_function_unary(x) is None else _overridable(relu, x)

        def cross_entropy(*args):
            return None

        self.own, self.loss = relu, cross_entropy

    def between(self, h):
        return self.own(h).relu()


def _overridable(function, x):
    return torch.overrides.handle_torch_function(function, (x,), x) if type(x) is not torch.Tensor else x


class ReturnsItsInput(Odd):
    def build(self):
        self.same = Returns(lambda h: h)
        self.same.forward = lambda h: h

    def between(self, h):
        return self.same(self.same(h)).relu()


class Buffers(Odd):
    """Integer and half-precision parts, and a parameter that is a view of another."""

    def build(self):
        self.register_buffer("count", torch.zeros((), dtype=torch.long))
        self.narrow = nn.Linear(8, 8).to(torch.bfloat16)

    def between(self, h):
        self.count += 1
        return self.narrow(h.bfloat16()).float().relu()


ODD = [
    ReluOnIntegers,
    Scripted,
    Traced,
    Ragged,
    Padded,
    SparseInput,
    SparseOutput,
    SparseGradients,
    Wrapped,
    Complex,
    NoRows,
    OddAttributes,
    Recurrent,
    SameName,
    ReturnsItsInput,
    Buffers,
]


def train(kind, *callbacks):
    torch.manual_seed(3)
    model = kind()
    fit(model, rows(X, Y), *callbacks, steps=4)
    assert not has_hooks(model)
    return [p.detach().clone() for p in model.parameters()]


def observers():
    return [
        GradientMonitor(1),
        ActivationMonitor(1),
        NonFiniteGuard(),
        Diagnosis(1, window=2),
        LayerSummary(),
    ]


@pytest.mark.parametrize("kind", ODD)
def test_it_trains_as_without_observers_and_is_measured(kind):
    expected, made = train(kind), observers()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = train(kind, *made)
    assert [str(each.message) for each in caught if "skipped" in str(each.message)] == []
    assert all(map(torch.equal, expected, found))
    assert made[0].latest_step == made[1].latest_step == 3
    assert all(value > 0 for value in made[0].latest["grad_norm"].values()) or kind is NoRows
    assert made[1].latest["mean"]
