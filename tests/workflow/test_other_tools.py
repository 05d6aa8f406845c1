"""The notebooks are plain ones: papermill, nbclient, jupytext and nbmake each run one, without our command.

Jupytext and nbmake are no dependencies of the project, since nothing in it needs them; the workflow in
`.github/workflows` installs them and sets FRACREPRO_TOOLS=required, so that there no test here skips.
"""

import json
import os
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
NAME = "01_variance_preservation"


def need(package):
    if find_spec(package) is None:
        assert os.environ.get("FRACREPRO_TOOLS") != "required", f"{package} is not installed"
        pytest.skip(f"{package} is not installed")


def tool(*arguments, where):
    command = [sys.executable, "-m", *map(str, arguments)]
    result = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=600, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture
def page(tmp_path):
    """A page of the book, with few networks by default, since not every tool passes parameters."""
    text = (ROOT / "notebooks" / f"{NAME}.ipynb").read_text()
    content = json.loads(text)
    [cell] = [cell for cell in content["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    lines = [line.replace("networks: int = 300 ", "networks: int = 50 ") for line in cell["source"]]
    assert lines != cell["source"]
    cell["source"] = lines
    path = tmp_path / f"{NAME}.ipynb"
    path.write_text(json.dumps(content, indent=1))
    return path


def values(path):
    """What an executed notebook reported; each of its cells must have run."""
    from fracrepro.workflow.reports import reported_values

    content = json.loads(path.read_text())
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)
    return reported_values(content)


def test_papermill(page, tmp_path):
    out = tmp_path / "out.ipynb"
    tool("papermill", page, out, "-p", "depth", "30", where=tmp_path)
    assert values(out)["depth_shown"] == 30


def test_nbclient(page, tmp_path):
    import nbformat
    from nbclient import NotebookClient

    content = nbformat.read(page, as_version=4)
    nbformat.validate(content)
    NotebookClient(content, resources={"metadata": {"path": tmp_path}}).execute()
    nbformat.write(content, tmp_path / "out.ipynb")
    assert values(tmp_path / "out.ipynb")["draws_used"] == 50


def test_jupytext(page, tmp_path):
    need("jupytext")
    tool("jupytext", "--to", "auto:percent", page, where=tmp_path)  # auto reads the file extension
    script = tmp_path / f"{NAME}.py"
    assert '# %% tags=["parameters"' in script.read_text()
    back = tmp_path / "back.ipynb"
    tool("jupytext", "--to", "ipynb", "-o", back, script, where=tmp_path)
    there, here = [
        ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"]] for path in (page, back)
    ]
    assert there == here
    # Its own --execute needs nbconvert; that the notebook which came back is whole, papermill shows.
    tool("papermill", back, tmp_path / "out.ipynb", "-p", "depth", "30", where=tmp_path)
    assert values(tmp_path / "out.ipynb")["draws_used"] == 50


def test_nbmake(page, tmp_path):
    need("nbmake")
    tool("pytest", "--nbmake", "--overwrite", "-p", "no:cacheprovider", page, where=tmp_path)
    assert values(page)["draws_used"] == 50


def test_binder_finds_the_environment_and_installs_the_package():
    script = ROOT / "postBuild"
    assert script.stat().st_mode & stat.S_IXUSR
    assert "pip install --no-deps --editable ." in script.read_text()
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    packages = {entry.partition("==")[0] for entry in environment["dependencies"][-1]["pip"]}
    assert "ipykernel" in packages  # the kernel that the notebooks name
