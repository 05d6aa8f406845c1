"""The tables of a course, made of the key to the exercises and of what the runs left."""

import json

import pytest
from bs4 import BeautifulSoup
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

KEY = """
ex-hard: {page: 01_one, level: 3, goal: prove $x^2$}
ex-easy: {page: 01_one, level: 1, goal: count, ask: how many, answer: 3}
ex-word: {page: 02_two, level: 2, goal: see, ask: yes or no, answer: "yes"}
"""
PAGES = {
    "01_one": (
        "# One\n\n**Time to read:** 15 minutes.\n\n```{exercise} Hard\n:label: ex-hard\n\nProve it.\n```\n\n"
        "```{exercise} Easy $y$\n:label: ex-easy\n\nCount.\n```\n"
    ),
    "02_two": "# Two\n\n```{exercise} Word\n:label: ex-word\n\nLook.\n```\n",
}
CODE = "```{solution-start} ex-word\n```\n", "len('x')", "```{solution-end}\n```\n"


@pytest.fixture
def build(tmp_path):
    """Returns a function that builds a page with these directives; it gives soup and warnings back."""

    def run(*directives, key=KEY, executed=True):
        for folder in ("notebooks", "book/executed"):
            (tmp_path / folder).mkdir(parents=True)
        (tmp_path / "notebooks" / "profiles.yml").write_text("quick: {}\n")
        (tmp_path / "book" / "exercises.yml").write_text(key)
        for count, (name, text) in enumerate(PAGES.items(), 1):
            source = [{"cell_type": "markdown", "id": "a", "metadata": {}, "source": text}]
            if name == "02_two":
                start, code, end = CODE
                outputs = {"outputs": [], "execution_count": None}
                source += [
                    {"cell_type": "markdown", "id": "b", "metadata": {}, "source": start},
                    {"cell_type": "code", "id": "c", "metadata": {}, "source": code, **outputs},
                    {"cell_type": "markdown", "id": "d", "metadata": {}, "source": end},
                ]
            record = {"seconds": 1.4 * count, "profile": "quick"}
            notebook = {
                "cells": source,
                "metadata": {
                    "fracrepro": record,
                    "language_info": {"name": "python", "pygments_lexer": "python"},
                },
                "nbformat": 4,
                "nbformat_minor": 5,
            }
            (tmp_path / "notebooks" / f"{name}.ipynb").write_text(json.dumps(notebook))
            if executed:
                (tmp_path / "book" / "executed" / f"{name}.ipynb").write_text(json.dumps(notebook))
        blocks = "\n\n".join(f"```{{{directive}\n```" for directive in directives)
        (tmp_path / "book" / "course.md").write_text(f"# Course\n\n{blocks}\n")
        pages = "\n".join(f"book/executed/{name}" for name in PAGES) if executed else ""
        (tmp_path / "index.md").write_text(f"# Index\n\n```{{toctree}}\nbook/course\n{pages}\n```\n")
        options = {
            "extensions": ["myst_nb", "sphinx_exercise", "fracrepro.workflow.course"],
            "html_theme": "basic",
            "myst_enable_extensions": ["dollarmath"],
            "nb_execution_mode": "off",
            "exclude_patterns": ["notebooks"],
        }
        out, warnings = tmp_path / "out", (tmp_path / "warnings").open("w+")
        with patch_docutils(), docutils_namespace():
            Sphinx(tmp_path, None, out, out, "html", options, status=None, warning=warnings).build()
        warnings.seek(0)
        soup = BeautifulSoup((out / "book" / "course.html").read_text(), "html.parser")
        return soup, warnings.read()

    return run


def table(soup):
    return [
        [" ".join(cell.get_text().split()) for cell in row.find_all(["th", "td"])]
        for row in soup.find_all("tr")
    ]


def test_all_exercises_stand_in_the_order_of_the_book(build):
    soup, warnings = build("exercise-table}")
    assert warnings == ""
    assert table(soup) == [
        ["exercise", "level", "goal", "answer", "page"],
        ["Hard", "3", r"Prove \(x^2\)", "on paper", "01"],
        [r"Easy \(y\)", "1", "Count", "number", "01"],
        ["Word", "2", "See", "word", "02"],
    ]
    links = [link["href"] for link in soup.select("table a")]
    assert links[:2] == ["executed/01_one.html#ex-hard", "executed/01_one.html"]
    assert links[4] == "executed/02_two.html#ex-word"


def test_a_choice_begins_with_the_easy_ones(build):
    soup, _ = build("exercise-table} 01_one")
    assert [row[:2] for row in table(soup)] == [
        ["exercise", "level"],
        [r"Easy \(y\)", "1"],
        ["Hard", "3"],
    ]
    assert {len(row) for row in table(soup)} == {4}, "one page needs no column for it"


def test_single_exercises_can_be_chosen(build):
    soup, _ = build("exercise-table} ex-word ex-hard")
    assert [row[0] for row in table(soup)] == ["exercise", "Word", "Hard"]


def test_the_counts_are_a_sentence(build):
    soup, _ = build("exercise-counts}")
    text = soup.select_one("p").get_text()
    assert text.startswith("There are 3 exercises: 1 of level 1 (one step")
    assert "The answers to 2 can be checked by a command" in text
    assert "1 of them show code" in text


def test_each_page_has_its_time_and_its_seconds(build):
    soup, warnings = build("page-table}")
    assert warnings == ""
    assert "those of this build, at the profile quick." in soup.get_text()
    assert table(soup)[1:] == [
        ["page 01, “One”", "15 min", "2 exercises", "1 s"],
        ["page 02, “Two”", "", "1 exercise", "3 s"],
    ]
    assert [link["href"] for link in soup.select("table a")] == [
        "executed/01_one.html",
        "executed/02_two.html",
    ]


@pytest.mark.parametrize(
    ("directive", "options", "message"),
    [
        ("exercise-table} 03_three", {}, "page = '03_three': need pages such as"),
        ("exercise-table}", {"key": KEY.replace("ex-hard", "ex-herd")}, "ex-hard: stands on the page 01_one"),
        ("exercise-counts}", {"key": KEY.replace("level: 3", "level: 4")}, "level = 4: need 1, 2 or 3"),
        ("exercise-table}", {"executed": False}, "the page 01_one is not in the book"),
        ("page-table}", {"executed": False}, "the page 01_one has not been executed"),
    ],
)
def test_what_does_not_fit_is_a_warning_which_stops_the_build_of_the_book(build, directive, options, message):
    _, warnings = build(directive, **options)
    assert message in warnings
