"""What pyproject.toml cannot say: a wheel holds the project's sources too, for `fracrepro copy-notebooks`."""

import importlib.util
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


def _bundled():
    """The module that lists them, without its package, which needs more than setuptools."""
    spec = importlib.util.spec_from_file_location("bundled", ROOT / "fracrepro/workflow/bundled.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class BuildWithProject(build_py):
    """Copies the files into the package, where `fracrepro.workflow.bundle` finds them."""

    def run(self):
        """Build the package, then add the files; an editable install has them beside the package."""
        super().run()
        if self.editable_mode:
            return
        module = _bundled()
        target = Path(self.build_lib) / "fracrepro" / module.CARRIED
        shutil.rmtree(target, ignore_errors=True)  # of an earlier build
        for name in module.bundled(ROOT):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)


setup(cmdclass={"build_py": BuildWithProject})
