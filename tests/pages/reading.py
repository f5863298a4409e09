"""What a page says: its text, its charts' numbers, its elements."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

UNSEEN = ("script", "style", "title")


class Reader(HTMLParser):
    """Collects the text outside of scripts, all elements with their attributes, and the numbers of the charts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.charts: list[dict[str, Any]] = []
        self._open = ""
        self._is_chart = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.elements.append((tag, found))
        self._open = tag if tag in UNSEEN else ""
        self._is_chart = found.get("type") == "application/json"

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._is_chart and self._open == "script":
            self.charts.append(json.loads(data))
        elif not self._open:
            self.words.append(data)

    @property
    def text(self) -> str:
        """The text a reader sees, with single spaces."""
        return " ".join(" ".join(self.words).split())

    def of(self, tag: str) -> list[dict[str, str]]:
        """The attributes of all elements of a kind."""
        return [found for name, found in self.elements if name == tag]


def text_of(html: str) -> str:
    """The text a reader sees."""
    return Reader(html).text


def section_of(html: str, anchor: str) -> str:
    """The text of one section; empty if the page has none of that name."""
    _, found, rest = html.partition(f'<section id="{anchor}">')
    return text_of(rest.partition("</section>")[0]) if found else ""
