"""The exercises of the pages, and their key: `book/exercises.yml` says level, goal and what can be checked.

The statement and the worked solution stand on the page, in the notebook's text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as fields_of
from fractions import Fraction
from typing import Any

from fracrepro import files
from fracrepro.arguments import choice, suggestion
from fracrepro.errors import ArgumentError
from fracrepro.workflow import parameters
from fracrepro.workflow.project import Project, read_yaml

__all__ = ["LEVELS", "Exercise", "Posed", "chosen", "load", "posed", "posed_in"]

#: What the levels mean.
LEVELS = {
    1: "one step, by hand or by one call",
    2: "several steps",
    3: "a small project or a proof",
}
_FILE = "book/exercises.yml"
_NEEDED = ("page", "level", "goal")
_LABEL = re.compile(r"ex-[a-z0-9]+(?:-[a-z0-9]+)*")
_LIKE_A_NUMBER = re.compile(r"[-+.\d][-+.,/\d %eE]*")
_BOX = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{(?P<kind>exercise|solution)\}[ \t]*(?P<head>[^\n]*)\n"
    r"(?P<body>.*?)^(?P=fence)[ \t]*$",
    re.M | re.S,
)
_OPTION = re.compile(r":(?P<name>[a-z]+):[ \t]*(?P<value>[^\n]*)\n")
_AIM = re.compile(r"\*Level (?P<level>\d+)\. Goal: (?P<goal>[^*]+?)\.?\*\s*(?:\n|\Z)")
_START = re.compile(r"^`{3,}\{solution-start\}[ \t]*(?P<label>\S+)", re.M)
_END = re.compile(r"^`{3,}\{solution-end\}", re.M)


@dataclass(frozen=True)
class Exercise:
    """One entry of the key.

    Args:
        label: of the box on the page.
        page: the notebook's name.
        level: 1, 2 or 3, see `LEVELS`.
        goal: what one can do afterwards, as the end of the sentence "One can …".
        ask: what is asked for and in which form; "" where nothing can be checked.
        answer: a number or a word; None where nothing can be checked.
        within: how far from a number still counts as right, in absolute terms.
        reported: the name under which the page reports the number; "" where it is none that a run computes.
    """

    label: str
    page: str
    level: int
    goal: str
    ask: str = ""
    answer: int | float | str | None = None
    within: int | float = 0
    reported: str = ""

    def __post_init__(self) -> None:
        """Check every field by itself, then that they go together."""
        if not _LABEL.fullmatch(self.label):
            raise ArgumentError(f"label = {self.label!r}: need ex- and words, such as ex-dropout-width")
        for name in ("page", "goal", "ask", "reported"):
            value = getattr(self, name)
            if not isinstance(value, str) or (name in _NEEDED and not value.strip()):
                raise ArgumentError(f"{self.label}: {name} = {value!r}: need text")
        if isinstance(self.level, bool) or not isinstance(self.level, int) or self.level not in LEVELS:
            raise ArgumentError(f"{self.label}: level = {self.level!r}: need 1, 2 or 3")
        self._check_answer()
        self._check_tolerance()

    def _check_answer(self) -> None:
        if isinstance(self.answer, bool):
            raise ArgumentError(
                f'{self.label}: answer = {self.answer}: need quotes around a word, such as "yes"'
            )
        if isinstance(self.answer, str):
            if _LIKE_A_NUMBER.fullmatch(self.answer):
                raise ArgumentError(
                    f"{self.label}: answer = {self.answer!r}: "
                    "need a number as YAML has it, such as 0.001 or 1.0e-3"
                )
            if not any(map(str.isalpha, self.answer)) or len(self.answer) > 40 or "\n" in self.answer:
                raise ArgumentError(f"{self.label}: answer = {self.answer!r}: need a finite number or a word")
        elif self.answer is not None and not _is_finite(self.answer):
            raise ArgumentError(f"{self.label}: answer = {self.answer!r}: need a finite number or a word")
        for name in ("ask", "within", "reported"):
            if self.answer is None and getattr(self, name):
                raise ArgumentError(
                    f"{self.label}: {name} = {getattr(self, name)!r}: need an answer beside it"
                )
        if self.answer is not None and not self.ask.strip():
            raise ArgumentError(f"{self.label}: ask is missing: need what is asked for, beside the answer")

    def _check_tolerance(self) -> None:
        if not _is_finite(self.within) or self.within < 0:
            raise ArgumentError(
                f"{self.label}: within = {self.within!r}: "
                "need a finite number that is not below 0, such as 0.001"
            )
        for name in ("within", "reported"):
            if isinstance(self.answer, str) and getattr(self, name):
                raise ArgumentError(f"{self.label}: {name} = {getattr(self, name)!r}: a word has none")

    @property
    def address(self) -> str:
        """Where the exercise stands in the built book."""
        return f"book/executed/{self.page}.html#{self.label}"

    @property
    def in_percent(self) -> bool:
        """Whether the answer counts percent, so that 50 % means 50."""
        return "percent" in self.ask or "%" in self.ask

    def accepts(self, value: Fraction) -> bool:
        """Whether a number is right; decimals count as they are written, so that the ends belong to it."""
        return abs(value - Fraction(str(self.answer))) <= Fraction(str(self.within))


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def load(project: Project) -> dict[str, Exercise]:
    """Read the key and return its entries by label, in the order of the file.

    Raises:
        ArgumentError: for a missing or unreadable file, a label that comes twice, an entry with an unknown or
            a missing field, a level or an answer of another kind, and a page that is not there; names the
            file and the entry.
    """
    path = project.root / _FILE
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise ArgumentError(f"{path}: need labels of exercises with their entries")
    pages = tuple(project.notebook_names())
    try:
        return {str(label): _entry(str(label), entry, pages) for label, entry in content.items()}
    except ArgumentError as error:
        raise ArgumentError(f"{path}: {error}") from None


def _entry(label: str, entry: Any, pages: tuple[str, ...]) -> Exercise:
    known = tuple(item.name for item in fields_of(Exercise) if item.name != "label")
    if not isinstance(entry, dict):
        raise ArgumentError(f"{label}: need the fields {', '.join(_NEEDED)}")
    for name in entry:
        choice(f"{label}: field", name, known)
    for name in _NEEDED:
        if name not in entry:
            raise ArgumentError(f"{label}: {name} is missing")
    exercise = Exercise(label, **entry)
    choice(f"{label}: page", exercise.page, pages)
    return exercise


@dataclass(frozen=True)
class Posed:
    """An exercise as it stands on its page.

    Args:
        label: of the box.
        title: in the box's first line.
        level: as the page says it; 0 where it does not.
        goal: likewise, without the full stop; "" where the page does not say it.
        statement: the text of the box behind level and goal.
        solution: the text of the worked solution; "" where there is none.
        code: the code that the solution shows and the build executes; "" where there is none.
    """

    label: str
    title: str
    level: int
    goal: str
    statement: str
    solution: str
    code: str


def posed(project: Project, page: str) -> list[Posed]:
    """Return the exercises of a page, in its order.

    Raises:
        ArgumentError: for an unknown page, and for an exercise without a label.
    """
    path = project.notebook_path(page)
    return posed_in(parameters.parse_notebook(files.read_text(path), page))


def posed_in(notebook: Mapping[str, Any]) -> list[Posed]:
    """Return the exercises of a parsed notebook; see `posed`."""
    cells = [(cell, "".join(cell["source"])) for cell in notebook["cells"]]
    boxes = [box for cell, text in cells if cell["cell_type"] == "markdown" for box in _BOX.finditer(text)]
    solutions = {box["head"].strip(): (box["body"], "") for box in boxes if box["kind"] == "solution"}
    solutions |= _gated(cells)
    return [_posed(box, solutions) for box in boxes if box["kind"] == "exercise"]


def _posed(box: re.Match[str], solutions: Mapping[str, tuple[str, str]]) -> Posed:
    options, body = _options(box["body"])
    title = box["head"].strip()
    if not options.get("label"):
        raise ArgumentError(f"exercise {title!r}: need a label")
    aim = _AIM.match(body)
    solution, code = solutions.get(options["label"], ("", ""))
    return Posed(
        options["label"],
        title,
        int(aim["level"]) if aim else 0,
        aim["goal"] if aim else "",
        (body[aim.end() :] if aim else body).strip(),
        _options(solution)[1].strip(),
        code,
    )


def _options(body: str) -> tuple[dict[str, str], str]:
    """The options at the beginning of a box, and what follows them."""
    options = {}
    while match := _OPTION.match(body):
        options[match["name"]] = match["value"].strip()
        body = body[match.end() :]
    return options, body.lstrip("\n")


def _gated(cells: Sequence[tuple[Mapping[str, Any], str]]) -> dict[str, tuple[str, str]]:
    """Text and shown code of the solutions that go over several cells, by the label of the exercise."""
    found: dict[str, tuple[str, str]] = {}
    label = ""
    for cell, text in cells:
        tags = cell["metadata"].get("tags", [])
        if cell["cell_type"] == "code":
            if label and "remove-cell" not in tags and "remove-input" not in tags:
                prose, code = found[label]
                found[label] = (prose, f"{code}{text}\n")
            continue
        pieces = re.split(r"^(?=`{3,}\{solution-(?:start|end)\})", text, flags=re.M)
        for piece in pieces:
            if start := _START.match(piece):
                label = start["label"]
                found[label] = ("", "")
                continued = piece.partition("```\n")[2]
            elif _END.match(piece):
                label, continued = "", ""
            else:
                continued = piece
            if label:
                prose, code = found[label]
                found[label] = (f"{prose}{continued}\n", code)
    return found


def chosen(project: Project, names: Sequence[str]) -> list[tuple[Exercise, Posed]]:
    """Return the exercises of some pages, or single ones by their labels, with entry and statement.

    Args:
        project: whose pages they are.
        names: of pages and exercises; none means every page.

    Raises:
        ArgumentError: for a name that is neither, a page without exercises, and for an exercise that is on
            its page and not in the key, or the other way round.
    """
    key = load(project)
    pages = tuple(project.notebook_names())
    for name in names:
        if name not in key and name not in pages:
            near = suggestion(name, (*pages, *key))
            raise ArgumentError(
                f"page = {name!r}: need pages such as {pages[0]!r} or labels of exercises{near}"
            )
    found = []
    for page in pages:
        whole = not names or page in names
        single = {name for name in names if name in key and key[name].page == page}
        if whole or single:
            joined = _joined(project, page, key)
            if names and whole and not joined:
                raise ArgumentError(f"page = {page!r}: has no exercises")
            found += [pair for pair in joined if whole or pair[0].label in single]
    return found


def _joined(project: Project, page: str, key: Mapping[str, Exercise]) -> list[tuple[Exercise, Posed]]:
    """The exercises of one page with their entries, after a check that neither side has one more."""
    boxes = {box.label: box for box in posed(project, page)}
    entries = {label: entry for label, entry in key.items() if entry.page == page}
    for label in sorted(boxes.keys() - entries.keys()):
        raise ArgumentError(f"{label}: stands on the page {page}: need an entry in {_FILE}")
    for label in sorted(entries.keys() - boxes.keys()):
        near = suggestion(label, tuple(boxes))
        raise ArgumentError(f"{_FILE}: {label}: there is none on the page {page}{near}")
    return [(entries[label], box) for label, box in boxes.items()]
