"""The book, built once at the quick profile in a folder of its own."""

import contextlib
import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fracrepro.workflow.project import ENVIRONMENT_VARIABLE, Project

from .forked import Server

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
COMMAND = str(Path(sys.executable).with_name("fracrepro"))


def pytest_itemcollected(item):
    """Let the tests of the built book share one worker, so that it is built once."""
    # Here and not later: xdist reads the groups as soon as all tests are collected.
    if "book" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.xdist_group("book"))


class Book:
    """A built copy of the project."""

    def __init__(self, root):
        self.project = Project(root)
        self.site = self.project.site

    def fracrepro(self, *arguments):
        environment = os.environ | {ENVIRONMENT_VARIABLE: str(self.project.root)}
        return subprocess.run(
            [COMMAND, *arguments], capture_output=True, text=True, env=environment, timeout=900, check=False
        )

    def record(self, name):
        return json.loads((self.project.executed / f"{name}.json").read_text())


@pytest.fixture(scope="session")
def book(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    for name in ("_config.yml", "_toc.yml", "CITATION.cff"):
        shutil.copy(ROOT / name, root)
    for name in ("notebooks", "recorded"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name)
    shutil.copytree(ROOT / "book", root / "book", ignore=shutil.ignore_patterns("executed", "mathjax"))
    built = Book(root)
    result = built.fracrepro("build", "--profile", "quick")
    assert result.returncode == 0, result.stdout + result.stderr
    return built


@pytest.fixture(scope="session")
def kernels():
    """What starts the kernels of this process; None leaves that to Jupyter."""
    if sys.platform != "linux":  # elsewhere a fork of what torch has loaded is not safe
        yield None
        return
    server = Server()
    yield server.launch
    server.close()


@pytest.fixture(autouse=True)
def forked_kernels(request, monkeypatch):
    """Pages that a test executes by itself run in forked kernels; the book's run in ones of their own."""
    from jupyter_client.provisioning import local_provisioner

    started = local_provisioner.launch_kernel

    def launch(command, **options):
        return (request.getfixturevalue("kernels") or started)(command, **options)

    monkeypatch.setattr(local_provisioner, "launch_kernel", launch)


@pytest.fixture(scope="module")
def served(book):
    """The address under which the built pages are served."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=book.site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


class Reader:
    """A browser that opens pages of the book and notes whatever a reader should not see."""

    def __init__(self, running, address):
        self.running, self.address, self.trouble = running, address, []
        self.contexts = {}

    @contextlib.contextmanager
    def page(self, path, **options):
        """Open a page and let its formulas be set; foreign requests, failures and complaints are noted."""
        key = str(options)  # one context for all pages, so that scripts come out of its cache
        context = self.contexts[key] = self.contexts.get(key) or self.running.new_context(**options)
        context.set_default_timeout(
            180_000
        )  # ms; a page that loads at all loads in this time on a busy machine
        page, note = context.new_page(), self.trouble.append
        page.on("request", lambda r: r.url.startswith((self.address, "data:")) or note(f"foreign {r.url}"))
        page.on("requestfailed", lambda r: note(f"failed {r.url}"))
        page.on("response", lambda r: r.status < 400 or note(f"{r.status} {r.url}"))
        page.on("pageerror", lambda error: note(f"error {error}"))
        page.on("console", lambda m: m.type in ("log", "debug", "info") or note(f"{m.type} {m.text}"))
        page.goto(f"{self.address}{path}", wait_until="load")
        page.evaluate("() => window.MathJax && MathJax.startup && MathJax.startup.promise.then(() => null)")
        yield page
        page.close()


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        yield running
        running.close()


@pytest.fixture(scope="session")
def reader_of():
    """Makes a reader, for fixtures that live longer than one test."""
    return Reader


@pytest.fixture
def reader(browser, served):
    made = Reader(browser, served)
    yield made
    for context in made.contexts.values():
        context.close()
