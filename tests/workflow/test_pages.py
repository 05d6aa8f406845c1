"""What every page gets when the book is built: folded code, and the line that runs it again."""

import json
import shlex

import pytest

from fracrepro.workflow import notebooks
from fracrepro.workflow.pages import fold_code, joined, quoted, rerun_command


def code(source, *tags, output=None):
    outputs = [{"output_type": "display_data", "metadata": output, "data": {}}] if output is not None else []
    return {"cell_type": "code", "source": source, "metadata": {"tags": list(tags)}, "outputs": outputs}


TEXT = {"cell_type": "markdown", "source": "Text.", "metadata": {}}
REPORTED = {"scrapbook": {"name": "x", "mime_prefix": "hidden/"}}


def folded(*cells):
    source = [json.dumps({"cells": list(cells), "metadata": {}})]
    fold_code(None, "book/executed/01_good", source)
    return json.loads(source[0])["cells"]


def test_code_is_folded_but_for_what_its_tags_say():
    tags = [
        cell["metadata"].get("tags")
        for cell in folded(
            code("a = 1", output={}),
            code("b", "show-code"),
            TEXT,
            code("c", "remove-input"),
            code("d", "remove-cell"),
        )
    ]
    assert tags == [["hide-input"], ["show-code"], None, ["remove-input"], ["remove-cell"]]


def test_folded_cells_with_nothing_between_them_become_one():
    cells = [
        code("a = 1"),
        code("r", "remove-cell"),
        code("b = 2", output=REPORTED),
        code("plot()", output={}),
    ]
    found = folded(*cells, code("c = 3"), TEXT, code("d = 4"))
    sources = [cell["source"] for cell in found]
    assert sources == ["r", "a = 1\n\nb = 2\n\nplot()", "c = 3", "Text.", "d = 4"]
    assert len(found[1]["outputs"]) == 2  # the reported value is kept


def test_shown_code_and_prose_keep_folded_cells_apart():
    for between in (TEXT, code("b", "show-code")):
        assert len(joined([code("a", "hide-input"), between, code("c", "hide-input")])) == 3


def test_other_pages_are_left_alone():
    source = ["# A page of prose"]
    fold_code(None, "book/index", source)
    assert source == ["# A page of prose"]


@pytest.mark.parametrize("overrides", [{}, {"s": "0.5", "orders": "[0.25, 1]"}])
def test_the_line_that_runs_a_page_again_gives_the_same_parameters(project, tmp_path, overrides):
    [run] = notebooks.run(project, ["01_good"], profile="quick", overrides=overrides, output=tmp_path / "a")
    words = shlex.split(rerun_command(project, run.record))
    assert words[:5] == ["fracrepro", "run", "01_good", "--profile", "quick"]
    assert words[-2:] == ["--output-dir", "mine"]
    assert words[5:-2:3] == ["-p"] * len(overrides)  # what the profile gives is not repeated
    pairs = dict(zip(words[6:-2:3], words[7:-2:3], strict=True))
    assert set(pairs) == set(overrides)
    [again] = notebooks.run(project, ["01_good"], profile="quick", overrides=pairs, output=tmp_path / "b")
    assert again.record["parameters"] == run.record["parameters"]


@pytest.mark.parametrize(
    ("text", "spec", "key", "shown", "kind"),
    [
        ("0.0", ".1e", "gap", "0", "error"),
        ("0.0", ".1e", "control_p_value", "0", "probability"),
        ("0.0", ".1e", "top", "0", "error"),
        ("0", "d", "dead", "0", "count"),
        ("0.0", ".2f", "share", "0.00", "measure"),
        ("1.5e-7", ".1e", "gap", "1.5×10⁻⁷", None),
        ("False", "s", "rejected", "no", None),
        ("'7.7e+16'", "s", "draws", "7.7×10¹⁶", None),
    ],
)
def test_a_quotation_is_written_for_people_and_knows_what_its_zero_is(text, spec, key, shown, kind):
    node = quoted(text, spec, key)
    assert node.astext() == shown
    assert node.get("zero") == kind
    assert ("words" in node["classes"]) == text.startswith("'")  # not bold
