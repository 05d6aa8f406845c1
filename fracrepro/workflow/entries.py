"""How an entry of the API reference reads: a Sphinx extension beside `fracrepro.workflow.reference`.

Python's own forms are not always for people: a default that is a factory, a third with sixteen digits, a
constant without its value, a list of names that a command takes.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.transforms import SphinxTransform

from fracrepro.nn.schemes.base import Scheme
from fracrepro.workflow.choices import OneOf
from fracrepro.workflow.options import option_set

if TYPE_CHECKING:
    import click
    from sphinx.application import Sphinx

__all__ = ["setup"]

_LONG = re.compile(r"(?<![\w.])\d+\.\d{15,}\b")
_CODE = re.compile(r"(?<![`\w-])(--[a-z][\w-]*|\$[A-Z_]{2,}|\w+://[\w:/.]+\w)")
_NAMES = re.compile(r"\[\w+(?:\s*\|\s*\w+)+\]")
_LETTER, _IN_BRACKETS = "A-Za-zΑ-Ωα-ω", r"\((?:[^()]|\([^()]*\))*\)|\{[^{}]*\}"
_SCRIPT = re.compile(  # an index stands behind one letter or a bracket: other words with _ are names
    rf"\^(?P<up>{_IN_BRACKETS}|-?[{_LETTER}\d]+)"
    rf"|(?:(?<![{_LETTER}_])[{_LETTER}][²³⁴′]?|(?<=\)))_(?P<down>{_IN_BRACKETS}|[{_LETTER}\d]{{1,6}}(?![{_LETTER}\d_]))"
)
_COMMENT = re.compile(r"(\s*>>> )(.*\S)\s{2,}# (.*)")
_LINE = 76  # characters of an example that a page shows unbroken
_WIDEST = 400  # characters of a value that is shown
_DIGITS = 8  # characters of a number from which on it is rounded
_OF_A_SCHEME = ("name", "label", "colour", "source")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect everything here to Sphinx."""
    app.setup_extension("sphinx_click")
    app.add_transform(Choices)
    app.add_transform(Scripts)
    app.connect("autodoc-process-signature", readable_signature)
    app.connect("autodoc-process-docstring", name_module)
    app.connect("autodoc-process-docstring", lift_comments)
    app.connect("autodoc-process-docstring", say_value, priority=700)  # after the sentence is whole
    app.connect("autodoc-process-docstring", say_names, priority=700)
    app.connect("autodoc-skip-member", skip_names)
    app.connect("sphinx-click-process-usage", short_usage)
    for part in ("description", "options"):
        app.connect(f"sphinx-click-process-{part}", mark_code)
    app.connect("sphinx-click-process-arguments", say_choices)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class Choices(SphinxTransform):
    """Write what a name for `Literal` stands for in words, with quotes that stay quotes."""

    default_priority = 700  # before Sphinx makes quotes typographic

    def apply(self, **kwargs: Any) -> None:
        """Replace each paragraph that autodoc made of such a name."""
        for paragraph in list(self.document.findall(nodes.paragraph)):
            if paragraph.astext().startswith("alias of Literal["):
                words = re.findall(r"'\w+'", paragraph.astext())
                paragraph[:] = [nodes.Text("One of ")]
                for word in words:
                    paragraph += [nodes.literal("", word), nodes.Text("." if word is words[-1] else ", ")]


class Scripts(SphinxTransform):
    """Set exponents and indices in the prose of docstrings, which write ``r_k^s`` and ``e^(-t)``."""

    default_priority = 700

    def apply(self, **kwargs: Any) -> None:
        """Leave code, signatures and formulas alone, and all pages but those of the reference."""
        if self.env.docname.startswith("book/api/"):
            for text in list(self.document.findall(nodes.Text)):
                if type(text.parent) in (nodes.paragraph, nodes.inline) and _SCRIPT.search(text):
                    text.parent.replace(text, set_scripts(str(text)))


def set_scripts(text: str) -> list[nodes.Node]:
    """Return text with its exponents and indices as nodes of their own.

    >>> [each.astext() for each in set_scripts("(E R_n^s)^(-2/s), r_k², of max_pairs")]
    ['(E R', 'n', 's', ')', '-2/s', ', r', 'k', '², of max_pairs']
    """
    result: list[nodes.Node] = []
    at = 0
    for match in _SCRIPT.finditer(text):
        kind = "up" if match["up"] else "down"
        if match.start(kind) - 1 > at:
            result.append(nodes.Text(text[at : match.start(kind) - 1]))
        words = match[kind][1:-1] if match[kind][0] in "({" else match[kind]
        result.append((nodes.superscript if kind == "up" else nodes.subscript)("", words))
        at = match.end()
    return [*result, nodes.Text(text[at:])] if at < len(text) else result


# ---- docstrings -------------------------------------------------------------------------------------------


def readable_signature(
    app: Sphinx | None,
    what: str,
    name: str,
    obj: Any,
    options: Any,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """Replace defaults that only Python can read.

    >>> readable_signature(None, "class", "", None, None, "(x: float = 0.3333333333333333)", None)[0]
    '(x: float = 1 / 3)'
    >>> readable_signature(None, "class", "", None, None, "(x: dict = <factory>)", None)[0]
    '(x: dict = ...)'
    """
    if signature:
        signature = _LONG.sub(_as_fraction, signature.replace("<factory>", "..."))
    return signature, returned


def _as_fraction(match: re.Match[str]) -> str:
    near = Fraction(match[0]).limit_denominator(100)
    return f"{near.numerator} / {near.denominator}" if float(near) == float(match[0]) else match[0]


def name_module(app: Sphinx | None, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Put its name above what a module says of itself, which else would hang between two entries.

    >>> lines = ["One layer.", ""]
    >>> name_module(None, "module", "fracrepro.theory.layer", None, None, lines)
    >>> lines[0]
    '.. rubric:: fracrepro.theory.layer'
    """
    if what == "module":
        lines[:0] = [f".. rubric:: {name}", ""]


def lift_comments(app: Sphinx | None, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Put the comment of a long line of an example above it: broken, its end would look like a result.

    >>> lines = [">>> " + 40 * "x" + "   # " + 40 * "y"]
    >>> lift_comments(None, "function", "", None, None, lines)
    >>> [line[:6] for line in lines]
    ['>>> # ', '>>> xx']
    """
    for i in range(len(lines) - 1, -1, -1):
        found = _COMMENT.fullmatch(lines[i])
        if found and len(lines[i].strip()) > _LINE:
            lines[i : i + 1] = [f"{found[1]}# {found[3]}", f"{found[1]}{found[2]}"]


def say_value(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Add the value of a constant, where it is short and made of numbers and text; of a registry its names.

    >>> lines = ["The rules."]
    >>> say_value(None, "data", "RULES", ("holm", "max_t"), None, lines)
    >>> lines
    ['The rules.', '', "Value: ``('holm', 'max_t')``", '']
    """
    if what not in ("data", "attribute") or obj == "":
        return
    if _is_plain(obj):
        said = f"Value: ``{obj!r}``"
        if isinstance(obj, float) and len(repr(obj)) > _DIGITS:
            said = f"Value: {obj:.6g}, rounded"
    elif isinstance(obj, dict) and obj and all(isinstance(key, str) for key in obj):
        said = f"Names: {', '.join(f'``{key}``' for key in obj)}"
    else:
        return
    if len(said) <= _WIDEST:
        while lines and not lines[-1].strip():
            lines.pop()
        lines += ["", said, ""]


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
    if isinstance(value, tuple | list):
        return bool(value) and all(map(_is_plain, value))
    return isinstance(value, str | int | float)


def say_names(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Say what a scheme is called and what its options mean, before its source."""
    if what != "class" or not inspect.isclass(obj) or not issubclass(obj, Scheme) or not obj.name:
        return
    at = next((i for i, line in enumerate(lines) if line.startswith(":Source:")), len(lines))
    for field in dataclasses.fields(obj):
        lines.insert(at, f":param {field.name}: {field.metadata['help']}; {_allowed(field)}.")
        at += 1
    lines.insert(at, f":Called: ``{obj.name}`` in commands and records, {obj.label} in figures")


def _allowed(field: dataclasses.Field) -> str:
    """What an option of a scheme may be, in words."""
    allowed = field.metadata["allowed"]
    if isinstance(field.default, bool):
        return "True or False"
    words = f"in {allowed}" if isinstance(allowed, str) else ", ".join(f"``{each!r}``" for each in allowed)
    return f"{words}, or None" if field.metadata["optional"] else words


def skip_names(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what :func:`say_names` has said: the entries of a scheme's names."""
    if what != "class" or name not in _OF_A_SCHEME:
        return None
    module = sys.modules.get(app.env.temp_data.get("autodoc:module") or "")
    held = getattr(module, app.env.temp_data.get("autodoc:class") or "", None)
    return True if inspect.isclass(held) and issubclass(held, Scheme) and held.name else None


# ---- commands ---------------------------------------------------------------------------------------------


def short_usage(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Write NAME for a choice of names, which the entry of the argument lists."""
    lines[:] = _NAMES.sub("NAME", "\n".join(lines)).splitlines()


def mark_code(app: Sphinx | None, context: click.Context | None, lines: list[str]) -> None:
    """Mark options, variables and addresses in prose as code; take Python's quotes off defaults.

    >>> lines = [".. option:: --out <out>", "    Needs --jobs, or tcp://host:1.", "    :default: ``'book'``"]
    >>> mark_code(None, None, lines)
    >>> lines[0], lines[1]
    ('.. option:: --out <OUT>', '    Needs ``--jobs``, or ``tcp://host:1``.')
    >>> lines[2]
    '    :default: ``book``'
    """
    for i, line in enumerate(lines):
        if line.lstrip().startswith(".. "):
            lines[i] = re.sub("<.*>", lambda m: m[0].upper(), line)
        elif line.lstrip().startswith(":default:"):
            lines[i] = line.replace("``'", "``").replace("'``", "``")
        else:
            lines[i] = _CODE.sub(r"``\1``", line.replace("**Required** ", "**Required.** "))


def say_choices(app: Sphinx, context: click.Context, lines: list[str]) -> None:
    """List the names that an argument takes; leave out the arguments of which there is nothing to say."""
    lines.clear()
    for argument in (each for each in context.command.params if each.param_type_name == "argument"):
        if isinstance(argument.type, OneOf):
            names = ", ".join(f"``{name}``" for name in option_set(argument.type.option_set))
            lines += [f".. option:: {argument.human_readable_name}", "", f"   One of {names}.", ""]
