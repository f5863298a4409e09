"""One LightningModule per architecture; a class is imported when it is first asked for."""

from importlib import import_module
from typing import Any

_HOMES = {
    "LitModel": "base",
    "LitLinear": "linear",
    "LitMLP": "mlp",
    "LitConvNet": "convnet",
    "LitAutoencoder": "autoencoder",
    "LitRNN": "rnn",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lit_models' has no attribute {name!r}; it has {', '.join(_HOMES)}")
    return getattr(import_module(f"lit_models.{_HOMES[name]}"), name)
