"""One LightningModule per architecture.

Each is imported when it is first asked for, so a file that is half edited stops only the commands that need it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for editors and mypy, and for `--help` and completion, which read this file
    from lit_models.autoencoder import LitAutoencoder as LitAutoencoder
    from lit_models.base import LitModel as LitModel
    from lit_models.convnet import LitConvNet as LitConvNet
    from lit_models.linear import LitLinear as LitLinear
    from lit_models.mlp import LitMLP as LitMLP
    from lit_models.rnn import LitRNN as LitRNN

FILES = {
    "LitAutoencoder": "autoencoder",
    "LitConvNet": "convnet",
    "LitLinear": "linear",
    "LitMLP": "mlp",
    "LitModel": "base",
    "LitRNN": "rnn",
}
__all__ = [*FILES]


def __getattr__(name: str) -> Any:
    if name not in FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{FILES[name]}"), name)
