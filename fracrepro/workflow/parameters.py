"""What may be passed to a notebook: the contract that its parameters cell declares.

A parameters cell is a list of annotated assignments, each with a comment that ends in the allowed values::

    s: float = 1.0  # order of the preserved moment, in (0, 2]
    activation: str = "relu"  # activation function, one of @activations
    dataset: str = "digits"  # data set, one of digits | mnist
    gpu: bool = False  # whether to train on a CUDA device

A set such as ``@activations`` stands for all names of a registry: `fracrepro.workflow.options` has the table.
Papermill reads the same cell, but lets unknown names, wrong types and values out of range pass.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from fracrepro.arguments import Interval, choice, distinct, shown, suggestion
from fracrepro.errors import ArgumentError
from fracrepro.workflow.options import option_set
from fracrepro.workflow.project import read_yaml
from fracrepro.workflow.yamlfile import content

_TYPES: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str}
_RANGE = re.compile(r"^(?P<help>.*?), (?:in (?P<interval>[\[(][^\])]*[\])])|one of (?P<options>.+))$")

_PLAIN = re.compile(r"\w[\w-]*")  # a name, which leads to no other folder


@dataclass(frozen=True)
class Parameter:
    """One declared name: `type` is int, float, bool or str, or a list of one of them."""

    name: str
    type: str
    default: Any
    help: str
    interval: Interval | None = None
    options: tuple[str, ...] | None = None

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""
        kind = {"int": "an integer", "float": "a number", "bool": "true or false", "str": "text"}[self._entry]
        if self.interval is not None:
            kind += f" in {self.interval}"
        if self.options is not None:
            kind = f"one of {' | '.join(self.options)}"
        return f"a list, each entry {kind}" if self._is_list else kind

    def parse(self, text: str) -> Any:
        """Return the checked value that a command line's `text` stands for, by the declared type.

        A list may be typed with its brackets or without: ``[1, 2]`` or ``1,2``.
        """
        if self.type == "str":
            return self.check(text)
        typed = self._is_list and not text.lstrip().startswith("[")  # as people type a list: a,b
        if typed and self._entry == "str":  # to YAML some words are no text: yes, no, on, off, null
            return self.check([entry.strip() for entry in text.split(",")], given=text)
        try:
            value = content(f"[{text}]" if typed else text)
        except ArgumentError:
            raise self._refuse(text) from None
        if self._entry == "float" and isinstance(value, str):
            value = _yaml_float(value)
        if self._is_list and isinstance(value, list) and self._entry == "float":
            value = [_yaml_float(entry) for entry in value]
        return self.check(value, given=text)

    def check(self, value: Any, given: Any = None) -> Any:
        """Return `value` with the declared type.

        Raises:
            ArgumentError: when it is not allowed; names it, as `given` where given, and what is allowed.
        """
        given = value if given is None else given
        if not self._is_list:
            return self._check_entry(value, given)
        if not isinstance(value, list) or not value:
            raise self._refuse(given)
        if self.options is not None and value:
            distinct(self.name, value)
        return [self._check_entry(entry, given) for entry in value]

    @property
    def _is_list(self) -> bool:
        return self.type.startswith("list[")

    @property
    def _entry(self) -> str:
        return self.type.removeprefix("list[").removesuffix("]")

    def _check_entry(self, value: Any, given: Any) -> Any:
        wanted = _TYPES[self._entry]
        if wanted is float and type(value) is int and abs(value) < 10**300:  # a larger one is no float
            value = float(value)
        in_range = self.interval is None or value in self.interval
        in_options = self.options is None or value in self.options
        if type(value) is not wanted or not in_range:
            raise self._refuse(given)
        if self.options is not None and not in_options:
            raise ArgumentError(f"{self._refuse(given)}{suggestion(value, self.options)}")
        return value

    def _refuse(self, given: Any) -> ArgumentError:
        return ArgumentError(f"{self.name} = {shown(given)}: need {self.allowed}")


def _yaml_float(value: Any) -> Any:
    """YAML 1.1 reads '1e-3' and 'nan' as text; a number typed by a person is a number here."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:  # not a number: the check that follows refuses it with the right words
        return value


def parse_notebook(text: str, name: str) -> dict[str, Any]:
    """Return a notebook's content.

    Raises:
        ArgumentError: when the file holds something else; names the notebook, and the cell.
    """
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:  # no JSON, a number of thousands of digits, or too deep
        raise ArgumentError(f"notebook {name}: not valid JSON: {error}") from None
    if not isinstance(notebook, dict) or not {"cells", "metadata"} <= notebook.keys():
        raise ArgumentError(f"notebook {name}: need a notebook of format 4, with cells and metadata")
    _check_cells(notebook["cells"], name)
    _check_metadata(notebook["metadata"], name)
    return notebook


def _check_cells(cells: Any, name: str) -> None:
    if not isinstance(cells, list) or not cells:
        raise ArgumentError(f"notebook {name}: cells: need a list of cells")
    for number, cell in enumerate(cells, 1):
        where = f"notebook {name}, cell {number}"
        if not isinstance(cell, dict) or cell.get("cell_type") not in ("code", "markdown", "raw"):
            raise ArgumentError(f"{where}: need a cell with the cell_type code, markdown or raw")
        source, metadata = cell.get("source"), cell.get("metadata")
        lines = [source] if isinstance(source, str) else source
        if not _is_texts(lines) or not _is_unicode("".join(lines)):
            raise ArgumentError(f"{where}: source: need text, or a list of its lines")
        if not isinstance(metadata, dict) or not _is_texts(metadata.get("tags", [])):
            raise ArgumentError(f"{where}: metadata: need a mapping, whose tags are a list of words")


def _check_metadata(metadata: Any, name: str) -> None:
    uses = metadata.get("fracrepro", {}) if isinstance(metadata, dict) else None
    if not isinstance(uses, dict):
        raise ArgumentError(f"notebook {name}: metadata: need a mapping, and fracrepro in it another one")
    for key in ("recorded", "data_parameters"):
        given = uses.get(key, [])
        if not _is_texts(given) or not all(_PLAIN.fullmatch(each) for each in given):
            raise ArgumentError(
                f"notebook {name}: metadata: fracrepro: {key} = {shown(given)}: need a list of names"
            )


def _is_unicode(text: str) -> bool:
    """Whether a text can be written; JSON can hold half of a letter, such as "\\ud800"."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


def declared(notebook: Mapping[str, Any], name: str) -> dict[str, Parameter]:
    """Return the parameters that a notebook (parsed JSON) declares in its one cell tagged `parameters`.

    Raises:
        ArgumentError: when there is not exactly one such cell, or when a line in it is not a typed, literal
            assignment with a comment that ends in the allowed values.
    """
    cells = [
        cell
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and "parameters" in cell["metadata"].get("tags", [])
    ]
    if len(cells) != 1:
        raise ArgumentError(f"notebook {name}: need exactly one cell tagged 'parameters', found {len(cells)}")
    source = "".join(cells[0]["source"])
    try:
        statements, comments = ast.parse(source).body, _comments(source)
    except SyntaxError as error:
        where = f"notebook {name}, parameters cell, line {error.lineno}"
        raise ArgumentError(f"{where}: not valid Python: {error.msg}") from None
    # A null byte raises the first, brackets by the thousand one of the others.
    except (ValueError, RecursionError, MemoryError) as error:
        raise ArgumentError(f"notebook {name}, parameters cell: not valid Python: {error}") from None
    parameters = [
        _parameter(statement, comments.get(statement.end_lineno or 0, ""), name) for statement in statements
    ]
    return {parameter.name: parameter for parameter in parameters}


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _parameter(statement: ast.stmt, comment: str, notebook: str) -> Parameter:
    where = f"notebook {notebook}, parameters cell, line {statement.lineno}"
    if (
        not isinstance(statement, ast.AnnAssign)
        or not isinstance(statement.target, ast.Name)
        or not statement.value
    ):
        raise ArgumentError(f"{where}: need 'name: type = value  # comment'")
    kind = ast.unparse(statement.annotation)
    entry = kind.removeprefix("list[").removesuffix("]")
    if entry not in _TYPES:
        raise ArgumentError(f"{where}: type {kind!r} is none of {', '.join(_TYPES)} or a list of one")
    match = _RANGE.match(comment)
    if match is None and (entry != "bool" or not comment):
        raise ArgumentError(
            f"{where}: the comment must end in ', in [low, high]', ', one of a | b' or ', one of @set'"
        )
    interval = match["interval"] if match else None
    options = match["options"] if match else None
    try:
        default = ast.literal_eval(statement.value)
    except (ValueError, TypeError, RecursionError, MemoryError):  # an expression, or {[]: 1}
        raise ArgumentError(f"{where}: the default {ast.unparse(statement.value)} is no literal") from None
    try:
        parameter = Parameter(
            name=statement.target.id,
            type=kind,
            default=default,
            help=match["help"] if match else comment,
            interval=Interval.parse(interval) if interval else None,
            options=_options(options) if options else None,
        )
        parameter.check(parameter.default)
    except ArgumentError as error:
        raise ArgumentError(f"{where}: {error}") from None
    return parameter


def _options(text: str) -> tuple[str, ...]:
    """The names in ``a | b``, or those of the registry behind ``@set``."""
    if text.startswith("@"):
        return option_set(text.removeprefix("@"))
    return tuple(option.strip() for option in text.split("|"))


def load_profiles(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Return profile → notebook → parameters from `profiles.yml`.

    Raises:
        ArgumentError: when the file is malformed, or names a notebook that is not among those beside it;
            the message names the file.
    """
    profiles = read_yaml(path)
    if not isinstance(profiles, dict) or not profiles:
        raise ArgumentError(f"{path}: need a mapping from profile to notebook to parameters")
    known = tuple(sorted(file.stem for file in path.parent.glob("*.ipynb")))
    for profile, notebooks in profiles.items():
        if not isinstance(profile, str) or not isinstance(notebooks, dict):
            raise ArgumentError(f"{path}: {profile!r}: need a mapping from notebook to parameters, or {{}}")
        for name, values in notebooks.items():
            if known:
                choice(f"{path}: profile {profile}: notebook", name, known)
            if not isinstance(values, dict):
                raise ArgumentError(
                    f"{path}: profile {profile}: {name}: need a mapping of parameters, or {{}}"
                )
    return profiles


def resolve(
    contract: Mapping[str, Parameter],
    profile: Mapping[str, Any],
    overrides: Mapping[str, Any],
) -> dict[str, Any]:
    """Return every declared parameter's value: default, then `profile`, then `overrides`.

    Values that are text are parsed by the declared type, as a command line's are.

    Raises:
        ArgumentError: for an unknown name, a wrong type or a value out of its declared range.
    """
    values = {name: parameter.default for name, parameter in contract.items()}
    for source in (profile, overrides):
        for name, value in source.items():
            parameter = contract[choice("parameter", name, tuple(contract))]
            is_text = source is overrides and isinstance(value, str)
            values[name] = parameter.parse(value) if is_text else parameter.check(value)
    return values
