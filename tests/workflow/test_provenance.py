"""Reported values and digests."""

import json
import math

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


def test_versions_are_json():
    assert json.loads(json.dumps(provenance.versions()))["python"]
