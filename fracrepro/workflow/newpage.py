"""A new page of the book: a notebook that runs, its test, its place in the book, and its claim.

The page makes a small true statement, so that it executes, builds and passes the suite as it is; whoever
writes a page replaces it piece by piece.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from pathlib import Path
from typing import Any

from fracrepro import files
from fracrepro.errors import ArgumentError
from fracrepro.workflow.project import Project

__all__ = ["new_page"]

_NAME = re.compile(r"(?:(\d\d)_)?([a-z][a-z0-9]*(?:_[a-z0-9]+)*)")
_CHAPTER = re.compile(r"^( *- file: )book/executed/(\w+)$", re.MULTILINE)

_TITLE = """
# @title@

:::{verdict} @id@
The moment after one layer is that before it, up to {glue:text}`deviation:.1e`.
:::

**Overview.** This page computes the variance, checks that it keeps the moment, and shows what another does.

**Prerequisites:** expectations and the normal distribution.
**Time to read:** five minutes.
"""
_PARAMETERS = """
activation: str = "relu"  # activation, one of @activations
negative_slope: float = 0.01  # slope of leaky_relu below zero, in [-10, 10]
width: int = 64  # neurons in the layer, in [1, 4096]
s: float = 1.0  # order of the preserved moment, in (0, 2]
networks: int = 2000  # simulated layers, in [100, 1000000]
seed: int = 1  # seed of the simulation, in [0, 4294967295]
"""
_SETUP = """
import matplotlib.pyplot as plt
import numpy as np

import fracrepro as fr
from fracrepro.figures.style import legend_below, points_with_intervals, use_style
from fracrepro.workflow import named_activation, report

use_style()
phi = named_activation(activation, negative_slope)
rng = np.random.default_rng(seed)
"""
_STATEMENT = r"""
(@name@-statement)=
## The statement

A layer of width $d$ multiplies the norm by $\sigma R$ with $R = \norm{\varphi(z)}_2$ and $z \sim N(0, I_d)$.
So $\sigma^2 = (\E R^s)^{-2/s}$ is the variance that keeps the moment of order $s$.
"""
_CHECK = """
critical = fr.critical_variance(s, width, phi)
kaiming = fr.critical_variance(2.0, width, phi)
moment = fr.moment(s, width, phi)
kept, control = (variance ** (s / 2) * moment for variance in (critical, kaiming))
"""
_REPORT = """
report(deviation=abs(kept - 1), control=control)
"""
_READING = """
The moment is multiplied by 1 up to {glue:text}`deviation:.1e`.
Kaiming's variance, the control, multiplies it by {glue:text}`control:.4f`.
"""
_FIGURE = """
orders = np.linspace(0.1, 2, 20)
exact = [kaiming ** (order / 2) * fr.moment(order, width, phi) for order in orders]
logs = fr.simulate_log_norms(networks, 1, width, phi, kaiming, rng=rng)[:, 1]
few = orders[1::3]
powers = np.exp(few[:, None] * logs)
mean = powers.mean(axis=1)
half_width = 1.96 * powers.std(axis=1, ddof=1) / np.sqrt(networks)

_, axes = plt.subplots()
axes.plot(orders, exact, label="exact")
points_with_intervals(axes, few, mean, half_width, label="simulated")
axes.set(xlabel="order $s$", ylabel="moment after one layer")
legend_below(axes)
plt.show()
"""
_CAPTION = (
    "Kaiming's variance shrinks every moment of an order below 2: the moments of one layer's norm over their "
    "order, exact, and simulated with 95 % intervals."
)
_ALT = (
    "A line of the moment after one layer over its order, which ends at one where the order is two, with "
    "simulated points and intervals on it."
)
_SUMMARY = r"""
## What this shows, and what it does not

It shows that the moment of the chosen order is kept, and that Kaiming's variance does not keep it.
It does not show what this means for training.

## Exercises

```{exercise} Order two
:label: ex-@name@

*Level 1. Goal: find Kaiming's variance among those that keep a moment.*

Which variance keeps the moment of order 2 of a ReLU layer of width 64?
```

```{solution} ex-@name@
:class: dropdown

A coordinate keeps half of its second moment, so $\E R^2 = d/2$.
So $\sigma^2 = 2/d$, Kaiming's variance, which is $1/32$ here.
```
"""
_TEST = '''
"""The page @page@: what it reports, and what it refuses."""

import math
from pathlib import Path

import pytest

from fracrepro.workflow import notebooks
from fracrepro.workflow.project import Project

PROJECT = Project(Path(__file__).resolve().parents[2])
NAME = "@page@"


def run(tmp_path, **overrides):
    [outcome] = notebooks.run(PROJECT, [NAME], profile="quick", overrides=overrides, output=tmp_path)
    assert outcome.error == ""
    return outcome.record["values"]


def test_the_page_finds_what_it_claims(tmp_path):
    values = run(tmp_path, width="8")
    assert values["deviation"] < 1e-12
    # E R of the rectifier at width 8 from its binomial mixture of chi laws, with math.lgamma.
    moment = sum(
        math.comb(8, n) / 2**8 * math.sqrt(2) * math.exp(math.lgamma((n + 1) / 2) - math.lgamma(n / 2))
        for n in range(1, 9)
    )
    assert values["control"] == pytest.approx(math.sqrt(2 / 8) * moment, rel=1e-12)


def test_the_control_is_no_control_at_order_two(tmp_path):
    assert run(tmp_path, s="2")["control"] == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("wrong", [{"s": "0"}, {"width": "0"}, {"activation": "tanh"}])
def test_a_value_out_of_range_is_refused(wrong, tmp_path):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        run(tmp_path, **wrong)
'''
_CLAIM = """
- id: @id@
  says: "One variance of the weights keeps the moment of order s of the norm through a layer."
  source: derived here
  kind: identity
  margin: "the factor of the moment is 1 within 1e-12; under Kaiming's variance, the control, it is smaller"
  verdict: exact
  evidence: @page@
  section: @name@-statement
  holds:
    deviation: "<= 1e-12"
    control: "< 0.999"
"""
_ENTRY = """
ex-@name@:
  page: @page@
  level: 1
  goal: find Kaiming's variance among those that keep a moment
  ask: the variance, a number
  answer: 0.03125
  within: 0
"""


def new_page(project: Project, name: str) -> list[Path]:
    """Make a page called `name`, and everything that the suite asks of a page.

    Without a number of its own it gets the first one that is free: with pages 01 to 11 and 17, this is 12.

    Args:
        project: where the page goes.
        name: lower-case words joined by underscores, such as ``joint_distribution``, or with a number of two
            digits before them, such as ``12_joint_distribution``.

    Returns:
        The files that were written: the notebook, its test, the table of contents, the ledger of claims, the
        key to the exercises.

    Raises:
        ArgumentError: for another kind of name, a name or number that a page has, where no chapter is in the
            book, and where the project cannot be written.
        OSError: when the disk is full, for example; every file then stays as it was.
    """
    match = _NAME.fullmatch(name)
    if not match or match[1] == "00":
        raise ArgumentError(f"name = {name!r}: need lower-case words joined by underscores, or 12_words")
    taken = {int(page.partition("_")[0]): page.partition("_")[2] for page in project.notebook_names()}
    number = int(match[1] or next(free for free in itertools.count(1) if free not in taken))
    title = match[2]
    if title in taken.values() or number in taken:
        raise ArgumentError(f"name = {name!r}: need another one, a page has it")
    page = f"{number:02d}_{title}"
    words = {
        "@page@": page,
        "@name@": title.replace("_", "-"),
        "@id@": f"{title.replace('_', '-')}-example",
        "@title@": title.replace("_", " ").capitalize(),
    }
    contents = {
        project.notebooks / f"{page}.ipynb": json.dumps(_notebook(words), indent=1, ensure_ascii=False)
        + "\n",
        project.root / "tests" / "book" / f"test_{page}.py": _filled(_TEST, words) + "\n",
        project.root / "_toc.yml": _table_of_contents(project, page),
        project.root / "book" / "claims.yml": _book_file(project, "claims.yml")
        + _filled(_CLAIM, words)
        + "\n",
        project.root / "book" / "exercises.yml": _book_file(project, "exercises.yml")
        + f"\n{_filled(_ENTRY, words)}\n",
    }
    files.writable_folder("project", project.notebooks)
    _write_all(contents)
    return list(contents)


def _write_all(contents: dict[Path, str]) -> None:
    """Write every file, or leave each as it was: half a page would break the suite."""
    before = {path: files.read_text(path) if path.exists() else None for path in contents}
    try:
        for path, text in contents.items():
            files.write_text(path, text)
    except BaseException:
        for path, old in before.items():
            with contextlib.suppress(OSError):
                path.unlink() if old is None else files.write_text(path, old)
        raise


def _table_of_contents(project: Project, page: str) -> str:
    """The table of contents with the page behind those of smaller numbers, or behind the last one."""
    path = project.root / "_toc.yml"
    text = path.read_text() if path.is_file() else ""
    chapters = list(_CHAPTER.finditer(text))
    if not chapters:
        raise ArgumentError(f"{path.name}: need a line such as '- file: book/executed/01_name' to go behind")
    last = max(
        (chapter for chapter in chapters if chapter[2] < page),
        key=lambda chapter: chapter[2],
        default=chapters[-1],
    )
    return f"{text[: last.end()]}\n{last[1]}book/executed/{page}{text[last.end() :]}"


def _book_file(project: Project, name: str) -> str:
    """A file of the book as it is, to be continued."""
    path = project.root / "book" / name
    if not path.is_file():
        raise ArgumentError(f"{path.name}: no such file in {path.parent}")
    return path.read_text().rstrip("\n") + "\n"


def _filled(text: str, words: dict[str, str]) -> str:
    for mark, word in words.items():
        text = text.replace(mark, word)
    return text.strip("\n")


def _notebook(words: dict[str, str]) -> dict[str, Any]:
    figure = {"caption": _CAPTION, "name": f"fig-{words['@name@']}"}
    cells: list[tuple[str, str, str, dict[str, Any]]] = [
        ("title", "markdown", _TITLE, {}),
        ("parameters", "code", _PARAMETERS, {"tags": ["parameters", "remove-input"]}),
        ("setup", "code", _SETUP, {"tags": ["hide-input"]}),
        ("statement", "markdown", _STATEMENT, {}),
        ("check", "code", _CHECK, {"tags": ["show-code"]}),
        ("report", "code", _REPORT, {"tags": ["remove-cell"]}),
        ("reading", "markdown", _READING, {}),
        (
            "figure",
            "code",
            _FIGURE,
            {"mystnb": {"figure": figure, "image": {"alt": _ALT}}, "tags": ["hide-input"]},
        ),
        ("summary", "markdown", _SUMMARY, {}),
    ]
    return {
        "cells": [
            _cell(name, kind, _filled(source, words), metadata) for name, kind, source, metadata in cells
        ],
        "metadata": {
            "fracrepro": {},
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"file_extension": ".py", "name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(name: str, kind: str, source: str, metadata: dict[str, Any]) -> dict[str, Any]:
    outputs: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {
        "cell_type": kind,
        "id": name,
        "metadata": metadata,
        **outputs,
        "source": source.splitlines(keepends=True),
    }
