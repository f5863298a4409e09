"""Pictures of one's own say how to read them in a file next to them."""

import json
from pathlib import Path
from typing import ClassVar

from torch import nn

from callbacks.pictures import how_to_read
from callbacks.pictures.base import Picture
from callbacks.pictures.own_pictures import FILE, own_sentences
from callbacks.pictures.style import new_figure
from tests.callbacks.pictures.test_base import X, Y
from tests.callbacks.plain import Plain, fit, rows

WORDS = "Höher ist better: <b>bold</b> & so on."


class Mine(Picture):
    how_to_read: ClassVar = {"mine/*": WORDS, "fit/confusion": "Not these words."}

    def suits(self, pl_module, data):
        return True

    def figures(self, pl_module, data, batch):
        for tag in ("mine/first", "mine/second", "other/third", "fit/confusion"):
            yield tag, new_figure(1, 1)
        yield "mine/words", "some text"


def test_only_sentences_that_no_class_of_ours_has_are_kept(tmp_path: Path) -> None:
    fit(Plain(nn.Linear(5, 1)), rows(X, Y), Mine(tmp_path), val=rows(X, Y))
    assert own_sentences(tmp_path) == dict.fromkeys(("mine/first", "mine/second", "mine/words"), WORDS)
    assert WORDS in (tmp_path / FILE).read_text(encoding="utf-8")
    assert (tmp_path / "mine_words_000001.txt").read_text() == "some text"
    assert how_to_read("mine/first") == ""


def test_a_damaged_file_is_no_error(tmp_path: Path) -> None:
    assert own_sentences(tmp_path) == {}
    for content in ("{", "[1]", '{"mine/first": "half'):
        (tmp_path / FILE).write_text(content)
        assert own_sentences(tmp_path) == {}
    fit(Plain(nn.Linear(5, 1)), rows(X, Y), Mine(tmp_path), val=rows(X, Y))
    assert len(json.loads((tmp_path / FILE).read_text(encoding="utf-8"))) == 3
