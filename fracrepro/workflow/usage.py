"""Which of the package's names a piece of code uses, and where: read from its syntax, nothing is run."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import typing
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

__all__ = ["Binding", "Use", "target", "uses"]

_ROOT = "fracrepro"
_PACKAGE = importlib.import_module(_ROOT)
_PROPERTIES = (property, cached_property)


@dataclass(frozen=True)
class Use:
    """One object named in a source: ``source[start:end]`` stands for `target`.

    `imported` tells an import statement, which only makes the name known, from a use.
    """

    start: int
    end: int
    target: str
    imported: bool = False


@dataclass(frozen=True)
class Binding:
    """What a name stands for: the object held, or with `instance` some object of the class held."""

    held: Any
    path: str
    instance: bool = False

    @property
    def target(self) -> str:
        """The full name under which the object is defined."""
        held = _function(self.held)
        if inspect.ismodule(held):
            return str(held.__name__)
        if inspect.isclass(held) or inspect.isroutine(held):
            return f"{held.__module__}.{held.__qualname__}"
        return _home(self.path, held)


def target(path: str) -> str | None:
    """Return the full name under which something is defined, from any name by which it can be imported.

    >>> target("fracrepro.moment")
    'fracrepro.theory.layer.moment'
    """
    first, *rest = path.split(".")
    binding = _module(first)
    for name in rest:
        binding = binding and (_member(binding, name) or _module(f"{binding.path}.{name}"))
    return binding.target if binding else None


def uses(source: str, names: dict[str, Binding]) -> list[Use]:
    """Return the uses of the package's names in `source`, in the order in which they stand.

    Followed are imports of the package, attributes, calls whose result has a known class, and variables that
    are assigned one of these; a variable that is assigned anything else is forgotten.

    Args:
        source: Python code; what does not parse uses nothing.
        names: what the variables stand for, carried from one cell of a page to the next and updated here.

    >>> [use.target for use in uses("import fracrepro as fr; fr.moment(2, 64, fr.ReLU())", {})]
    ['fracrepro', 'fracrepro.theory.layer.moment', 'fracrepro.theory.activations.ReLU']
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    scanner = _Scanner(source, names)
    scanner.visit(tree)
    return sorted(scanner.found, key=lambda use: use.start)


class _Scanner(ast.NodeVisitor):
    """Visits the statements in the order in which they run and keeps the variables up to date."""

    def __init__(self, source: str, names: dict[str, Binding]) -> None:
        self.source, self.names = source, names
        self.found: list[Use] = []
        self.lines = source.encode().splitlines(keepends=True)  # the syntax tree counts columns in bytes

    def visit_Import(self, node: ast.Import) -> None:
        """Bind the package, or the module that an alias names."""
        for name in node.names:
            module = _module(name.name)
            if module:
                self._note(name, name.name, module, imported=True)
                self.names[name.asname or _ROOT] = (
                    (module if name.asname else None) or _module(_ROOT) or module
                )

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Bind what is imported from a module of the package."""
        module = _module(node.module or "") if not node.level else None
        for name in node.names:
            self.names.pop(name.asname or name.name, None)
            binding = module and (_member(module, name.name) or _module(f"{module.path}.{name.name}"))
            if binding:
                self._note(name, name.name, binding, imported=True)
                self.names[name.asname or name.name] = binding

    def visit_Name(self, node: ast.Name) -> None:
        """Note a use, or forget a variable that gets a value in some way that is not followed."""
        if isinstance(node.ctx, ast.Load):
            self._value(node)
        else:
            self.names.pop(node.id, None)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Note a use."""
        self._value(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Note the uses in what is called and in the arguments."""
        self._value(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        """Let the variables stand for the value, where that is known."""
        value = self._value(node.value)
        if value and isinstance(value.held, _PROPERTIES):
            value = _result(value)
        for target in node.targets:
            self.visit(target)
            if isinstance(target, ast.Name) and value:
                self.names[target.id] = value

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Visit the body with the arguments forgotten."""
        for outside in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(outside)
        self.names.pop(node.name, None)
        self._inside(node.body, node.args)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Visit the body as a scope of its own."""
        self._inside([*node.decorator_list, *node.bases, *node.body])
        self.names.pop(node.name, None)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Visit the body with the arguments forgotten."""
        self._inside([node.body], node.args)

    def _visit_comprehension(self, node: Any) -> None:
        """Visit the loops before the element that they make."""
        element = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self._inside([*node.generators, *element])

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _visit_comprehension

    def _inside(self, body: list[Any], arguments: ast.arguments | None = None) -> None:
        """Visit a scope: its arguments hide variables, and what it assigns is not seen outside."""
        hidden = {node.arg for node in ast.walk(arguments) if isinstance(node, ast.arg)} if arguments else ()
        outside, self.names = self.names, {k: v for k, v in self.names.items() if k not in hidden}
        for part in body:
            self.visit(part)
        self.names = outside

    def _value(self, node: ast.expr) -> Binding | None:
        """What an expression stands for, if that is known; every use in it is noted on the way."""
        if isinstance(node, ast.Name | ast.Attribute):
            return self._chain(node)
        if isinstance(node, ast.Call):
            called = self._value(node.func)
            for argument in (*node.args, *node.keywords):
                self.visit(argument)
            return _result(called) if called else None
        self.visit(node)
        return None

    def _chain(self, node: ast.Name | ast.Attribute) -> Binding | None:
        """What ``a.b.c`` stands for; the longest part of it that names an object is noted."""
        parts: list[Any] = [node]
        while isinstance(parts[0], ast.Attribute) and isinstance(parts[0].value, ast.Name | ast.Attribute):
            parts.insert(0, parts[0].value)
        first, *rest = parts
        if isinstance(first, ast.Name):
            value = self.names.get(first.id)
        else:
            base = self._value(first.value)
            value = base and _member(base, first.attr)
        named = [(first, value)]
        for part in rest:
            value = value and _member(value, part.attr)
            named.append((part, value))
        for part, binding in reversed(named):
            if binding and not binding.instance:
                self._note(part, ast.unparse(part) if isinstance(first, ast.Name) else first.attr, binding)
                break
        return value

    def _note(self, node: Any, text: str, binding: Binding, *, imported: bool = False) -> None:
        """Note a use, unless its text is not found in its place, as in a chain over several lines."""
        start = self._offset(node.lineno, node.col_offset)
        end = self._offset(node.end_lineno, node.end_col_offset)
        if isinstance(node, ast.alias):
            end = start + len(text)
        elif "." not in text:
            start = end - len(text)  # of an attribute of a call's result the attribute alone
        if self.source[start:end] == text:
            self.found.append(Use(start, end, binding.target, imported))

    def _offset(self, line: int, column: int) -> int:
        return len((b"".join(self.lines[: line - 1]) + self.lines[line - 1][:column]).decode())


def _home(path: str, constant: Any) -> str:
    """The full name of a constant in the module that assigns it; `path` where none is found."""
    name = path.rpartition(".")[2]
    assigned = re.compile(rf"^{name}\b[^=\n(]*=", flags=re.MULTILINE)
    for module, content in list(sys.modules.items()):
        here = module.split(".")[0] == _ROOT and vars(content).get(name) is constant
        if here and assigned.search(inspect.getsource(content)):
            return f"{module}.{name}"
    return path


def _function(held: Any) -> Any:
    """The function behind a property or a method of a class; anything else as it is."""
    if isinstance(held, property):
        return held.fget
    if isinstance(held, cached_property):
        return held.func
    return held.__func__ if isinstance(held, classmethod | staticmethod) else held


def _module(path: str) -> Binding | None:
    """A module of the package, if there is one of that name and its dependencies are installed."""
    if path.split(".")[0] != _ROOT:
        return None
    try:
        return Binding(importlib.import_module(path), path)
    except ImportError:
        return None


def _member(base: Binding, name: str) -> Binding | None:
    """An attribute of a module, of a class or of an object; None for what a class holds besides functions."""
    if isinstance(base.held, _PROPERTIES):
        result = _result(base)
        return result and _member(result, name)
    owner = base.held
    if not inspect.ismodule(owner) and not inspect.isclass(owner):
        owner = type(owner)
    try:
        member = inspect.getattr_static(owner, name)
    except AttributeError:
        if not inspect.ismodule(owner):
            return None
        with warnings.catch_warnings():  # a name that has moved still leads somewhere
            warnings.simplefilter("ignore", DeprecationWarning)
            member = getattr(owner, name, None)
        if member is None:
            return None
    routine = inspect.isroutine(_function(member))
    if routine or inspect.isclass(member) or inspect.ismodule(base.held):
        return Binding(member, f"{base.path}.{name}")
    return None


def _result(called: Binding) -> Binding | None:
    """Some object of the class that a call returns, if that is one of the package's."""
    returned = called.held
    if not inspect.isclass(returned):
        try:
            returned = typing.get_type_hints(_function(returned)).get("return")
        except (NameError, TypeError):  # annotations that only a type checker can read, or no function
            return None
    if not inspect.isclass(returned) or returned.__module__.split(".")[0] != _ROOT or called.instance:
        return None
    return Binding(returned, f"{returned.__module__}.{returned.__qualname__}", instance=True)
