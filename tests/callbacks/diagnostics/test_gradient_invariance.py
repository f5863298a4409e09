"""GradientMonitor against Lightning's and PyTorch's own numbers, and the same numbers however one trains."""

import copy
import math

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins import MixedPrecision
from pytorch_lightning.utilities import grad_norm
from torch import nn

from callbacks import GradientMonitor
from tests.callbacks.plain import MemoryLogger, Plain, fit, has_hooks, mlp, rows

X, Y = torch.randn(64, 5, generator=torch.Generator().manual_seed(1)), torch.ones(64, 1)


def watch(model, loader, steps=1, monitor=None, **kwargs):
    logger = MemoryLogger()
    fit(model, loader, monitor or GradientMonitor(every_n_steps=1), steps=steps, logger=logger, **kwargs)
    return logger


def assert_same(a, b, rel=1e-5, but=()):
    """The same tags with the same values, except for the quantities in `but`."""
    a, b = ({t: v for t, v in log.values.items() if not t.startswith(tuple(but) or "-")} for log in (a, b))
    assert a.keys() == b.keys()
    for tag in a:
        assert [step for step, _ in a[tag]] == [step for step, _ in b[tag]], tag
        assert [v for _, v in a[tag]] == pytest.approx([v for _, v in b[tag]], rel=rel, abs=1e-12), tag


class Peers(Plain):
    """Records what pl.utilities.grad_norm and clip_grad_norm_ say of the same gradients."""

    def on_before_optimizer_step(self, optimizer):
        self.recipe = {k: float(v) for k, v in grad_norm(self, 2).items()}

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        self.total = float(nn.utils.clip_grad_norm_(self.parameters(), 0.1))


def test_agrees_with_lightning_and_with_clip_grad_norm():
    model = Peers(mlp(5, 8, 8, 1))
    logged = watch(model, rows(X, Y), monitor=GradientMonitor(every_n_steps=1, per_parameter=True))
    for k in range(3):
        for name in ("weight", "bias"):
            peer = model.recipe[f"grad_2.0_norm/net.{2 * k}.{name}"]
            assert logged.last(f"grad_norm/0{k}_net.{2 * k}.{name}") == pytest.approx(peer, rel=1e-5)
    assert logged.last("grad_norm_total") == pytest.approx(model.total, rel=1e-5)
    assert logged.last("clip_factor") == pytest.approx(0.1 / model.total, rel=1e-4)


@pytest.mark.parametrize(("limit", "algorithm"), [(0.05, "norm"), (100.0, "norm"), (0.01, "value")])
def test_norms_are_those_before_clipping(limit, algorithm):
    net = mlp(5, 8, 1)
    plain = watch(Plain(copy.deepcopy(net)), rows(X, Y))
    clipped = watch(Plain(net), rows(X, Y), gradient_clip_val=limit, gradient_clip_algorithm=algorithm)
    assert clipped.values["grad_norm/00_net.0"] == plain.values["grad_norm/00_net.0"]
    total = plain.last("grad_norm_total")
    assert "clip_factor" not in plain.values
    if algorithm == "norm":
        assert clipped.last("clip_factor") == pytest.approx(min(1.0, limit / total), rel=1e-4)
    else:
        assert 0 < clipped.last("clip_factor") < 1


def test_tied_weights_count_once_in_the_total():
    net = nn.Sequential(nn.Linear(5, 5, bias=False), nn.Linear(5, 5, bias=False))
    net[1].weight = net[0].weight
    model = Peers(net)
    logged = watch(model, rows(X, X))
    assert logged.last("grad_norm_total") == pytest.approx(model.total, rel=1e-5)


@pytest.mark.parametrize("fused", [False, True])
def test_loss_scaling_of_fp16_is_undone(fused):
    """A fused Adam unscales inside its step: Lightning hands over gradients that are 1024 times too large."""
    net = mlp(5, 8, 8, 1)

    def adam(parameters):
        return torch.optim.Adam(parameters, lr=1e-3, fused=fused)

    true = watch(Plain(copy.deepcopy(net), optimizer=adam), rows(X, Y), steps=3)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    amp = MixedPrecision("16-mixed", "cpu", scaler=scaler)
    scaled = watch(Plain(net, optimizer=adam), rows(X, Y), steps=3, plugins=[amp])
    assert scaled.last("amp_scale") == 1024.0
    assert_same(true, scaled, rel=0.02, but=["amp_scale"])  # fp16 has 11 bits


def test_accumulating_2_x_32_is_1_x_64():
    net = mlp(5, 8, 8, 1)
    whole = watch(Plain(copy.deepcopy(net)), rows(X, Y), steps=4)
    parts = watch(Plain(net), rows(X, Y, batch_size=32), steps=4, accumulate_grad_batches=2)
    assert_same(whole, parts)


def test_validation_and_sanity_check_stay_out():
    net = mlp(5, 8, 1)
    alone = watch(Plain(copy.deepcopy(net)), rows(X, Y, batch_size=16), steps=6, accumulate_grad_batches=2)
    extra = {"val": rows(1e6 * X, Y), "num_sanity_val_steps": 1, "val_check_interval": 1}
    both = watch(Plain(net), rows(X, Y, batch_size=16), steps=6, accumulate_grad_batches=2, **extra)
    assert_same(alone, both, rel=1e-12, but=["val/", "epoch"])


def test_compiled_is_eager_and_stays_compiled_between_probes():
    """The backend counts how often its code runs: at every step that is no probe step, and compiled only
    once."""
    runs, builds = [], []

    def backend(graph, inputs):
        builds.append(1)

        def run(*args):
            runs.append(1)
            return graph.forward(*args)

        return run

    torch._dynamo.reset()
    net = mlp(5, 8, 8, 1)
    eager = watch(Plain(copy.deepcopy(net)), rows(X, Y), steps=9, monitor=GradientMonitor(every_n_steps=3))
    compiled_net = torch.compile(net, backend=backend)
    compiled = watch(Plain(compiled_net), rows(X, Y), steps=9, monitor=GradientMonitor(every_n_steps=3))
    assert_same(eager, compiled)
    assert [step for step, _ in compiled.values["delta_norm/00_net.0"]] == [0, 2, 5, 8]
    assert (len(builds), len(runs)) == (1, 5)


def test_compiled_lightning_module_keeps_its_compiled_step():
    torch._dynamo.reset()
    net = mlp(5, 8, 1)
    eager = watch(Plain(copy.deepcopy(net)), rows(X, Y), steps=3)
    model = torch.compile(Plain(net), backend="eager")
    compiled = watch(model, rows(X, Y), steps=3)
    assert_same(eager, compiled)
    assert "training_step" in model._orig_mod.__dict__  # the one that Lightning put there
    assert model._orig_mod.training_step is not model._orig_mod._compiler_ctx["original_training_step"]


def test_the_axis_goes_on_after_a_resume(tmp_path):
    def model():
        torch.manual_seed(3)
        return Plain(mlp(5, 8, 1), optimizer=lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9))

    monitor = GradientMonitor(every_n_steps=4)
    whole = watch(model(), rows(X, Y), steps=12, monitor=monitor)
    before = MemoryLogger()
    trainer = fit(model(), rows(X, Y), GradientMonitor(every_n_steps=4), steps=6, logger=before)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    after = watch(
        model(),
        rows(X, Y),
        steps=12,
        monitor=GradientMonitor(every_n_steps=4),
        ckpt_path=tmp_path / "last.ckpt",
    )
    assert [step for step, _ in whole.values["grad_norm_total"]] == [0, 3, 7, 11]
    for tag in whole.values:
        assert whole.values[tag] == before.values[tag] + after.values[tag]


def test_default_cadence_is_lightnings_own():
    logged = watch(Plain(mlp(5, 4, 1)), rows(X, Y), steps=8, monitor=GradientMonitor(), log_every_n_steps=4)
    assert [step for step, _ in logged.values["grad_norm_total"]] == [0, 3, 7]


class Gan(pl.LightningModule):
    """Two optimizers, stepped by hand in one batch."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.critic = nn.Linear(5, 5), nn.Linear(5, 1)
        self.norms = {}

    def training_step(self, batch, batch_idx):
        x, _ = batch
        for optimizer, name in zip(self.optimizers(), ("generator", "critic"), strict=True):
            sign = 1 if name == "critic" else -1
            loss = sign * (self.critic(x).mean() - self.critic(self.generator(x)).mean())
            optimizer.zero_grad()
            self.manual_backward(loss)
            parameters = list(getattr(self, name).parameters())
            self.norms[name] = math.sqrt(sum(float(p.grad.double().square().sum()) for p in parameters))
            optimizer.step()

    def configure_optimizers(self):
        return [torch.optim.SGD(m.parameters(), lr=0.1) for m in (self.generator, self.critic)]


def test_manual_optimization_with_two_optimizers():
    model = Gan()
    logged = watch(model, rows(X, Y), steps=6)
    layers = dict(zip(("critic", "generator"), ("00_critic", "01_generator"), strict=True))
    for name, tag in layers.items():
        assert logged.last(f"grad_norm/{tag}") == pytest.approx(model.norms[name], rel=1e-6)
    assert [step for step, _ in logged.values["grad_norm/00_critic"]] == [0, 1, 2]  # as the losses


def test_lbfgs_reads_the_gradient_at_the_start_of_its_step():
    net = mlp(5, 4, 1)
    first = watch(Plain(copy.deepcopy(net)), rows(X, Y))
    logged = watch(Plain(net, optimizer=lambda p: torch.optim.LBFGS(p, max_iter=5)), rows(X, Y))
    assert logged.values["grad_norm/00_net.0"] == first.values["grad_norm/00_net.0"]
    assert logged.values["delta_norm/00_net.0"] == first.values["delta_norm/00_net.0"]


def test_depth_is_the_order_of_the_forward_pass():
    class Shuffled(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.unused, self.stem = nn.Linear(8, 1), nn.Linear(2, 2), nn.Linear(5, 8)

        def forward(self, x):
            return self.head(self.stem(x).relu())

    logged = watch(Plain(Shuffled()), rows(X, Y), steps=2)
    assert logged.tags("weight_norm") == [
        f"weight_norm/{t}" for t in ("00_net.stem", "01_net.head", "02_net.unused")
    ]
    assert logged.tags("grad_norm") == ["grad_norm/00_net.stem", "grad_norm/01_net.head"]


def test_include_exclude_and_their_mistakes():
    monitor = GradientMonitor(every_n_steps=1, include=["net.0", "net.2"], exclude="*.2")
    logged = watch(Plain(mlp(5, 4, 4, 1)), rows(X, Y), monitor=monitor)
    assert logged.tags("grad_norm") == ["grad_norm/00_net.0"]
    with pytest.raises(ValueError, match=r"no layer passes include=\['encoder.\*'\].*net.0, net.2"):
        watch(Plain(mlp(5, 4, 1)), rows(X, Y), monitor=GradientMonitor(include="encoder.*"))
    with pytest.raises(ValueError, match="every_n_steps=0"):
        GradientMonitor(every_n_steps=0)


@pytest.mark.parametrize(
    "layer", [nn.Embedding(4, 3, sparse=True), nn.LSTM(5, 3), nn.LazyLinear(3)], ids=type
)
def test_unusual_layers(layer):
    """Sparse gradients, outputs that are nested tuples, and parameters that come into being in the first
    pass."""
    x = torch.randint(0, 4, (8, 5)) if isinstance(layer, nn.Embedding) else X[:8]

    def loss(y, t):
        return (y[0] if isinstance(y, tuple) else y).square().sum()

    model = Plain(layer, loss=loss)
    logged = watch(model, rows(x, Y[:8]), steps=2)
    assert logged.last("grad_norm/00_net") > 0
    assert logged.last("delta_norm/00_net") > 0
    assert not has_hooks(model)
