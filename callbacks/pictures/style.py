"""The style of all pictures: light, plain, legible when small, and safe for color-blind readers."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito 2008, https://jfly.uni-koeln.de/color: distinguishable with any color vision.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW, BLACK = "#56B4E9", "#CC79A7", "#F0E442", "#000000"
COLORS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, YELLOW, BLACK)
# Ten for ten classes: yellow, hard to see on white, is replaced by olive; wine and gray are added.
MANY_COLORS = (*COLORS[:6], "#999933", BLACK, "#882255", "#999999")
# For masks: class 0, often the background, is light; black is left for pixels without a label.
MASK_COLORS = ("#DDDDDD", *COLORS[:6], "#999933", "#882255")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")  # so that classes differ in more than color
GRAY = "0.45"
SEQUENTIAL = "viridis"
DIVERGING = "RdBu"  # for values with a middle: set limits of equal size on both sides
DPI = 240  # sharp on screens of high resolution

STYLE: dict[str, Any] = {
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "figure.titlesize": 12,
    "legend.fontsize": 10,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "image.cmap": SEQUENTIAL,
}


def class_colors(num_classes: int) -> list[str]:
    """One color per class; for two classes, the ends of the diverging scale."""
    if num_classes == 2:
        return [VERMILION, BLUE]
    return [COLORS[label % len(COLORS)] for label in range(num_classes)]


def mask_colors(num_classes: int) -> list[str]:
    """One color per class of a mask, all different up to 256 classes."""
    return [
        MASK_COLORS[label] if label < len(MASK_COLORS) else spread_color(label)
        for label in range(num_classes)
    ]


def spread_color(label: int) -> str:
    """A color of PASCAL VOC's palette (VOClabelcolormap in its devkit): the bits go round red, green and blue."""
    channels = [
        sum((label >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3)) for channel in range(3)
    ]
    return "#" + "".join(f"{value:02X}" for value in channels)


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Use this style for all figures made inside; afterwards the user's matplotlib settings are restored."""
    import matplotlib
    from cycler import cycler

    settings: Any = STYLE | {"axes.prop_cycle": cycler(color=COLORS)}
    with matplotlib.rc_context(settings):
        yield


def new_figure(
    width: float = 5.0, height: float = 3.8, layout: Literal["constrained"] | None = "constrained"
) -> Figure:
    """An empty figure of that size in inches. It avoids pyplot, which would keep the figure and look for a display.

    Arranging the axes takes as long as drawing them; for many alike axes, set the margins and use no layout.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=layout)


def legend_below(figure: Figure, axes: Axes, columns: int = 3) -> None:
    """The legend of these axes below all axes, where it cannot cover a curve."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=columns)


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file of 256 colors.

    That takes less time and a third of the room of a file with all colors; a color is off by a few of 255 levels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    small = picture.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    palette = small.getpalette() or []
    corner: Any = small.getpixel((0, 0))  # mixed with other light colors the paper would be off-white
    paper: Any = picture.getpixel((0, 0))
    palette[3 * corner : 3 * corner + 3] = paper
    small.putpalette(palette)
    buffer = io.BytesIO()
    small.save(buffer, "png")
    return buffer.getvalue()
