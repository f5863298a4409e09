"""Arrays as short text: a page draws 8 bits per value, so it gets no more."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np


def pack(values: np.ndarray, scale: float, center: float = 0.0) -> dict[str, Any]:
    """An array (H, W) as bytes: 128 stands for `center`, 1 and 255 for `scale` below and above it, 0 for a NaN."""
    reach = scale if math.isfinite(scale) and scale > 0 else 1.0
    levels = np.clip((values - center) / reach, -1, 1) * 127 + 128
    levels = np.where(np.isfinite(values), np.nan_to_num(levels).round(), 0)
    return {
        "height": int(values.shape[0]),
        "width": int(values.shape[1]),
        "bytes": base64.b64encode(levels.astype(np.uint8).tobytes()).decode(),
        "scale": plain(reach),
        "center": plain(center),
    }


def pack_colors(colors: np.ndarray) -> dict[str, Any]:
    """Colors (H, W, 3), each from 0 to 1."""
    levels = (np.clip(np.nan_to_num(colors), 0, 1) * 255).round().astype(np.uint8)
    return {
        "height": int(colors.shape[0]),
        "width": int(colors.shape[1]),
        "colors": base64.b64encode(levels.tobytes()).decode(),
    }


def largest(values: np.ndarray, share: float = 1.0) -> float:
    """The largest size of finite values; with `share`, the size that so many of them stay below."""
    finite = np.abs(values[np.isfinite(values)])
    return float(np.quantile(finite, share)) if finite.size else 0.0


def plain(value: Any) -> Any:
    """The same as JSON holds it: numbers of five digits, and null for what is not finite."""
    if isinstance(value, np.ndarray):
        numbers = rounded(value.astype(float))
        return numbers.tolist() if np.isfinite(numbers).all() else plain(numbers.tolist())
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, bool | str | int | None):
        return value
    number = float(value)
    return float(f"{number:.5g}") if math.isfinite(number) else None


def rounded(values: np.ndarray) -> np.ndarray:
    """Five digits of every number; many at once, because a frame has thousands."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        unit = 10.0 ** (4 - np.floor(np.log10(np.abs(values))))
        found = np.round(values * unit) / unit
    return np.where(np.isfinite(found), found, np.where(np.isfinite(values), 0.0, values))
