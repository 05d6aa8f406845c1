"""The one form in which docstrings say where a thing comes from."""

import ast
import re
from pathlib import Path

import pytest

import fracrepro

PACKAGE = Path(fracrepro.__file__).parent
WRONG = re.compile(r"^ *Source: +\S|[Dd]erived here", re.MULTILINE)


def misplaced(source):
    """The first lines of the docstrings that name a source in one line, or no place where it is derived."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node) or ""
            if WRONG.search(text):
                yield text.splitlines()[0]


def test_every_source_is_a_section_that_names_a_place():
    found = {
        f"{path.relative_to(PACKAGE)}: {line}"
        for path in PACKAGE.rglob("*.py")
        for line in misplaced(path.read_text(encoding="utf-8"))
    }
    assert found == set()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Law.\n\n    Source: Hill (1975).\n", True),
        ("Law.\n\n    Source:\n        Derived here.\n", True),
        ("Law.\n\n    Source:\n        Hill (1975).\n", False),
    ],
)
def test_a_source_in_another_form_is_seen(text, wrong):
    assert bool(list(misplaced(f'def f():\n    """{text}    """'))) is wrong
