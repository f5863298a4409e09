"""One LightningModule per architecture."""

from lit_models.autoencoder import LitAutoencoder
from lit_models.base import LitModel
from lit_models.convnet import LitConvNet
from lit_models.linear import LitLinear
from lit_models.mlp import LitMLP
from lit_models.rnn import LitRNN

__all__ = [
    "LitAutoencoder",
    "LitConvNet",
    "LitLinear",
    "LitMLP",
    "LitModel",
    "LitRNN",
]
