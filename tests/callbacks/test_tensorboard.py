"""TensorBoard's checksums against the check value that the standard gives, and its files as others read them."""

import torch
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.tensorflow_stub import pywrap_tensorflow

from callbacks import GradientMonitor
from tests.callbacks.plain import Plain, fit, mlp, rows


def in_python(data: bytes) -> int:
    """CRC-32C bit by bit, with the polynomial of RFC 3720 reversed."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_the_checksum_is_taken_in_c_and_the_same(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    fit(Plain(mlp(4, 3, 1)), rows(torch.randn(8, 4), torch.zeros(8, 1)), GradientMonitor(1), logger=logger)
    assert pywrap_tensorflow.crc32c.__module__.startswith("google_crc32c")
    assert pywrap_tensorflow.crc32c(b"123456789") == 0xE3069283  # as in RFC 3720
    for data in (b"", bytes(32), bytes(range(256)) * 7):
        assert pywrap_tensorflow.crc32c(data) == in_python(data)
    events = EventAccumulator(logger.log_dir).Reload()
    assert "grad_norm/00_net.0" in events.Tags()["scalars"]
