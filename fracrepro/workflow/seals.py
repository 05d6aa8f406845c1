"""Seals: what was computed carries the digest of its own content, so that a later edit shows.

A seal finds an accident and an edit by hand; whoever computes the digest anew can forge it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fracrepro import files
from fracrepro.errors import ArgumentError

__all__ = ["content_digest", "edited_page", "is_intact", "seal"]

SEAL = "content"  # the key of the digest over the rest of a record
PAGE = "page"  # the key of the digest over the cells of the notebook beside it


def content_digest(content: Any) -> str:
    """Return the sha256 of a value as JSON, whatever the order of its keys and its white space.

    >>> content_digest({"a": 1, "b": [2.5]}) == content_digest({"b": [2.5], "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def seal(record: Mapping[str, Any], cells: Any = None) -> dict[str, Any]:
    """Return the record with the digest of its content, and with that of `cells` where they are given.

    >>> sealed = seal({"x": 1.0})
    >>> is_intact(sealed), is_intact(sealed | {"x": 1.001}), is_intact({"x": 1.0})
    (True, False, False)
    """
    facts = {key: value for key, value in record.items() if key != SEAL}
    if cells is not None:
        facts[PAGE] = content_digest(cells)
    return facts | {SEAL: content_digest(facts)}


def is_intact(record: Mapping[str, Any]) -> bool:
    """Whether a record is what it was when it was sealed; one without a seal is not."""
    return SEAL in record and seal(record)[SEAL] == record[SEAL]


def edited_page(folder: Path, name: str) -> tuple[dict[str, Any], str]:
    """Read an executed page's record and say what is wrong with the two files, if anything.

    Args:
        folder: where ``NAME.ipynb`` and ``NAME.json`` are.
        name: of the page.

    Returns:
        The record, empty where it cannot be read, and "" or the trouble, which names the file.
    """
    page, facts = folder / f"{name}.ipynb", folder / f"{name}.json"
    try:
        record, notebook = files.read_json(facts), files.read_json(page)
    except FileNotFoundError:
        return {}, f"no evidence: {name} has not been run"
    except (ArgumentError, OSError) as error:
        return {}, f"damaged: {error}; run {name} again"
    if not isinstance(record, dict) or not isinstance(record.get("values"), dict):
        return {}, f"damaged: {facts}: need a record with values; run {name} again"
    if not is_intact(record):
        return record, f"{facts.name} was edited, or an older version made it; run {name} again"
    whole = isinstance(notebook, dict) and isinstance(notebook.get("metadata"), dict)
    if not whole or notebook["metadata"].get("fracrepro") != record:
        return record, f"{page.name} was edited or is of another run; run {name} again"
    if content_digest(notebook.get("cells")) != record.get(PAGE):
        return record, f"{page.name} was edited; run {name} again"
    return record, ""
