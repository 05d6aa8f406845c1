"""A small project in a temporary folder: notebooks that run in a second and touch nothing else."""

import json
import textwrap
import zlib

import pytest

from fracrepro.workflow.project import ENVIRONMENT_VARIABLE, Project


def code(source, *tags):
    return {
        "cell_type": "code",
        "id": f"c{zlib.crc32(source.encode())}",
        "metadata": {"tags": list(tags)},
        "source": textwrap.dedent(source).strip(),
        "outputs": [],
        "execution_count": None,
    }


def notebook(*cells, **metadata):
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    facts = {"kernelspec": kernel, "language_info": {"name": "python"}, **metadata}
    return json.dumps({"cells": list(cells), "metadata": facts, "nbformat": 4, "nbformat_minor": 5})


PARAMETERS = """
    s: float = 1.0  # order of the moment, in (0, 2]
    width: int = 64  # neurons, in [1, 4096]
    gpu: bool = False  # whether to use a GPU
    kind: str = "relu"  # activation, one of relu | linear
    orders: list[float] = [0.5, 1.0]  # several orders, in (0, 2]
    """

GOOD = notebook(
    code(PARAMETERS, "parameters"),
    code(
        """
        import os
        from fracrepro.workflow import report
        report(product=s * width, kind=kind, process=os.getpid(), threads=os.environ["OMP_NUM_THREADS"])
        """
    ),
)
BROKEN = notebook(
    code("width: int = 1  # neurons, in [0, 9]", "parameters"),
    code("print('before')"),
    code("1 / (width - width)"),
    code("print('after')"),
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    root = tmp_path / "project"
    (root / "notebooks").mkdir(parents=True)
    (root / "notebooks" / "01_good.ipynb").write_text(GOOD)
    (root / "notebooks" / "02_broken.ipynb").write_text(BROKEN)
    (root / "notebooks" / "profiles.yml").write_text("quick:\n  01_good: {width: 8}\nbook: {}\n")
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(root))
    return Project(root)
