"""What is read: a good file, the package's reader, and what the file says by another way.

A reader's value must equal what `Subject.truth` makes of the damaged bytes; where that raises, nothing right
can be read, and the reader has to refuse.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import yaml

from torture.spoil import spoil


@dataclasses.dataclass(frozen=True)
class Subject:
    """A kind of file.

    Args:
        name: of the kind, in the table.
        kind: how it is damaged: ``"yaml"``, ``"json"``, ``"text"`` or ``"bytes"``.
        make: writes good files into a folder and returns the one that is damaged.
        read: calls the package on the folder, and returns plain values.
        truth: the same values, of the damaged bytes.
        words: one of them must stand in a refusal; the name of the file for none.
        put: writes damaged bytes, and what belongs to them, such as a new checksum.
        spoil: damages the bytes.
        command: arguments of the command line that read the same file; none for none.
    """

    name: str
    kind: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    truth: Callable[[bytes], Any]
    words: tuple[str, ...] = ()
    put: Callable[[Path, bytes], None] = Path.write_bytes
    spoil: Callable[[bytes, str, Random], tuple[str, bytes]] = spoil
    command: tuple[str, ...] = ()


def same(one: Any, other: Any) -> bool:
    """Whether two plain values are equal, types included; NaN equals NaN, and tuples are lists."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return list(map(repr, one)) == list(map(repr, other)) and all(
            same(one[key], other[key]) for key in one
        )
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and bool(one == other)


def plain_yaml(content: bytes) -> Any:
    """What PyYAML alone makes of a file; ValueError for a key that comes twice."""
    text = content.decode()
    check_once(text)
    return yaml.safe_load(text)


def check_once(text: str) -> None:
    """ValueError for a key that comes twice."""
    _once(yaml.compose(text, yaml.SafeLoader), set())


def _once(node: Any, seen: set[int]) -> None:
    if id(node) in seen or not isinstance(node, yaml.CollectionNode):
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys = [yaml.serialize(key) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise ValueError("a key comes twice")
        for key, value in node.value:
            _once(key, seen)
            _once(value, seen)
    else:
        for value in node.value:
            _once(value, seen)
