"""Every constant of the numerics points to the paragraph of book/numerics.md that explains it by name."""

import ast
import re
from pathlib import Path

import pytest

import fracrepro.theory

ROOT = Path(__file__).parents[2]
THEORY = Path(fracrepro.theory.__file__).parent
NUMERICS = sorted((THEORY / "numerics").glob("*.py"))
MODULES = [path for path in sorted(THEORY.rglob("*.py")) if "# numerics.md: " in path.read_text("utf-8")]
POINTER = re.compile(r"# numerics\.md: (?P<target>[a-z0-9-]+)$")


def paragraphs(text):
    """What follows each target, up to the next one."""
    pieces = re.split(r"^\((numerics[a-z0-9-]*)\)=$", text, flags=re.MULTILINE)
    return dict(zip(pieces[1::2], pieces[2::2], strict=True))


PAGE = paragraphs((ROOT / "book" / "numerics.md").read_text(encoding="utf-8"))


def is_number(node):
    """Whether an expression is made of numbers only; the names are float and numpy's machine constants."""
    allowed = (ast.Constant, ast.Tuple, ast.UnaryOp, ast.BinOp, ast.Call, ast.Name, ast.Attribute)
    inner = [child for child in ast.walk(node) if isinstance(child, ast.expr)]
    names = {child.id for child in inner if isinstance(child, ast.Name)}
    constants = [child.value for child in inner if isinstance(child, ast.Constant)]
    return (
        all(isinstance(child, allowed) for child in inner)
        and names <= {"float", "np"}
        and any(isinstance(value, int | float) for value in constants)
        and all(isinstance(value, int | float) and not isinstance(value, bool) for value in constants)
    ) or (bool(names) and names <= {"float", "np"} and "finfo" in ast.unparse(node))


def constants(source):
    """(name, target or None) of every number that a module names; a pointer serves until a blank line."""
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if not isinstance(node, ast.Assign) or not is_number(node.value):
            continue
        target = None
        for line in reversed(lines[: node.lineno]):
            if not line.strip():
                break
            found = POINTER.search(line)
            if found:
                target = found["target"]
                break
        for name in (
            name for place in node.targets for name in ast.walk(place) if isinstance(name, ast.Name)
        ):
            yield name.id, target


def unexplained(source, page):
    """The constants without a pointer, without a target on the page, or not named in its paragraph."""
    return [(name, target) for name, target in constants(source) if f"`{name}`" not in page.get(target, "")]


def unnamed(source):
    """Numbers inside functions that are not part of a formula's own arithmetic, but for sizes of caches."""
    for place in ast.parse(source).body:
        if isinstance(place, ast.FunctionDef | ast.ClassDef):
            body = place.body if isinstance(place, ast.FunctionDef) else [place]
            for node in (node for statement in body for node in ast.walk(statement)):
                number = isinstance(node, ast.Constant) and isinstance(node.value, int | float)
                if number and abs(node.value) not in (0, 0.25, 0.5, 1, 2, 3, 4):
                    yield node.value


@pytest.mark.parametrize("path", NUMERICS, ids=lambda path: path.stem)
def test_no_constant_hides_in_a_function(path):
    assert list(unnamed(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", NUMERICS, ids=lambda path: path.stem)
def test_every_constant_of_the_numerics_is_explained(path):
    assert unexplained(path.read_text(encoding="utf-8"), PAGE) == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_pointer_leads_to_the_page(path):
    source = path.read_text(encoding="utf-8")
    targets = set(re.findall(r"numerics\.md: ([a-z0-9-]+)", source))
    assert targets <= set(PAGE)
    pointed = [(name, target) for name, target in constants(source) if target]
    assert {target for _, target in pointed} == targets  # none stands alone
    assert all(f"`{name}`" in PAGE[target] for name, target in pointed)


def test_the_check_sees_what_is_missing():
    page = {"numerics-a": "The step (`_STEP`)."}
    good = "# numerics.md: numerics-a\n_STEP = 1 / 8\n"
    assert unexplained(good, page) == []
    assert unexplained("_STEP = 1 / 8\n", page) == [("_STEP", None)]
    assert unexplained(good.replace("-a", "-b"), page) == [("_STEP", "numerics-b")]
    assert unexplained(good + "_END, _MORE = 2.0, 1 << 3\n", page) == [
        ("_END", "numerics-a"),
        ("_MORE", "numerics-a"),
    ]
    assert unexplained(good + "\n_EPS = 8.0 * float(np.finfo(float).eps)\n", page) == [("_EPS", None)]
    assert unexplained(good + "\n_NAMES = ('a', 'b')\n", page) == []
    assert list(unnamed("def f(x):\n    return x if x < 700.0 else x / 2.0\n")) == [700.0]
    assert len(list(constants((THEORY / "numerics" / "inversion.py").read_text(encoding="utf-8")))) > 15
