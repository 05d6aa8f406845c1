"""What is added to the builder: repairs for access, the list of the search, the address of the repository."""

import io
import json
import math

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.errors import ConfigError
from sphinx.util.docutils import docutils_namespace, patch_docutils

from fracrepro.figures.landing import Difference, landing_figure
from fracrepro.workflow import pictures
from fracrepro.workflow.access import without_empty_headers
from fracrepro.workflow.project import Project

STYLED = """<table><thead><tr><th class="blank">&nbsp;</th><th class="blank level0" >&nbsp;</th>
<th>x</th></tr>
<tr><th class="index_name level0" >name</th><th class="blank col0" >&nbsp;</th></tr></thead></table>"""


@pytest.fixture
def built(tmp_path):
    """Returns a function that builds one page with all extensions and gives back the folder of the site."""

    def build(text, **options):
        (tmp_path / "index.md").write_text(text)
        names = ("access", "search", "repository", "glossary")
        extensions = ["myst_nb", "sphinx_proof", *(f"fracrepro.workflow.{name}" for name in names)]
        settings = {"extensions": extensions, "html_theme": "basic", "html_theme_options": {}}
        settings |= {"myst_enable_extensions": ["dollarmath"], "numfig": True, **options}
        out = tmp_path / "out"
        with patch_docutils(), docutils_namespace():
            Sphinx(tmp_path, None, out, out, "html", settings, status=None, warning=None).build()
        return out

    return build


def test_headers_without_words_become_cells_and_others_stay():
    soup = BeautifulSoup(without_empty_headers(STYLED), "html.parser")
    assert [header.get_text(strip=True) for header in soup("th")] == ["x", "name"]
    assert len(soup("td")) == 3


FORMULAS = r"""# A page

Let `it`, ($x$), the $s$-th, $y$’s, [$z$](https://example.org).
Nothing at $w$ or [in $v$ and more](https://example.org), $u$.

```{table}
:class: cards

| name | why of <it> | more |
|---|---|---|
| one | $q$, two | |
```
"""


def test_formulas_keep_their_punctuation_and_cells_of_cards_the_names_of_their_columns(built):
    soup = BeautifulSoup((built(FORMULAS) / "index.html").read_text(), "html.parser")
    kept = [piece.get_text() for piece in soup.select(".unbroken")]
    assert kept == [r"(\(x\)),", r"\(s\)-th,", r"\(y\)’s,", r"\(z\).", r"\(u\).", r"\(q\),"]
    text = " ".join(soup.select_one("p").get_text().split())
    assert text == (
        r"Let it, (\(x\)), the \(s\)-th, \(y\)’s, \(z\). Nothing at \(w\) or in \(v\) and more, \(u\)."
    )
    assert [cell.get("data-label") for cell in soup("td")] == [None, "why of <it>", None]


PAGE = r"""# A page

```{prf:theorem} Tail index
:label: thm-tail

It is so.
```

## Why $\sigma^2$ matters
"""


def test_the_list_of_the_search_has_theorems_pages_and_headings(built):
    text = (built(PAGE) / "_static" / "search-first.js").read_text()
    found = json.loads(text.removeprefix("const SEARCH_FIRST = ").removesuffix(";\n"))
    assert ["index", "thm-tail", "theorem", "Tail index"] in [entry[:4] for entry in found]
    assert {tuple(entry[2:4]) for entry in found} == {
        ("page", "A page"),
        ("theorem", "Tail index"),
        ("heading", r"Why \(\sigma^2\) matters"),
    }
    places = {entry[3]: entry[4] for entry in found}
    assert places["Tail index"].startswith("Theorem")
    assert places["Tail index"].endswith("in A page")


LINKS = "# A page\n\nBefore.\n\n```{repository}\nIt is [here](<address>/issues).\n```\n"


@pytest.mark.parametrize("address", ["", "https://example.org/name/book"])
def test_links_to_the_repository_are_absent_while_its_address_is_unknown(built, address):
    page = (built(LINKS, fracrepro_repository=address) / "index.html").read_text()
    hrefs = [link["href"] for link in BeautifulSoup(page, "html.parser").select("div.body a.external")]
    assert hrefs == ([f"{address}/issues"] if address else [])
    assert ("here" in page) == bool(address)


def test_an_address_that_is_none_is_refused(built):
    with pytest.raises(ConfigError, match="fracrepro_repository = 'example'"):
        built(LINKS, fracrepro_repository="example")


ENDS = {"low": 0.0, "mean": 1.0, "high": 2.0}
PARTS = {f"late_{end}_{other}": x for other in ("kaiming", "xavier") for end, x in ENDS.items()}
VALUES = {"MNIST": PARTS | {"record_runs": 20}, "CIFAR-10": PARTS | {"record_runs": 10}}


def test_the_landing_figure_is_the_same_for_the_same_values_and_differs_by_mode():
    light = pictures.landing(VALUES, "light")
    assert light == pictures.landing(VALUES, "light")
    assert light != pictures.landing(VALUES, "dark")
    assert len(light.svg) < 150_000
    table = pd.read_csv(io.StringIO(light.csv), comment="#")
    means = table[table["kind"] == "points with intervals"]
    assert set(means["x"]) == {ENDS["mean"]}
    assert set(means["x_low"]) == {ENDS["low"]}
    assert set(means["x_high"]) == {ENDS["high"]}


def test_the_landing_figure_shows_the_law_and_the_reported_differences():
    rows = {"Kaiming": [Difference("MNIST", -0.5, -1.0, 0.25, 20)]}
    laws, differences = landing_figure(rows).axes
    for line in laws.get_lines():
        x, height = line.get_data()
        assert ((height[1:] + height[:-1]) / 2 * (x[1:] - x[:-1])).sum() == pytest.approx(1, abs=1e-3)
    curves = [line.get_data() for line in laws.get_lines()]
    means = [(x * height).sum() / height.sum() for x, height in curves]
    # Xavier's variance is half of Kaiming's: 20 layers shrink the norm by 2 to the power 10 more.
    assert means[1] - means[0] == pytest.approx(10 * math.log10(2), abs=1e-6)
    points = differences.containers[0].lines
    assert points[0].get_xdata().tolist() == [-0.5]
    assert points[2][0].get_segments()[0][:, 0].tolist() == [-1.0, 0.25]


def test_a_project_without_the_pages_gets_no_figure(tmp_path):
    pictures.write(Project(tmp_path))
    assert not (tmp_path / "book").exists()
