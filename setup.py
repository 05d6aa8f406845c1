"""What pyproject.toml cannot say: a wheel holds the project's sources too, for `fracrepro copy-notebooks`."""

import shutil
import tomllib
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithProject(build_py):
    """Copies what `[tool.fracrepro]` lists into the package, where `fracrepro.workflow.bundle` finds it."""

    def run(self):
        """Build the package, then add the files; an editable install has them beside the package."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "fracrepro" / "_project"
        shutil.rmtree(target, ignore_errors=True)  # of an earlier build
        description = tomllib.loads((ROOT / "pyproject.toml").read_text())
        for pattern in description["tool"]["fracrepro"]["bundle"]:
            for path in filter(Path.is_file, sorted(ROOT.glob(pattern))):
                copy = target / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)


setup(cmdclass={"build_py": BuildWithProject})
