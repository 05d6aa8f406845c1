"""Each figure as SVG and its data as CSV, as files beside the page: a Sphinx extension.

The kernel has put both into the output of the figure (`fracrepro.figures.downloads`); here they become files,
with two links below the figure.  A page loads neither.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from binascii import a2b_base64
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from docutils import nodes

from fracrepro import files
from fracrepro.figures.downloads import KIND
from fracrepro.workflow.pictures import DATA, LIGHT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx

__all__ = ["setup"]

_FOUND = "fracrepro_figures"  # among what Sphinx keeps while it reads one page
_KINDS = {"svg": "SVG", "csv": "data (CSV)"}  # what the two links say
_SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z])")


class Files(nodes.General, nodes.Element):
    """The links below a figure: `name` of the files, id of the `figure`, which `picture` in it."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect everything here to Sphinx."""
    app.connect("source-read", take)
    app.connect("doctree-read", offer)
    app.add_node(Files, html=(open_links, close_links), text=(skip, None), latex=(skip, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def take(app: Sphinx, docname: str, source: list[str]) -> None:
    """Take the files out of a notebook's outputs; the digest of the picture beside them is their key."""
    found: dict[str, dict[str, str]] = {}
    if KIND in source[0]:
        notebook = json.loads(source[0])
        for cell in notebook["cells"]:
            for output in cell.get("outputs", []):
                content = output.get("data", {}).pop(KIND, None)
                if content and "image/png" in output["data"]:
                    # The builder names pictures by this digest.
                    digest = hashlib.sha256(a2b_base64(output["data"]["image/png"])).hexdigest()
                    found[digest] = content | {"facts": _facts(notebook)}
        source[0] = json.dumps(notebook)
    app.env.temp_data[_FOUND] = found


def _facts(notebook: dict[str, Any]) -> str:
    """Which run a page is of."""
    record = notebook["metadata"].get("fracrepro", {})
    if "digest" not in record:
        return ""
    return f"computed at the profile {record['profile']}, content hash {record['digest'][:16]}"


def offer(app: Sphinx, doctree: nodes.document) -> None:
    """Write the files of a page's figures and put the links below each."""
    docname = app.env.docname
    folder = Path(app.outdir) / docname
    places: dict[str, int] = {}
    pictures: dict[int, int] = {}
    for image in list(doctree.findall(nodes.image)):
        content = app.env.temp_data.get(_FOUND, {}).get(PurePosixPath(image["uri"]).stem)
        content = content or _drawn(Path(app.srcdir), image)
        if content is None:
            continue
        figure = next(_figures(image), image)
        label = next(iter([*figure["names"], *figure["dupnames"], *figure["ids"], "figure"]))
        place = places[label] = places.get(label, 0) + 1
        picture = pictures[id(figure)] = pictures.get(id(figure), 0) + 1
        name = label.removeprefix("fig-") + (f"-{place}" if place > 1 else "")
        caption = next((each.astext() for each in figure.findall(nodes.caption)), "")
        for kind, text in written(content, name, docname, caption).items():
            files.write_text(folder / f"{name}.{kind}", text)
        links = Files(name=name, figure=next(iter(figure["ids"]), ""), picture=picture)
        links.source, links.line = figure.source, figure.line
        figure.parent.insert(figure.parent.index(figure) + picture, links)


def _figures(node: nodes.Node) -> Iterator[nodes.figure]:
    while node.parent is not None:
        node = node.parent
        if isinstance(node, nodes.figure):
            yield node


def _drawn(source: Path, image: nodes.image) -> dict[str, str] | None:
    """What the build has drawn for a page without a notebook: the light picture, and its data."""
    if not image["uri"].endswith(LIGHT):
        return None
    data = source / (image["uri"].removesuffix(LIGHT) + DATA)
    return {"svg": (source / image["uri"]).read_text(), "csv": data.read_text()} if data.is_file() else None


def written(content: dict[str, str], name: str, docname: str, caption: str) -> dict[str, str]:
    """Return the two files with what they are: a title in the SVG, lines with ``#`` before the data.

    Args:
        content: of both, by kind, and the facts of the run.
        name: of the figure.
        docname: of the page.
        caption: of the figure; its first sentence is the message.

    >>> found = written({"svg": "<svg a='b'><g/></svg>", "csv": "x"}, "law", "book/index", "A < B. Two laws.")
    >>> found["svg"]
    "<svg a='b'><title>A &lt; B.</title><g/></svg>"
    >>> print(found["csv"])
    # figure law of the page index: A < B. Two laws.
    x
    """
    caption = " ".join(caption.split())
    facts = "".join(f"# {line}\n" for line in filter(None, [content.get("facts", "")]))
    heading = f"# figure {name} of the page {docname.rpartition('/')[2]}: {caption}\n"
    title = f"<title>{html.escape(_SENTENCE.split(caption)[0], quote=False)}</title>"
    return {
        "svg": re.sub(r"(<svg\b[^>]*>)", lambda tag: tag[0] + title, content["svg"], count=1),
        "csv": heading + facts + content["csv"],
    }


def open_links(writer: Any, node: Files) -> None:
    """Begin the links; the name of each says which figure it is of."""
    page = PurePosixPath(writer.builder.current_docname).name
    number = writer.builder.fignumbers.get("figure", {}).get(node["figure"])
    which = f"Fig. {'.'.join(map(str, number))}" if number else f"the figure {node['name']}"
    which += f", picture {node['picture']}" if node["picture"] > 1 else ""
    links = [
        f'<a href="{page}/{node["name"]}.{kind}" download="{page}-{node["name"]}.{kind}" '
        f'aria-label="{words} of {which}">{words}</a>'
        for kind, words in _KINDS.items()
    ]
    writer.body.append(f'<p class="figure-files">{" · ".join(links)}')


def close_links(writer: Any, node: Files) -> None:
    """End the links."""
    writer.body.append("</p>\n")


def skip(writer: Any, node: Files) -> None:
    """Leave the links out where there are no files."""
    raise nodes.SkipNode
