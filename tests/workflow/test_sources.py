"""A page is stale when a module that its kernel loaded has changed, and only then."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fracrepro.workflow import execution, provenance, reports, sources
from fracrepro.workflow.project import ENVIRONMENT_VARIABLE

from .conftest import code, notebook

ROOT = Path(__file__).resolve().parents[2]
PAGE = "02_drawing"
TOY = notebook(
    code("width: int = 8  # neurons, in [1, 64]", "parameters"),
    code(
        """
        def compute():
            from fracrepro.stats.means import mean_test  # loaded while the notebook runs
            return mean_test
        compute()
        from fracrepro.workflow import report
        report(width=width)
        """
    ),
)
DRAWING = notebook(
    code("width: int = 8  # neurons, in [1, 64]", "parameters"),
    code(
        """
        import fracrepro as fr
        from fracrepro.figures.style import use_style
        from fracrepro.workflow import report
        use_style()
        report(variance=fr.critical_variance(1.0, width, fr.ReLU()))
        """
    ),
)
RUNNING = {module.__name__ for module in (execution, provenance, reports, sources)}
FILES = {"p": "0", "p.*": "a, b", "p.a": "1", "p.b": "2", "q": "3", "q.c": "4", **dict.fromkeys(RUNNING, "6")}


def test_every_source_has_a_digest_under_its_module_name():
    digests = sources.source_digests()
    assert {"fracrepro", "fracrepro.theory", "fracrepro.theory.layer"} <= digests.keys()
    files = [name for name in digests if not name.endswith(".*")]
    assert len(files) == len(list((ROOT / "fracrepro").rglob("*.py")))


def test_registries_that_search_their_folder_are_seen():
    """A search that is written in another way would make no page stale when a module is added."""
    searching = {
        sources._module(path) for path in (ROOT / "fracrepro").rglob("*.py") if "pkgutil" in path.read_text()
    }
    searching = {name for name in searching if ".workflow." not in name}  # no kernel loads these
    found = {name.removesuffix(".*") for name in sources.source_digests() if name.endswith(".*")}
    assert found == searching
    assert "fracrepro.nn.schemes" in found


def test_what_a_page_depends_on():
    found = sources.used(["p", "p.a", "q", "elsewhere"], FILES)
    assert found.keys() == {"p", "p.*", "p.a", "q", *RUNNING}
    assert sources.unchanged(found, FILES)


@pytest.mark.parametrize(
    ("change", "current"),
    [
        ({"q.c": "other"}, True),  # not loaded
        ({"q.new": "8"}, True),
        ({"p.b": "other"}, True),
        ({"p.a": "other"}, False),
        ({"p": "other"}, False),
        ({"p.a": None}, False),
        ({"p.*": "a, b, new"}, False),  # a registry may now hold one more
        *(({name: "other"}, False) for name in sorted(RUNNING)),  # how a kernel runs, and what is recorded
    ],
)
def test_each_change(change, current):
    found = sources.used(["p", "p.a", "q"], FILES)
    now = {name: value for name, value in (FILES | change).items() if value is not None}
    assert sources.unchanged(found, now) is current


def test_without_a_record_nothing_is_current():
    assert not sources.unchanged({}, FILES)


def test_the_probe_leaves_no_trace_and_names_what_it_saw():
    plain = json.loads(TOY)
    probed = sources.with_probe(plain)
    assert sources.without_probe(probed) == plain
    file = str(ROOT / "fracrepro" / "theory" / "__init__.py")
    probed["cells"][-1]["outputs"] = [{"metadata": {"fracrepro_sources": [file]}}]
    assert sources.loaded(probed) == ["fracrepro.theory"]


def test_a_kernel_with_the_package_of_another_folder_is_refused(tmp_path):
    probed = sources.with_probe(json.loads(TOY))
    file = str(tmp_path / "fracrepro" / "__init__.py")
    probed["cells"][-1]["outputs"] = [{"metadata": {"fracrepro_sources": [file]}}]
    with pytest.raises(sources.OtherPackageError, match="the kernel loaded"):
        sources.loaded(probed)


class Copy:
    """A copy of the package, and a project with two notebooks, of which one draws."""

    def __init__(self, root):
        self.root = root
        shutil.copytree(ROOT / "fracrepro", root / "fracrepro", ignore=shutil.ignore_patterns("__pycache__"))
        folder = root / "project" / "notebooks"
        folder.mkdir(parents=True)
        (folder / "01_toy.ipynb").write_text(TOY)
        (folder / f"{PAGE}.ipynb").write_text(DRAWING)
        (folder / "profiles.yml").write_text("quick: {}\n")
        self.environment = os.environ | {
            "PYTHONPATH": str(root),
            ENVIRONMENT_VARIABLE: str(root / "project"),
        }

    def run(self):
        """Run both notebooks with the copied package, and return what happened to each."""
        script = "from fracrepro.workflow.cli import main; main()"
        result = self._python(script, "run", "--profile", "quick", "--jobs", "1")
        return sorted(line.split(" in ")[0] for line in result.splitlines())

    def current(self):
        """Which of the two notebooks are current."""
        script = (
            "from fracrepro.workflow import notebooks; from fracrepro.workflow.project import Project\n"
            "project = Project.find()\n"
            "for name in project.notebook_names():\n"
            "    if notebooks.plan(project, name, 'quick').is_current(project.executed): print(name)"
        )
        return self._python(script).split()

    def _python(self, script, *arguments):
        command = [sys.executable, "-c", script, *arguments]
        result = subprocess.run(
            command, capture_output=True, text=True, env=self.environment, cwd=self.root / "project"
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    def comment(self, *paths):
        """Append a comment to source files of the copy."""
        for path in paths:
            with (self.root / "fracrepro" / path).open("a") as file:
                file.write("# a comment\n")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    made = Copy(tmp_path_factory.mktemp("copy"))
    assert made.run() == ["01_toy: executed", f"{PAGE}: executed"]
    return made


def test_the_page_holds_no_probe_and_the_record_its_modules(copy):
    folder = copy.root / "project" / "book" / "executed"
    page = json.loads((folder / f"{PAGE}.ipynb").read_text())
    assert "_fracrepro_probe" not in json.dumps(page)
    modules = json.loads((folder / "01_toy.json").read_text())["modules"]
    assert {"fracrepro.stats.means", "fracrepro.workflow.reports"} <= modules.keys()
    assert not [name for name in modules if name.startswith(("fracrepro.nn", "fracrepro.workflow.cli"))]


def test_only_a_used_module_makes_a_page_stale(copy):
    assert copy.current() == ["01_toy", PAGE]
    copy.comment("nn/init/normal.py", "figures/training.py", "workflow/cli.py", "workflow/notebooks.py")
    assert copy.current() == ["01_toy", PAGE]
    assert copy.run() == ["01_toy: unchanged", f"{PAGE}: unchanged"]
    copy.comment("figures/style.py")  # the page draws, the toy does not
    assert copy.current() == ["01_toy"]
    assert copy.run() == ["01_toy: unchanged", f"{PAGE}: executed"]
    copy.comment("stats/means.py")  # imported inside a function
    assert copy.current() == [PAGE]
    copy.comment("theory/layer.py")
    assert copy.current() == []
