"""The links below a figure: to the files of that figure, whatever a cell draws."""

import base64
import hashlib
import json

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from fracrepro.figures.downloads import KIND
from fracrepro.workflow.execution import Task, execute
from fracrepro.workflow.provenance import package_digest

DRAWS = """
import matplotlib.pyplot as plt
for height in (1, 2):
    plt.plot([0, 1], [0, height], label=f"to {height}")
    plt.show()
"""


FACTS = {"profile": "quick", "digest": "0123456789abcdef" * 4}


def cell(source, **metadata):
    return {
        "cell_type": "code",
        "id": "a",
        "metadata": metadata,
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


@pytest.fixture(scope="module")
def executed():
    """A notebook with a cell that draws two figures, executed as pages are."""
    figure = {"caption": "Both rise. The second twice as fast.", "name": "fig-rise"}
    cells = [
        {"cell_type": "markdown", "id": "t", "metadata": {}, "source": "# Title\n\nWords."},
        cell(DRAWS, mystnb={"figure": figure, "image": {"alt": "A line that rises."}}),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    outcome = execute(Task("page", json.dumps(notebook), {}, package_digest(), ".", FACTS))
    assert outcome.error == ""
    return outcome


def built(tmp_path, notebook):
    (tmp_path / "index.ipynb").write_text(notebook)
    settings = {"extensions": ["myst_nb", "fracrepro.workflow.figure_files"], "html_theme": "basic"}
    settings |= {"nb_execution_mode": "off", "numfig": True}
    out = tmp_path / "out"
    with patch_docutils(), docutils_namespace():
        Sphinx(tmp_path, None, out, out, "html", settings, status=None, warning=None).build()
    return out, BeautifulSoup((out / "index.html").read_text(), "html.parser")


def test_each_of_two_figures_of_one_cell_has_its_own_files_in_order(tmp_path, executed):
    out, page = built(tmp_path, executed.notebook)
    names = [[link["aria-label"] for link in links.select("a")] for links in page.select("p.figure-files")]
    assert names == [
        ["SVG of Fig. 1", "data (CSV) of Fig. 1"],
        ["SVG of Fig. 2", "data (CSV) of Fig. 2"],
    ]
    files = [links.select("a")[1]["href"] for links in page.select("p.figure-files")]
    assert files == ["index/rise.csv", "index/rise-2.csv"]
    tables = [pd.read_csv(out / file, comment="#") for file in files]
    assert [table["y"].tolist() for table in tables] == [[0, 1], [0, 2]]
    assert [set(table["label"]) for table in tables] == [{"to 1"}, {"to 2"}]
    first = (out / files[0]).read_text()
    heading = "# figure rise of the page index: Both rise. The second twice as fast."
    facts = "# computed at the profile quick, content hash 0123456789abcdef"
    assert first.splitlines()[:2] == [heading, facts]
    assert "<title>Both rise.</title>" in (out / "index/rise.svg").read_text()
    # The order of the pictures on the page is that of the files.
    outputs = [o["data"] for c in json.loads(executed.notebook)["cells"] for o in c.get("outputs", [])]
    digests = [
        hashlib.sha256(base64.b64decode(data["image/png"])).hexdigest() for data in outputs if KIND in data
    ]
    assert [image["src"].rpartition("/")[2] for image in page.select("img")] == [f"{d}.png" for d in digests]


def test_a_notebook_that_other_tools_have_executed_has_pictures_and_no_links(tmp_path, executed):
    notebook = json.loads(executed.notebook)
    for each in notebook["cells"]:
        for output in each.get("outputs", []):
            output["data"].pop(KIND, None)
    _, page = built(tmp_path, json.dumps(notebook))
    assert len(page.select("img")) == 2
    assert page.select("p.figure-files") == []


def test_the_modules_that_read_figures_count_for_a_page(executed):
    wanted = {f"fracrepro.figures.{name}" for name in ("artists", "downloads", "plotted", "vector")}
    assert wanted <= set(executed.record["modules"])
