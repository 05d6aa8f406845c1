"""Reported values and digests."""

import ast
import importlib.metadata
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from fracrepro.workflow import provenance, reports


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan"), None, [1.0], 1j])
def test_report_refuses_what_no_page_may_quote(value):
    with pytest.raises(ValueError, match="ratio"):
        reports.report(ratio=value)


@pytest.mark.parametrize(
    ("value", "plain"),
    [(np.float64(1.5), 1.5), (np.int64(3), 3), (np.bool_(True), True), ("text", "text"), (2, 2)],
)
def test_report_displays_plain_python_values(monkeypatch, value, plain):
    import IPython.display

    shown = []
    monkeypatch.setattr(
        IPython.display, "display", lambda data, **rest: shown.append((data, rest["metadata"]))
    )
    reports.report(x=value)
    [(data, metadata)] = shown
    assert list(data.values()) == [repr(plain)]
    assert metadata["fracrepro"] == {"x": plain}
    assert type(metadata["fracrepro"]["x"]) is type(plain)


def test_a_name_reported_twice_is_an_error():
    output = {"metadata": {"fracrepro": {"x": 1}}}
    notebook = {"cells": [{"outputs": [output]}, {"outputs": [output]}]}
    with pytest.raises(ValueError, match="'x' is reported twice"):
        reports.reported_values(notebook)


def test_digest_separates_names_from_contents():
    pairs = [
        [("a", b"bc")],
        [("ab", b"c")],
        [("a", b"b"), ("c", b"")],
        [("a", b"b"), ("", b"c")],
        [],
    ]
    assert len({provenance.digest(parts) for parts in pairs}) == len(pairs)


def test_environment_line_names_the_versions_in_use():
    line = provenance.environment_line()
    assert f"numpy {np.__version__}" in line
    assert "\n" not in line


# Imported, but of no influence on a number of a page.
WITHOUT_NUMBERS = {
    "bs4": "takes finished pages apart",
    "IPython": "displays; the kernel's version is recorded with ipykernel",
    "click": "reads the command line; the record keeps the parameters that it read",
    "dask": "hands whole notebooks to workers, whose package must be the same",
    "distributed": "hands whole notebooks to workers, whose package must be the same",
    "docutils": "sets the reference, which has no number",
    "matplotlib_inline": "the format of the figures",
    "nbclient": "carries cells to the kernel and outputs back",
    "threadpoolctl": "limits the threads of a worker to one, as every run has",
    "pooch": "downloads files whose checksums are fixed",
    "psutil": "counts cores and ends kernels",
    "requests": "downloads files whose checksums are fixed",
    "sphinx": "sets the reference, which has no number",
    "traitlets": "says where the file of a kernel's connection lies",
    "tqdm": "a bar that shows progress",
    "yaml": "reads parameters, which the record keeps",
}
ROOT = Path(__file__).resolve().parents[2]


def third_party(source):
    """The packages of others that a source imports, wherever it does."""
    code = "\n".join(line for line in source.splitlines() if not line.startswith("%"))
    for node in ast.walk(ast.parse(code)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        yield from {name.split(".")[0] for name in names} - {*sys.stdlib_module_names, "fracrepro"}


def sources_of_numbers():
    for path in (ROOT / "fracrepro").rglob("*.py"):
        yield path.read_text(encoding="utf-8")
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                yield "".join(cell["source"])


def test_every_package_that_can_change_a_number_is_recorded():
    imported = {name for source in sources_of_numbers() for name in third_party(source)}
    assert set(WITHOUT_NUMBERS) <= imported  # no exception without a use
    assert not set(WITHOUT_NUMBERS) & set(provenance.PACKAGES)
    homes = importlib.metadata.packages_distributions()
    missing = {
        name for name in imported - set(WITHOUT_NUMBERS) if not set(homes[name]) & set(provenance.PACKAGES)
    }
    assert missing == set()
    assert "mpmath" in provenance.versions()


def test_an_import_is_found_wherever_it_stands():
    source = (
        "%matplotlib inline\nimport os, fracrepro\ndef f():\n    from mpmath.libmp import x\n    import a.b"
    )
    assert set(third_party(source)) == {"mpmath", "a"}


def test_versions_are_json():
    assert json.loads(json.dumps(provenance.versions()))["python"]
