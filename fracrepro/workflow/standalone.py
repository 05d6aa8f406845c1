"""An executed notebook as one HTML file in the book's look, which needs no other file and no network.

Sphinx makes the page with the book's own extensions; here its styles, figures and MathJax go into the file.
Interactive figures are left out: their tables are the book's, not the run's.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import mimetypes
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fracrepro import files
from fracrepro.errors import MissingPackageError
from fracrepro.workflow import claims, elsewhere, pages, site
from fracrepro.workflow.project import Project, read_yaml

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

__all__ = ["from_text", "write"]

_FOLDER = "book/executed"
# What makes other pages, or links to them.
_LEFT_OUT = {
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_click",
    "sphinx_comments",
    "sphinx_copybutton",
    "sphinx_multitoc_numbering",
    "fracrepro.workflow.reference",
    "fracrepro.workflow.slides",
}
_KEPT_SCRIPTS = ("togglebutton.js",)  # opens and closes solutions and proofs
_KEPT_BODIES = ("toggle", "window.MathJax")  # the settings of the two
_NO_STYLES = ("copybutton", "sphinx-thebe")
_FONT = re.compile(r"@font-face\s*\{[^}]*\}")
_IMPORT = re.compile(r"@import\s+(?:url\()?\s*[\"']?(?P<name>[^\"');]+)[\"']?\s*\)?[^;]*;")
_ADDRESS = re.compile(r"url\((?!\s*[\"']?(?:data:|#))[^)]*\)")
_NOTE = (
    "One run of a page of the book, made by <code>{}</code>. "
    "Verdicts are those of the book's ledger, not of this run."
)
_MATHJAX = "tex-svg.js"  # the only one that needs no files of fonts beside it
_THEME = (
    "document.documentElement.dataset.theme = "
    "matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';"
)
# The theme's icons are of a font that is left out; an interactive figure has words for readers without it.
_STYLE = """
body{display:block} main{max-width:52rem;margin:0 auto;padding:1rem}
.interactive-place,.headerlink,.admonition>.admonition-title::before,.admonition>.admonition-title::after
{display:none!important}
.admonition>.admonition-title{padding-left:.6rem}
"""


def write(project: Project, folder: Path, names: Sequence[str]) -> list[Path]:
    """Write NAME.html beside each executed notebook NAME.ipynb in `folder`, and return these files.

    What a page cites stands at its end; a reference to a page that is not among `names` says where that is.
    The boxes with verdicts quote the book's ledger.

    Args:
        project: whose notebooks they are; its book gives styles, references and claims.
        folder: of the executed notebooks.
        names: of the notebooks.

    Raises:
        BuildError: when Sphinx makes no page, with the end of what it said.
        MissingPackageError: without the packages that build the book.
    """
    if not names:
        return []
    _check_packages()
    with files.temporary_folder("fracrepro-html-") as work:
        source = work / "source"
        _lay_out(project, [f"{_FOLDER}/{name}" for name in names], source)
        for name in names:
            shutil.copyfile(folder / f"{name}.ipynb", source / _FOLDER / f"{name}.ipynb")
        _generate(project, source)
        built = site.built(Project(source), work, strict=False)
        written = []
        for name in names:
            page = built / _FOLDER / f"{name}.html"
            record = json.loads((folder / f"{name}.ipynb").read_text())["metadata"].get("fracrepro", {})
            note = _NOTE.format(escape(pages.rerun_command(project, record)))
            files.write_text(folder / f"{name}.html", Page(page, built, tuple(names)).whole(note))
            written.append(folder / f"{name}.html")
    return written


def from_text(project: Project, name: str, text: str, note: str, style: str = "") -> str:
    """Return a page in the book's Markdown as one HTML file.

    Args:
        project: whose book gives styles and references.
        name: of the page, which none of the book has.
        text: in Markdown.
        note: HTML of the line above the page.
        style: what is added to the book's.

    Raises:
        BuildError: when Sphinx makes no page, with the end of what it said.
        MissingPackageError: without the packages that build the book.
    """
    _check_packages()
    with files.temporary_folder("fracrepro-html-") as work:
        source = work / "source"
        _lay_out(project, [f"book/{name}"], source)
        files.write_text(source / "book" / f"{name}.md", text)
        built = site.built(Project(source), work, strict=False)
        return Page(built / "book" / f"{name}.html", built, ()).whole(note, style)


def _check_packages() -> None:
    for package in ("jupyter_book", "bs4"):
        if importlib.util.find_spec(package) is None:
            raise MissingPackageError("jupyter-book", "book")


def has_book(project: Project) -> bool:
    """Whether a project has what the look of a page is made of."""
    return all(
        (project.root / name).is_file() for name in ("_config.yml", "book/references.bib", "book/claims.yml")
    )


def _lay_out(project: Project, documents: Sequence[str], source: Path) -> None:
    """Lay out a book of these documents and the bibliography in `source`; what need not change is linked.

    The documents themselves are the caller's to write.
    """
    (source / _FOLDER).mkdir(parents=True)
    for path in project.root.iterdir():
        if path.name not in ("book", "_build", "_config.yml", "_toc.yml") and not path.name.startswith("."):
            os.symlink(path, source / path.name)
    for path in (project.root / "book").iterdir():
        if path.name not in ("executed", "_generated", "bibliography.md"):
            os.symlink(path, source / "book" / path.name)
    (source / "book" / "bibliography.md").write_text("# References\n\n```{bibliography}\n```\n")
    config = read_yaml(project.root / "_config.yml")
    settings = config["sphinx"]["config"]
    settings["extensions"] = [name for name in settings["extensions"] if name not in _LEFT_OUT]
    settings["extensions"].append(elsewhere.__name__)
    files.write_json(source / "_config.yml", config)  # JSON is YAML
    first, *others = [*documents, "book/bibliography"]
    toc = {"format": "jb-book", "root": first, "chapters": [{"file": name} for name in others]}
    files.write_json(source / "_toc.yml", toc)


def _generate(project: Project, source: Path) -> None:
    """Write what the extensions read: the ledger, with the values of the book where that is built."""
    judged = [entry.to_dict() for entry in claims.judge(project, "book")]
    files.write_text(source / "book" / "_generated" / "claims.json", json.dumps(judged))


@dataclass(frozen=True)
class Page:
    """A page as Sphinx has written it, and the folder of its site.

    Args:
        path: of the page.
        site: the folder that holds all.
        names: of the pages that will stand beside this one.
    """

    path: Path
    site: Path
    names: tuple[str, ...]

    def whole(self, note: str, style: str = "") -> str:
        """Return the page as one file, with HTML above it and a style that is added to the book's."""
        from bs4 import BeautifulSoup

        soup = BeautifulSoup(self.path.read_text(), "html.parser")
        article = soup.select_one("article.bd-article")
        assert article is not None  # every page of the theme has one
        self._add_references(soup, article)
        for link in article.select(".figure-files a"):
            link["href"] = self._inlined(str(link["href"]))
        self._untie_links(article)
        for image in article.find_all("img", src=True):
            image["src"] = self._inlined(str(image["src"]))
        title = soup.title.get_text() if soup.title else self.path.stem
        head = [
            f"<title>{title}</title>",
            f"<style>{self._styles(soup)}{_STYLE}{style}</style>",
            *self._scripts(soup),
        ]
        return (
            '<!DOCTYPE html>\n<html lang="en" data-theme="light"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"{''.join(head)}</head><body><main class='bd-content'>"
            f"<p class='standalone'>{note}</p>{article}</main></body></html>\n"
        )

    def _local(self, address: str) -> Path | None:
        """The file of the site that an address on this page means; None for another host's."""
        parts = urlsplit(address)
        if parts.scheme or parts.netloc or not parts.path:
            return None
        return (self.path.parent / parts.path).resolve()

    def _inlined(self, address: str) -> str:
        """The address of a picture or of a file to download as its content."""
        path = self._local(address)
        if path is None:
            return address
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"

    def _styles(self, soup: BeautifulSoup) -> str:
        """All styles of the page; fonts and pictures in files of their own are left to the system."""
        texts = []
        for link in soup.find_all("link", rel="stylesheet"):
            path = self._local(str(link["href"]))
            if path is not None and path.is_file() and not path.name.startswith(_NO_STYLES):
                texts.append(_ADDRESS.sub("none", _FONT.sub("", _with_imports(path))))
        return "\n".join(texts).replace("</style", "<\\/style")

    def _scripts(self, soup: BeautifulSoup) -> list[str]:
        """The scripts that a single page needs: what folds boxes, and MathJax where there is a formula."""
        texts = [_THEME]
        for script in soup.find_all("script"):
            path = self._local(str(script.get("src", "")))
            if path is not None and path.name in _KEPT_SCRIPTS:
                texts.append(path.read_text())
            elif not script.get("src") and any(word in script.get_text() for word in _KEPT_BODIES):
                texts.append(script.get_text())
        if soup.select_one(".math"):
            texts.append(_mathjax().read_text())
        return [f"<script>{text.replace('</script', '<' + chr(92) + '/script')}</script>" for text in texts]

    def _add_references(self, soup: BeautifulSoup, article: Tag) -> None:
        """Put the entries that the page cites at its end, and let the citations lead there."""
        listing = self.site / "book" / "bibliography.html"
        cited = [
            link
            for link in article.find_all("a", href=True)
            if self._local(str(link["href"])) == listing.resolve()
        ]
        if not cited:
            return
        from bs4 import BeautifulSoup

        entries = BeautifulSoup(listing.read_text(), "html.parser")
        section = soup.new_tag("section", id="references")
        heading = soup.new_tag("h2")
        heading.string = "References"
        section.append(heading)
        wanted = dict.fromkeys(str(link["href"]).partition("#")[2] for link in cited)
        for link in cited:
            link["href"] = "#" + str(link["href"]).partition("#")[2]
        for anchor in sorted(wanted):
            entry = entries.find(id=anchor)
            if entry is not None:
                for link in entry.select(".backrefs, .label a"):
                    link.unwrap() if link.name == "a" else link.decompose()
                section.append(entry.extract())
        article.append(section)

    def _untie_links(self, article: Tag) -> None:
        """Turn links to pages that are not beside this one into words."""
        beside = {f"{name}.html" for name in self.names}
        for link in article.find_all("a", href=True):
            path = self._local(str(link["href"]))
            if path is not None and path.name not in beside:
                if path.name == "claims.html" and link.find_parent(class_="verdict"):
                    link.decompose()  # "test and margin in the ledger"; all others are words of a sentence
                    continue
                link.name = "span"
                del link["href"]


def _with_imports(path: Path) -> str:
    """A style sheet with those that it imports in their places; one that is missing is left out."""

    def content(found: re.Match[str]) -> str:
        imported = path.parent / urlsplit(found["name"]).path
        return _with_imports(imported) if imported.is_file() else ""

    return _IMPORT.sub(content, path.read_text())


def _mathjax() -> Path:
    """MathJax with its own outlines of characters, from the package that carries it."""
    spec: Any = importlib.util.find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        raise MissingPackageError("sphinx-mathjax-offline", "book")
    return Path(spec.origin).parent / "static" / "mathjax" / _MATHJAX
