"""What Python code binds and uses, line by line: what tells which changes need which. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

Key = tuple[str, ...]
"""What can be bound and used: `("name", file, scope…, name)`, `("attribute", name)`, `("argument", name)`,
`("accepts", function, count of arguments)`, `("option", "--word")`, `("file", path)`, and `("text", words)` for
columns and keys of mappings."""

MOST_ARGUMENTS = 16
"""Arguments up to which a call is told to fit a function or not."""

Scope = tuple[str, ...]
Marks = list[tuple[Key, int]]
"""Keys and the line (from 1) on which each stands."""


@dataclass
class Names:
    """What one file binds and uses, and on which lines."""

    binds: Marks = field(default_factory=list)
    uses: Marks = field(default_factory=list)


def names_in(path: str, tree: ast.Module, files: Iterable[str]) -> Names:
    """Return what a module at `path` binds and uses; `files` are those it may import from."""
    reader = _Reader(path, frozenset(files))
    reader.visit(tree)
    return Names(reader.binds, [*reader.uses, *reader.resolved()])


class _Reader(ast.NodeVisitor):
    def __init__(self, path: str, files: frozenset[str]) -> None:
        self.path = path
        self.files = files
        self.scope: Scope = ()
        self.functions = 0
        self.binds: Marks = []
        self.uses: Marks = []
        self._loads: list[tuple[Scope, str, int]] = []

    def resolved(self) -> Marks:
        """Return the uses of names, each in the innermost scope that binds it."""
        bound = {key for key, _ in self.binds}
        found: Marks = []
        for scope, name, line in self._loads:
            for depth in range(len(scope), -1, -1):
                if (key := ("name", self.path, *scope[:depth], name)) in bound:
                    found.append((key, line))
                    break
        return found

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._loads.append((self.scope, node.id, node.lineno))
        elif self.functions:
            self._bind(node.id, node.lineno)
        else:
            self._define(node.id, node.lineno)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        marks = self.uses if isinstance(node.ctx, ast.Load) else self.binds
        marks.append((("attribute", node.attr), node.end_lineno or node.lineno))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and "\n" not in node.value:
            self.uses += [(("text", node.value), node.lineno), (("file", node.value), node.lineno)]
            if node.value.startswith("-"):
                self.binds.append((("option", node.value), node.lineno))

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.visit(node.value)
        self._text(node.slice, bound=not isinstance(node.ctx, ast.Load))

    def visit_Dict(self, node: ast.Dict) -> None:
        for key in node.keys:
            self._text(key, bound=True)
        for value in node.values:
            self.visit(value)

    def visit_Call(self, node: ast.Call) -> None:
        name = getattr(node.func, "id", getattr(node.func, "attr", None))
        spread = any(isinstance(a, ast.Starred) for a in node.args) or any(word.arg is None for word in node.keywords)
        if name and not spread:
            key = ("accepts", name, str(len(node.args) + len(node.keywords)))
            self.uses += [(key, line) for line in {node.lineno, node.end_lineno or node.lineno}]
        self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> None:
        self._bind(node.arg, node.lineno)
        self.binds.append((("argument", node.arg), node.lineno))
        self.generic_visit(node)

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg:
            self.uses.append((("argument", node.arg), node.lineno))
        self.generic_visit(node)

    def visit_FunctionDef(self, node: Definition) -> None:
        self._define(node.name, node.lineno)
        for outside in (*node.decorator_list, *_outside(node)):
            self.visit(outside)
        self.scope = (*self.scope, node.name)
        function = not isinstance(node, ast.ClassDef)
        self.functions += function
        for inside in (*_arguments(node), *node.body):
            self.visit(inside)
        self.functions -= function
        self.scope = self.scope[:-1]
        for count in _accepted(node):
            lines = {node.lineno, *(argument.lineno for argument in _arguments(node))}
            self.binds += [(("accepts", node.name, str(count)), line) for line in lines]

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815
    visit_ClassDef = visit_FunctionDef  # noqa: N815

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._define(alias.asname or alias.name.split(".")[0], alias.lineno)
            self._imported(self._module(alias.name, 0), alias.lineno)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = self._module(node.module or "", node.level)
        self._imported(module, node.lineno)
        for alias in node.names:
            self._define(alias.asname or alias.name, alias.lineno)
            if module:
                self.uses.append((("name", module, alias.name), alias.lineno))
            inner = f"{node.module}.{alias.name}" if node.module else alias.name
            self._imported(self._module(inner, node.level), alias.lineno)

    def _bind(self, name: str, line: int) -> None:
        self.binds.append((("name", self.path, *self.scope, name), line))

    def _define(self, name: str, line: int) -> None:
        """Bind what others may use as an attribute, of this module or of a class."""
        self._bind(name, line)
        self.binds.append((("attribute", name), line))

    def _text(self, node: ast.expr | None, *, bound: bool) -> None:
        """Visit what names a column or a key; a constant that gives one a value binds it."""
        if bound and isinstance(node, ast.Constant) and isinstance(node.value, str):
            self.binds.append((("text", node.value), node.lineno))
        elif node is not None:
            self.visit(node)

    def _imported(self, module: str | None, line: int) -> None:
        if module:
            self.uses.append((("file", module), line))

    def _module(self, name: str, level: int) -> str | None:
        """Return the file of a module: beside the importing one, in a folder above it, or in the project's root."""
        steps = name.split(".")
        here = PurePosixPath(self.path).parent
        above = [here, *here.parents]
        places = above[level - 1 : level] if level else above
        for place in places:
            stem = place.joinpath(*steps)
            for file in (f"{stem}.py", str(stem / "__init__.py")):
                if file in self.files:
                    return file
        return None


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _outside(node: Definition) -> list[ast.expr]:
    """Return what is evaluated where a definition stands: defaults and the annotation, or bases."""
    if isinstance(node, ast.ClassDef):
        return [*node.bases, *(word.value for word in node.keywords)]
    defaults = [default for default in (*node.args.defaults, *node.args.kw_defaults) if default is not None]
    return [*defaults, *([node.returns] if node.returns else [])]


def _arguments(node: Definition) -> list[ast.arg]:
    if isinstance(node, ast.ClassDef):
        return []
    found = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg)
    return [argument for argument in found if argument is not None]


def _accepted(node: Definition) -> range:
    """Return how many arguments a function can be called with, itself (`self`) not counted."""
    if isinstance(node, ast.ClassDef):
        return range(0)
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args]
    count = len(named) - (bool(named) and named[0].arg in {"self", "cls"}) + len(arguments.kwonlyargs)
    optional = len(arguments.defaults) + sum(default is not None for default in arguments.kw_defaults)
    most = MOST_ARGUMENTS if arguments.vararg or arguments.kwarg else count
    return range(count - optional, most + 1)
