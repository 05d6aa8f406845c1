"""The exercises of the book: each has an entry in the key and a solution, and its answer is the page's."""

import json
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from fracrepro.workflow import exercises, handout, parameters
from fracrepro.workflow.project import Project

PROJECT = Project(Path(__file__).resolve().parents[2])
KEY = exercises.load(PROJECT)
PAGES = PROJECT.notebook_names()
LEAST = 40  # exercises, half of them with code that the build executes


@pytest.mark.parametrize("page", PAGES)
def test_every_exercise_has_an_entry_with_its_level_and_goal_and_a_solution(page):
    boxes = exercises.posed(PROJECT, page)
    assert [box.label for box in boxes] != []
    assert {box.label for box in boxes} == {label for label, entry in KEY.items() if entry.page == page}
    for box in boxes:
        entry = KEY[box.label]
        assert (box.level, box.goal) == (entry.level, entry.goal), box.label
        assert box.solution, box.label
        assert box.title, box.label


@pytest.mark.parametrize("page", PAGES)
def test_a_statement_stands_by_itself(page):
    """It goes into a handout, where no run has reported a number and no solution may be."""
    for box in exercises.posed(PROJECT, page):
        assert "glue:" not in box.statement, box.label
        assert "numref" not in box.statement, box.label
        assert "solution" not in box.statement.lower(), box.label


@pytest.mark.parametrize("page", PAGES)
def test_code_of_a_solution_is_short_enough_to_be_read(page):
    for box in exercises.posed(PROJECT, page):
        lines = box.code.splitlines()
        assert max(map(len, lines), default=0) <= 88, box.label
        assert len(lines) <= 24, box.label  # two cells of a dozen


def test_there_are_enough_and_half_of_them_compute():
    boxes = [box for page in PAGES for box in exercises.posed(PROJECT, page)]
    assert len(boxes) >= LEAST
    assert sum(bool(box.code) for box in boxes) >= len(boxes) / 2
    assert {box.level for box in boxes} == exercises.LEVELS.keys()


def test_most_answers_can_be_checked():
    checked = [entry for entry in KEY.values() if entry.answer is not None]
    assert len(checked) >= len(KEY) / 2


@pytest.mark.parametrize("page", PAGES)
def test_an_answer_is_the_number_that_the_page_reports(book, page):
    values = book.record(page)["values"]
    for entry in (entry for entry in KEY.values() if entry.page == page and entry.reported):
        value = values[entry.reported]
        assert entry.accepts(Fraction(value)), f"{entry.label}: {value}"
        # Control: an answer that is off by three tolerances, or by one where there is none, is refused.
        off = 3 * entry.within or 1
        assert not replace(entry, answer=entry.answer + off).accepts(Fraction(value)), entry.label


def numbers(text):
    """The numbers that stand in a solution, those in powers of ten included."""
    text = re.sub(r"\s*(?:\\cdot|\\times)\s*10\^\{?(-?\d+)\}?", r"e\1", text.replace("{,}", ""))
    return [Fraction(found) for found in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", text)]


def test_numbers_in_a_solution_are_read():
    assert numbers(r"$2.8 \cdot 10^{-6}$, $-3$") == [Fraction("0.0000028"), -3]


@pytest.mark.parametrize("page", PAGES)
def test_a_worked_solution_states_the_number(page):
    """As a quotation of what the page reports, or as a number of its own that is right."""
    for box in exercises.posed(PROJECT, page):
        entry = KEY[box.label]
        if isinstance(entry.answer, int | float):
            quoted = entry.reported and re.search(rf"\{{glue:text\}}`{entry.reported}[:`]", box.solution)
            assert quoted or any(map(entry.accepts, numbers(box.solution))), box.label


@pytest.mark.parametrize("page", PAGES)
def test_the_built_page_folds_every_solution_with_its_code_and_output(book, page):
    soup = BeautifulSoup((book.site / "book" / "executed" / f"{page}.html").read_text(), "html.parser")
    for box in exercises.posed(PROJECT, page):
        statement = soup.find(id=box.label)
        assert f"Level {box.level}. Goal: " in statement.get_text(), box.label
        folded = [
            found
            for found in soup.select("div.solution.dropdown")
            if found.select_one(f".admonition-title a[href='#{box.label}']")
        ]
        assert len(folded) == 1, box.label
        if box.code:
            assert folded[0].select_one(".cell_input"), box.label
            first = box.code.split()[0]
            assert first in folded[0].select_one(".cell_input").get_text(), box.label


def test_the_whole_handout_can_be_written():
    """Every statement of the book on one page, with nothing left unresolved and no solution on it."""
    from fracrepro.workflow import standalone

    text = handout.text(PROJECT, exercises.chosen(PROJECT, []))
    soup = BeautifulSoup(standalone.from_text(PROJECT, "handout", text, "note"), "html.parser")
    article = soup.article
    assert len(article.select("div.exercise")) == len(KEY)
    assert article.select(".solution, .problematic, .system-message, .xref.myst") == []
    for code in article.find_all(["pre", "code"]):
        code.decompose()
    assert re.findall(r"\{[a-z:]+\}`|```|^:::", article.get_text(), re.M) == []


def test_the_course_names_commands_and_parameters_that_there_are():
    course = (PROJECT.root / "book" / "course.md").read_text().replace("\\\n", "")  # a command on one line
    lines = re.findall(r"^(?:fracrepro run|papermill notebooks/)\s*(\d\d_\w+)(.*)$", course, flags=re.M)
    assert len(lines) >= 7
    for page, options in lines:
        notebook = parameters.parse_notebook(PROJECT.notebook_path(page).read_text(), page)
        contract = parameters.declared(notebook, page)
        given = dict(re.findall(r"-p (\w+) (\S+)", options))
        given |= {name: text.split(",")[0] for name, text in re.findall(r"--sweep (\w+)=(\S+)", options)}
        assert parameters.resolve(contract, {}, given), options
        assert given.keys() <= contract.keys()
    named = set(re.findall(r"\{doc\}`executed/(\w+)`", course))
    tables = set(" ".join(re.findall(r"\{exercise-table\} (.*)", course)).split())
    assert named == tables == set(PAGES), "every page has a session, and its exercises a table"


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
def test_the_course_is_readable(reader, width):
    with reader.page("book/course.html", viewport={"width": width, "height": 844}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("table tbody tr").count() >= 2 * len(KEY)
    assert reader.trouble == []


def test_the_page_of_the_course_says_what_the_key_says(book):
    soup = BeautifulSoup((book.site / "book" / "course.html").read_text(), "html.parser")
    text = soup.article.get_text()
    assert f"There are {len(KEY)} exercises: " in text
    links = {link["href"].partition("#")[2] for link in soup.select("article table a[href*='#ex-']")}
    assert links == KEY.keys()
    record = json.loads((book.project.executed / f"{PAGES[0]}.ipynb").read_text())["metadata"]["fracrepro"]
    assert f"at the profile {record['profile']}." in text
