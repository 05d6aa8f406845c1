"""The Sphinx extension behind the API reference, on a small book of its own."""

import io
import sys

import pytest
from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from fracrepro.workflow.reference import linked
from fracrepro.workflow.usage import Use

SETTINGS = {
    "extensions": [
        "sphinx.ext.autodoc",
        "sphinx.ext.napoleon",
        "sphinx.ext.viewcode",
        "sphinx_proof",
        "fracrepro.workflow.reference",
        "fracrepro.workflow.entries",
    ],
    "autodoc_default_options": {"members": True, "ignore-module-all": True},
    "viewcode_follow_imported_members": False,
    "default_role": "py:obj",
    "nitpicky": True,
}
PAGE = """
The toy page
============

The statement
-------------

.. prf:theorem:: One
   :label: toy-thm-one

   One is one.

The check
---------

.. code-block:: python

   import fracrepro as fr

   fr.moment(2, 64, fr.ReLU())
"""
API = """
Reference
=========

.. py:currentmodule:: fracrepro.theory.layer
.. py:function:: moment(s, width, activation)

.. automodules:: toys
   :without: third
"""
FIRST = '''
"""The first module."""

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["SIZE", "Box", "Kind", "public"]

#: What there is.
Kind = Literal["small", "large"]

#: How many there are: as many as fingers on a small hand.
SIZE = 3


def public():
    """Do nothing.

    Source: the abstract, and derived on page 02,
    toy-thm-one.

    >>> public()
    """


@dataclass
class Box:
    """Hold E r_k^s of max_pairs networks, which falls like e^(-t), as in `r_k`."""

    third: float = 1 / 3
    content: dict[str, int] = field(default_factory=dict)

    def both(self):
        """Return two.

        Returns:
            Two numbers: the first, and the second.
        """


def helper():
    """Help."""
'''
BAD, END = '\n\ndef bad():\n    """Do it.\n\n    ', '\n    """\n'


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Build the small book with something added to a file; return the page, the reference, the warnings."""

    def run(**added):
        root, warnings = tmp_path_factory.mktemp("small"), io.StringIO()
        for name, text in {
            "index.rst": "Book\n====\n\n.. toctree::\n\n   book/executed/02_toy\n   book/api/toy\n",
            "book/executed/02_toy.rst": PAGE,
            "book/api/toy.rst": API,
            "toys/__init__.py": "",
            "toys/first.py": FIRST,
            "toys/third.py": '"""The third module."""\n\n\ndef left_out():\n    """Do nothing."""\n',
            "toys/second.py": '"""The second module."""\n\n\ndef other():\n    """Do nothing."""\n',
            "toys/_hidden.py": '"""The hidden module."""\n\n\ndef hidden():\n    """Do nothing."""\n',
        }.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + added.get(path.stem, ""))
        sys.path.insert(0, str(root))
        try:
            with patch_docutils(), docutils_namespace():
                app = Sphinx(
                    root, None, root / "out", root / "trees", "html", SETTINGS, status=None, warning=warnings
                )
                app.build(force_all=True)
        finally:
            sys.path.remove(str(root))
            for name in [name for name in sys.modules if name.split(".")[0] == "toys"]:
                del sys.modules[name]
        pages = [
            BeautifulSoup((root / "out" / "book" / f"{name}.html").read_text(), "html.parser")
            for name in ("executed/02_toy", "api/toy")
        ]
        return (*pages, warnings.getvalue())

    return run


@pytest.fixture(scope="module")
def plain(build):
    """The small book as it is."""
    return build()


def test_one_click_leads_from_code_to_the_entry_and_one_back(plain):
    page, api, warnings = plain
    assert warnings == ""
    links = {link.get_text(): link["href"] for link in page.select("pre a.api")}
    assert links["fr.moment"] == "../api/toy.html#fracrepro.theory.layer.moment"
    entry = api.find(id="fracrepro.theory.layer.moment").parent
    assert [link["href"] for link in entry.select("dd dd a")] == ["../executed/02_toy.html#the-check"]
    assert "fr.ReLU" not in links  # its module has no entries here


def test_a_colon_in_the_sentence_of_a_constant_makes_no_type(plain):
    _, api, _ = plain
    words = api.find(id="toys.first.SIZE").find_next_sibling("dd").p.get_text()
    assert words == "How many there are: as many as fingers on a small hand."


def test_a_colon_in_what_is_returned_makes_no_type(plain):
    _, api, _ = plain
    fields = api.find(id="toys.first.Box.both").find_next_sibling("dd").dl
    assert [name.get_text(strip=True) for name in fields.find_all("dt")] == ["Returns:"]
    assert fields.dd.get_text(strip=True) == "Two numbers: the first, and the second."


def test_defaults_and_values_are_for_people(plain):
    _, api, _ = plain
    signature = api.find(id="toys.first.Box").get_text()
    assert "third: float = 1 / 3" in " ".join(signature.split())
    assert "factory" not in signature
    paragraphs = [p.get_text() for p in api.find(id="toys.first.SIZE").find_next_sibling("dd").find_all("p")]
    assert paragraphs[-1] == "Value: 3"
    kind = api.find(id="toys.first.Kind").find_next_sibling("dd").find_all("p")
    assert kind[-1].get_text() == "One of 'small', 'large'."


def test_exponents_and_indices_are_set_in_prose_alone(plain):
    _, api, _ = plain
    sentence = api.find(id="toys.first.Box").find_next_sibling("dd").p
    assert [tag.get_text() for tag in sentence.find_all(["sub", "sup"])] == ["k", "s", "-t"]
    assert "max_pairs" in sentence.get_text()
    assert sentence.code.get_text() == "r_k"


def test_the_names_of_the_package_itself_are_shown_as_they_are_called(plain):
    _, api, _ = plain
    signature = api.find(id="fracrepro.theory.layer.moment")
    assert signature.get_text().strip().startswith("fr.moment(")
    assert api.find(id="fracrepro.moment")


def test_a_source_leads_to_the_page_and_the_theorem(plain):
    _, api, _ = plain
    fields = api.find(id="toys.first.public").parent.select("dd dt")
    (field,) = (name for name in fields if name.get_text().startswith("Source"))
    links = {link.get_text(): link["href"] for link in field.find_next("dd").select("a")}
    assert links["page 02"] == "../executed/02_toy.html"
    assert links["Theorem 1"] == "../executed/02_toy.html#toy-thm-one"


def test_all_public_modules_and_no_private_name_have_entries(plain):
    _, api, _ = plain
    ids = {tag["id"] for tag in api.find_all(id=True)}
    assert {"toys.first.public", "toys.first.SIZE", "toys.second.other"} <= ids
    assert not {"toys.first.helper", "toys._hidden.hidden", "toys.third.left_out"} & ids


def test_constants_have_a_link_to_their_source_too(plain):
    _, api, _ = plain
    assert api.find(id="toys.first.SIZE").select_one("a[href$='_modules/toys/first.html']")
    assert api.find(id="toys.first.public").select_one("a[href$='_modules/toys/first.html#public']")


def test_names_in_prose_are_linked(build):
    page, _, warnings = build(**{"02_toy": "\nSee ``fr.moment(1, 2, fr.ReLU())`` and ``other``.\n"})
    assert warnings == ""
    assert page.select_one("p a[href$='#fracrepro.theory.layer.moment']").get_text().startswith("fr.moment(1")


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"02_toy": "\nSee ``fr.no_such_name(1)``.\n"}, "the package has no fr.no_such_name(1)"),
        (
            {"second": '\n\ndef bad():\n    """Do it.\n\n    Source: page 02, toy-thm-two.\n    """\n'},
            "toy-thm-two",
        ),
        ({"second": '\n\ndef bad():\n    """Do it.\n\n    Source: derived on page 99.\n    """\n'}, "99"),
        ({"second": BAD + "See :func:`nothing`." + END}, "nothing"),
    ],
)
def test_what_leads_nowhere_is_a_warning_which_stops_the_book(build, changes, warning):
    *_, warnings = build(**changes)
    assert warning in warnings


def test_links_nest_rightly_in_highlighted_code():
    code = '<span class="s">&quot;é&quot;</span><span class="n">f</span>(<b>g</b>)'
    html = f"<div><pre><span></span>\n{code}</pre></div>"
    whole = linked(html, [(Use(3, 4, ""), "#f"), (Use(5, 6, ""), "#g")])
    assert '<a class="api" href="#f"><span class="n">f</span></a>(' in whole
    assert '(<a class="api" href="#g"><b>g</b></a>)' in whole
    assert BeautifulSoup(whole, "html.parser").get_text() == BeautifulSoup(html, "html.parser").get_text()
    assert linked(html, []) == html
