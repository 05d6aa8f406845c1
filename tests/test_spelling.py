"""Spelling of all that is read: pages, captions, prose, docstrings, messages to contributors.

codespell knows some 60,000 misspellings, and which forms are not Oxford's: the book writes colour and
initialize. What it must not see, code and formulas and addresses, is blanked out; words that it takes for
something else are listed in `tests/spelling.txt`.
"""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = ROOT / "tests" / "spelling.txt"
DICTIONARIES = "clear,rare,en_to_en-OX"
# In this order: what is code, a formula, a name or an address for a machine.
NOT_PROSE = [
    r"^(?P<fence>`{3,}|~{3,})(?:(?!\{)[^\n`]*|\{(?:code-block|bibtex|click|eval-rst|math)[^\n]*)\n"
    r".*?^(?P=fence)[ ]*$",
    r"^[`:]{3,}\{[^\n]*$",  # the name and the labels of a box, but not what stands in it
    r"^:(?:label|name|options|class): [^\n]*$",
    r"\{(?:cite|doc|ref|prf:ref|numref|glue:text|badge|py:[a-z]+)[^}]*\}`[^`]*`",
    r":[a-z:]+:`[^`]*`",
    r"\.\. [a-z-]+::",
    r"\$\$.*?\$\$",
    r"``.+?``",
    r"`[^`\n]+`",
    r"\$[^$]+\$",
    r"\]\([^)]*\)",
    r"https?://\S+",
    r"<!--.*?-->",
    r"\b\w+(?:\.\w+)+\b",  # names of functions and files
]
_NOT_PROSE = [re.compile(pattern, re.M | re.S) for pattern in NOT_PROSE]


def prose(text):
    """The text with spaces in place of what is none, so that lines keep their numbers."""
    for pattern in _NOT_PROSE:
        text = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    return text


def of_notebook(path):
    for number, cell in enumerate(json.loads(path.read_text())["cells"], 1):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield f"cell {number}", prose(source)
        shown = cell["metadata"].get("mystnb", {})
        words = [shown.get("figure", {}).get("caption", ""), shown.get("image", {}).get("alt", "")]
        comments = re.findall(r"#[ :](.*)", source) if cell["cell_type"] == "code" else []
        yield (
            f"cell {number}, caption, alternative text and comments",
            prose("\n\n".join([*words, *comments])),
        )


def of_module(path):
    """Docstrings and comments; a name is what a programmer had to type."""
    source = path.read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node, clean=False) or ""
            text = re.sub(r"^\s*>>>.*\n(?:\s*\S.*\n?)*", "", text, flags=re.M)
            yield getattr(node, "name", "module"), prose(re.sub(r"^\s+", "", text, flags=re.M))
    yield "comments", prose("\n".join(re.findall(r"(?:^|\s)#[ :]*(.*)", source)))


def of_text(path):
    yield "text", prose(path.read_text())


def of_yaml(path):
    """Values that are sentences; keys, ids and conditions are names."""
    import yaml

    def texts(node):
        if isinstance(node, dict):
            return [text for value in node.values() for text in texts(value)]
        if isinstance(node, list):
            return [text for value in node for text in texts(value)]
        return [node] if isinstance(node, str) and " " in node else []

    yield "sentences", prose("\n\n".join(texts(yaml.safe_load(path.read_text()))))


READERS = {
    "notebooks/*.ipynb": of_notebook,
    "book/*.md": of_text,
    "book/api/*.md": of_text,
    "book/*.yml": of_yaml,
    "plans/*.yml": of_yaml,
    "*.md": of_text,
    "fracrepro/**/*.py": of_module,
}


def found_in(folder, pieces):
    """What codespell finds in named pieces of prose: lines such as ``name:3: teh ==> the``."""
    for name, text in pieces.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    options = ["--builtin", DICTIONARIES, "--ignore-words", str(ALLOWED)]
    command = [sys.executable, "-m", "codespell_lib", *options, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert result.stderr == ""
    return [line.replace(f"{folder}/", "").removeprefix("./") for line in result.stdout.splitlines()]


def every_piece():
    for pattern, reader in READERS.items():
        paths = sorted(ROOT.glob(pattern))
        assert paths, pattern
        for path in paths:
            for place, text in reader(path):
                yield f"{path.relative_to(ROOT)}/{place}", text


def test_all_that_is_read_is_spelled_rightly(tmp_path):
    pieces = dict(every_piece())
    assert sum(len(text.split()) for text in pieces.values()) > 50_000
    assert found_in(tmp_path, pieces) == []


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("notebooks/01_variance_preservation.ipynb", "markdown", "occured"),
        ("notebooks/01_variance_preservation.ipynb", "caption", "seperate"),
        ("README.md", "", "recieve"),
        ("book/index.md", "", "teh"),
        ("book/index.md", "", "color"),
        ("book/index.md", "", "initialise"),
        ("fracrepro/theory/layer.py", "", "accross"),
    ],
)
def test_a_planted_misspelling_is_found(tmp_path, name, text, wrong):
    """Control: one word more on a page, in a caption, in prose, in a docstring; American and -ise too."""
    path = tmp_path / "source" / Path(name).name
    path.parent.mkdir()
    source = (ROOT / name).read_text()
    if path.suffix == ".ipynb":
        notebook = json.loads(source)
        if text == "caption":
            cell = next(cell for cell in notebook["cells"] if "figure" in cell["metadata"].get("mystnb", {}))
            cell["metadata"]["mystnb"]["figure"]["caption"] += f" It {wrong} twice."
        else:
            cell = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"][-1]
            cell["source"] = "".join(cell["source"]) + f"\nIt {wrong} twice.\n"
        source = json.dumps(notebook)
    elif path.suffix == ".py":
        source = source.replace('"""', f'"""It {wrong} twice.\n', 1)
    else:
        source += f"\nIt {wrong} twice.\n"
    path.write_text(source)
    reader = {".ipynb": of_notebook, ".md": of_text, ".py": of_module}[path.suffix]
    pieces = dict(reader(path))
    [line] = found_in(tmp_path / "pieces", pieces)
    assert f" {wrong} ==> " in line


def test_code_and_formulas_are_not_read():
    text = "A $teh$ and `color`, ``teh`` [a](teh.md) {cite}`teh`:\n```python\ncolor = 1\n```\nThe end.\n"
    assert prose(text).split() == ["A", "and", ",", "[a", ":", "The", "end."]
    box = "```{exercise} Title\n:label: ex-color\n\nA color.\n```\n"
    assert prose(box).split() == ["A", "color.", "```"]


def test_every_allowed_word_is_needed(tmp_path):
    words = [line for line in ALLOWED.read_text().splitlines() if line and not line.startswith("#")]
    assert words == sorted(set(words))
    assert len(words) <= 20
    texts = " ".join(text.lower() for _, text in every_piece())
    assert [word for word in words if not re.search(rf"\b{word}\b", texts)] == []
