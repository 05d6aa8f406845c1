"""Slides of each executed page, made of its boxes and figures when the book is built: a Sphinx extension.

A deck is a page of its own that scrolls from slide to slide, also without scripts, and prints one a page.
It shares formulas, pictures and styles with the site, so that it weighs little and reads without network.
"""

from __future__ import annotations

import html
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util.docutils import SphinxRole

from fracrepro import files

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag
    from sphinx.application import Sphinx

__all__ = ["Slide", "deck", "setup", "slides"]

_FOLDER = "book/executed/"
_ENDING = "-slides"  # of a deck's name, behind that of its page
_LATE = 900  # behind the theme's own handlers
_MOST_SENTENCES = 5  # on a slide with what a page shows
_OTHERS = "script, a.headerlink, button, .figure-files, .page-slides, .solution, .interactive-place"
_MOST_CLAIMS = 4  # on one slide
_SENTENCE = re.compile(r"[.?!](?=\s+[A-Z$\\(])")
_HINT = "The arrow keys turn the slides, and so does scrolling; print them for one slide a page."


@dataclass(frozen=True)
class Slide:
    """One slide: its kind, its heading and its content, both as HTML."""

    kind: str
    heading: str
    content: str


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect everything here to Sphinx."""
    app.connect("html-page-context", write_deck, priority=_LATE)
    app.add_role("slides", SlidesLink())
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class SlidesLink(SphinxRole):
    """``{slides}`07_dropout```: a link to the slides of a page."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Make the link; a page that does not exist is reported."""
        docname = f"{_FOLDER}{self.text}"
        messages = []
        if docname not in self.env.found_docs:
            messages = [self.inliner.reporter.warning(f"slides: no page {self.text}", line=self.lineno)]
        builder = self.env.app.builder
        address = builder.get_relative_uri(self.env.docname, docname + _ENDING)
        return [nodes.reference("", "slides", refuri=address, internal=True)], messages


def write_deck(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Write the deck of an executed page beside it; links are in the menu of downloads and at the end."""
    if not page.startswith(_FOLDER) or "body" not in context:
        return
    from bs4 import BeautifulSoup

    name = page.removeprefix(_FOLDER)
    soup = BeautifulSoup(context["body"], "html.parser")
    found = list(slides(soup, f"{name}.html"))
    address = f"{name}{_ENDING}.html"
    settings = {"mathjax": app.config.mathjax3_config, "path": f"../../_static/{app.config.mathjax_path}"}
    text = deck(found, name, app.config.html_title, settings)
    files.write_text(Path(app.outdir) / _FOLDER / address, text)
    context["body"] += (
        f'<p class="page-slides"><a href="{address}">Slides of this page</a>: its boxes, figures and '
        "exercises, for a talk or a lesson.</p>"
    )
    for group in context.get("header_buttons", []):
        if group.get("label") == "download-buttons":
            button = {"type": "link", "url": address, "text": "slides", "icon": "fas fa-file"}
            group["buttons"].append(button | {"tooltip": "Slides of this page", "label": "slides-button"})


# ---- what is on the slides --------------------------------------------------------------------------------


def slides(body: BeautifulSoup, address: str) -> Iterator[Slide]:
    """The slides of a page, in the order of a talk: title, overview, boxes and figures, summary, exercises.

    Args:
        body: of the page; it is changed.
        address: of the page, to which links within it lead.
    """
    for other in body.select(_OTHERS):
        other.decompose()
    _settle_links(body, address)
    title = body.h1
    yield Slide("title", _inner(title) if title else address, "")
    for paragraph in body.find_all("p"):
        first = paragraph.strong
        if first is not None and first.get_text().strip() == "Overview.":
            first.decompose()
            yield from _sentences("overview", "Overview", [paragraph])
            break
    yield from _gathered(_box(box) for box in body.select("div.verdict, div.proof, figure"))
    for section in body.select("section"):
        heading = section.find(["h2", "h3"], recursive=False)
        if heading is not None and heading.get_text().startswith("What this shows"):
            parts = section.find_all(["p", "ul"], recursive=False)
            yield from _sentences("summary", _inner(heading), parts)
    for exercise in body.select("div.exercise"):
        yield _titled("exercise", exercise)


def _gathered(found: Iterable[Slide | None]) -> Iterator[Slide]:
    """The slides that there are; verdicts in a row that have no words of their own share one."""
    for bare, group in itertools.groupby(filter(None, found), lambda slide: slide.kind == "bare"):
        if not bare:
            yield from group
            continue
        every = list(group)
        for first in range(0, len(every), _MOST_CLAIMS):
            some = every[first : first + _MOST_CLAIMS]
            if len(some) == 1:
                yield Slide("verdict", some[0].heading, some[0].content)
            else:
                listed = "".join(f"<li>{one.content}{one.heading}</li>" for one in some)
                yield Slide("verdict", "Claims and verdicts", f'<ul class="claims">{listed}</ul>')


def _box(box: Tag) -> Slide | None:
    """The slide of a verdict, a statement or a figure; None for a proof, which a talk leaves to the page."""
    classes = box.get_attribute_list("class")
    if box.name == "figure":
        return _figure(box)
    if "verdict" in classes:
        return _verdict(box)
    return _titled("statement", box) if len(classes) > 2 else None  # "proof", its kind, "admonition"


def _verdict(box: Tag) -> Slide | None:
    """The slide of a box of verdicts: its claim as the heading, or a list where it judges several."""
    claims, badges = box.select("p.claim"), box.select(".badge-verdict")
    if not claims or len(claims) != len(badges):
        return None
    for part in (box.select_one("p.admonition-title"), *claims, *(badge.parent for badge in badges)):
        if part is not None:
            part.extract()
    lines = [f'<p class="badge-line">{badge}</p>' for badge in badges]
    if len(claims) > 1:
        listed = "".join(f"<li>{line}{_inner(claim)}</li>" for line, claim in zip(lines, claims, strict=True))
        return Slide("verdict", "Claims and verdicts", f'<ul class="claims">{listed}</ul>{_inner(box)}')
    return Slide("verdict" if box.get_text(strip=True) else "bare", _inner(claims[0]), lines[0] + _inner(box))


def _titled(kind: str, box: Tag) -> Slide:
    title = box.select_one("p.admonition-title")
    heading = ""
    if title is not None:
        number = title.select_one(".caption-number")
        words = "" if number is None else number.extract().get_text().strip()
        rest = _inner(title).strip()
        rest = rest[1:-1] if rest.startswith("(") and rest.endswith(")") else rest
        heading = f"{words}{'. ' if words and rest else ''}{rest}"
        title.extract()
    for section in box.find_all("section"):
        section.unwrap()
    return Slide(kind, heading, _inner(box))


def _figure(figure: Tag) -> Slide | None:
    """A figure under its message, the first sentence of its caption; the rest of it stands below."""
    image, caption = figure.img, figure.select_one(".caption-text")
    if image is None or caption is None:
        return None
    message, rest = split_sentence(_inner(caption))
    number = figure.select_one(".caption-number")
    words = "" if number is None else f"<strong>{number.get_text().strip()}.</strong> "
    pictures = "".join(_plain_image(each) for each in figure.find_all("img"))
    return Slide("figure", message, f'{pictures}<p class="caption">{words}{rest}</p>')


def _plain_image(image: Tag) -> str:
    kept = {name: image[name] for name in ("src", "alt") if image.has_attr(name)}
    if image.has_attr("class"):
        kept["class"] = " ".join(
            name for name in image.get_attribute_list("class") if "picture-" in str(name)
        )
    return (
        "<img"
        + "".join(f' {name}="{html.escape(str(value))}"' for name, value in kept.items() if value)
        + ">"
    )


def split_sentence(text: str) -> tuple[str, str]:
    """Return the first sentence of a piece of HTML without its full stop, and the rest.

    >>> split_sentence("A law <b>A. B</b> holds. Two lines.")
    ('A law <b>A. B</b> holds', 'Two lines.')
    >>> split_sentence("Only one.")
    ('Only one', '')
    """
    outside = re.sub(r"<(\w+)[^>]*>.*?</\1>|<[^>]*>", lambda tag: "x" * len(tag[0]), text, flags=re.DOTALL)
    end = _SENTENCE.search(outside.rstrip())
    if end is None:
        return text.strip().removesuffix("."), ""
    return text[: end.start()].strip() + end[0].strip("."), text[end.end() :].strip()


def _sentences(kind: str, heading: str, parts: list[Tag]) -> Iterator[Slide]:
    """Slides with one sentence an item; sources have one sentence a line."""
    items: list[str] = []
    for part in parts:
        if part.name == "ul":
            items += [_inner(item) for item in part.find_all("li", recursive=False)]
        else:
            items += [line for line in _inner(part).split("\n") if line.strip()]
    pages = -(-len(items) // _MOST_SENTENCES)
    size = -(-len(items) // pages) if pages else 1
    for first in range(0, len(items), size):
        listed = "".join(f"<li>{item.strip()}</li>" for item in items[first : first + size])
        more = " (continued)" if first else ""
        yield Slide(kind, heading + more, f"<ul>{listed}</ul>")


def _settle_links(body: BeautifulSoup, address: str) -> None:
    """Words of the glossary and pictures are no links on a slide; one within the page leads to it."""
    for link in body.select("a.term, a.image-reference"):
        link.unwrap()
    for link in body.select("a[href^='#']"):
        link["href"] = address + str(link["href"])
    for tag in body.select("[id]"):
        del tag["id"]


def _inner(tag: Tag) -> str:
    return tag.decode_contents()


# ---- a deck -----------------------------------------------------------------------------------------------


def deck(found: list[Slide], name: str, book: str, settings: dict[str, Any]) -> str:
    """Return the deck as a page of the site.

    Args:
        found: the slides.
        name: of the page in the book.
        book: its title.
        settings: of MathJax, with its path.
    """
    title = re.sub(r"<[^>]*>", "", found[0].heading)
    parts = [_section(number, slide, len(found), name, book) for number, slide in enumerate(found, 1)]
    mathjax = json.dumps(settings["mathjax"]).replace("</", "<\\/")
    formulas = any('class="math' in slide.heading + slide.content for slide in found)
    scripts = f'<script>window.MathJax = {mathjax}</script><script defer src="{settings["path"]}"></script>'
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Slides: {title}</title>"
        '<link rel="icon" href="../../_static/favicon.svg">'
        '<link rel="stylesheet" href="../../_static/verdicts.css">'
        '<link rel="stylesheet" href="../../_static/slides.css">'
        f"{scripts if formulas else ''}"
        '<script defer src="../../_static/slides.js"></script></head>\n'
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _section(number: int, slide: Slide, count: int, name: str, book: str) -> str:
    if slide.kind == "title":
        content = (
            f'<h1>{slide.heading}</h1><p class="book">{html.escape(book)}</p>'
            f'<p><a href="{name}.html">The page of these slides, with proofs, code and solutions</a></p>'
            f'<p class="hint">{_HINT}</p>'
        )
    else:
        content = f'<h2>{slide.heading}</h2><div class="content">{slide.content}</div>'
    place = f'<p class="number">{number} / {count}</p>'
    return f'<section class="slide {slide.kind}" id="slide-{number}">{content}{place}</section>\n'
