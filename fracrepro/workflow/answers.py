"""Filled-in answers to exercises: numbers as people type them, a sheet of them, and which are right.

A sheet is YAML, or lines ``label: value``; values stay text until they are compared; none is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from fracrepro import files
from fracrepro.arguments import suggestion
from fracrepro.errors import ArgumentError
from fracrepro.workflow.exercises import Exercise

__all__ = ["NAME", "VERDICTS", "Checked", "check", "number", "read"]

#: The line of a sheet that says whose it is.
NAME = "name"
#: What can be said of an answer.
VERDICTS = ("right", "not right", "not answered", "not checkable")
RIGHT, WRONG, BLANK, OPEN = VERDICTS
_LARGEST = 100_000  # bytes of a sheet
_LONGEST = 60  # characters of an answer
_EMPTY = {"", "~", "null", "-", "?", "…", "..."}
_LINE = re.compile(r"[ \t]*(?P<label>[\w-]+)[ \t]*[:=][ \t]*(?P<value>.*)")
_COMMENT = re.compile(r"(?:^|[ \t])#.*$")

_PLAIN = r"(?:(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]*)?|\.[0-9]+)"
_NUMBER = re.compile(
    rf"(?P<sign>[+-]?) ?(?:(?P<top>{_PLAIN})(?:[eE](?P<e>[+-]?[0-9]{{1,3}})"
    rf"| ?[x×*·] ?10(?:\^|\*\*)(?P<power>[+-]?[0-9]{{1,3}}))?|10(?:\^|\*\*)(?P<alone>[+-]?[0-9]{{1,3}}))"
    rf"(?: ?/ ?(?P<bottom>{_PLAIN}))?(?P<percent> ?%)?"
)
_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+ ?%?")
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_SIGNS = str.maketrans({"−": "-", "–": "-", "⁄": "/", "∕": "/", "\u00a0": " ", "\u2009": " ", "\u202f": " "})
_WANTED = "a number such as 31, 0.5, 1/2, 5e-1, 50 % or 1,400"


def number(text: str, percent: bool = False) -> Fraction:
    """Return the number that somebody has typed, exactly.

    Decimals, powers of ten (``5e-1``, ``5×10⁻¹``, ``5*10^-1``), fractions, a percent sign, and commas between
    thousands are understood.

    Args:
        text: what was typed.
        percent: whether the number counts percent, so that ``50 %`` is 50.

    Raises:
        ArgumentError: for anything else; says what is understood.

    >>> [str(number(text)) for text in ("0.5", "1/2", "5e-1", "50 %", "1,400", "5×10⁻¹")]
    ['1/2', '1/2', '1/2', '1/2', '1400', '1/2']
    """
    shown = _shown(text)
    if len(text) > _LONGEST:
        raise ArgumentError(f"{shown}: need {_WANTED}")
    typed = re.sub(r"10([⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+)", lambda m: f"10^{m[1].translate(_RAISED)}", text)
    typed = typed.translate(_SIGNS).strip()
    match = _NUMBER.fullmatch(typed)
    if match is None:
        if _COMMA.fullmatch(typed):
            raise ArgumentError(f"{shown}: need a point before decimals, and commas between thousands only")
        raise ArgumentError(f"{shown}: need {_WANTED}")
    value = _fraction(match["top"] or "1") * Fraction(10) ** int(
        match["e"] or match["power"] or match["alone"] or 0
    )
    if match["bottom"]:
        below = _fraction(match["bottom"])
        if not below:
            raise ArgumentError(f"{shown}: need a number that is not divided by 0")
        value /= below
    if match["percent"] and not percent:
        value /= 100
    return -value if match["sign"] == "-" else value


def _fraction(text: str) -> Fraction:
    return Fraction(text.replace(",", "").rstrip("."))


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…")


def read(path: Path, key: Mapping[str, Exercise]) -> dict[str, str]:
    """Return what a sheet says, by label and as it was typed; the name on it, if any, under `NAME`.

    Args:
        path: the sheet.
        key: the exercises that there are.

    Raises:
        ArgumentError: for a file that is no sheet, a label that is unknown or comes twice, a list in place of
            an answer, and text where a number is asked for or the other way round; names file and entry.
        OSError: when it cannot be read.
    """
    if path.is_file() and path.stat().st_size > _LARGEST:
        raise ArgumentError(
            f"{path}: has {path.stat().st_size:,} bytes: need a sheet of answers, of at most {_LARGEST:,}"
        )
    sheet = _texts(path, files.read_text(path).removeprefix("\ufeff"))
    if not sheet.keys() - {NAME}:
        raise ArgumentError(f"{path}: need lines such as {next(iter(key), 'ex-label')}: 0.5")
    for label, text in sheet.items():
        if label != NAME and label not in key:
            raise ArgumentError(
                f"{path}: there is no exercise {_shown(label)}{suggestion(label[:_LONGEST], tuple(key))}"
            )
        if not isinstance(text, str):
            kind = "a list" if isinstance(text, list) else "a mapping"
            raise ArgumentError(f"{path}: {label}: need one number or one word, not {kind}")
    given = {label: " ".join(str(text).split()) for label, text in sheet.items()}
    for label, text in given.items():
        if label != NAME and text not in _EMPTY:
            _check_kind(f"{path}: {label} = ", key[label], text)
    return given


def _texts(path: Path, text: str) -> dict[str, object]:
    """The entries of a sheet as YAML, or else line by line, which forgives what YAML does not."""
    from fracrepro.workflow import yamlfile

    try:
        content = yamlfile.content(text, yamlfile.TextLoader)  # texts, lists and mappings of them only
    except ArgumentError:
        content = None
    if isinstance(content, dict) and all(isinstance(label, str) for label in content):
        return content
    found: dict[str, object] = {}
    for count, line in enumerate(text.splitlines(), 1):
        rest = _COMMENT.sub("", line).strip()
        if not rest or rest == "---":
            continue
        match = _LINE.fullmatch(rest)
        if match is None:
            raise ArgumentError(f"{path}: line {count}: {_shown(rest)}: need a line such as ex-label: 0.5")
        if match["label"] in found:
            raise ArgumentError(f"{path}: line {count}: {match['label']} comes twice")
        found[match["label"]] = match["value"].strip().strip("\"'")
    return found


def _check_kind(where: str, exercise: Exercise, text: str) -> None:
    """Refuse a word in place of a number, and a number in place of a word."""
    if isinstance(exercise.answer, str):
        if not any(map(str.isalpha, text)) or len(text) > _LONGEST:
            raise ArgumentError(f"{where}{_shown(text)}: need a word; asked is {exercise.ask}")
    elif exercise.answer is not None:
        try:
            number(text)
        except ArgumentError as error:
            raise ArgumentError(f"{where}{error}") from None


@dataclass(frozen=True)
class Checked:
    """One answer and what is to be said of it.

    Args:
        exercise: the entry of the key.
        given: the answer as it was typed.
        verdict: one of `VERDICTS`.
    """

    exercise: Exercise
    given: str
    verdict: str

    def line(self, show_answer: bool) -> str:
        """What a reader is told; the right answer only where it is asked for."""
        exercise = self.exercise
        words = {
            RIGHT: "",
            WRONG: f"; read {exercise.address}",
            BLANK: f"; asked is {exercise.ask}",
            OPEN: f"; compare with the solution at {exercise.address}",
        }[self.verdict]
        if show_answer and self.verdict in (WRONG, BLANK):
            about = f", within {exercise.within}" if exercise.within else ""
            words += f"; the answer is {exercise.answer}{about}"
        return f"{exercise.label}: {self.verdict}{words}"


def check(given: Mapping[str, str], key: Mapping[str, Exercise]) -> list[Checked]:
    """Compare the answers of a sheet that `read` has returned with the key, in the sheet's order."""
    return [
        Checked(key[label], text, _verdict(key[label], text))
        for label, text in given.items()
        if label != NAME
    ]


def _verdict(exercise: Exercise, text: str) -> str:
    if exercise.answer is None:
        return OPEN
    if text in _EMPTY:
        return BLANK
    if isinstance(exercise.answer, str):
        right = _bare(text) == _bare(exercise.answer)
    else:
        right = exercise.accepts(number(text, exercise.in_percent))
    return RIGHT if right else WRONG


def _bare(word: str) -> str:
    """A word without what does not count: case, quotes and a full stop."""
    return " ".join(word.casefold().strip(" .!\"'“”‘’").split())
