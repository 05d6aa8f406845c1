"""How YAML is read: plain values only, and no key twice."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

__all__ = ["Loader"]


class Loader(yaml.SafeLoader):
    """Runs no code from a file, and refuses a key that comes twice, of which YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a dictionary."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} comes twice", node.start_mark
                )
        return super().construct_mapping(node, deep)
