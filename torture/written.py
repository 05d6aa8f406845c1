"""Files that people write: plans, answers, claims, exercises, findings, glossary, table of contents."""

from __future__ import annotations

import dataclasses
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

from torture.project import project, with_file
from torture.subject import Subject, check_once, plain_yaml

PLAN = """\
question: Does the order change how well the digits are learned?
data: digits
schemes: [fractional s=1, kaiming]
networks: {depth: [20], width: [64]}
settings: {epochs: [10]}
rates: [0.01]
seeds: {pilot: 0-9, main: [100, 101, 102, 103, 104, 105, 106, 107, 108, 109]}
endpoints:
  - name: accuracy at the end
    measure: end
    figure: test_accuracy
    better: higher
    margin: 0.01
    failed: 0.1
    compare: [[fractional s=1, kaiming]]
    power: {difference: 0.05, deviation: 0.02, pairs: 10, wanted: 0.8}
level: 0.05
multiplicity: holm
stopping: all seeds
"""
ANSWERS = """\
name: Ada
ex-width: 31
ex-share: 50 %
ex-word: yes
ex-rate: 1/2
ex-count: 1,400
ex-proof:
"""
EXERCISES = """\
ex-width: {page: 01_good, level: 1, goal: say which width, ask: a whole number, answer: 31}
ex-share:
  page: 01_good
  level: 2
  goal: say which share
  ask: a share
  answer: 0.5
  within: 0.01
ex-word: {page: 01_good, level: 2, goal: say whether, ask: yes or no, answer: "yes"}
ex-rate: {page: 01_good, level: 2, goal: say which rate, ask: a rate, answer: 0.5, within: 0.0}
ex-count: {page: 01_good, level: 2, goal: say how many, ask: a whole number, answer: 1400, reported: n}
ex-proof: {page: 01_good, level: 3, goal: prove it}
"""
CLAIMS = """\
- id: product
  says: It is eight.
  source: abstract
  kind: identity
  margin: Exact.
  verdict: exact
  evidence: 01_good
  holds: {product: "== 8", small: "<= 1e-3", large: "is true"}
- id: other
  says: It is not told.
  source: derived here
  kind: limit
  margin: Nobody knows.
  verdict: not attempted
"""
FINDINGS = """\
- question: Is it eight?
  plain: Yes.
  claims: [product]
- question: And what else?
  plain: Nobody knows.
  answer: "It is {glue:text}`x:d`."
  claims: [other, product]
"""
GLOSSARY = """\
- symbol: s
  means: order of a moment
  code: s
- word: width
  also: [breadth]
  means: the number of neurons
  except: [01_good]
"""
TOC = """\
format: jb-book
root: book/index
parts:
- caption: First
  chapters:
  - file: book/executed/01_good
  - file: book/end
"""


def _experiment() -> Any:
    from fracrepro.nn import schemes
    from fracrepro.nn.experiments import DIGITS

    arms = (schemes.make("fractional", s=1.0), schemes.make("kaiming"))
    return DIGITS.replace(schemes=arms, seeds=tuple(range(100, 110)))


def _plan_text() -> str:
    facts = _experiment().to_dict()
    network = facts["network"]
    text = PLAN.replace(
        "depth: [20], width: [64]", f"depth: [{network['depth']}], width: [{network['width']}]"
    )
    return text.replace("[10]}\nrates: [0.01]", f"[{facts['epochs']}]}}\nrates: [{facts['learning_rate']}]")


def _make_plan(folder: Path) -> Path:
    project(folder)
    (folder / "plans").mkdir(exist_ok=True)
    (folder / "plans" / "digits.yml").write_text(_plan_text())
    return folder / "plans" / "digits.yml"


def _plan(folder: Path) -> Any:
    from fracrepro.workflow import plans

    return plans.load(folder / "plans" / "digits.yml", _experiment()).to_dict()


def _plan_truth(content: bytes) -> Any:
    tree = dict(plain_yaml(content))
    seeds = {}
    for part, given in tree["seeds"].items():
        if isinstance(given, str):
            first, last = given.split("-")
            given = list(range(int(first), int(last) + 1))
        seeds[part] = given
    endpoints = []
    for given in tree["endpoints"]:
        names = ("name", "measure", "figure", "better", "margin", "compare")
        power = {
            name: given["power"].get(name) for name in ("difference", "wanted", "pairs", "deviation", "share")
        }
        rest = {name: given.get(name) for name in ("goal", "failed", "epochs")}
        more = {"where": given.get("where", {}), "across": given.get("across", "")}
        endpoints.append({name: given[name] for name in names} | {"power": power} | rest | more)
    facts = {name: tree[name] for name in ("question", "data", "schemes", "networks", "rates")}
    facts |= {"seeds": seeds, "endpoints": endpoints, "level": tree["level"]}
    facts |= {name: tree[name] for name in ("multiplicity", "stopping")}
    facts |= {"looks": tree.get("looks", [len(seeds["main"])]), "rate_choice": tree.get("rate_choice", "")}
    return facts | {"settings": tree.get("settings", {})}


def _make_answers(folder: Path) -> Path:
    project(folder)
    (folder / "book" / "exercises.yml").write_text(EXERCISES)
    (folder / "answers.yml").write_text(ANSWERS)
    return folder / "answers.yml"


def _answers(folder: Path) -> Any:
    from fracrepro.workflow import answers, exercises
    from fracrepro.workflow.project import Project

    key = exercises.load(Project(folder))
    given = answers.read(folder / "answers.yml", key)
    return [given, [[each.exercise.label, each.verdict] for each in answers.check(given, key)]]


_KEY = {
    "ex-width": (31, 0),
    "ex-share": (Fraction(1, 2), Fraction(1, 100)),
    "ex-rate": (Fraction(1, 2), 0),
    "ex-count": (1400, 0),
}


def _answers_truth(content: bytes) -> Any:
    import yaml

    text = content.decode().removeprefix("\ufeff")
    try:
        check_once(text)
        tree = yaml.load(text, yaml.BaseLoader)
        lines = [f"{label}: {' '.join(value.split())}" for label, value in tree.items()]
    except Exception:
        lines = [re.sub(r"(?:^|\s)#.*", "", line) for line in text.splitlines() if line.strip() != "---"]
    given = {}
    for line in lines:
        if line.strip():
            label, value = re.fullmatch(r"\s*([\w-]+)\s*[:=]\s*(.*)", line).groups()  # type: ignore[union-attr]
            if label in given or label not in (*_KEY, "name", "ex-word", "ex-proof"):
                raise ValueError(label)
            given[label] = " ".join(value.strip().strip("\"'").split())
    return [given, [[label, _verdict(label, value)] for label, value in given.items() if label != "name"]]


def _verdict(label: str, text: str) -> str:
    if label == "ex-proof":
        return "not checkable"
    if text in ("", "~", "null", "-", "?", "…", "..."):
        return "not answered"
    if label == "ex-word":
        return "right" if text.lower().strip(" .!\"'“”‘’") == "yes" else "not right"
    answer, within = _KEY[label]
    return "right" if abs(_value(text) - answer) <= within else "not right"


def _value(text: str) -> Fraction:
    """A number as people type it, by Python's own fractions."""
    percent, text = text.endswith("%"), text.rstrip("%").replace(" ", "")
    if "," in text:
        if not re.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d*)?", text):
            raise ValueError(text)
        text = text.replace(",", "")
    top, _, bottom = text.partition("/")
    if "_" in text or not re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", top, re.I):
        raise ValueError(text)
    value = Fraction(top.rstrip(".")) / (Fraction(bottom) if bottom else 1)
    return value / 100 if percent else value


def _claims(folder: Path) -> Any:
    from fracrepro.workflow import claims

    return [dataclasses.asdict(each) for each in claims.load(folder / "book" / "claims.yml")]


def _claims_truth(content: bytes) -> Any:
    names = ("id", "says", "source", "kind", "margin", "verdict")
    found = []
    for entry in plain_yaml(content):
        facts = {name: entry.pop(name) for name in names}
        facts |= {"evidence": entry.pop("evidence", ""), "holds": entry.pop("holds", {})}
        facts |= {"section": entry.pop("section", ""), "paper": entry.pop("paper", "")}
        if entry or len({each["id"] for each in found} | {facts["id"]}) <= len(found):
            raise ValueError("more, or twice")
        found.append(facts)
    return found


def _exercises(folder: Path) -> Any:
    from fracrepro.workflow import exercises
    from fracrepro.workflow.project import Project

    return {label: dataclasses.asdict(each) for label, each in exercises.load(Project(folder)).items()}


def _exercises_truth(content: bytes) -> Any:
    found = {}
    for label, entry in plain_yaml(content).items():
        facts = {"label": label} | {name: entry.pop(name) for name in ("page", "level", "goal")}
        facts |= {"ask": entry.pop("ask", ""), "answer": entry.pop("answer", None)}
        facts |= {"within": entry.pop("within", 0), "reported": entry.pop("reported", "")}
        if entry or facts["page"] != "01_good" or facts["level"] not in (1, 2, 3):
            raise ValueError(label)
        found[label] = facts
    return found


def _make_findings(folder: Path) -> Path:
    path = with_file(CLAIMS, "book/claims.yml")(folder).with_name("findings.yml")
    path.write_text(FINDINGS)
    return path


def _findings(folder: Path) -> Any:
    from fracrepro.workflow import findings
    from fracrepro.workflow.project import Project

    found = findings.load(Project(folder))
    assert findings.as_table(found)
    assert findings.as_list(found) or not found
    return [[each.question, each.plain, [claim.id for claim in each.claims], each.answer] for each in found]


def _findings_truth(content: bytes) -> Any:
    found = []
    for entry in plain_yaml(content):
        if set(entry) - {"question", "plain", "claims", "answer"} or set(entry["claims"]) - {
            "product",
            "other",
        }:
            raise ValueError("more")
        found.append([entry["question"], entry["plain"], entry["claims"], entry.get("answer", "")])
    return found


def _glossary(folder: Path) -> Any:
    from fracrepro.workflow import glossary

    return [
        [each.kind, each.name, each.means, list(each.also)]
        for each in glossary.load(folder / "book" / "glossary.yml")
    ]


def _glossary_truth(content: bytes) -> Any:
    return [
        [
            "symbols" if "symbol" in each else "words",
            each.get("symbol", each.get("word")),
            each["means"],
            each.get("also", []),
        ]
        for each in plain_yaml(content)
    ]


def _toc(folder: Path) -> Any:
    from fracrepro.workflow import site
    from fracrepro.workflow.project import Project

    return site.toc_files(Project(folder))


def _toc_truth(content: bytes) -> Any:
    def walk(node: Any) -> list[str]:
        if isinstance(node, list):
            return [name for each in node for name in walk(each)]
        if not isinstance(node, dict):
            return []
        own = [node[key] for key in ("root", "file") if key in node]
        return own + [name for key, each in node.items() if key != "defaults" for name in walk(each)]

    tree = plain_yaml(content)
    assert "root" in tree
    return walk(tree)


WRITTEN = (
    Subject("plan", "yaml", _make_plan, _plan, _plan_truth),
    Subject(
        "answers", "text", _make_answers, _answers, _answers_truth, command=("check-answers", "answers.yml")
    ),
    Subject(
        "answers as YAML",
        "yaml",
        _make_answers,
        _answers,
        _answers_truth,
        command=("check-answers", "answers.yml"),
    ),
    Subject("claims", "yaml", with_file(CLAIMS, "book/claims.yml"), _claims, _claims_truth),
    Subject(
        "exercises",
        "yaml",
        with_file(EXERCISES, "book/exercises.yml"),
        _exercises,
        _exercises_truth,
    ),
    Subject("findings", "yaml", _make_findings, _findings, _findings_truth),
    Subject("glossary", "yaml", with_file(GLOSSARY, "book/glossary.yml"), _glossary, _glossary_truth),
    Subject("table of contents", "yaml", with_file(TOC, "_toc.yml"), _toc, _toc_truth),
)
