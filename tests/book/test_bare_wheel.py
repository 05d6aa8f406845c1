"""From a bare wheel: what it holds, the folder that it makes, and a run there with a page to read."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from fracrepro.errors import ArgumentError
from fracrepro.workflow import bundle, exercises
from fracrepro.workflow.project import Project

ROOT = Path(__file__).resolve().parents[2]
NAME = "01_variance_preservation"
COMMAND = "from fracrepro.workflow.cli import main; main()"
MADE = [  # what a used checkout holds besides
    "book/executed/01_page.ipynb",
    "book/_generated/claims.json",
    "book/_static/mathjax/tex.js",
    "book/.ipynb_checkpoints/index.md",
    "notebooks/.ipynb_checkpoints/01_page.ipynb",
    "recorded/.mnist.checkpoints/0.json",
    "recorded/full_scale/01_page.html",
    "recorded/mnist.csv.part",
]
WHEEL = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


def tracked():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    return {name for name in names if name and (ROOT / name).is_file()}


class Bare:
    """A wheel, unpacked, and a project that its command made: no checkout in sight."""

    def __init__(self, folder):
        tree = folder / "tree"
        for name in tracked():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
        for name in MADE:
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text("made")
        command = [sys.executable, "-c", WHEEL, str(folder)]
        made = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True)
        self.wheel = folder / made.stdout.splitlines()[-1]
        shutil.rmtree(tree)
        with zipfile.ZipFile(self.wheel) as archive:
            self.names = set(archive.namelist())
            archive.extractall(folder / "installed")
        self.installed, self.project = folder / "installed", folder / "project"
        self.here = folder

    def fracrepro(self, *arguments, where=None):
        hidden = {"FRACREPRO_PROJECT", "PYTHONPATH"}
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        return subprocess.run(
            [sys.executable, "-c", COMMAND, *map(str, arguments)],
            cwd=where or self.here,
            env=environment | {"PYTHONPATH": str(self.installed)},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    return Bare(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def copied(bare):
    result = bare.fracrepro("copy-notebooks", bare.project)
    assert result.returncode == 0, result.stderr
    return bare


@pytest.fixture(scope="module")
def run(copied):
    """A page, executed in the copy with a parameter of our own."""
    arguments = [
        "run",
        NAME,
        "--profile",
        "quick",
        "-p",
        "width",
        "32",
        "--output-dir",
        "mine",
        "--jobs",
        "1",
    ]
    result = copied.fracrepro(*arguments, where=copied.project)
    assert result.returncode == 0, result.stdout + result.stderr
    return result, copied.project / "mine"


def carried(names):
    """What of the repository's files belongs into a copy: all that is neither code, test nor about them."""
    folders = ("book/", "notebooks/", "plans/", "recorded/")
    alone = {"CITATION.cff", "LICENSE", "_config.yml", "_toc.yml"}
    return {name for name in names if name.startswith(folders) or name in alone} - {"notebooks/ruff.toml"}


def test_the_wheel_holds_the_package_and_the_projects_sources_and_nothing_else(bare):
    package = {name for name in tracked() if name.startswith("fracrepro/")}
    sources = {f"fracrepro/_project/{name}" for name in carried(tracked())}
    found = {name for name in bare.names if ".dist-info/" not in name}
    assert found == package | sources


def test_without_a_project_the_message_says_how_to_get_one(bare):
    result = bare.fracrepro("list")
    assert result.returncode == 2
    assert "fracrepro copy-notebooks DIR" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_the_copy_is_the_repositorys(copied):
    found = {str(path.relative_to(copied.project)) for path in copied.project.rglob("*") if path.is_file()}
    found = {name for name in found if not name.startswith("mine/")}
    assert found == carried(tracked())
    for name in found:
        assert (copied.project / name).read_bytes() == (ROOT / name).read_bytes(), name


def test_exercises_are_handed_out_and_checked_without_a_project(bare):
    result = bare.fracrepro("handout", "07_dropout", "--out", "sheet")
    assert result.returncode == 0, result.stderr
    article = BeautifulSoup((bare.here / "sheet" / "exercises.html").read_text(), "html.parser").article
    text = article.get_text()
    key = exercises.load(Project(ROOT))
    labels = [label for label, entry in key.items() if entry.page == "07_dropout"]
    assert len(article.select(".exercise")) == len(labels) > 0
    for label in labels:
        assert f"Level {key[label].level}. Goal: {key[label].goal.split('$')[0]}" in text.replace("’", "'")
        assert label in text
    assert article.select(".solution, .problematic, .system-message") == []
    assert re.findall(r"\{[a-z:]+\}`|```|^:::", text, re.M) == []
    assert article.select(".math") != []
    for box in exercises.posed(Project(ROOT), "07_dropout"):
        assert box.solution[:40] not in text, "a solution is handed out"
    checked = bare.fracrepro("check-answers", "sheet/answers.yml")
    assert checked.returncode == 0
    assert "not answered" in checked.stdout
    path = bare.here / "sheet" / "answers.yml"
    for value, code in ((32, 0), (31, 1)):
        filled = re.sub(r"(?m)^ex-dropout-width:.*", f"ex-dropout-width: {value}", path.read_text())
        path.write_text(filled)
        assert bare.fracrepro("check-answers", "sheet/answers.yml").returncode == code


def test_nothing_is_overwritten(copied):
    before = (copied.project / "notebooks" / "profiles.yml").stat().st_mtime_ns
    result = copied.fracrepro("copy-notebooks", copied.project)
    assert result.returncode == 2
    assert "has CITATION.cff already" in result.stderr
    assert (copied.project / "notebooks" / "profiles.yml").stat().st_mtime_ns == before


def test_a_checkout_copies_the_same_files(tmp_path):
    written = bundle.copy_notebooks(tmp_path / "project")
    names = {str(path.relative_to(tmp_path / "project")) for path in written}
    assert names >= carried(tracked())  # and drafts that nobody has added yet


def test_a_package_without_its_sources_says_so(tmp_path):
    with pytest.raises(ArgumentError, match="installed without its notebooks"):
        bundle.sources(tmp_path / "fracrepro")


def test_a_page_runs_in_the_copy(run):
    result, folder = run
    assert f"{NAME}: executed" in result.stdout
    assert f"to read: {Path('mine') / NAME}.html" in result.stdout
    assert sorted(path.name for path in folder.iterdir()) == [
        f"{NAME}.html",
        f"{NAME}.ipynb",
        f"{NAME}.json",
    ]
    assert json.loads((folder / f"{NAME}.json").read_text())["parameters"]["width"] == 32


def test_the_page_to_read_is_one_file_in_the_books_look(run):
    _, folder = run
    soup = BeautifulSoup((folder / f"{NAME}.html").read_text(), "html.parser")
    assert soup.h1.get_text().startswith("Variance preservation")
    for element, attribute in (("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src")):
        for found in soup.find_all(element, **{attribute: True}):
            assert found[attribute].startswith("data:"), found
    assert ".verdict" in soup.style.get_text()  # the book's own style
    assert "--pst-" in soup.style.get_text()  # and the theme's
    assert "@import" not in soup.style.get_text()
    assert "url(" not in re.sub(r"url\([\"']?(data:|#)", "", soup.style.get_text())
    command = soup.select_one("p.standalone code").get_text()
    assert command == f"fracrepro run {NAME} --profile quick -p width 32 --output-dir mine"


def test_what_the_page_says_is_resolved(run):
    _, folder = run
    soup = BeautifulSoup((folder / f"{NAME}.html").read_text(), "html.parser")
    article = soup.article
    for code in article.find_all(["pre", "code", "script", "style"]):
        code.decompose()
    text = article.get_text()
    assert re.findall(r"\{[a-z:]+\}`|```|^:::", text, re.M) == []
    assert article.select(".problematic, .system-message") == []
    assert article.select(".verdict .badge-verdict") != []
    assert article.select("img[alt]") != []
    ids = {found["id"] for found in article.find_all(id=True)}
    links = [link["href"] for link in article.find_all("a", href=True)]
    files = ("data:image/svg+xml;base64,", "data:text/csv;base64,")  # those of figures
    assert [link for link in links if not link.startswith(("#", "https://", *files))] == []
    assert [link for link in links if link.startswith("#") and link[1:] not in ids] == []
    cited = article.select(".bibtex-citation a")
    assert cited != []
    entries = article.select_one("#references")
    assert all(entries.find(id=link["href"][1:]) for link in cited)
    # Control: a theorem of another page is named with its page, not by its label.
    assert "thm-" not in text


def test_an_unchanged_page_is_not_executed_but_its_lost_page_to_read_is_made(run, copied):
    _, folder = run
    (folder / f"{NAME}.html").unlink()
    arguments = ["run", NAME, "--profile", "quick", "-p", "width", "32", "--output-dir", "mine"]
    result = copied.fracrepro(*arguments, where=copied.project)
    assert f"{NAME}: unchanged" in result.stdout
    assert (folder / f"{NAME}.html").is_file()


@pytest.mark.browser
def test_the_page_to_read_asks_nobody_and_sets_its_formulas(run, browser):
    _, folder = run
    context, trouble, asked = browser.new_context(), [], []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url[:200]))
    page.on("console", lambda m: m.type in ("log", "debug", "info") or trouble.append(m.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.goto((folder / f"{NAME}.html").as_uri(), wait_until="load")
    page.evaluate("() => MathJax.startup.promise.then(() => null)")
    assert page.locator("mjx-container").count() > 10
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    assert page.evaluate("() => [...document.images].every(image => image.naturalWidth > 0)")
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
    solution = page.locator(".dropdown.admonition").first
    assert solution.locator("p").last.is_hidden()
    solution.locator("button.toggle-button").click()  # the title holds a link to the exercise
    solution.locator("p").last.wait_for(state="visible", timeout=10_000)
    assert trouble == []
    assert [url for url in asked if not url.startswith(("data:", (folder / NAME).as_uri()))] == []
    context.close()
