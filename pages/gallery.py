"""The section of pictures: each kind with a sentence on how to read it, and a slider over the steps."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape
from pathlib import Path

from callbacks.pictures import how_to_read
from callbacks.pictures.own_pictures import own_sentences
from pages.frame import Section, note
from pages.run_files import RunFiles

BUDGET = 2_000_000  # bytes of all pictures of a page, at most; base64 makes a third more of them
MOST_LETTERS = 10_000  # of a text at one step
TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".webp": "image/webp"}
GROUPS = (
    "filters",
    "feature_maps",
    "reconstruction",
    "robustness",
    "errors",
    "depth",
    "code",
    "fit",
    "samples",
)

Element = tuple[str, str]  # of HTML: its name, and all that follows the attributes of a frame


def section(run: RunFiles, budget: int = BUDGET) -> Section:
    """All pictures that fit into so many bytes, and all texts; the newest of each kind are the last to be left out."""
    if not run.pictures and not run.texts:
        drawn = run.config.get("pictures", True)
        words = "No picture suited this model and these data, or none was drawn yet."
        why = words if drawn else "No pictures were drawn, because of --pictures false."
        return Section("pictures", "Pictures", "", note(why))
    data, thinned = within_budget(run.pictures, min(budget, BUDGET))
    own = {
        tag.replace("/", "_"): (tag, words) for tag, words in own_sentences(run.folder / "pictures").items()
    }
    frames = {
        tag: {step: image(tag, step, address) for step, address in steps.items()}
        for tag, steps in data.items()
    }
    frames |= {
        tag: {step: written(path, step) for step, path in steps.items()} for tag, steps in run.texts.items()
    }
    figures = "".join(
        picture(steps, *own.get(tag, (name_of(tag), how_to_read(f"{tag}_000000.png"))))
        for tag, steps in frames.items()
        if steps
    )
    how = (
        "What the network has learned, drawn on the same validation rows each time. The slider goes through the "
        "training."
    )
    body = f'<div class="pictures">{figures}</div>'
    if thinned:
        body += note(f"To keep this page small, {thinned} more pictures are only in the folder pictures.")
    return Section("pictures", "Pictures", how, body)


def image(tag: str, step: int, address: str) -> Element:
    """A picture; `address` holds its data."""
    return "img", f'src="{address}" alt="{escape(tag)} at step {step:,}">'


def written(path: Path, step: int) -> Element:
    """A text as it is in its file, if need be only the beginning."""
    when = f"after {step:,} steps" if step else "before training"
    text = path.read_text(encoding="utf-8", errors="replace")
    shown = text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]} ..."
    return "div", f'><p class="note">{when}</p><pre>{escape(shown)}</pre></div>'


def picture(steps: dict[int, Element], tag: str, sentence: str) -> str:
    """One kind of picture, the newest shown.

    Args:
        steps: what there is to see at each step.
        tag: of TensorBoard.
        sentence: how to read it.
    """
    last = max(steps)
    frames = "".join(
        f'<{name} data-frame="{place}"{"" if step == last else " hidden"} {rest}'
        for place, (step, (name, rest)) in enumerate(steps.items())
    )
    slider = ""
    if len(steps) > 1:
        marks = " ".join(f"{step:,}" for step in steps)
        slider = (
            f'<input type="range" data-frames min="0" max="{len(steps) - 1}" value="{len(steps) - 1}" '
            f'aria-label="step, one of {marks}">'
        )
    return (
        f'<figure class="picture"><figcaption><strong>{escape(tag)}</strong>{slider}</figcaption>'
        f"<p>{escape(sentence)}</p>{frames}</figure>"
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
