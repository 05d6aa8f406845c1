"""The form of a page: a Sphinx extension that makes what every page of the book has in common.

Numbers are written for people, code is folded unless a cell is tagged ``show-code``, figures keep their
proportions, and an executed page ends with where it comes from and how to run it again.
The boxes with verdicts are those of `fracrepro.workflow.ledger`, figures that a reader operates those of
`fracrepro.workflow.interactive`.
"""

from __future__ import annotations

import json
import re
import shlex
from ast import literal_eval
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from myst_nb.core.variables import RetrievalError
from myst_nb.ext.glue.crossref import read_glue_cache
from myst_nb.ext.glue.roles import PasteTextRole
from myst_nb.ext.glue.utils import PendingGlueReference, retrieve_glue_data
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

from fracrepro._version import __version__
from fracrepro.errors import ArgumentError
from fracrepro.figures import numbers
from fracrepro.workflow import figure_files, ledger, parameters, values_line
from fracrepro.workflow.interactive import directive
from fracrepro.workflow.pictures import DARK, LIGHT
from fracrepro.workflow.project import Project

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["setup"]

logger = logging.getLogger(__name__)

_FOLDER = "book/executed/"
_TAGS = {"show-code", "hide-input", "hide-cell", "remove-input", "remove-cell"}
_BOUND = re.compile(r"\b(at most|up to|within|below|less than|agree to|vanish(?:es)? to) *$")
_P_VALUE = re.compile(r"(^|_)p(_value)?$")
_RERUN = "Run it again from the project’s folder, into a folder “mine”, with a parameter after each “-p”."
_LEAST = 1e-16  # half a unit in the last place of 1: a bound of every error that came out as 0


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect everything here to Sphinx; `myst_nb` must have been loaded."""
    app.setup_extension("myst_nb")
    app.setup_extension(ledger.__name__)
    app.setup_extension(directive.__name__)
    app.setup_extension(figure_files.__name__)
    app.add_role_to_domain("glue", "text", Quote(), override=True)
    app.add_post_transform(ResolveQuotes)
    app.add_transform(PairModes)
    app.connect("source-read", fold_code)
    app.connect("doctree-read", keep_proportions)
    app.connect("doctree-read", write_numbers)
    app.connect("doctree-read", add_provenance)
    return {"parallel_read_safe": False, "parallel_write_safe": True}


# ---- numbers ----------------------------------------------------------------------------------------------


class Quote(PasteTextRole):
    """``{glue:text}`key:.3f```: a reported number, as `fracrepro.figures.numbers.number` writes it."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Format what this page reported; another page's is known only when all have been read."""
        found, messages = super().run()
        if not found or isinstance(found[0], PendingGlueReference):
            return found, messages
        key, _, spec = self.text.rpartition(":")
        try:
            data = retrieve_glue_data(self.document, key or spec)
        except RetrievalError:  # the role above has warned
            return found, messages
        return [quoted(data.data["text/plain"], spec if key else "s", key or spec)], messages


class ResolveQuotes(SphinxPostTransform):
    """Quotations of other pages; and bounds of errors that are 0, of which no sentence says "at most 0"."""

    default_priority = 4  # before myst-nb's own

    def run(self, **options: Any) -> None:
        """Replace each pending quotation, then look at the words before each 0."""
        folder = self.env.mystnb_config.output_folder  # type: ignore[attr-defined]
        for node in list(self.document.findall(PendingGlueReference)):
            data = read_glue_cache(folder, node.refdoc).get(node.key, {}).get("data", {})
            if node.gtype == "text" and "text/plain" in data:  # else myst-nb warns
                node.replace_self(quoted(data["text/plain"], node["fmt_spec"], node.key))
        zeros = [node for node in self.document.findall(nodes.inline) if "zero" in node]
        for node in zeros:
            before = node.parent[node.parent.index(node) - 1] if node.parent.index(node) else None
            words = before.astext() if isinstance(before, nodes.Text) else ""
            words, text = bounded_zero(words, node["zero"])
            if isinstance(before, nodes.Text):
                node.parent.replace(before, nodes.Text(words))
            node.children = [nodes.Text(text)]


def quoted(text: str, spec: str, key: str) -> nodes.inline:
    """Return the node of a quotation; a 0 keeps what it is a 0 of, for the words before it decide.

    Args:
        text: the ``repr`` of the value.
        spec: the format.
        key: the name of the value; one that ends in ``p`` or ``p_value`` is a probability, never quite 0.
    """
    try:
        value = literal_eval(text)
    except (SyntaxError, ValueError):
        value = text
    try:
        shown = numbers.number(value, spec)
    except ArgumentError as error:
        logger.warning("%s: %s", key, error)
        shown = str(value)
    # Reported words are part of the sentence and not bold, as numbers are.
    classes = ["pasted-text", *(["words"] if isinstance(value, str) else [])]
    node = nodes.inline(shown, shown, classes=classes)
    if not isinstance(value, (bool, str)) and value == 0:
        kind = "probability" if _P_VALUE.search(key) else "count" if spec == "d" else "error"
        node["zero"] = kind if kind != "error" or spec[-1:] in "eg" else "measure"
    return node


def bounded_zero(before: str, kind: str) -> tuple[str, str]:
    """Return the words before a 0 and what stands for it.

    >>> bounded_zero("they differ by at most ", "error"), bounded_zero("they differ by ", "error")
    (('they differ by at most ', '10⁻¹⁶'), ('they differ by ', 'exactly 0'))
    >>> bounded_zero("of them at most ", "count"), bounded_zero("of them ", "count")
    (('of them ', 'none'), ('of them ', '0'))
    """
    bound = _BOUND.search(before.replace("\n", " "))
    if kind == "probability":
        return before, "below 10⁻³⁰⁰"
    if kind == "count" and bound:
        return before[: bound.start()], "none"
    if kind == "error":
        return before, numbers.number(_LEAST, ".0e") if bound else "exactly 0"
    return before, "0"


def write_numbers(app: Sphinx, doctree: nodes.document) -> None:
    """Write the numbers of running text for people, typed ones too; code and formulas stay as they are.

    No line ends before a per cent sign: what stands in front of it is a number, typed or reported.
    """
    for text in list(doctree.findall(nodes.Text)):
        if _is_running_text(text):
            shown = numbers.running_text(text.astext()).replace(" %", "\N{NO-BREAK SPACE}%")
            if shown != text.astext():
                text.parent.replace(text, nodes.Text(shown))


def _is_running_text(node: nodes.Node) -> bool:
    other = (nodes.FixedTextElement, nodes.literal, nodes.math, nodes.math_block, nodes.comment)
    while node.parent is not None:
        node = node.parent
        if isinstance(node, (*other, addnodes.desc_signature)):
            return False
    return True


# ---- code and figures -------------------------------------------------------------------------------------


def fold_code(app: Sphinx, docname: str, source: list[str]) -> None:
    """Fold the code of an executed page but for what a cell's tags show or remove.

    Folded cells that follow each other without anything to see between them become one.
    """
    if not docname.startswith(_FOLDER):
        return
    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        tags = cell["metadata"].setdefault("tags", []) if cell["cell_type"] == "code" else list(_TAGS)
        if not _TAGS & set(tags):
            tags.append("hide-input")
    notebook["cells"] = joined(notebook["cells"])
    source[0] = json.dumps(notebook)


def joined(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return cells, with each folded one that shows nothing joined to the folded one that follows it."""
    result: list[dict[str, Any]] = []
    waiting: dict[str, Any] | None = None  # folded, without anything to see
    for cell in cells:
        tags = cell["metadata"].get("tags", [])
        folded = cell["cell_type"] == "code" and "hide-input" in tags
        removed = "remove-cell" in tags
        if folded and waiting is not None:
            result = [each for each in result if each is not waiting]
            code = "".join(waiting["source"]) + "\n\n" + "".join(cell["source"])
            outputs = waiting["outputs"] + cell["outputs"]
            seen = _shows(cell)
            cell = cell | {"source": code, "outputs": outputs}
            waiting = None if seen else cell
        elif folded:
            waiting = None if _shows(cell) else cell
        elif not removed:
            waiting = None
        result.append(cell)
    return result


def _shows(cell: dict[str, Any]) -> bool:
    """Whether a cell has an output that is not merely a reported value."""
    return any("scrapbook" not in output.get("metadata", {}) for output in cell["outputs"])


class PairModes(SphinxTransform):
    """A picture ``NAME-light.svg`` stands for two: beside it ``NAME-dark.svg`` shows in dark mode."""

    default_priority = 200  # before Sphinx collects images

    def apply(self, **options: Any) -> None:
        """Put the dark picture behind each light one, with the same words."""
        for light in list(self.document.findall(nodes.image)):
            if light["uri"].endswith(LIGHT):
                dark = light.deepcopy()
                dark["uri"] = light["uri"].removesuffix(LIGHT) + DARK
                # Not the theme's own names: it hides a caption with the picture of the other mode.
                light["classes"].append("picture-light")
                dark["classes"] += ["picture-dark", "dark-light"]  # the second: as it is, without a grey box
                light.parent.insert(light.parent.index(light) + 1, dark)


def keep_proportions(app: Sphinx, doctree: nodes.document) -> None:
    """Leave the height of an image to the browser: a height beside a width that shrinks distorts it."""
    for image in doctree.findall(nodes.image):
        image.attributes.pop("height", None)


# ---- where a page comes from ------------------------------------------------------------------------------


def add_provenance(app: Sphinx, doctree: nodes.document) -> None:
    """End an executed page with its date, duration, parameters, versions and the line that reruns it."""
    docname = app.env.docname
    if not docname.startswith(_FOLDER):
        return
    notebook = json.loads(Path(app.env.doc2path(docname)).read_text())
    record = notebook["metadata"].get("fracrepro", {})
    if "started" not in record:
        return
    contract = parameters.declared(notebook, record["notebook"])
    started = datetime.fromisoformat(record["started"])
    title = f"Computed on {started.day} {started:%B %Y} in {numbers.number(record['seconds'], '.1f')} seconds"
    box = nodes.admonition(classes=["dropdown", "provenance"])
    box += nodes.title(title, title)
    box += nodes.paragraph("", _software(record))
    command = rerun_command(Project(Path(app.srcdir)), record)
    box += nodes.paragraph("", _RERUN)
    box += nodes.literal_block(command, command, language="bash")
    values = record["parameters"]
    values_line.add(doctree, values, box)
    rows = [
        [[nodes.literal(name, name)], *map(_text, (shown_value(values[name]), entry.help, allowed(entry)))]
        for name, entry in contract.items()
        if name in values
    ]
    box += ledger.table(("parameter", "value", "meaning", "allowed"), rows, classes=["cards"])
    digest = record["digest"][:16]
    words = nodes.Text("Content hash of all that the page depends on: ")
    box += nodes.paragraph("", "", words, nodes.literal(digest, digest))
    first = next(doctree.findall(nodes.section), doctree)
    first += box


def _software(record: dict[str, Any]) -> str:
    versions, device = record["versions"], record["device"]
    names = [f"fracrepro {__version__}"]
    names += [
        f"{name} {versions[name]}" for name in ("python", "numpy", "scipy", "torch") if name in versions
    ]
    return (
        f"Started at {record['started'][11:16]} UTC at the profile {record['profile']}, "
        f"with {', '.join(names)}, on {device['cores']} {device['machine']} cores ({device['system']})."
    )


def _text(text: str) -> list[nodes.Node]:
    return [nodes.Text(text)]


def shown_value(value: Any) -> str:
    """Return a parameter's value as one types it, so that it can be copied into a command.

    >>> shown_value([0.5, 1.0]), shown_value(True), shown_value("relu"), shown_value(20000)
    ('[0.5, 1.0]', 'true', 'relu', '20000')
    """
    return json.dumps(value) if not isinstance(value, str) else value


def allowed(entry: parameters.Parameter) -> str:
    """Return the allowed values of a parameter in words.

    >>> from fracrepro.arguments import Interval
    >>> allowed(parameters.Parameter("n", "int", 5, "networks", interval=Interval.parse("[1, 1000000]")))
    'an integer from 1 to 1,000,000'
    """
    if entry.interval is None:
        return entry.allowed.replace(" | ", ", ")
    bounds = (entry.interval.low, entry.interval.high)
    low, high = (numbers.number(end, "d" if end % 1 == 0 else ".10g") for end in bounds)
    closed = entry.interval.closed_low, entry.interval.closed_high
    words = {
        (True, True): f"from {low} to {high}",
        (True, False): f"at least {low} and below {high}",
        (False, True): f"above {low} and at most {high}",
        (False, False): f"above {low} and below {high}",
    }[closed].replace(" and below ∞", "")
    return entry.allowed.replace(f"in {entry.interval}", words)


def rerun_command(project: Project, record: dict[str, Any]) -> str:
    """Return the line that runs a page again with the parameters of its record.

    A profile is named where it gives the parameters; what differs from it is spelled out.
    """
    name, profile = record["notebook"], record["profile"]
    given = parameters.load_profiles(project.profiles).get(profile, {}).get(name, {})
    source = parameters.parse_notebook(project.notebook_path(name).read_text(), name)
    expected = parameters.resolve(parameters.declared(source, name), given, {})
    differing = {key: value for key, value in record["parameters"].items() if expected.get(key) != value}
    options = [word for key, value in differing.items() for word in ("-p", key, shown_value(value))]
    return shlex.join(["fracrepro", "run", name, "--profile", profile, *options, "--output-dir", "mine"])
