"""What keyboards, screen readers, phones and paper make of the built pages; and what a page weighs."""

import functools
import importlib.resources
import itertools
import json
import re

import pytest
from bs4 import BeautifulSoup

from fracrepro.workflow import site

pytestmark = pytest.mark.browser

# Megabytes at most: what is ours on a page, which is text, pictures and own files, and all else that it
# loads, which was 4 with the theme's icons as a script.
OURS, THEIRS = 1.2, 2.8
# Beside axe's rules of WCAG and good practice one that it counts as experimental.
EXTRA = {"rules": {"label-content-name-mismatch": {"enabled": True}}}
CONTRAST = {"runOnly": ["color-contrast", "link-in-text-block"]}

AXE = """async options => {
  const found = await axe.run(document, {resultTypes: ['violations'], preload: false, ...options});
  return found.violations.flatMap(rule => rule.nodes.map(node => `${rule.id}: ${node.html.slice(0, 120)}`));
}"""
MEASURE = """() => {
  const loaded = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
  return {
    stops: document.querySelectorAll('mjx-container[tabindex]:not(.scrolls)').length,
    sizes: loaded.map(entry => [entry.name, entry.decodedBodySize]),
  };
}"""
WIDTH = "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
TOO_WIDE = """() => [...document.querySelectorAll('article div.math mjx-math')].filter(formula =>
  formula.getBoundingClientRect().width > formula.closest('div.math').clientWidth + 1).length"""
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
PAPER = {"width": 610, "height": 860}  # the text of a sheet between A4 and A5


@functools.cache
def axe():
    return importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()


def faults(page, **options):
    """What axe finds on an open page."""
    page.evaluate(axe())
    return page.evaluate(AXE, options)


@pytest.fixture(scope="module")
def visits(book, browser, served, reader_of):
    """What a browser makes of every page: one visit in light mode, which sees all, and one in dark mode."""
    reader = reader_of(browser, served)
    found = {}
    for mode in ("light", "dark"):
        for name in site.toc_files(book.project):
            with reader.page(f"{name}.html", color_scheme=mode, viewport=DESK) as page:
                if page.locator(".math").count():
                    page.wait_for_selector(
                        "mjx-container", state="attached", timeout=20_000
                    )  # some are folded
                if page.locator("mjx-merror").count():
                    reader.trouble.append(f"{name}: a formula does not parse")
                result = {"axe": faults(page, **(EXTRA if mode == "light" else CONTRAST))}
                if mode == "light":
                    result |= page.evaluate(MEASURE)
                    page.set_viewport_size(PHONE)
                    result["phone"] = page.evaluate(WIDTH)
                found[mode, name] = result
    for context in reader.contexts.values():
        context.close()
    return found, reader.trouble


def test_a_browser_shows_every_page_in_both_modes_without_complaint(visits):
    assert visits[1] == []


def test_axe_finds_nothing(visits):
    found = {key: result["axe"] for key, result in visits[0].items() if result["axe"]}
    assert found == {}


def test_axe_would_find_a_picture_without_words_and_a_pale_line(browser):
    page = browser.new_page()
    page.set_content(
        "<html lang='en'><title>x</title><main><h1>x</h1><img src='data:,'>"
        "<p style='color:#bbb'>pale</p></main></html>"
    )
    rules = {fault.partition(":")[0] for fault in faults(page)}
    page.close()
    assert {"image-alt", "color-contrast"} <= rules


def test_no_formula_is_a_stop_of_the_tab_key_unless_it_scrolls(visits):
    assert {name: result["stops"] for (_, name), result in visits[0].items() if result.get("stops")} == {}


def test_no_page_scrolls_sideways_on_a_phone(visits):
    wide = {name: each["phone"] for (mode, name), each in visits[0].items() if mode == "light"}
    assert {name: widths for name, widths in wide.items() if widths[0] > widths[1]} == {}


def test_a_page_adds_little_to_the_weight_of_the_theme(book, visits):
    static = {path.name for path in (book.project.root / "book" / "_static").glob("*.*")}
    heavy = {}
    for (mode, name), result in visits[0].items():
        if mode == "light":
            files = {url.partition("?")[0]: size for url, size in result["sizes"]}
            own = sum(
                size
                for url, size in files.items()
                if "/_images/" in url or url.endswith(f"/{name}.html") or url.rsplit("/", 1)[-1] in static
            )
            if own > OURS * 1e6 or sum(files.values()) - own > THEIRS * 1e6:
                heavy[name] = (own, sum(files.values()))
    assert heavy == {}


def test_the_filter_of_the_ledger_works_by_keyboard_and_address(book, reader):
    declared = json.loads((book.project.root / "book" / "_generated" / "claims.json").read_text())
    shown = "() => [...document.querySelectorAll('table.ledger tbody tr:not([hidden])')].map(row => row.id)"
    with reader.page("book/claims.html") as page:
        assert len(page.evaluate(shown)) == len(declared)
        page.get_by_label("Verdict").focus()
        page.keyboard.type("Not reproduced")  # a native field takes letters
        expected = {f"claim-{claim['id']}" for claim in declared if claim["verdict"] == "not reproduced"}
        assert set(page.evaluate(shown)) == expected
        assert page.locator(".ledger-filter [role=status]").inner_text() == (
            f"{len(expected)} of {len(declared)} claims"
        )
        assert "verdict=not-reproduced" in page.url
        page.get_by_role("button", name="Show all").press("Enter")
        page.wait_for_function("() => !location.search")
        assert len(page.evaluate(shown)) == len(declared)
    with reader.page("book/claims.html?source=abstract&page=04_heavy_tailed_limit") as page:
        wanted = {"source": "abstract", "evidence": "04_heavy_tailed_limit"}
        chosen = [claim for claim in declared if all(claim[name] == value for name, value in wanted.items())]
        assert chosen
        assert set(page.evaluate(shown)) == {f"claim-{claim['id']}" for claim in chosen}
    other = next(claim["id"] for claim in declared if claim["verdict"] == "exact")
    with reader.page(f"book/claims.html?verdict=reproduced#claim-{other}") as page:
        assert page.locator(f"#claim-{other}").is_visible(), "a link to a claim shows it"
    assert reader.trouble == []


def test_without_scripts_text_formulas_figures_and_the_whole_ledger_remain(book, browser, served):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{served}book/claims.html")
    assert not page.locator("form.ledger-filter").is_visible()
    rows = page.locator("table.ledger tbody tr")
    assert all(rows.nth(k).is_visible() for k in range(rows.count()))
    page.goto(f"{served}book/executed/02_moment_preservation.html")
    assert page.locator("article figure img").first.is_visible()
    assert r"\sigma" in page.locator("article").inner_text(), "the source of a formula stands in its place"
    page.goto(f"{served}book/index.html")
    assert page.locator("article figure img.picture-light").is_visible()
    assert not page.locator("article figure img.picture-dark").is_visible()
    context.close()


def test_the_meaning_of_a_word_shows_at_focus_and_goes_with_escape(reader):
    with reader.page("book/executed/04_heavy_tailed_limit.html") as page:
        link = page.locator("a.term", has_text="tail index").first
        link.focus()
        tip = page.get_by_role("tooltip")
        assert tip.inner_text() == link.get_attribute("data-means")
        assert link.get_attribute("aria-describedby") == tip.get_attribute("id")
        page.keyboard.press("Escape")
        assert tip.count() == 0
        link.hover()
        assert tip.count() == 1
        link.click()
        page.wait_for_url("**/glossary.html#word-tail-index")
    assert reader.trouble == []


FOUND = "ul.search li"


@pytest.mark.parametrize("query", ["tail index", "critical variance", "width", "Lyapunov exponent"])
def test_the_search_shows_theorems_and_words_before_text_and_code(reader, query):
    with reader.page(f"search.html?q={query.replace(' ', '+')}") as page:
        page.wait_for_function("() => /finished/.test(document.querySelector('.search-summary')?.innerText)")
        links = page.eval_on_selector_all(f"{FOUND} > a", "all => all.map(a => [a.innerText, a.href])")
        page.wait_for_load_state("networkidle")
        text = "\n".join(page.locator(FOUND).all_inner_texts())
    titles = [title.lower() for title, _ in links]
    code = ["/api/" in target for _, target in links]
    assert code == sorted(code), "what is code comes last"
    assert query.lower() in titles[0]
    if query == "tail index":
        assert links[0][1].endswith("book/executed/04_heavy_tailed_limit.html#thm-tail-index")
    assert re.findall(r"\\[A-Za-z]+", text) == [], "no raw TeX"  # a line of a shell may end with a backslash
    assert reader.trouble == []


def test_on_paper_nothing_is_cut_grey_or_unfolded(book, reader):
    with reader.page("book/executed/02_moment_preservation.html", viewport=DESK) as page:
        page.emulate_media(media="print")
        cut = """() => [...document.querySelectorAll('article pre')]
          .filter(block => block.offsetParent && block.scrollWidth > block.clientWidth + 1).length"""
        assert page.evaluate(cut) == 0
        boxes = "article :is(.cell_input, .highlight, .highlight *, pre, table)"
        grey = """boxes => [...document.querySelectorAll(boxes)]
          .filter(block => block.offsetParent)
          .map(block => getComputedStyle(block).backgroundColor)
          .filter(colour => !['rgba(0, 0, 0, 0)', 'rgb(255, 255, 255)'].includes(colour))"""
        assert page.evaluate(grey, boxes) == []
        heights = "all => all.map(box => box.offsetHeight)"
        solutions = page.eval_on_selector_all("article .solution", heights)
        assert solutions
        assert max(solutions) == 0, "solutions stay out"
        assert page.locator("article .provenance table").is_visible(), "captions refer to the parameters"
        page.set_viewport_size(PAPER)
        assert page.evaluate(TOO_WIDE) == 0
        page.eval_on_selector_all(".measured", "all => all.forEach(box => box.classList.remove('measured'))")
        assert page.evaluate(TOO_WIDE) > 0, "a formula of this page gets smaller"


def decks(book):
    return [f"book/executed/{name}-slides" for name in book.project.notebook_names()]


def test_the_slides_of_every_page_are_without_fault_in_both_modes_on_a_phone_and_on_paper(book, reader):
    wrong = {}
    cut = """() => [...document.querySelectorAll('.slide')]
      .filter(slide => slide.scrollHeight > slide.clientHeight + 1).map(slide => slide.id)"""
    for name in decks(book):
        for mode in ("light", "dark"):
            with reader.page(f"{name}.html", color_scheme=mode, viewport=DESK) as page:
                found = faults(page, **({} if mode == "light" else CONTRAST))
                found += ["a formula does not parse"] * page.locator("mjx-merror").count()
                if mode == "light":
                    page.set_viewport_size(PHONE)
                    page.wait_for_timeout(200)  # ms, for what scrolls to be marked
                    width, room = page.evaluate(WIDTH)
                    found += ["scrolls sideways"] * (width > room)
                    page.emulate_media(media="print")
                    page.set_viewport_size({"width": 1123, "height": 631})  # the sheet
                    found += [f"cut on paper: {slide}" for slide in page.evaluate(cut)]
                if found:
                    wrong[mode, name] = found
    assert wrong == {}
    assert reader.trouble == []


def test_slides_are_turned_by_keys_and_buttons(reader):
    here = """() => [...document.querySelectorAll('.slide')]
      .findIndex(slide => Math.abs(slide.getBoundingClientRect().top) < 2)"""
    with reader.page("book/executed/02_moment_preservation-slides.html", viewport=DESK) as page:
        count = page.locator(".slide").count()
        assert page.locator(".title .book").inner_text().startswith("Fractional moment-preserving")
        expected = 0
        for key, place in [("ArrowRight", 1), ("PageDown", 2), ("ArrowLeft", 1), ("Home", 0), ("End", -1)]:
            page.keyboard.press(key)
            expected = place % count
            page.wait_for_function(f"({here})() === {expected}")
            assert page.url.endswith(f"#slide-{expected + 1}")
        page.get_by_role("button", name="Previous slide").click()
        page.wait_for_function(f"({here})() === {expected - 1}")
        assert page.locator(".slide").nth(expected).locator(".number").inner_text() == f"{count} / {count}"
        page.get_by_role("link", name="The page of these slides").click()
        page.wait_for_url("**/02_moment_preservation.html")
        assert page.locator("p.page-slides a").get_attribute("href") == "02_moment_preservation-slides.html"
    assert reader.trouble == []


def test_slides_read_without_scripts(book, browser, served):
    context = browser.new_context(java_script_enabled=False, viewport=DESK)
    page = context.new_page()
    page.goto(f"{served}book/executed/02_moment_preservation-slides.html")
    slides = page.locator(".slide")
    assert all(slides.nth(k).is_visible() for k in range(slides.count()))
    assert page.locator(".slide img").first.is_visible()
    assert r"\sigma" in page.locator("main").inner_text()
    assert page.locator("nav.turn").count() == 0
    context.close()


def test_headings_go_down_one_step_at_a_time(book):
    for name in site.toc_files(book.project):
        soup = BeautifulSoup((book.site / f"{name}.html").read_text(), "html.parser")
        levels = [int(tag.name[1]) for tag in soup.select("article :is(h1, h2, h3, h4, h5, h6)")]
        steps = [after - before for before, after in itertools.pairwise(levels)]
        assert levels[0] == 1, name
        assert levels.count(1) == 1, name
        assert max(steps, default=0) <= 1, name
