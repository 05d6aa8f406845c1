"""Answers as people type them, sheets of them, and what the command says."""

import random
import re
from fractions import Fraction

import pytest
from click.testing import CliRunner

from fracrepro.errors import ArgumentError
from fracrepro.workflow import answers, cli, exercises
from fracrepro.workflow.project import ENVIRONMENT_VARIABLE

KEY = """
ex-count: {page: 01_page, level: 1, goal: g, ask: a whole number, answer: 31, within: 0}
ex-size: {page: 01_page, level: 2, goal: g, ask: a number, answer: 0.3, within: 0.1, reported: size}
ex-share: {page: 01_page, level: 2, goal: g, ask: in percent, answer: 50, within: 1}
ex-word: {page: 01_page, level: 1, goal: g, ask: yes or no, answer: "yes"}
ex-proof: {page: 01_page, level: 3, goal: g}
"""
SHEET = """\
# comment
name: Ada
ex-count: 31   # a comment
ex-size: 2/5
ex-share: 50 %
ex-word: yes
"""
LABELS = [f"ex-{name}" for name in ("count", "size", "share", "word", "proof")]


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Returns a function that checks a sheet, given as text or bytes."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "book").mkdir()
    (tmp_path / "notebooks" / "profiles.yml").write_text("book: {}\n")
    (tmp_path / "notebooks" / "01_page.ipynb").write_text("{}")
    (tmp_path / "book" / "exercises.yml").write_text(KEY)
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path))

    def run(content, *options):
        path = tmp_path / "answers.yml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return CliRunner().invoke(cli.main, ["check-answers", str(path), *options])

    return run


def verdicts(result):
    return dict(re.findall(r"^(ex-\w+): ([a-z ]+)", result.stdout, flags=re.M))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5", "1/2"),
        (".5", "1/2"),
        ("5.", "5"),
        ("+3", "3"),
        ("- 3", "-3"),
        ("−3", "-3"),  # the minus sign of print
        ("1/2", "1/2"),
        ("1 / 2", "1/2"),
        ("1⁄2", "1/2"),
        ("-1.5/0.5", "-3"),
        ("5e-1", "1/2"),
        ("5E+1", "50"),
        ("50 %", "1/2"),
        ("50%", "1/2"),
        ("1/2 %", "1/200"),
        ("1,400", "1400"),
        ("12,345,678.5", "24691357/2"),
        ("1.3×10⁻⁵", "13/1000000"),
        ("1.3 x 10^-5", "13/1000000"),
        ("1.3*10**-5", "13/1000000"),
        ("10^-3", "1/1000"),
        ("0", "0"),
        ("010", "10"),
    ],
)
def test_numbers_as_people_type_them(text, value):
    assert answers.number(text) == Fraction(value)


@pytest.mark.parametrize(
    "text",
    [
        *("", "about 3", "3 layers", "nan", "inf", "-inf", "1e9999", "0x10", "1_000", "1 1/2", "½", "1½"),
        *("--3", "1/", "/2", "1/2/3", "1..2", "%", "1%%", "3!", "2**9**9", "2^3", "__import__('os')", "1+1"),
        *("٣", "1e", "e5", "1,4000", "12,34,567", "1 400", "9" * 61, "(1)", "1;2", "=3"),
    ],
)
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ArgumentError, match="need a"):
        answers.number(text)


def test_a_refusal_says_why():
    with pytest.raises(ArgumentError, match="'0,5': need a point before decimals"):
        answers.number("0,5")
    with pytest.raises(ArgumentError, match="'0,500': need a point"):
        answers.number("0,500")
    with pytest.raises(ArgumentError, match="'1/0': need a number that is not divided by 0"):
        answers.number("1/0")
    with pytest.raises(ArgumentError, match=re.escape(f"'{'9' * 60}…': need")):
        answers.number("9" * 1000)


def test_percent_counts_as_the_question_does():
    assert answers.number("50 %") == Fraction(1, 2)
    assert answers.number("50 %", percent=True) == 50


def test_right_answers(check):
    result = check(SHEET)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "Ada"
    assert set(verdicts(result).values()) == {"right"}
    assert "4 exercises: 4 right, 0 not right, 0 not answered, 0 not checkable" in result.stdout


@pytest.mark.parametrize(
    ("old", "new", "label"),
    [
        ("count: 31", "count: 32", "ex-count"),
        ("count: 31", "count: 31.0000001", "ex-count"),
        ("size: 2/5", "size: 0.41", "ex-size"),
        ("size: 2/5", "size: 0.4000000000000001", "ex-size"),
        ("share: 50 %", "share: 0.5", "ex-share"),
        ("share: 50 %", "share: 51.1", "ex-share"),
        ("word: yes", "word: no", "ex-word"),
    ],
)
def test_a_wrong_answer_is_not_right_and_the_right_one_stays_hidden(check, old, new, label):
    result = check(SHEET.replace(old, new))
    assert result.exit_code == 1
    assert {name for name, verdict in verdicts(result).items() if verdict == "not right"} == {label}
    [line] = [line for line in result.stdout.splitlines() if line.startswith(label)]
    assert line == f"{label}: not right; read book/executed/01_page.html#{label}"
    assert "1 not right" in result.stdout
    shown = check(SHEET.replace(old, new), "--show-answers")
    assert shown.exit_code == 1
    answer = {"ex-count": "31", "ex-size": "0.3, within 0.1", "ex-share": "50, within 1", "ex-word": "yes"}
    assert f"#{label}; the answer is {answer[label]}\n" in shown.stdout


def test_the_ends_of_a_tolerance_are_right(check):
    for value in ("0.2", "0.4", "4e-1", "20%", "2/10"):
        assert verdicts(check(f"ex-size: {value}\n")) == {"ex-size": "right"}, value


@pytest.mark.parametrize("word", ["Yes", "YES", '"yes"', "yes.", " yes ", "'yes!'"])
def test_case_and_quotes_of_a_word_do_not_count(check, word):
    assert verdicts(check(f"ex-word: {word}\n")) == {"ex-word": "right"}


def test_what_is_left_open_is_not_answered(check):
    result = check("ex-count:\nex-size: ~\nex-share: null\nex-word: ''\nex-proof: see my paper\n")
    assert result.exit_code == 0
    found = verdicts(result)
    assert found.pop("ex-proof") == "not checkable"
    assert set(found.values()) == {"not answered"}
    assert "ex-count: not answered; asked is a whole number" in result.stdout
    assert "compare with the solution at book/executed/01_page.html#ex-proof" in result.stdout
    assert "5 exercises: 0 right, 0 not right, 4 not answered, 1 not checkable" in result.stdout


def test_one_exercise_is_no_plural(check):
    assert "1 exercise: 1 right" in check("ex-count: 31").stdout


@pytest.mark.parametrize(
    "sheet",
    [
        "ex-count:31\nex-word: yes",  # YAML sees no key in the first line
        "ex-count:\t31\nex-word : yes",
        "ex-count = 31\nex-word = yes",
        "ex-count: '31'\nex-word: \"yes",
        "\ufeffex-count: 31\r\nex-word: yes\r\n",
        "---\nex-count: 31\nex-word: yes\n",
        "{ex-count: 31, ex-word: yes}",
        "  ex-count: 31\n  ex-word: yes",
    ],
)
def test_other_ways_to_write_a_sheet(check, sheet):
    assert verdicts(check(sheet)) == {"ex-count": "right", "ex-word": "right"}


@pytest.mark.parametrize(
    ("sheet", "message"),
    [
        ("", "need lines such as ex-count: 0.5"),
        ("# only\n", "need lines such as"),
        ("name: Ada\n", "need lines such as"),
        ("ex-cuont: 31", "there is no exercise 'ex-cuont'; did you mean 'ex-count'?"),
        ("zzzz: 31", "there is no exercise 'zzzz'"),
        (f"{'z' * 500}: 31", "there is no exercise"),
        ("ex-count: thirty-one", "ex-count = 'thirty-one': need a number such as 31, 0.5, 1/2"),
        ("ex-count: 0,5", "ex-count = '0,5': need a point before decimals"),
        ("ex-count: yes", "ex-count = 'yes': need a number"),
        ("ex-word: 31", "ex-word = '31': need a word; asked is yes or no"),
        ("ex-count: [31, 32]", "ex-count: need one number or one word, not a list"),
        ("ex-count: {a: 1}", "ex-count: need one number or one word, not a mapping"),
        ("name: [Ada]\nex-count: 31", "name: need one number or one word, not a list"),
        ("ex-count: 31\nex-count: 32", "line 2: ex-count comes twice"),
        ("just words", "line 1: 'just words': need a line such as ex-label: 0.5"),
        ("- ex-count", "line 1: '- ex-count': need a line"),
        ("ex-count: 31\n%", "line 2: '%'"),
        ("&a {ex-count: *a}", "line 1"),
        ("? [ex-count]\n: 31", "line 1"),
        ("[" * 50_000, "line 1"),
        ("x" * 200_000, "has 200,000 bytes: need a sheet of answers"),
        (b"\xff\xfee\x00x\x00", "not a text file in UTF-8"),
        (b"ex-count: \xff", "not a text file in UTF-8"),
    ],
)
def test_a_damaged_sheet_is_refused_in_one_line(check, sheet, message):
    result = check(sheet)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert "answers.yml" in result.stderr
    assert len(result.stderr) < 500


def test_a_file_that_cannot_be_read_is_named(check, tmp_path):
    check("ex-count: 31")
    for name, message in (("missing.yml", "No such file"), ("book", "Is a directory")):
        result = CliRunner().invoke(cli.main, ["check-answers", str(tmp_path / name)])
        assert result.exit_code == 2
        assert message in result.stderr


def test_nothing_in_a_sheet_is_run(check, tmp_path):
    mark = tmp_path / "mark"
    for value in (
        f'!!python/object/apply:os.mknod ["{mark}"]',
        f'!!python/object/new:os.mknod ["{mark}"]',
        f"__import__('os').mknod('{mark}')",
        f"open('{mark}', 'w')",
    ):
        assert check(f"ex-count: {value}\n").exit_code == 2
        assert not mark.exists()


def test_aliases_that_grow_cost_nothing(check):
    lines = ["a0: &a0 [x, x]", *(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 40))]
    result = check("\n".join([*lines, "ex-count: *a39"]))
    assert result.exit_code == 2
    assert len(result.stderr) < 500


def test_random_damage_ends_in_one_line_or_in_a_verdict(check):
    """150 sheets with cut, doubled, swapped or foreign bytes: never a traceback, never a wrong "right"."""
    rng = random.Random(15)
    known, seen = set(LABELS), set()
    for _ in range(150):
        damaged = bytearray(SHEET.encode())
        for _ in range(rng.choice([1, 1, 2, 5, 20])):
            place = rng.randrange(len(damaged))
            kind = rng.randrange(4)
            if kind == 0:
                del damaged[place : place + rng.randrange(1, 9)]
            elif kind == 1:
                damaged[place:place] = damaged[place : place + rng.randrange(1, 30)]
            elif kind == 2:
                damaged[place] = rng.randrange(256)
            else:
                damaged[place:place] = rng.choice(
                    [b"\x00", b"{", b"&a", b"!!x ", b"\t", b"\n", "½".encode(), b"9" * 80]
                )
        result = check(bytes(damaged))
        seen.add(result.exit_code)
        assert result.exit_code in (0, 1, 2), damaged
        assert result.exception is None or isinstance(result.exception, SystemExit), damaged
        assert "Traceback" not in result.output
        if result.exit_code == 2:
            assert len(result.stderr.splitlines()) == 1, damaged
            assert result.stdout == "", damaged
        else:
            found = verdicts(result)
            assert found.keys() <= known
            if found.get("ex-count") == "right":
                assert (
                    answers.number(re.search(rb"ex-count[^0-9]*([^#\n\r]+)", bytes(damaged))[1].decode())
                    == 31
                )
    assert seen == {0, 1, 2}


def test_the_wrong_comparison_would_be_seen():
    """Control: with no tolerance, or with one on every number, the verdicts above differ."""
    size = exercises.Exercise("ex-size", "p", 1, "g", "a", 0.3, 0.1)
    tight, wide = (exercises.Exercise("ex-size", "p", 1, "g", "a", 0.3, w) for w in (0, 0.2))
    values = [Fraction("0.3"), Fraction("0.4"), Fraction("0.41")]
    assert [size.accepts(value) for value in values] == [True, True, False]
    assert [tight.accepts(value) for value in values] == [True, False, False]
    assert [wide.accepts(value) for value in values] == [True, True, True]
