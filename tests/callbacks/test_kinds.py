"""Every kind of verdict is explained on docs/diagnosis.md, and every paragraph there is about a kind."""

import ast
import re
from pathlib import Path

from callbacks.diagnostics.causes import CAUSES

ROOT = Path(__file__).parents[2]
HEADINGS = re.findall(
    r"^## (.+)$", (ROOT / "docs" / "diagnosis.md").read_text(encoding="utf-8"), re.MULTILINE
)


def nodes():
    for path in (ROOT / "callbacks").rglob("*.py"):
        yield from ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def test_every_kind_has_its_paragraph():
    calls = [
        node for node in nodes() if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Verdict"
    ]
    first = [call.args[0] for call in calls if call.args]
    kinds = {each.value for each in first if isinstance(each, ast.Constant)}
    assert len(kinds) > 40
    assert kinds - set(HEADINGS) == set()


def test_every_paragraph_is_about_a_kind():
    strings = {
        node.value for node in nodes() if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(HEADINGS) - strings == set()
    assert len(HEADINGS) == len(set(HEADINGS))


def test_causes_and_symptoms_are_kinds():
    named = set(CAUSES) | {cause for causes in CAUSES.values() for cause in causes}
    assert named - set(HEADINGS) == set()
