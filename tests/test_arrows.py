"""The picture of imports: arrows point down only, and nowhere do they close a circle."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import fracrepro

PACKAGE = Path(fracrepro.__file__).parent
LEAVES = {"arguments", "errors", "files", "memory", "_version", "_moved"}
# What each wing may import besides itself; `top` is fracrepro/__init__.py, which collects the public names.
ALLOWED = {
    **dict.fromkeys(LEAVES, LEAVES),
    "__main__": {"workflow"},
    "oracle": LEAVES,
    "theory": LEAVES,
    "stats": LEAVES,
    "top": {*LEAVES, "theory", "stats"},
    "nn": {*LEAVES, "theory", "stats", "top"},
    "figures": {*LEAVES, "theory", "stats", "top", "nn"},
    "workflow": {*LEAVES, "theory", "stats", "top", "nn", "figures", "oracle"},
}


IMPORTERS = {"import_module", "__import__"}


def runtime_nodes(node):
    """Every node below this one, wherever it stands, but not what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for other in child.orelse:
                yield other
                yield from runtime_nodes(other)
            continue
        yield child
        yield from runtime_nodes(child)


def targets(source, modules):
    """The modules of the package that a source imports: ``from p import m`` is m where that is a module."""
    found = set()
    for node in runtime_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import: {ast.unparse(node)}"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if name in modules else node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in IMPORTERS:
            found |= {arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)}
    return {name for name in found if name in modules}


def read(package):
    """The sources of a package by module name."""
    sources = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        sources[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return sources


def graph(sources):
    return {name: targets(source, sources) for name, source in sources.items()}


def computed_imports(source):
    """The calls that import a module under a name that is computed, and so cannot be resolved here."""
    return [
        ast.unparse(node)
        for node in runtime_nodes(ast.parse(source))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] in IMPORTERS
        and not (node.args and isinstance(node.args[0], ast.Constant))
    ]


def wing(module):
    return [*module.split("."), "top"][1]


def upward(edges):
    """Every arrow that the picture does not have."""
    return [
        f"{module} -> {target}"
        for module, found in edges.items()
        for target in sorted(found)
        if wing(target) not in {*ALLOWED[wing(module)], wing(module)}
    ]


def circle(edges):
    """One circle, as a list that ends where it began; empty when there is none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return error.args[1]
    return []


@pytest.fixture(scope="module")
def edges():
    return graph(read(PACKAGE))


def test_every_wing_is_in_the_picture(edges):
    assert {wing(module) for module in edges} <= set(ALLOWED)


def test_arrows_point_down(edges):
    assert upward(edges) == []


def test_no_circle(edges):
    assert circle(edges) == []


# Where a name is computed, and why no arrow can point up from there.
COMPUTED = {
    "fracrepro.nn.data.transfer": "only modules of fracrepro.nn.data, one for each data set",
    "fracrepro": "names that go with the next version, looked up when asked for",
    "fracrepro._moved": "names that have moved, looked up when asked for",
    "fracrepro.nn.schemes": "modules of its own folder",
    "fracrepro.stats": "modules of its own folder",
    "fracrepro.workflow": "a wing that may import every other",
    "fracrepro.workflow.reference": "the module that a page names",
    "fracrepro.workflow.usage": "the modules that a notebook names",
}


def test_imports_under_computed_names_are_known():
    found = {name for name, source in read(PACKAGE).items() if computed_imports(source)}
    assert found == set(COMPUTED)


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ("if TYPE_CHECKING:\n    import fracrepro.nn", False),
        ("if typing.TYPE_CHECKING:\n    import fracrepro.nn", False),
        ("if not TYPE_CHECKING:\n    import fracrepro.nn", True),
        ("if TYPE_CHECKING:\n    pass\nelse:\n    import fracrepro.nn", True),
        ("def f():\n    return importlib.import_module('fracrepro.nn')", True),
        ("nn = import_module('fracrepro.nn')", True),
        ("nn = __import__('fracrepro.nn')", True),
    ],
)
def test_the_search_sees_what_runs_and_only_that(line, seen):
    assert targets(line, {"fracrepro.nn": ""}) == ({"fracrepro.nn"} if seen else set())
    assert not computed_imports(line)


def test_a_computed_name_would_be_seen():
    assert computed_imports("x = importlib.import_module(name)") == ["importlib.import_module(name)"]


def test_the_search_finds_an_arrow_up_inside_a_function_and_a_circle():
    sources = {
        "fracrepro": "from fracrepro.theory.layer import moment",
        "fracrepro.theory": "",
        "fracrepro.theory.layer": "def moment():\n    from fracrepro.nn import init",
        "fracrepro.theory.depth": "from fracrepro.theory import layer",
        "fracrepro.nn": "",
        "fracrepro.nn.init": "from typing import TYPE_CHECKING\nimport fracrepro.theory.depth\n"
        "if TYPE_CHECKING:\n    from fracrepro.workflow import cli",
        "fracrepro.workflow": "",
        "fracrepro.workflow.cli": "",
    }
    found = graph(sources)
    assert upward(found) == ["fracrepro.theory.layer -> fracrepro.nn.init"]
    assert set(circle(found)) == {"fracrepro.theory.layer", "fracrepro.nn.init", "fracrepro.theory.depth"}
    assert found["fracrepro.nn.init"] == {"fracrepro.theory.depth"}  # types make no arrow
