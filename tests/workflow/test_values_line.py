"""The line that says which network a page was computed for."""

import pytest
from docutils import nodes
from docutils.utils import new_document

from fracrepro.workflow import values_line

VALUES = {"activation": "leaky_relu", "width": 64, "depth": 1200, "s": 0.5, "networks": 300, "seed": 1}


@pytest.fixture
def page():
    """A page with a box of the reading time and one of all parameters."""
    document = new_document("page")
    document += nodes.paragraph("", "Overview.")
    document += nodes.paragraph("", "Prerequisites: none.\nTime to read: 5 minutes.")
    document += nodes.admonition()
    return document


def test_the_line_ends_the_paragraph_of_the_reading_time_and_leads_to_all_parameters(page):
    values_line.add(page, VALUES, page[2])
    said = page[1].astext().splitlines()[-1]
    assert said == "Computed here for: leaky ReLU, width 64, depth 1,200, s = 0.5 (all parameters)."
    [link] = page.findall(nodes.reference)
    assert [link["refid"]] == page[2]["ids"]
    assert page[0].astext() == "Overview."


@pytest.mark.parametrize("left_out", [("activation", "s"), tuple(VALUES)])
def test_a_page_whose_networks_have_sizes_of_their_own_gets_none(page, left_out):
    before = page.pformat()
    values_line.add(page, {name: VALUES[name] for name in VALUES if name not in left_out}, page[2])
    assert page.pformat() == before


def test_a_page_without_a_reading_time_stays_as_it_is(page):
    del page[1]
    before = page.pformat()
    values_line.add(page, VALUES, page[1])
    assert page.pformat() == before
