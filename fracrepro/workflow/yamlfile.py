"""How YAML is read: plain values only, no key twice, and no more than what stands there."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import yaml

from fracrepro.errors import ArgumentError

__all__ = ["LARGEST", "Loader", "TextLoader", "content"]

#: Characters that a text may have, and that its values may have with every alias written out.
LARGEST = 1_000_000

_MERGE = "tag:yaml.org,2002:merge"
# What PyYAML raises where a tag, or the form of a value, promises what the text is not: !!int of nothing, a
# date of no calendar, a number of thousands of digits.
_NO_VALUE = (ValueError, LookupError, AttributeError, OverflowError, TypeError)


class _Plain:
    """Refuses a key that comes twice, of which YAML would keep the last, and what grows when it is read."""

    def construct_document(self, node: yaml.Node) -> Any:
        """Build the whole, unless aliases make more of it than stands there."""
        _check_size(node)
        return super().construct_document(node)  # type: ignore[misc]

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Build a value, or say in which line none can be."""
        try:
            return super().construct_object(node, deep)  # type: ignore[misc]
        except _NO_VALUE:
            raise _error(f"no value of {node.tag.rpartition(':')[2]}", node) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a dictionary."""
        for key, _ in node.value:
            if key.tag == _MERGE:
                raise _error("mappings are not merged here; << is no key", node)
        seen = set()
        for key in (self.construct_object(key, deep=True) for key, _ in node.value):
            if not isinstance(key, Hashable):
                continue  # refused below
            if key in seen:
                raise _error(f"the key {key!r} comes twice", node)
            seen.add(key)
        return super().construct_mapping(node, deep)  # type: ignore[misc]


class Loader(_Plain, yaml.SafeLoader):
    """Runs no code from a file."""

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Build a whole number that Python can write."""
        value: int = super().construct_yaml_int(node)
        str(value)  # ValueError for one of thousands of digits, which 0x… makes
        return value


Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)


class TextLoader(_Plain, yaml.BaseLoader):
    """Leaves every value as it was typed: 1_000, yes and 1:30 are text."""


def content(text: str, loader: type[Loader | TextLoader] = Loader) -> Any:
    """Return the values in a text.

    Args:
        text: in YAML.
        loader: says what becomes of the values.

    Raises:
        ArgumentError: when it is not valid; says what, and in which line, in words that follow a file's name.

    >>> content("s: [0.5, 1]")
    {'s': [0.5, 1]}
    """
    if len(text) > LARGEST:
        raise ArgumentError(f"has {len(text):,} characters: need at most {LARGEST:,}")
    try:
        return loader(text).get_single_data()
    except RecursionError:  # brackets by the thousand
        raise ArgumentError("not valid YAML: is nested too deep") from None
    except (yaml.YAMLError, ValueError) as error:  # the second from a letter that YAML cannot hold
        raise ArgumentError(f"not valid YAML: {_where(error)}") from None


def _where(error: Exception) -> str:
    """What is wrong, in one line, and in which line it is."""
    mark = getattr(error, "problem_mark", None)
    line = "" if mark is None else f" (line {mark.line + 1})"
    return f"{getattr(error, 'problem', None) or str(error).partition(chr(10))[0]}{line}"


def _error(words: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, words, node.start_mark)


def _check_size(root: yaml.Node) -> None:
    """Refuse a value that contains itself, and aliases that mean more than a file holds.

    Few lines of aliases to aliases make more values than a memory has.
    """
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()
    stack: list[tuple[yaml.Node, bool]] = [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            open_nodes.discard(id(node))
            sizes[id(node)] = 1 + sum(sizes[id(child)] for child in _children(node))
            if sizes[id(node)] > LARGEST:
                raise _error("its aliases mean more than a file holds", node)
        elif id(node) in open_nodes:
            raise _error("a value contains itself", node)
        elif id(node) not in sizes:
            if isinstance(node, yaml.ScalarNode):
                sizes[id(node)] = 1 + len(node.value)
                continue
            open_nodes.add(id(node))
            stack.append((node, True))
            stack += [(child, False) for child in _children(node)]


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    for child in node.value if not isinstance(node, yaml.ScalarNode) else ():
        yield from child if isinstance(child, tuple) else (child,)
