"""The IDX format, in which MNIST and its relatives are published.

Big-endian: two zero bytes, one byte for the type (8: unsigned byte), one for the number of dimensions, then the size
of each dimension as four bytes, then the values. Source: http://yann.lecun.com/exdb/mnist
"""

import gzip
import math
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SIDE = 28  # pixels
NUM_CLASSES = 10
MAX_DIMENSIONS = 3
Check = Callable[[Path, bytes], None]


def read_idx(path: Path, check: Check | None = None) -> NDArray[np.uint8]:
    """The values of an IDX file of unsigned bytes, plain or gzipped, in the shape given by its header.

    Args:
        path: of the file.
        check: called with the path and the uncompressed contents; raises a ValueError to reject them.

    Raises:
        ValueError: if the file cannot be read, or its header does not fit its contents.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path} is damaged or cannot be read ({error}); remove it to fetch it anew"
        ) from None
    if check is not None:
        check(path, content)
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise ValueError(
            f"{path} is not an IDX file of unsigned bytes: it begins with {content[:4].hex(' ') or 'nothing'}"
        )
    if not 1 <= content[3] <= MAX_DIMENSIONS:
        raise ValueError(f"{path} should have {content[3]} dimensions by its header; it is damaged")
    header = 4 + 4 * content[3]
    if len(content) < header:
        raise ValueError(f"{path} ends within its header, after {len(content)} bytes")
    shape = struct.unpack(f">{content[3]}I", content[4:header])
    # If one size is 0, any other would pass; but NumPy accepts no size larger than the memory.
    if len(content) != header + math.prod(shape) or max(shape) > len(content):
        size = " x ".join(map(str, shape))
        raise ValueError(f"{path} should hold {size} bytes by its header, but holds {len(content) - header}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy()


def read_images_and_labels(
    images_path: Path, labels_path: Path, check: Check | None = None
) -> tuple[Tensor, Tensor]:
    """Images (N, 1, 28, 28), uint8 from 0 (black) to 255, and labels (N,), int64 from 0 to 9.

    Raises:
        ValueError: if the two files are not images and labels, or do not belong together.
    """
    images, labels = read_idx(images_path, check), read_idx(labels_path, check)
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"{images_path} has shape {images.shape}; images should be (N, {SIDE}, {SIDE})")
    if labels.ndim != 1 or len(labels) != len(images):
        raise ValueError(f"{labels_path} has shape {labels.shape}, but there are {len(images)} images")
    if len(images) == 0:
        raise ValueError(f"{images_path} has no images")
    if labels.max() >= NUM_CLASSES:
        raise ValueError(f"{labels_path} has the label {labels.max()}; labels go from 0 to {NUM_CLASSES - 1}")
    return torch.from_numpy(images)[:, None], torch.from_numpy(labels).long()
