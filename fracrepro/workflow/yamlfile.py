"""How YAML is read: plain values only, and no key twice."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

__all__ = ["Loader", "TextLoader"]


class _NoKeyTwice:
    """Refuses a key that comes twice, of which YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a dictionary."""
        seen = set()
        for key in (self.construct_object(key, deep=True) for key, _ in node.value):  # type: ignore[attr-defined]
            if not isinstance(key, Hashable):
                continue  # refused below
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} comes twice", node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)  # type: ignore[misc]


class Loader(_NoKeyTwice, yaml.SafeLoader):
    """Runs no code from a file."""


class TextLoader(_NoKeyTwice, yaml.BaseLoader):
    """Leaves every value as it was typed: 1_000, yes and 1:30 are text."""
