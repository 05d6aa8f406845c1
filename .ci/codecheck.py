"""Write codecheck.yml: the outputs of the project, each with the command that makes it again.

The form is that of https://codecheck.org.uk/spec/config/1.0/, without the fields that a codechecker fills in.
"""

import json
from pathlib import Path

import yaml

from fracrepro.workflow import citation
from fracrepro.workflow.project import Project

ROOT = Path(__file__).resolve().parents[1]
SPECIFICATION = "https://codecheck.org.uk/spec/config/1.0/"
HEAD = """\
# What an independent person needs to check the results: every output, and the command that makes it again.
# Written by .ci/codecheck.py; a test says when it must be written again.
"""


def manifest(project):
    """Yield the name and the command of every output, in the order of the book."""
    for name in project.notebook_names():
        cells = json.loads(project.notebook_path(name).read_text())["cells"]
        figures = sum("figure" in cell["metadata"].get("mystnb", {}) for cell in cells)
        shown = f"{figures} figure{'s' * (figures != 1)} and every number of page {name[:2]}"
        yield f"book/executed/{name}.ipynb", f"{shown}; fracrepro run {name}"
    for path in sorted(project.recorded.glob("*.csv")):
        yield f"recorded/{path.name}", f"the recorded experiment; fracrepro train {path.stem} --out mine"
    for path in sorted((project.recorded / "full_scale").glob("*.json")):
        command = f"fracrepro run {path.stem} --profile paper --output-dir mine"
        yield f"recorded/full_scale/{path.name}", f"page {path.stem[:2]} at full scale; {command}"
    yield "_build/html/index.html", "the book; make book"


def content(project):
    """Return the text of codecheck.yml."""
    book, paper = citation.book(project), citation.paper(project)
    works = {
        "title": book.title,
        "authors": [{"name": f"{given} {family}".strip()} for family, given in book.authors],
        "reference": f"reproduces {paper.title} (arXiv:{paper.facts['eprint']})",
    }
    entries = [{"file": name, "comment": comment} for name, comment in manifest(project)]
    fields = {"version": SPECIFICATION, "paper": works, "manifest": entries}
    return HEAD + yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=200)


if __name__ == "__main__":
    (ROOT / "codecheck.yml").write_text(content(Project(ROOT)))
