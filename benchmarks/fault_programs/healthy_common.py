"""Healthy programs that vary one thing at a time: optimizer, data, initial weights, activation, norm, schedule, batch."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.optim import lr_scheduler

from benchmarks.fault_programs.base import Run, Supervised, adam, convnet, healthy, mlp, momentum
from benchmarks.fault_programs.data import cancer, diabetes, digits, flat, loaders, rare, wine
from benchmarks.fault_programs.initialization import initialize

BCE = F.binary_cross_entropy_with_logits
add = partial(healthy, family="healthy_common")


def on_digits(net_of, **options) -> Run:
    """A network on flattened digits."""
    return Run(Supervised(net_of(), **options), *loaders(flat(digits())))


def on_images(net_of, **options) -> Run:
    return Run(Supervised(net_of(), **options), *loaders(digits()))


def on_cancer(net_of, batch_size: int = 32, epochs: int = 6, **options) -> Run:
    return Run(Supervised(net_of(), BCE, **options), *loaders(cancer(), batch_size), epochs=epochs)


def on_diabetes(net_of, loss=F.mse_loss, **options) -> Run:
    return Run(Supervised(net_of(), loss, **options), *loaders(diabetes()), epochs=8)


OPTIMIZERS = {
    "sgd": partial(optim.SGD, lr=0.1),
    "momentum": partial(optim.SGD, lr=0.02, momentum=0.9),
    "nesterov": partial(optim.SGD, lr=0.02, momentum=0.9, nesterov=True, weight_decay=5e-4),
    "adam": partial(optim.Adam, lr=3e-3),
    "adam_amsgrad": partial(optim.Adam, lr=3e-3, amsgrad=True, betas=(0.9, 0.99)),
    "adamw": partial(optim.AdamW, lr=3e-3, weight_decay=0.05),
    "nadam": partial(optim.NAdam, lr=3e-3),
    "radam": partial(optim.RAdam, lr=1e-2),
    "adamax": partial(optim.Adamax, lr=1e-2),
    "rmsprop": partial(optim.RMSprop, lr=2e-3),
    "adagrad": partial(optim.Adagrad, lr=3e-2),
    "adadelta": partial(optim.Adadelta, lr=1.0),
    "asgd": partial(optim.ASGD, lr=0.1),
    "rprop": partial(optim.Rprop, lr=1e-2),
    "lbfgs": partial(optim.LBFGS, lr=0.5, max_iter=5),
}
FULL_BATCH = {"rprop", "lbfgs"}
for name, optimizer in OPTIMIZERS.items():
    batch_size, epochs = (448, 30) if name in FULL_BATCH else (32, 6)
    add(
        f"mlp_with_{name}",
        partial(on_cancer, lambda: mlp(30, 32, 32, 1), batch_size, epochs, optimizer=optimizer),
    )
for name in ("sgd", "momentum", "adamw", "rmsprop", "adagrad"):
    add(f"convnet_with_{name}", partial(on_images, lambda: convnet(8, 16), optimizer=OPTIMIZERS[name]))

ACTIVATIONS = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
}
ACTIVATIONS |= {
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "softplus": nn.Softplus,
    "hardswish": nn.Hardswish,
}
ACTIVATIONS |= {"prelu": nn.PReLU, "mish": nn.Mish, "relu6": nn.ReLU6}
for name, activation in ACTIVATIONS.items():
    add(f"activation_{name}", partial(on_digits, partial(mlp, 64, 48, 32, 10, activation=activation)))

STARTS = {
    "he": nn.init.kaiming_normal_,
    "xavier": nn.init.xavier_uniform_,
    "orthogonal": nn.init.orthogonal_,
    "normal_0.02": partial(nn.init.normal_, std=0.02),
    "truncated_normal": partial(nn.init.trunc_normal_, std=0.1),
}
for name, start in STARTS.items():
    add(f"start_{name}", partial(on_digits, lambda start=start: initialize(mlp(64, 64, 64, 10), start)))
for depth in (1, 4, 8):
    add(
        f"relu_and_he_{depth}_deep",
        partial(
            on_digits,
            lambda depth=depth: initialize(mlp(64, *[48] * depth, 10), nn.init.kaiming_normal_),
            optimizer=partial(adam, lr=2e-3),
        ),
    )

NORMS = {
    "batch_norm": nn.BatchNorm2d,
    "group_norm": lambda n: nn.GroupNorm(4, n),
    "instance_norm": lambda n: nn.InstanceNorm2d(n, affine=True),
    "layer_norm": lambda n: nn.GroupNorm(1, n),
}
for name, norm in NORMS.items():
    add(f"convnet_with_{name}", partial(on_images, partial(convnet, 8, 16, norm=norm)))
for name, norm in {"batch_norm": nn.BatchNorm1d, "layer_norm": nn.LayerNorm, "rms_norm": nn.RMSNorm}.items():
    add(f"mlp_with_{name}", partial(on_digits, partial(mlp, 64, 64, 64, 10, norm=norm)))


def warmed_up(optimizer, steps: int):
    """A rate that rises from 0 over a tenth of the steps and falls along a cosine."""
    first = lr_scheduler.LambdaLR(optimizer, lambda i: i / (0.1 * steps))
    rest = lr_scheduler.CosineAnnealingLR(optimizer, T_max=int(0.9 * steps))
    return lr_scheduler.SequentialLR(optimizer, [first, rest], [max(1, int(0.1 * steps))])


SCHEDULES = {
    "one_cycle": lambda o, n: lr_scheduler.OneCycleLR(o, max_lr=1e-2, total_steps=n),
    "cosine": lambda o, n: lr_scheduler.CosineAnnealingLR(o, T_max=n),
    "cosine_after_warm_up_from_0": warmed_up,
    "step": lambda o, n: lr_scheduler.StepLR(o, step_size=max(1, n // 3), gamma=0.3),
    "exponential": lambda o, n: lr_scheduler.ExponentialLR(o, gamma=0.98),
    "linear_to_0": lambda o, n: lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=n),
    "polynomial": lambda o, n: lr_scheduler.PolynomialLR(o, total_iters=n, power=2),
    "restarts": lambda o, n: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=max(1, n // 4)),
    "cyclic": lambda o, n: lr_scheduler.CyclicLR(o, 1e-3, 1e-2, step_size_up=10, cycle_momentum=False),
}
for name, schedule in SCHEDULES.items():
    add(
        f"schedule_{name}",
        partial(on_images, lambda: convnet(8, 16), optimizer=partial(adam, lr=5e-3), schedule=schedule),
    )


class OnPlateau(Supervised):
    def configure_optimizers(self):
        optimizer = self.optimizer(self.parameters())
        scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": "val/loss"}}


class PerEpoch(Supervised):
    def configure_optimizers(self):
        optimizer = self.optimizer(self.parameters())
        return [optimizer], [lr_scheduler.MultiStepLR(optimizer, [1, 2], gamma=0.3)]


add("schedule_plateau", lambda: Run(OnPlateau(convnet(8, 16)), *loaders(digits())))
add("schedule_per_epoch", lambda: Run(PerEpoch(convnet(8, 16)), *loaders(digits())))

for seed in range(5):
    add(f"mlp_of_seed_{seed}", partial(on_digits, lambda: mlp(64, 64, 64, 10)))
    add(
        f"convnet_of_seed_{seed}",
        partial(on_images, lambda: convnet(8, 16, 16), optimizer=partial(adam, lr=5e-3)),
    )

LOSSES = {
    "l1": F.l1_loss,
    "huber": nn.HuberLoss(),
    "log_cosh": lambda a, b: torch.log(torch.cosh(a - b)).mean(),
}
for name, loss in LOSSES.items():
    add(f"regression_{name}", partial(on_diabetes, lambda: mlp(10, 32, 1), loss))
add("regression_with_momentum", partial(on_diabetes, lambda: mlp(10, 32, 16, 1), optimizer=momentum))
add(
    "linear_regression", partial(on_diabetes, lambda: nn.Linear(10, 1), optimizer=partial(optim.SGD, lr=0.05))
)
add("regression_tanh", partial(on_diabetes, lambda: mlp(10, 20, 20, 1, activation=nn.Tanh)))
add("logistic_regression", partial(on_cancer, lambda: nn.Linear(30, 1), optimizer=partial(optim.SGD, lr=0.3)))
add("softmax_regression", partial(on_digits, lambda: nn.Linear(64, 10), optimizer=partial(adam, lr=1e-2)))
for seed in range(3):
    add(
        f"wine_of_seed_{seed}",
        lambda: Run(
            Supervised(mlp(13, 16, 3), optimizer=partial(adam, lr=1e-2)), *loaders(wine(), 16), epochs=10
        ),
    )


def imbalanced(share: float, loss=F.cross_entropy, epochs: int = 3) -> Run:
    return Run(Supervised(mlp(64, 32, 2), loss, partial(adam, lr=1e-2)), *loaders(rare(share)), epochs=epochs)


def focal(out, y):
    wrong = 1 - out.softmax(1).gather(1, y[:, None])[:, 0]
    return (wrong**2 * F.cross_entropy(out, y, reduction="none")).mean()


add("imbalanced_10_percent", partial(imbalanced, 0.1))
add("imbalanced_5_percent", partial(imbalanced, 0.05))
add(
    "imbalanced_with_weights", partial(imbalanced, 0.1, nn.CrossEntropyLoss(weight=torch.tensor([0.55, 5.0])))
)
add("imbalanced_with_focal_loss", partial(imbalanced, 0.1, focal))
add(
    "label_smoothing",
    partial(on_images, lambda: convnet(8, 16), loss=nn.CrossEntropyLoss(label_smoothing=0.1)),
)
for share in (0.1, 0.3, 0.5):
    add(
        f"dropout_{share}",
        partial(
            on_digits,
            lambda share=share: nn.Sequential(
                nn.Linear(64, 128),
                nn.ReLU(),
                nn.Dropout(share),
                nn.Linear(128, 64),
                nn.ReLU(),
                nn.Linear(64, 10),
            ),
        ),
    )


def with_trainer(
    batch_size: int = 32, epochs: int = 3, val: bool = True, shuffle: bool = True, **trainer
) -> Run:
    train, validation = loaders(digits(), batch_size, shuffle=shuffle)
    net = Supervised(convnet(8, 16), optimizer=partial(adam, lr=1e-2))
    return Run(net, train, validation if val else None, epochs, trainer)


add("gradient_clipping_by_norm", partial(with_trainer, gradient_clip_val=1.0))
add(
    "gradient_clipping_by_value",
    partial(with_trainer, gradient_clip_val=0.5, gradient_clip_algorithm="value"),
)
add("accumulation_over_4_batches", partial(with_trainer, 8, 4, accumulate_grad_batches=4))
add("no_validation", partial(with_trainer, val=False))
add("not_shuffled_rows_in_random_order", partial(with_trainer, shuffle=False))
add("one_batch_per_epoch", partial(with_trainer, 1280, 60))
add("batches_of_8", partial(with_trainer, 8))
add("batches_of_256", partial(with_trainer, 256, 16))
add("bfloat16_mixed", partial(with_trainer, precision="bf16-mixed"))
add("float64", partial(with_trainer, precision="64-true"))
add("validation_within_the_epoch", partial(with_trainer, val_check_interval=10))
add("no_sanity_check", partial(with_trainer, num_sanity_val_steps=0))
