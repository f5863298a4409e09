"""What a module trains, and how: flags that no `state_dict` has, and that callbacks such as BaseFinetuning change."""

from typing import Any

from pytorch_lightning import LightningModule, Trainer

from runtime import private

Modes = dict[str, dict[str, bool]]


def module_modes(trainer: Trainer, module: LightningModule) -> Modes:
    """By name: which parameters are trained, which modules are in training mode, which norms update their statistics."""
    return {
        "trained": {name: each.requires_grad for name, each in module.named_parameters()},
        "training": private.training_modes(trainer),
        "tracking": {name: each.track_running_stats for name, each in norms_of(module).items()},
    }


def restore_module_modes(modes: Modes, module: LightningModule) -> None:
    """Restore what `module_modes` found. What it did not find, as in an older checkpoint, is left as it is."""
    trained, training, tracking = (modes.get(kind, {}) for kind in ("trained", "training", "tracking"))
    for name, parameter in module.named_parameters():
        if trained.get(name, parameter.requires_grad) != parameter.requires_grad:
            parameter.requires_grad_(trained[name])
    for name, each in module.named_modules():
        each.training = training.get(name, each.training)
    for name, norm in norms_of(module).items():
        norm.track_running_stats = tracking.get(name, norm.track_running_stats)


def norms_of(module: LightningModule) -> dict[str, Any]:
    """The normalization layers of a module that have running statistics, by name."""
    norms = {name: each for name, each in module.named_modules() if hasattr(each, "track_running_stats")}
    return {name: each for name, each in norms.items() if each.running_mean is not None}
