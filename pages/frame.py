"""The frame of a page: head, style, navigation, sections, tables. Whatever comes from a user is escaped here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
SECONDS_BETWEEN_RELOADS = 10


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Args:
        anchor: of a link to it; also its name in the navigation, with spaces for hyphens.
        title: its heading, plain text.
        how: one sentence that says how to read it, plain text.
        body: HTML; an empty section is left out.
    """

    anchor: str
    title: str
    how: str
    body: str


def page(
    title: str,
    head: str,
    sections: Sequence[Section],
    *,
    resumed_at: Sequence[int] = (),
    reloads: bool = False,
) -> str:
    """A complete HTML document, which needs no other file and no network.

    Args:
        title: for the browser's tab, plain text.
        head: HTML above the sections.
        sections: in order.
        resumed_at: steps at which charts over steps get a dotted line.
        reloads: let the browser read the file again every ten seconds, because it is still being rewritten.
    """
    shown = [section for section in sections if section.body]
    links = "".join(f'<a href="#{each.anchor}">{escape(each.anchor.replace("-", " "))}</a>' for each in shown)
    body = head + "".join(map(section_html, shown))
    from pages.charts import library  # not needed by a page without charts

    charts = (library(), own_file("charts.js")) if '<figure class="chart">' in body else ()
    scripts = "\n".join(f"<script>{script}</script>" for script in (own_file("page.js"), *charts))
    refresh = f'<meta http-equiv="refresh" content="{SECONDS_BETWEEN_RELOADS}">' if reloads else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">{refresh}
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{own_file("page.css")}</style>
</head>
<body>
<nav>{links}</nav>
<main data-resumed="{escape(json.dumps(list(resumed_at)))}">
{body}
</main>
{scripts}
</body>
</html>
"""


def own_file(name: str) -> str:
    """The text of a file next to this one."""
    return (FOLDER / name).read_text(encoding="utf-8")


def section_html(section: Section) -> str:
    """The section with its heading and the sentence that says how to read it."""
    how = f'<p class="how">{escape(section.how)}</p>' if section.how else ""
    return f'<section id="{section.anchor}"><h2>{escape(section.title)}</h2>{how}{section.body}</section>\n'


def part(title: str, body: str, how: str = "") -> str:
    """A part of a section, with a heading of its own; nothing if it is empty."""
    if not body:
        return ""
    note = f'<p class="how">{escape(how)}</p>' if how else ""
    return f"<h3>{escape(title)}</h3>{note}{body}"


def table(rows: Iterable[Sequence[Any]], header: Sequence[str] = (), numbers: Iterable[int] = ()) -> str:
    """A table of plain values, escaped; a cell of class `Html` stays as it is.

    Args:
        rows: the cells.
        header: names of the columns; none: there is no header.
        numbers: columns aligned to the right.
    """
    right = set(numbers)

    def cells(row: Sequence[Any], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=number' if place in right else ''}>{text(cell)}</{tag}>"
            for place, cell in enumerate(row)
        )

    head = f"<thead><tr>{cells(header, 'th')}</tr></thead>" if header else ""
    lines = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f'<div class="wide"><table>{head}<tbody>{lines}</tbody></table></div>' if lines else ""


def written(value: Any) -> str:
    """A value as YAML, in one line."""
    try:
        text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True).strip()
    except yaml.YAMLError:
        return str(value)
    return text.removesuffix("...").strip()


def facts(values: Mapping[str, Any]) -> str:
    """Names and values as a list of two columns; a value of None or "" is left out."""
    lines = "".join(
        f"<dt>{escape(name)}</dt><dd>{text(value)}</dd>"
        for name, value in values.items()
        if value not in (None, "")
    )
    return f"<dl>{lines}</dl>" if lines else ""


class Html(str):
    """Text that is HTML already."""


def text(value: Any) -> str:
    """A value for a cell, escaped unless it is `Html`."""
    return value if isinstance(value, Html) else escape(str(value))


def code(value: object) -> Html:
    """A name, path or setting."""
    return Html(f"<code>{escape(str(value))}</code>")


def command(words: str) -> Html:
    """A command, with a button that copies it."""
    return Html(
        f'<div class="command"><code>{escape(words)}</code><button type="button" data-copy>copy</button></div>'
    )


def note(words: str) -> Html:
    """A quiet remark, such as what is missing and why."""
    return Html(f'<p class="note">{escape(words)}</p>')


def chip(words: str, kind: str = "") -> Html:
    """A short label with a background; `kind` is a class of page.css: fail, warn, info, good, running."""
    return Html(f'<span class="chip {escape(kind)}">{escape(words)}</span>')


def short(value: float) -> str:
    """A number for people: four significant digits, whole numbers unchanged."""
    if float(value).is_integer() and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:.4g}"
