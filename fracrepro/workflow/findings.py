"""The findings of the book in a few words, for the landing page and the README.

`book/findings.yml` declares questions, answers and the claims behind them; verdicts and pages come from the
ledger, so that no list has a verdict of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fracrepro import files
from fracrepro.arguments import choice
from fracrepro.errors import ArgumentError
from fracrepro.workflow import claims
from fracrepro.workflow.claims import VERDICTS, Claim
from fracrepro.workflow.project import Project, read_yaml

DATA_SETS = ("MNIST", "CIFAR-10", "digits")
_BEGIN, _END = "<!-- findings -->", "<!-- end of findings -->"
_FILE = "findings.yml"


@dataclass(frozen=True)
class Finding:
    """A question, its answer in plain words, and the claims whose verdicts stand beside it.

    Attributes:
        question: one sentence.
        plain: the answer, without numbers of a run.
        claims: the claims that it rests on.
        answer: the answer with quoted numbers; the plain one if empty.
    """

    question: str
    plain: str
    claims: tuple[Claim, ...]
    answer: str = ""

    def verdicts(self) -> dict[str, dict[str, list[Claim]]]:
        """The claims by data set and verdict; data sets are named where the claims are about several."""
        groups = {", ".join(data_sets(claim.says)) for claim in self.claims}
        result: dict[str, dict[str, list[Claim]]] = {}
        for claim in sorted(self.claims, key=lambda claim: VERDICTS.index(claim.verdict)):
            named = data_sets(claim.says)
            label = " and ".join(named) if len(groups) > 1 or len(named) > 1 else ""
            result.setdefault(label, {}).setdefault(claim.verdict, []).append(claim)
        return dict(sorted(result.items(), key=lambda item: [*map(DATA_SETS.index, data_sets(item[0]))]))

    def pages(self) -> list[str]:
        """The pages with the evidence, in the book's order."""
        return sorted({claim.evidence for claim in self.claims if claim.evidence})


def data_sets(text: str) -> tuple[str, ...]:
    """Return the data sets that a sentence names.

    >>> data_sets("It improves (CIFAR-10 and MNIST)."), data_sets("It is exact.")
    (('MNIST', 'CIFAR-10'), ())
    """
    return tuple(name for name in DATA_SETS if re.search(rf"\b{name}\b", text))


def load(project: Project) -> list[Finding]:
    """Read the declared findings; none for a project without the file.

    Raises:
        ArgumentError: for a malformed entry, an unknown claim, or plain words that quote a number; names the
            file.
    """
    path = project.root / "book" / _FILE
    if not path.is_file():
        return []
    known = {claim.id: claim for claim in claims.load(path.with_name("claims.yml"))}
    entries = read_yaml(path)
    if not isinstance(entries, list):
        raise ArgumentError(f"{path}: need a list of findings")
    return [_finding(entry, known, path) for entry in entries]


def _finding(entry: Any, known: Mapping[str, Claim], path: Path) -> Finding:
    names = tuple(item.name for item in fields(Finding))
    if not isinstance(entry, dict):
        raise ArgumentError(f"{path}: {entry!r}: need a mapping of {', '.join(names)}")
    for name in entry:
        choice(f"{path}: field of a finding", name, names)
    texts = {name: entry.get(name, "") for name in ("question", "plain", "answer")}
    for name, text in texts.items():
        needed = name != "answer"
        if not isinstance(text, str) or (needed and not text) or "|" in text or "\n" in text:
            raise ArgumentError(f"{path}: {name} = {text!r}: need one line of text without |")
    if "{" in texts["plain"]:
        raise ArgumentError(f"{path}: plain = {texts['plain']!r}: need plain words, without quoted numbers")
    ids = entry.get("claims")
    if not isinstance(ids, list) or not ids:
        raise ArgumentError(f"{path}: claims = {ids!r}: need a list of ids")
    for name in ids:
        if not isinstance(name, str) or name not in known:
            raise ArgumentError(f"{path}: claims: no claim {name!r} in claims.yml")
    return Finding(claims=tuple(known[name] for name in ids), **texts)


def as_table(findings: Iterable[Finding]) -> str:
    """Return the table of the landing page, cards on a phone; the role `badge` words the verdicts."""
    lines = ["```{table}", ":class: cards", "", "| question and verdict | answer | page |", "|---|---|---|"]
    for finding in findings:
        verdicts = [
            f"{label}: {shown}" if label else shown
            for label, groups in finding.verdicts().items()
            for shown in [" ".join(_badge(group) for group in groups.values())]
        ]
        pages = ", ".join(f"{{doc}}`executed/{name}`" for name in finding.pages())
        answer = finding.answer or finding.plain
        between = "<br>" if any(finding.verdicts()) else " "  # a line for each data set
        lines.append(f"| {between.join((finding.question, *verdicts))} | {answer} | {pages} |")
    return "\n".join([*lines, "```"]) + "\n"


def _badge(group: Iterable[Claim]) -> str:
    return f"{{badge}}`{' '.join(claim.id for claim in group)}`"


def as_list(findings: Iterable[Finding]) -> str:
    """Return the list of the README: questions, verdicts and plain answers."""
    lines = []
    for finding in findings:
        found = "; ".join(
            f"{label}: {', '.join(groups)}" if label else ", ".join(groups)
            for label, groups in finding.verdicts().items()
        )
        lines.append(f"- {finding.question} **{found[0].upper()}{found[1:]}.** {finding.plain}")
    return "\n".join(lines)


def write(project: Project) -> None:
    """Write the table that the landing page includes, if findings are declared."""
    findings = load(project)
    if findings:
        files.write_text(project.root / "book" / "_generated" / "findings.md", as_table(findings))


def update_readme(project: Project) -> None:
    """Rewrite the list between the two markers of the README, if findings are declared.

    Raises:
        ArgumentError: when the README has no such markers, or an entry is malformed.
        OSError: when it cannot be written; it then stays as it was.
    """
    findings = load(project)
    if findings:
        claims.rewrite_between(project.root / "README.md", _BEGIN, _END, as_list(findings))
