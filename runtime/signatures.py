"""The arguments of a class, read from its source: importing it would take seconds, and might run code from elsewhere.

This is for help, completion and the table of runs, which must be fast. What a class accepts is decided by the parser of
`cli/parser.py`; a test compares the two for every bundled experiment. A class whose source is not found has no signature.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

REQUIRED = object()  # the default of an argument that has none
# A line of a docstring, in Google's form or PyTorch's: name, type in parentheses, text.
ARGUMENT = re.compile(r"(\w+(?:, \w+)*)(?:( \([^:]*\)):|:(?= )) ?(.*)")
IN_DOCSTRINGS = ("Args:", "Arguments:")


@dataclass(frozen=True)
class Argument:
    """One argument of a constructor.

    Args:
        name: as in the source.
        type: its annotation as text, with the choices of a Literal; "" if it has none.
        default: the value, or its text if that is no plain value; `REQUIRED` if there is none.
        help: what the docstring says.
    """

    name: str
    type: str
    default: Any
    help: str


@dataclass(frozen=True)
class Signature:
    """Arguments of a class.

    Args:
        path: of the class, for an import.
        summary: first line of its docstring.
        arguments: in order, those of the class before those that it hands on to its base.
    """

    path: str
    summary: str
    arguments: tuple[Argument, ...]

    def __getitem__(self, name: str) -> Argument | None:
        return next((each for each in self.arguments if each.name == name), None)


@dataclass(frozen=True)
class Source:
    """A module, as its syntax tree.

    Args:
        name: for an import.
        file: where it lies.
        tree: its statements.
    """

    name: str
    file: Path
    tree: ast.Module


@cache
def signature(path: str, home: str = "") -> Signature | None:
    """The signature of a class.

    Args:
        path: of the class for an import, such as `torch.optim.Adam`; or its name alone.
        home: the module in which a name alone is looked up.

    Returns:
        None if its source is not found, or cannot be read.
    """
    path = path if "." in path or not home else f"{home}.{path}"
    found = definition(path)
    if found is None:
        return None
    source, node = found
    if not isinstance(node, ast.ClassDef):
        return None
    text = docstring(source, node)
    return Signature(path, text.partition("\n")[0], tuple(arguments_of(source, node)))


def arguments_of(source: Source, node: ast.ClassDef) -> list[Argument]:
    """The arguments of a class, and those of its base if its constructor hands its `**kwargs` on to it."""
    init = next((part for part in node.body if is_init(part)), None)
    if init is None:
        return dataclass_fields(source, node) or of_bases(source, node)
    assert isinstance(init, ast.FunctionDef)
    helps = described(docstring(source, node)) | described(ast.get_docstring(init) or "")
    given = [*init.args.posonlyargs, *init.args.args][1:]
    missing = len(given) - len(init.args.defaults)
    defaults = [None] * missing + init.args.defaults
    pairs = [*zip(given, defaults[-len(given) :] if given else [], strict=True)]
    pairs += zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
    own = [argument(source, each.arg, each.annotation, default, helps) for each, default in pairs]
    if init.args.kwarg is None:
        return own
    fixed = {each.name for each in own} | fixed_for_base(init)
    return own + [
        replace(each, help=each.help or helps.get(each.name, ""))
        for each in of_bases(source, node)
        if each.name not in fixed
    ]


def argument(
    source: Source, name: str, annotation: ast.expr | None, default: ast.expr | None, helps: dict[str, str]
) -> Argument:
    """One argument, from its parts in the source."""
    value = REQUIRED if default is None else plain(default)
    return Argument(name, type_text(source, annotation), value, helps.get(name, ""))


def is_init(node: ast.stmt) -> bool:
    """Whether a statement defines the constructor."""
    return isinstance(node, ast.FunctionDef) and node.name == "__init__"


def dataclass_fields(source: Source, node: ast.ClassDef) -> list[Argument]:
    """The fields of a dataclass; none of any other class."""
    if not any("dataclass" in ast.unparse(each) for each in node.decorator_list):
        return []
    helps = described(docstring(source, node))
    fields = [each for each in node.body if isinstance(each, ast.AnnAssign)]
    made = [
        each.value is None or isinstance(each.value, ast.Call) for each in fields
    ]  # `field(...)` is no value
    return [
        argument(source, ast.unparse(each.target), each.annotation, None if is_made else each.value, helps)
        for each, is_made in zip(fields, made, strict=True)
    ]


def of_bases(source: Source, node: ast.ClassDef) -> list[Argument]:
    """The arguments of the first base whose source is found."""
    for base in node.bases:
        found = named(source, ast.unparse(base).partition("[")[0])
        if found is not None and isinstance(found[1], ast.ClassDef):
            return arguments_of(found[0], found[1])
    return []


def fixed_for_base(init: ast.FunctionDef) -> set[str]:
    """The arguments of the base that a constructor gives itself, in `super().__init__(task="binary", **kwargs)`."""
    calls = [each for each in ast.walk(init) if isinstance(each, ast.Call)]
    of_base = [each for each in calls if ast.unparse(each.func) == "super().__init__"]
    return {word.arg for each in of_base for word in each.keywords if word.arg}


def definition(path: str) -> tuple[Source, ast.AST] | None:
    """The statement that defines what a dotted path names, and the module it stands in."""
    module, _, name = path.rpartition(".")
    source = read_source(module)
    return None if source is None else named(source, name)


def named(source: Source, name: str, depth: int = 0) -> tuple[Source, ast.AST] | None:
    """What a name means in a module: the definition of a class, or the value of a constant; imports are followed."""
    if "." in name or depth > 8:  # of another module; or one that imports in circles
        return None
    for node in statements(source):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return source, node
        if isinstance(node, ast.Assign) and name in map(ast.unparse, node.targets):
            return source, node.value
        if isinstance(node, ast.ImportFrom):
            for each in node.names:
                if (each.asname or each.name) == name:
                    other = read_source(absolute(source, node))
                    return None if other is None else named(other, each.name, depth + 1)
    return None


def statements(source: Source) -> Iterator[ast.stmt]:
    """The statements of a module, with the imports that are there for type checkers only."""
    for node in source.tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from node.body
        else:
            yield node


def absolute(source: Source, node: ast.ImportFrom) -> str:
    """The module from which a statement imports, which may be given relative to its own."""
    if not node.level:
        return node.module or ""
    parts = source.name.split(".")
    above = node.level - (source.file.name == "__init__.py")
    return ".".join([*parts[: len(parts) - above], *([node.module] if node.module else [])])


@cache
def read_source(module: str) -> Source | None:
    """A module's source; None if there is none in Python, or it is damaged. Nothing is imported."""
    top, *rest = module.split(".")
    try:
        spec = find_spec(top)
        if spec is None or spec.origin is None:
            return None
        file = Path(spec.origin)
        for part in rest:
            folder = file.parent
            places = (folder / part / "__init__.py", folder / f"{part}.py")
            file = next(place for place in places if place.is_file())
        return Source(module, file, ast.parse(file.read_text(encoding="utf-8")))
    except (StopIteration, OSError, SyntaxError, ValueError):
        return None


def docstring(source: Source, node: ast.ClassDef) -> str:
    """The docstring of a class, also if it is set after the class, as that of PyTorch's optimizers."""
    if text := ast.get_docstring(node):
        return text
    for each in source.tree.body:
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == f"{node.name}.__doc__":
            parts = [part for part in ast.walk(each.value) if isinstance(part, ast.Constant)]
            parts.sort(key=lambda part: (part.lineno, part.col_offset))
            return inspect.cleandoc("".join(part.value for part in parts if isinstance(part.value, str)))
    return ""


def described(text: str) -> dict[str, str]:
    """What the `Args:` of a docstring say, by argument."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.strip() in IN_DOCSTRINGS:
            break
    found: dict[str, str] = {}
    names: list[str] = []
    left = None
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            continue
        left = indent if left is None else left
        if indent < left:
            break
        match = ARGUMENT.match(line.strip())
        if match and (indent == left or match[2]):  # a type in parentheses is no part of a sentence
            names = match[1].split(", ")
            found |= dict.fromkeys(names, match[3])
        elif names:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return {name: textwrap.dedent(each).strip() for name, each in found.items()}


def type_text(source: Source, node: ast.expr | None) -> str:
    """An annotation as text; a name that stands for a Literal is replaced by its choices."""
    if node is None:
        return ""
    if isinstance(node, ast.Name) and (found := named(source, node.id)) is not None:
        text = ast.unparse(found[1]) if isinstance(found[1], ast.Subscript) else ""
        return text if text.startswith("Literal[") else node.id
    return ast.unparse(node)


def plain(node: ast.expr) -> Any:
    """A default as a value, or as its text if it is no plain value."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)
