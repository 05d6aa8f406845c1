"""Print the lowest version that pyproject.toml declares of each direct dependency, as pip's constraints."""

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?P<extras>\[[^]]*\])?(?P<range>[^;]*)")


def lowest(text):
    """Return the constraints; a requirement without a lower bound has none and is left out."""
    project = tomllib.loads(text)["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    found = {}
    for requirement in (entry for group in groups for entry in group):
        parts = REQUIREMENT.match(requirement)
        bound = re.search(r"(?:>=|==)\s*([^,\s]+)", parts["range"])
        if bound and parts["name"] != project["name"]:
            found[parts["name"]] = bound[1]
    return [f"{name}=={version}" for name, version in sorted(found.items())]


if __name__ == "__main__":
    print(*lowest(PROJECT.read_text()), sep="\n")
