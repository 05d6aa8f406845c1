"""The API reference: a Sphinx extension that joins the package's docstrings to the pages that use them.

Sphinx's autodoc, napoleon and viewcode make the entries and the pages of source; here is what they lack.
A name in a page's code leads to its entry, an entry names the pages that use it, and a docstring's
``Source:`` becomes links to the page and the theorem that it names.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import sys
from typing import TYPE_CHECKING, Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.ext.viewcode import OUTPUT_DIRNAME, viewcode_anchor
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

import fracrepro
from fracrepro.workflow.usage import Binding, Use, target, uses

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

__all__ = ["setup"]

logger = logging.getLogger(__name__)

_LANGUAGES = ("python", "python3", "ipython", "ipython3")
_SOURCE = re.compile(r"Source:\s*(.*)")
_NAME = re.compile(r"fr(?:acrepro)?((?:\.\w+)+)(?:\(.*\))?")
_LABEL = re.compile(r"(?<![`\w-])((?:\w+-)*(?:thm|lem|prop|cor|def|rem|alg)-[\w-]*\w)")
_PAGE = re.compile(r"\bpage (\d\d)\b")


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect everything here to Sphinx."""
    app.add_directive("automodules", AutoModules)
    app.connect("autodoc-process-docstring", link_sources, priority=400)  # before napoleon reads sections
    app.connect("autodoc-process-docstring", join_sentence, priority=600)  # after napoleon
    app.connect("autodoc-skip-member", skip_private)
    app.connect("doctree-read", name_sections, priority=400)  # before Sphinx reads the anchors
    app.connect("doctree-read", name_entries)
    app.connect("doctree-read", find_uses)
    app.connect("doctree-read", link_prose)
    app.connect("env-purge-doc", lambda app, env, docname: _found(env).pop(docname, None))
    app.connect("missing-reference", resolve_name)
    app.connect("doctree-resolved", list_pages)
    app.add_node(nodes.literal_block, override=True, html=(visit_literal_block, None))
    return {"parallel_read_safe": False, "parallel_write_safe": True}


class AutoModules(SphinxDirective):
    """``.. automodules:: PACKAGE``: the entries of every public module of a package, found by its files.

    The option ``without`` names modules that have a place of their own.
    """

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"without": str.split}

    def run(self) -> list[nodes.Node]:
        """Write one ``automodule`` for each."""
        package = importlib.import_module(self.arguments[0])
        found = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
        names = [name for name in found if name[0] != "_" and name not in self.options.get("without", ())]
        lines = [line for name in names for line in (f".. automodule:: {package.__name__}.{name}", "")]
        return self.parse_text_to_nodes(StringList(lines, source=self.get_source_info()[0]))


# ---- docstrings -------------------------------------------------------------------------------------------


def link_sources(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Make the section ``Source:`` a field, with the pages and theorems that it names as links."""
    start = next((i for i, line in enumerate(lines) if _SOURCE.match(line)), None)
    if start is None:
        return
    end = start + 1
    while end < len(lines) and lines[end].strip():
        end += 1
    words = " ".join([lines[start].removeprefix("Source:"), *lines[start + 1 : end]]).split()
    text = _LABEL.sub(r":prf:ref:`\1`", " ".join(words))
    pages = {page[:2]: page for page in map(_notebook, app.env.found_docs) if page}
    text = _PAGE.sub(lambda m: f":doc:`page {m[1]} </book/executed/{pages.get(m[1], m[1])}>`", text)
    lines[start:end] = ["", f":Source: {text[:1].upper()}{text[1:]}", ""]


def join_sentence(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Put a sentence together again: napoleon takes what stands before a colon for a type.

    >>> lines = ["the state of the ensemble.", "", ":type: Every parameter"]
    >>> join_sentence(None, "property", "tensors", None, None, lines)
    >>> lines
    ['Every parameter: the state of the ensemble.', '']
    >>> lines = [":returns: forward and backward.", ":rtype: Two arrays"]
    >>> join_sentence(None, "function", "walk", None, None, lines)
    >>> lines
    [':returns: Two arrays: forward and backward.']
    """
    types = [line for line in lines if line.startswith(":type: ")]
    if what in ("attribute", "property", "data") and types:
        lines.remove(types[0])
        lines[0] = f"{types[0].removeprefix(':type: ')}: {lines[0]}"
    returned = next((i for i, line in enumerate(lines) if line.startswith(":returns: ")), None)
    types = [line for line in lines if line.startswith(":rtype: ")]
    if returned is not None and types:
        lines.remove(types[0])
        said = lines[returned].removeprefix(":returns: ")
        lines[returned] = f":returns: {types[0].removeprefix(':rtype: ')}: {said}"


def _notebook(docname: str) -> str:
    folder, _, name = docname.rpartition("/")
    return name if folder == "book/executed" else ""


def skip_private(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: object) -> bool | None:
    """Leave out what a module's ``__all__`` leaves out, and the fields of named tuples, which say nothing."""
    module = sys.modules.get(app.env.temp_data.get("autodoc:module", ""))
    private = what == "module" and name not in getattr(module, "__all__", [name])
    return True if private or str(obj.__doc__).startswith("Alias for field number") else None


# ---- entries ----------------------------------------------------------------------------------------------


def name_sections(app: Sphinx, doctree: nodes.document) -> None:
    """Let a section's own anchor come before its module's, whose dots Sphinx' search stumbles over."""
    for section in doctree.findall(nodes.section):
        section["ids"].sort(key=lambda anchor: anchor.startswith("module-"))


def name_entries(app: Sphinx, doctree: nodes.document) -> None:
    """Show names as they are imported, `fr` for the package itself, and give each entry a source link."""
    domain: Any = app.env.get_domain("py")
    for entry in doctree.findall(addnodes.desc):
        signatures = [node for node in entry if isinstance(node, addnodes.desc_signature)]  # one an overload
        first = signatures[0]
        if entry["domain"] != "py" or "module" not in first:
            continue
        module, name = first["module"], first["fullname"]
        public = _exporter(module, name)
        if public != module:
            for node in signatures:
                for prefix in node.findall(addnodes.desc_addname):
                    prefix.children = [nodes.Text("fr." if public == fracrepro.__name__ else f"{public}.")]
            domain.note_object(f"{public}.{name}", entry["objtype"], first["ids"][0], aliased=True)
            first["ids"].append(f"{public}.{name}")
        if not any(first.findall(viewcode_anchor)):  # viewcode knows functions and classes alone
            page = f"{OUTPUT_DIRNAME}/{module.replace('.', '/')}"
            owner = name.rpartition(".")[0]
            first += viewcode_anchor(reftarget=page, refid=owner, refdoc=app.env.docname)


def _exporter(module: str, name: str) -> str:
    """The outermost package on the way to a module whose ``__all__`` has the name; else the module."""
    parts = module.split(".")
    for package in (".".join(parts[:k]) for k in range(1, len(parts))):
        exported = name in getattr(importlib.import_module(package), "__all__", ())
        if exported and target(f"{package}.{name}") == f"{module}.{name}":
            return package
    return module


def list_pages(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the pages that use it at the end of each entry; a link leads to the first section that does."""
    used_on = _used_on(app.env)
    for entry in doctree.findall(addnodes.desc):
        anchors = [anchor for signature in entry for anchor in signature.get("ids", ())]
        pages = next((used_on[docname, anchor] for anchor in anchors if (docname, anchor) in used_on), None)
        if entry["domain"] != "py" or not pages:
            continue
        paragraph = nodes.paragraph()
        for page, sections in pages.items():
            uri = f"{app.builder.get_relative_uri(docname, page)}#{next(iter(sections))}"
            title = app.env.titles[page].astext()
            link = nodes.reference(
                "", title, internal=True, refuri=uri, reftitle="; ".join(sections.values())
            )
            paragraph += [nodes.Text(" · "), link] if paragraph.children else [link]
        field = nodes.field("", nodes.field_name("", "Used on"), nodes.field_body("", paragraph))
        content = entry[-1]
        lists = [child for child in content if isinstance(child, nodes.field_list)]
        if lists:
            lists[-1] += field
        else:
            members = (i for i, child in enumerate(content) if isinstance(child, addnodes.desc))
            content.insert(next(members, len(content)), nodes.field_list("", field))


def _used_on(env: BuildEnvironment) -> dict[tuple[str, str], dict[str, dict[str, str]]]:
    """For each entry (page, anchor) the pages that use it and their sections, in the order of the book."""
    objects = env.get_domain("py").objects  # type: ignore[attr-defined]
    result: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
    for page, sections in sorted(_found(env).items()):
        for anchor, title, targets in sections:
            for entry in (objects[name] for name in targets if name in objects):
                key = (entry.docname, entry.node_id)
                result.setdefault(key, {}).setdefault(page, {})[anchor] = title
    return result


# ---- pages ------------------------------------------------------------------------------------------------


def find_uses(app: Sphinx, doctree: nodes.document) -> None:
    """Note in each block of code, and for the whole page, which of the package's names stand where."""
    names: dict[str, Binding] = {}
    sections = []
    for block in doctree.findall(nodes.literal_block):
        if block.get("language") not in _LANGUAGES:
            continue
        block["uses"] = uses(block.astext().lstrip("\n"), names)
        section = _section(block)
        targets = {use.target for use in block["uses"] if not use.imported}
        if section is not None and targets:
            sections.append((section["ids"][0], section[0].astext(), sorted(targets)))
    if not app.env.docname.startswith("book/api/"):
        _found(app.env)[app.env.docname] = sections


def link_prose(app: Sphinx, doctree: nodes.document) -> None:
    """Link names such as `fr.moment` in running text; one that leads nowhere is a warning."""
    for literal in list(doctree.findall(nodes.literal)):
        match = _NAME.fullmatch(literal.astext())
        if not match or isinstance(literal.parent, addnodes.pending_xref | nodes.reference | nodes.title):
            continue
        full = target(f"fracrepro{match[1]}")
        if full is None:
            logger.warning("the package has no %s", literal.astext(), location=literal)
            continue
        reference = addnodes.pending_xref(
            refdomain="py", reftype="obj", reftarget=full, refdoc=app.env.docname
        )
        literal.replace_self(reference)
        reference += literal


def _section(node: nodes.Node) -> nodes.section | None:
    """The section that a reader sees around a node; a theorem's box is one without a title."""
    while node.parent is not None:
        node = node.parent
        if isinstance(node, nodes.section) and isinstance(node[0], nodes.title):
            return node
    return None


def visit_literal_block(self: Any, node: nodes.literal_block) -> None:
    """Highlight as usual, then link the names that have an entry."""
    start = len(self.body)
    try:
        type(self).visit_literal_block(self, node)
    finally:  # it ends with SkipNode
        links = []
        for use in node.get("uses", ()):
            entry = self.builder.env.get_domain("py").objects.get(use.target)
            if entry:
                page = self.builder.get_relative_uri(self.builder.current_docname, entry.docname)
                links.append((use, f"{page}#{entry.node_id}"))
        self.body[start:] = [linked("".join(self.body[start:]), links)]


def linked(html: str, links: list[tuple[Use, str]]) -> str:
    """Return highlighted code with links around the uses, whose places count characters of the code.

    >>> linked('<pre><span class="n">fr</span><span class="o">.</span>x</pre>', [(Use(0, 4, ""), "#x")])
    '<pre><a class="api" href="#x"><span class="n">fr</span><span class="o">.</span>x</a></pre>'
    """
    if not links:
        return html
    head, opening, rest = html.partition("<pre>")
    result, waiting, at, depth = [head, opening], list(links), 0, 0
    end: int | None = None  # of the link that is open
    for token in re.findall(r"<[^>]*>|&[^;]+;|[^<&]", rest):
        if end is not None and at == end and depth == 0:
            result.append("</a>")
            end = None
        if end is None and waiting and at == waiting[0][0].start and not token.startswith("</"):
            use, uri = waiting.pop(0)
            result.append(f'<a class="api" href="{uri}">')
            end, depth = use.end, 0
        if token.startswith("<"):
            depth += -1 if token.startswith("</") else 1
        elif at or token != "\n":  # of a text; leading empty lines do not count  # noqa: S105  # nosec B105
            at += 1
        result.append(token)
    return "".join(result)


def resolve_name(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.Element
) -> nodes.Element | None:
    """Lead a name without its module to the one entry that ends in it; where none is needed, keep the words.

    None is needed for another project's names (the book is built without a network), for types in
    signatures, and for single backticks: they hold arguments and formulas too, and only a name of
    ``import fracrepro as fr`` or one with a dot is sought in other modules.
    """
    if node.get("refdomain") != "py":
        return None
    name, domain = node["reftarget"], env.get_domain("py")
    foreign = "." in name and name.split(".")[0] != fracrepro.__name__
    in_signature, backticks = "refwarn" not in node and node["reftype"] != "exc", node["reftype"] == "obj"
    full = target(name) if name.startswith(f"{fracrepro.__name__}.") else name
    if full and not (backticks and "." not in name and name not in fracrepro.__all__):
        matches = {
            (entry.docname, entry.node_id)
            for known, entry in domain.objects.items()  # type: ignore[attr-defined]
            if f".{known}".endswith(f".{full}") and not entry.aliased
        }
        if len(matches) == 1:
            return make_refnode(app.builder, node["refdoc"], *matches.pop(), content, name)
    if isinstance(content, nodes.literal):
        content["classes"] = []  # not bold like a link
    return content if foreign or in_signature or backticks else None


def _found(env: BuildEnvironment) -> dict[str, list[tuple[str, str, list[str]]]]:
    """What :func:`find_uses` has found, kept in Sphinx's environment: (anchor, title, targets) by page."""
    if not hasattr(env, "fracrepro_uses"):
        env.fracrepro_uses = {}  # type: ignore[attr-defined]
    return env.fracrepro_uses  # type: ignore[attr-defined]
