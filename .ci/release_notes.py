"""Print what the changelog says of a version, for the notes of its release: release_notes.py VERSION."""

import re
import sys
from pathlib import Path

CHANGELOG = Path(__file__).resolve().parents[1] / "CHANGELOG.md"
HEADING = re.compile(r"^## (?P<version>\S+)(?: \((?P<when>[^)]*)\))?$", re.M)


def notes(text, version):
    """Return the section of a version, without its heading.

    A version that the changelog calls unreleased, or does not have, ends the program with one line.
    """
    headings = list(HEADING.finditer(text))
    for place, heading in enumerate(headings):
        if heading["version"] == version:
            if heading["when"] == "unreleased":
                sys.exit(f"{version} is unreleased in the changelog: write its date there first")
            end = headings[place + 1].start() if place + 1 < len(headings) else len(text)
            return text[heading.end() : end].strip() + "\n"
    sys.exit(f"the changelog has no version {version}, but {', '.join(h['version'] for h in headings)}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: release_notes.py VERSION")
    sys.stdout.write(notes(CHANGELOG.read_text(), sys.argv[1].removeprefix("v")))
