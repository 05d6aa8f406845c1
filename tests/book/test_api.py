"""The API reference: every public name has an entry, and two clicks lead from code to source and to pages."""

import importlib
import inspect
import json
import pkgutil
import re
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

import fracrepro
from fracrepro.workflow.usage import target, uses

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path.stem for path in (ROOT / "book" / "api").glob("*.md"))

# Modules without entries, and why: no page uses them, and no outside user needs them.
INTERNAL = {
    "fracrepro.arguments": "how every function refuses an argument",
    "fracrepro.theory.numerics": "how integrals are computed; the page on numerics explains it",
    "fracrepro.theory.arrays": "how scalars and arrays broadcast",
    "fracrepro.theory.gram_arguments": "how a Gram matrix is checked",
    "fracrepro.theory.special": "special functions that the numerics need",
    "fracrepro.nn.data.mnist": "where one data set is found",
    "fracrepro.nn.data.cifar10": "where one data set is found",
    "fracrepro.nn.data.digits": "where one data set is found",
    "fracrepro.nn.data.transfer": "how data travel to a worker",
    "fracrepro.nn.data.download": "how a file is downloaded",
    "fracrepro.nn.tracing": "how `initialize_` finds what follows a layer; its page explains it",
    "fracrepro.nn.diagnosis.watch": "how `diagnose` measures while a model runs",
    "fracrepro.nn.training.convolutions": "how many runs train at once",
    "fracrepro.nn.training.graphs": "how many runs train at once",
    "fracrepro.nn.training.precision": "how many runs train at once",
    "fracrepro.memory": "what becomes of freed memory, which no result depends on",
    "fracrepro.nn.training.pieces": "how a training is spread over workers",
    "fracrepro.nn.training.lanes": "how many runs train at once",
    "fracrepro.nn.training.streams": "how a seed makes streams",
    "fracrepro.files": "how files are written",
    "fracrepro.workflow.attack_table": "behind `fracrepro build`",
    "fracrepro.workflow.device_tables": "behind `fracrepro build`",
    "fracrepro.workflow.answers": "behind `fracrepro check-answers`",
    "fracrepro.workflow.course": "tables of the course in the book",
    "fracrepro.workflow.exercises": "behind `fracrepro check-answers` and `fracrepro handout`",
    "fracrepro.workflow.handout": "behind `fracrepro handout`",
    "fracrepro.workflow.teaching": "the commands, which have a page of their own",
    "fracrepro.workflow.boundary": "behind the command line",
    "fracrepro.workflow.bundle": "behind `fracrepro copy-notebooks`",
    "fracrepro.workflow.bundled": "what setup.py puts into a wheel",
    "fracrepro.workflow.choices": "behind the command line",
    "fracrepro.workflow.citation": "behind `fracrepro build`",
    "fracrepro.workflow.citing": "citations in the book",
    "fracrepro.workflow.claims": "behind `fracrepro claims`",
    "fracrepro.workflow.cli": "the commands, which have a page of their own",
    "fracrepro.workflow.cluster": "behind `--scheduler`",
    "fracrepro.workflow.interruptions": "behind the command line",
    "fracrepro.workflow.pool": "behind `--jobs`",
    "fracrepro.workflow.worker": "behind `--jobs` and `--scheduler`",
    "fracrepro.workflow.doctor": "behind `fracrepro doctor`",
    "fracrepro.workflow.elsewhere": "behind `fracrepro run --output-dir`",
    "fracrepro.workflow.environment": "behind `fracrepro run`",
    "fracrepro.workflow.execution": "behind `fracrepro run`",
    "fracrepro.workflow.findings": "behind `fracrepro build`",
    "fracrepro.workflow.full_scale": "behind `fracrepro build`",
    "fracrepro.workflow.interactive": "behind `fracrepro build`",
    "fracrepro.workflow.ledger": "the ledger and the verdicts in the book",
    "fracrepro.workflow.newpage": "behind `fracrepro new-page`",
    "fracrepro.workflow.notebooks": "behind `fracrepro run`",
    "fracrepro.workflow.accuracy": "behind `fracrepro build`",
    "fracrepro.workflow.numerics_table": "behind `fracrepro build`",
    "fracrepro.workflow.options": "behind `fracrepro run`",
    "fracrepro.workflow.packages": "behind the command line",
    "fracrepro.workflow.pages": "the form of a page in the book",
    "fracrepro.workflow.parameters": "behind `fracrepro run`",
    "fracrepro.workflow.values_line": "the form of a page in the book",
    "fracrepro.workflow.questions": "the commands, which have a page of their own",
    "fracrepro.workflow.reference": "behind `fracrepro build`",
    "fracrepro.workflow.entries": "behind `fracrepro build`",
    "fracrepro.workflow.seals": "how records and pages show an edit",
    "fracrepro.workflow.site": "behind `fracrepro build`",
    "fracrepro.workflow.sources": "behind `fracrepro run`",
    "fracrepro.workflow.standalone": "behind `fracrepro run --output-dir`",
    "fracrepro.workflow.sweepfile": "behind `fracrepro sweep`",
    "fracrepro.workflow.sweeps": "behind `fracrepro run --sweep`",
    "fracrepro.workflow.training_tasks": "behind `fracrepro train --jobs`",
    "fracrepro.workflow.work": "behind the command line",
    "fracrepro.workflow.yamlfile": "how YAML is read",
    "fracrepro.workflow.access": "what the theme leaves undone for keyboards and screen readers",
    "fracrepro.workflow.glossary": "the glossary of the book",
    "fracrepro.workflow.pictures": "behind `fracrepro build`",
    "fracrepro.workflow.ledger_filter": "the ledger in the book",
    "fracrepro.workflow.repository": "links of the book",
    "fracrepro.workflow.scaling_tables": "behind `fracrepro build`",
    "fracrepro.workflow.search": "the search of the book",
    "fracrepro.figures.artists": "how the data below a figure are read off it",
    "fracrepro.figures.downloads": "the files below each figure",
    "fracrepro.figures.headers": "the HTML of `fracrepro.figures.tables.table`",
    "fracrepro.figures.plotted": "the files below each figure",
    "fracrepro.figures.vector": "the files below each figure",
    "fracrepro.workflow.slides": "the slides of the book",
    "fracrepro.workflow.figure_files": "the files below each figure",
    "fracrepro.figures.landing": "behind `fracrepro build`",
    "fracrepro.workflow.usage": "behind `fracrepro build`",
}

# What notebooks, exercises and outside users rely on, beside `fracrepro.__all__`.
FIXED = [
    "fracrepro.LogNormLaw.small_output_probability",
    *(
        f"fracrepro.LogNormLaw.{method}"
        for method in ("cdf", "sf", "pdf", "ppf", "mean", "var", "rvs", "normal")
    ),
    *(f"fracrepro.GramChain.{method}" for method in ("sample", "mean", "second_moments", "scalar_moments")),
    "fracrepro.nn.init.fractional_normal_",
    *(
        f"fracrepro.nn.init.{name}_"
        for name in ("random_walk_normal", "fractional_orthogonal", "delta_orthogonal", "looks_linear")
    ),
    "fracrepro.nn.init.hadamard_identity_",
    "fracrepro.nn.initialize_",
    "fracrepro.nn.diagnose",
    "fracrepro.nn.diagnosis.hessian_norms",
    "fracrepro.nn.diagnosis.jacobian_singular_values",
    "fracrepro.nn.diagnosis.plot_diagnosis",
    "fracrepro.nn.schemes.names",
    "fracrepro.nn.networks.mlp",
    "fracrepro.nn.training.train",
    "fracrepro.nn.training.checkpoints.CheckpointError",
    "fracrepro.nn.experiments.DIGITS",
    "fracrepro.nn.experiments.MNIST",
    "fracrepro.nn.experiments.CIFAR10",
    "fracrepro.errors.ArgumentError",
]


def modules_of_the_reference():
    """The modules that the pages in book/api list, in their order."""
    for page in PAGES:
        text = (ROOT / "book" / "api" / f"{page}.md").read_text()
        listed = re.findall(r"^\.\. automodule(s?):: (\S+)\n(?:   :without: (.*)\n)?", text, flags=re.M)
        for plural, name, without in listed:
            if plural:
                found = [m.name for m in pkgutil.iter_modules(importlib.import_module(name).__path__)]
                yield from (f"{name}.{m}" for m in found if m[0] != "_" and m not in without.split())
            else:
                yield name


def public_names(module):
    """The public names that a module defines itself."""
    content = importlib.import_module(module)
    names = getattr(content, "__all__", None)
    if names is None:
        names = [
            name
            for name, value in vars(content).items()
            if not name.startswith("_") and (inspect.isclass(value) or inspect.isroutine(value))
        ]
    return [name for name in names if target(f"{module}.{name}") == f"{module}.{name}"]


def test_every_public_module_is_in_the_reference_or_internal_for_a_reason():
    listed = list(modules_of_the_reference())
    assert len(listed) == len(set(listed))
    every = [m.name for m in pkgutil.walk_packages(fracrepro.__path__, "fracrepro.")]
    missing = [
        name
        for name in every
        if "._" not in name
        and name not in listed
        and not any(f"{name}.".startswith(f"{internal}.") for internal in INTERNAL)
        and public_names(name)
    ]
    assert missing == []
    assert [name for name in INTERNAL if name in listed or name not in every] == []


@pytest.mark.parametrize("module", list(modules_of_the_reference()))
def test_every_derivation_names_its_page_and_theorem_or_section(module):
    notebooks = {path.stem[:2]: path.read_text() for path in (ROOT / "notebooks").glob("*.ipynb")}
    for name in public_names(module):
        doc = inspect.getdoc(getattr(importlib.import_module(module), name)) or ""
        source = re.search(r"^Source:(.*?)(\n\n|\Z)", doc, flags=re.M | re.S)
        words = " ".join(source[1].split()) if source else ""
        places = re.findall(r"derived on page (\d\d), (?:(\w+-[\w-]+)|section \"([^\"]+)\")", words)
        assert len(re.findall(r"\bderived\b(?!\")", words)) == len(places), f"{name}: {words}"
        for page, label, section in places:
            where = f":label: {label}\\n" if label else f'"## {section}'
            assert where in notebooks[page], f"{name}: {where}"


@pytest.fixture(scope="module")
def site(book):
    """Every page of the built book, sources included, by its path."""
    return {
        path.resolve(): BeautifulSoup(path.read_text(), "html.parser")
        for path in book.site.rglob("*.html")
        if "_static" not in path.parts
    }


@pytest.fixture(scope="module")
def entries(site):
    """Each entry's signature, by its anchors."""
    pages = [soup for path, soup in site.items() if path.parent.name == "api"]
    return {
        tag["id"]: tag if tag.name == "dt" else tag.find_parent("dt")
        for soup in pages
        for tag in soup.select("dl.py > dt.sig[id], dl.py > dt.sig span[id]")
    }


def led_to(site, path, link):
    """The element that a link on a page leads to, or None."""
    file, _, anchor = link["href"].partition("#")
    soup = site.get((path.parent / file).resolve() if file else path)
    return soup and (soup.find(id=anchor) if anchor else soup)


def test_every_public_name_has_an_entry_with_a_link_to_its_source(site, entries):
    names = [f"fracrepro.{name}" for name in fracrepro.__all__ if not name.startswith("_")] + FIXED
    names += [f"{module}.{name}" for module in modules_of_the_reference() for name in public_names(module)]
    assert [name for name in names if name not in entries and target(name) not in entries] == []
    paths = {id(soup): path for path, soup in site.items()}
    for name, signature in entries.items():
        (source,) = (a for a in signature.find_all("a") if "[source]" in a.get_text())
        page = paths[id(next(p for p in signature.parents if id(p) in paths))]
        assert "_modules" in source["href"], name
        assert led_to(site, page, source), name


def test_every_link_between_sources_and_entries_leads_somewhere(site):
    sources = {path: soup for path, soup in site.items() if "_modules" in path.parts}
    links = [(path, link) for path, soup in sources.items() for link in soup.select("a.viewcode-back")]
    assert len(links) > 100
    assert [link["href"] for path, link in links if not led_to(site, path, link)] == []


def test_names_in_the_code_of_pages_lead_to_entries_and_back(book, site, entries):
    for name in book.project.notebook_names():
        path = (book.site / "book" / "executed" / f"{name}.html").resolve()
        links = site[path].select("pre a.api")
        assert links, name
        for link in links:
            signature = led_to(site, path, link)
            assert signature is not None, f"{name}: {link['href']}"
            if str(link.next_sibling).startswith('<span class="p">('):  # used, not imported
                back = [a["href"].partition("#")[0] for a in used_on(signature)]
                assert f"../executed/{name}.html" in back, f"{name}: {link.get_text()}"


def test_every_name_that_a_page_shows_has_an_entry(book, entries):
    for name in book.project.notebook_names():
        names = {}
        for cell in json.loads(book.project.notebook_path(name).read_text())["cells"]:
            if cell["cell_type"] != "code":
                continue
            used = uses("".join(cell["source"]), names)
            if "remove-cell" not in cell["metadata"].get("tags", []):
                wanted = {use.target for use in used if not use.imported}
                assert {one for one in wanted if one not in entries} <= set(sys.modules), name


def test_the_pages_that_an_entry_names_use_it(site, entries):
    count = 0
    for path, soup in site.items():
        for signature in soup.select("dl.py > dt.sig[id]"):
            for link in used_on(signature):
                section = led_to(site, path, link)
                assert section is not None, link["href"]
                assert section.select(f"pre a.api[href$='#{signature['id']}']"), link["href"]
                count += 1
    assert count > 100


def used_on(signature):
    """The links under "Used on" of one entry."""
    fields = signature.find_next_sibling("dd").select(":scope > dl.field-list > dt")
    return [
        link
        for field in fields
        if field.get_text().startswith("Used on")
        for link in field.find_next_sibling("dd").select("a")
    ]


@pytest.mark.browser
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_a_browser_shows_a_page_of_source_without_complaint(reader, mode):
    for name in ("index", "fracrepro/theory/layer"):
        with reader.page(f"_modules/{name}.html", color_scheme=mode):
            pass
    assert reader.trouble == []


@pytest.mark.browser
@pytest.mark.parametrize("page", [*(f"book/api/{name}" for name in PAGES), "_modules/fracrepro/theory/layer"])
def test_nothing_scrolls_sideways_on_a_phone(reader, page):
    with reader.page(f"{page}.html", viewport={"width": 390, "height": 844}) as opened:
        assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    assert reader.trouble == []


@pytest.mark.browser
@pytest.mark.parametrize(
    ("words", "address"),
    [
        ("critical_variance", "book/api/theory.html#fracrepro.theory.layer.critical_variance"),
        ("infinitely many layers", "book/api/theory.html#infinitely-many-layers"),
    ],
)
def test_search_finds_entries_and_headings(reader, words, address):
    with reader.page(f"search.html?q={words}") as page:
        page.wait_for_selector(f"#search-results a[href*='{address}']", timeout=20_000)
    assert reader.trouble == []
