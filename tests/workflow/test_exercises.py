"""The key to the exercises, and the exercises as they stand on a page."""

import json
import re
from fractions import Fraction
from pathlib import Path

import pytest

from fracrepro.errors import ArgumentError
from fracrepro.workflow import exercises
from fracrepro.workflow.project import Project

ROOT = Path(__file__).resolve().parents[2]
KEY = """
ex-one:
  page: 01_page
  level: 2
  goal: count
  ask: how many, a whole number
  answer: 3
  within: 0
  reported: count
ex-two:
  page: 01_page
  level: 3
  goal: prove it
"""
ONE, TWO = KEY.split("ex-two:")
PAGE = r"""
# A page

Text.

```{exercise} How many?
:label: ex-one

*Level 2. Goal: count.*

How many are $x$?
```

```{solution-start} ex-one
:class: dropdown
```

Count:
"""
END = """
Three.

```{solution-end}
```

````{exercise} A proof
:label: ex-two

*Level 3. Goal: prove it.*

```python
code
```

Prove it.
````

```{solution} ex-two
:class: dropdown

So it is.
```
"""


def cell(text, kind="markdown", *tags):
    outputs = {"outputs": [], "execution_count": None} if kind == "code" else {}
    return {"cell_type": kind, "id": "c", "metadata": {"tags": list(tags)}, "source": text, **outputs}


def page(*cells):
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


WHOLE = page(
    cell("1 + 1", "code", "parameters"),
    cell(PAGE),
    cell("len(x)", "code", "show-code"),
    cell("report(count=3)", "code", "remove-cell"),
    cell(END),
    cell("after()", "code"),
)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "book").mkdir()
    (tmp_path / "notebooks" / "profiles.yml").write_text("book: {}\n")
    (tmp_path / "notebooks" / "01_page.ipynb").write_text(json.dumps(WHOLE))
    (tmp_path / "notebooks" / "02_none.ipynb").write_text(json.dumps(page(cell("# None"))))
    (tmp_path / "book" / "exercises.yml").write_text(KEY)
    return Project(tmp_path)


def refused(project, key):
    path = project.root / "book" / "exercises.yml"
    path.write_text(key)
    with pytest.raises(ArgumentError) as caught:
        exercises.load(project)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_a_key_is_read(project):
    one, two = exercises.load(project).values()
    assert (one.page, one.level, one.goal, one.answer, one.reported) == ("01_page", 2, "count", 3, "count")
    assert two.answer is None
    assert one.address == "book/executed/01_page.html#ex-one"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("level: 2", "lvel: 2", "ex-one: field = 'lvel'"),
        ("level: 2", "level: 4", "ex-one: level = 4: need 1, 2 or 3"),
        ("level: 2", "level: 0", "ex-one: level = 0"),
        ("level: 2", "level: true", "ex-one: level = True"),
        ("level: 2", "level: 2.0", "ex-one: level = 2.0"),
        ("  level: 2\n", "", "ex-one: level is missing"),
        ("page: 01_page", "page: 01_pages", "ex-one: page = '01_pages': .*did you mean '01_page'"),
        ("page: 01_page", "page: 1", "ex-one: page = 1: need text"),
        ("goal: count", "goal: ''", "ex-one: goal = '': need text"),
        ("goal: count", "goal: [count]", r"ex-one: goal = \['count'\]: need text"),
        ("answer: 3", "answer: .nan", "ex-one: answer = nan: need a finite number or a word"),
        ("answer: 3", "answer: -.inf", "ex-one: answer = -inf: need a finite"),
        ("answer: 3", "answer: [3]", r"ex-one: answer = \[3\]: need a finite"),
        ("answer: 3", "answer: 2026-01-01", "ex-one: answer = .*: need a finite"),
        ("answer: 3", "answer: yes", "ex-one: answer = True: need quotes"),
        ("answer: 3", "answer: 1e-3", "ex-one: answer = '1e-3': need a number as YAML has it"),
        ("answer: 3", "answer: 1/2", "ex-one: answer = '1/2': need a number as YAML has it"),
        ("answer: 3", 'answer: ""', "ex-one: answer = '': need a finite"),
        ("answer: 3", f"answer: {'long ' * 9}", "ex-one: answer = .*: need a finite"),
        ("answer: 3", "answer: some", "ex-one: reported = 'count': a word has none"),
        ("  ask: how many, a whole number\n", "", "ex-one: ask is missing"),
        ("  answer: 3\n", "", "ex-one: ask = .*: need an answer beside it"),
        ("within: 0", "within: -1", "ex-one: within = -1: need a finite"),
        ("within: 0", "within: .inf", "ex-one: within = inf"),
        ("within: 0", "within: 1e-3", "ex-one: within = '1e-3': .*such as 0.001"),
        ("within: 0", "within: false", "ex-one: within = False"),
        ("ex-one", "one", "label = 'one': need ex-"),
        ("ex-one", "ex-One", "label = 'ex-One'"),
        ("ex-one", "7", "label = '7'"),
        ("ex-two", "ex-one", "the key 'ex-one' comes twice"),
    ],
)
def test_a_wrong_entry_is_named(project, old, new, message):
    assert KEY.count(old) >= 1
    said = refused(project, KEY.replace(old, new, 1))
    assert re.search(message, said), said


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "need labels"),
        ("- ex-one", "need labels"),
        ("ex-one: 3", "ex-one: need the fields page, level, goal"),
        ("ex-one: [", "not valid YAML"),
    ],
)
def test_another_file_is_refused(project, key, message):
    assert message in refused(project, key)


def test_a_missing_key_is_named(project):
    (project.root / "book" / "exercises.yml").unlink()
    with pytest.raises(ArgumentError, match=r"exercises\.yml: no such file"):
        exercises.load(project)


def test_a_word_is_an_answer(project):
    text = KEY.replace("answer: 3", 'answer: "yes"').replace("  within: 0\n  reported: count\n", "")
    (project.root / "book" / "exercises.yml").write_text(text)
    assert exercises.load(project)["ex-one"].answer == "yes"


@pytest.mark.parametrize(
    ("value", "right"),
    [("0.4", True), ("0.2", True), ("0.40000000000000001", False), ("0.19999999999999999", False)],
)
def test_the_ends_of_a_tolerance_belong_to_it(value, right):
    exercise = exercises.Exercise("ex-a", "p", 1, "g", "what", 0.3, 0.1)
    assert exercise.accepts(Fraction(value)) is right
    # Control: in binary numbers the upper end would be outside.
    assert abs(0.4 - 0.3) > 0.1


def test_the_exercises_of_a_page_are_found(project):
    one, two = exercises.posed(project, "01_page")
    assert (one.label, one.title, one.level, one.goal) == ("ex-one", "How many?", 2, "count")
    assert one.statement == "How many are $x$?"
    assert one.code == "len(x)\n"
    assert "Count:" in one.solution
    assert "Three." in one.solution
    assert "So it is" not in one.solution
    assert two.statement == "```python\ncode\n```\n\nProve it."
    assert (two.level, two.goal, two.solution, two.code) == (3, "prove it", "So it is.", "")


def test_what_a_page_does_not_say_is_empty():
    text = "```{exercise} Bare\n:label: ex-bare\n\nWhat?\n```\n"
    [bare] = exercises.posed_in(page(cell(text)))
    assert (bare.level, bare.goal, bare.statement, bare.solution, bare.code) == (0, "", "What?", "", "")
    with pytest.raises(ArgumentError, match="exercise 'Bare': need a label"):
        exercises.posed_in(page(cell(text.replace(":label: ex-bare\n", ""))))


def test_a_choice_is_of_pages_and_labels(project):
    def labels(*names):
        return [entry.label for entry, _ in exercises.chosen(project, names)]

    assert labels() == labels("01_page") == labels("ex-two", "01_page") == ["ex-one", "ex-two"]
    assert labels("ex-two") == ["ex-two"]
    with pytest.raises(ArgumentError, match=r"page = 'ex-tow'.*did you mean 'ex-two'"):
        labels("ex-tow")
    with pytest.raises(ArgumentError, match="page = '02_none': has no exercises"):
        labels("02_none")


def test_key_and_page_fit(project):
    path = project.root / "book" / "exercises.yml"
    path.write_text(ONE)
    with pytest.raises(ArgumentError, match=r"ex-two: stands on the page 01_page: need an entry"):
        exercises.chosen(project, ["01_page"])
    path.write_text(KEY + "ex-tree: {page: 01_page, level: 1, goal: see}\n")
    with pytest.raises(ArgumentError, match="ex-tree: there is none on the page 01_page"):
        exercises.chosen(project, [])


def test_the_books_key_is_read():
    assert exercises.load(Project(ROOT))


@pytest.mark.parametrize("name", Project(ROOT).notebook_names())
def test_every_page_has_its_exercises_under_a_heading_and_code_that_fits_the_box(name):
    """A line of 80 characters and more wraps in the box of a solution on a screen of 1300 pixels."""
    cells = json.loads(Project(ROOT).notebook_path(name).read_text())["cells"]
    text = "\n".join("".join(each["source"]) for each in cells if each["cell_type"] == "markdown")
    heading, first = text.index("\n## Exercises\n"), text.index("```{exercise}")
    assert heading < first
    assert "\n## " not in text[heading + 1 :]
    found = exercises.posed(Project(ROOT), name)
    assert [line for one in found for line in one.code.splitlines() if len(line) > 79] == []
    assert [one.label for one in found if not one.solution] == []
