"""The section of pictures: each kind with a sentence on how to read it, and a slider over the steps."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape
from pathlib import Path

from callbacks.pictures import how_to_read
from pages.frame import Section, note
from pages.run_files import RunFiles

BUDGET = 2_000_000  # bytes of all pictures of a page, at most; base64 makes a third more of them
TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".webp": "image/webp"}
GROUPS = ("filters", "feature_maps", "reconstruction", "robustness", "errors", "depth", "code", "fit")


def section(run: RunFiles, budget: int = BUDGET) -> Section:
    """All pictures that fit into so many bytes; the newest of each kind are the last to be left out."""
    if not run.pictures:
        drawn = run.config.get("pictures", True)
        words = "No picture suited this model and these data, or none was drawn yet."
        why = words if drawn else "No pictures were drawn, because of --pictures false."
        return Section("pictures", "Pictures", "", note(why))
    data, thinned = within_budget(run.pictures, min(budget, BUDGET))
    figures = "".join(picture(tag, steps) for tag, steps in data.items() if steps)
    how = (
        "What the network has learned, drawn on the same validation rows each time. The slider goes through the "
        "training."
    )
    body = f'<div class="pictures">{figures}</div>'
    if thinned:
        body += note(f"To keep this page small, {thinned} more pictures are only in the folder pictures.")
    return Section("pictures", "Pictures", how, body)


def picture(tag: str, steps: dict[int, str]) -> str:
    """One kind of picture, the newest first shown; `steps` are addresses of images that hold their data."""
    last = max(steps)
    images = "".join(
        f'<img src="{address}" data-frame="{place}" alt="{escape(tag)} at step {step:,}"'
        f"{'' if step == last else ' hidden'}>"
        for place, (step, address) in enumerate(steps.items())
    )
    slider = ""
    if len(steps) > 1:
        marks = " ".join(f"{step:,}" for step in steps)
        slider = (
            f'<input type="range" data-frames min="0" max="{len(steps) - 1}" value="{len(steps) - 1}" '
            f'aria-label="step, one of {marks}">'
        )
    return (
        f'<figure class="picture"><figcaption><strong>{escape(name_of(tag))}</strong>{slider}</figcaption>'
        f"<p>{escape(how_to_read(f'{tag}_000000.png'))}</p>{images}</figure>"
    )


def name_of(file: str) -> str:
    """TensorBoard's tag of a picture, of its file's name: `fit_plane` is `fit/plane`."""
    for group in GROUPS:
        if file.startswith(f"{group}_"):
            return f"{group}/{file.removeprefix(f'{group}_')}"
    return file


def within_budget(pictures: dict[str, dict[int, Path]], budget: int) -> tuple[dict[str, dict[int, str]], int]:
    """The pictures as addresses that hold their data, and how many were left out.

    If they are too large together, all are written as WebP; if that is not enough, those in the middle of the
    training are left out first.
    """
    data = {(tag, step): path.read_bytes() for tag, steps in pictures.items() for step, path in steps.items()}
    types = {key: TYPES[pictures[key[0]][key[1]].suffix] for key in data}
    if sum(map(len, data.values())) > budget:
        for key, content in data.items():
            if types[key] == "image/png":
                data[key], types[key] = smaller(content)
    order = list(by_importance(pictures))
    left_out = 0
    while sum(map(len, data.values())) > budget and order:
        left_out += data.pop(order.pop(), None) is not None
    shown = {
        tag: {
            step: f"data:{types[tag, step]};base64,{base64.b64encode(data[tag, step]).decode()}"
            for step in steps
            if (tag, step) in data
        }
        for tag, steps in pictures.items()
    }
    return shown, left_out


def smaller(png: bytes) -> tuple[bytes, str]:
    """The picture as WebP, if that is smaller, and its type."""
    from PIL import Image

    out = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(out, "WEBP", quality=80, method=2)
    content = out.getvalue()
    return (content, "image/webp") if len(content) < len(png) else (png, "image/png")


def by_importance(pictures: dict[str, dict[int, Path]]) -> Iterable[tuple[str, int]]:
    """Tag and step of each picture: the last of each tag first, then the first, then those between."""
    ranked = []
    for place, (tag, steps) in enumerate(pictures.items()):
        order = sorted(steps)
        for index, step in enumerate(order):
            rank = (
                0 if index == len(order) - 1 else 1 if index == 0 else 1 + min(index, len(order) - 1 - index)
            )
            ranked.append((rank, place, tag, step))
    return ((tag, step) for _, _, tag, step in sorted(ranked))
