"""Write anchors.json: the addresses that a released version has, which later versions keep.

Run it when a version is released: python tests/reference/make_anchors.py
"""

import json
from pathlib import Path

from fracrepro.workflow.claims import load
from fracrepro.workflow.elsewhere import anchors
from fracrepro.workflow.ledger import anchor
from fracrepro.workflow.project import Project

ROOT = Path(__file__).resolve().parents[2]


def present():
    """Return the anchors of each page of the book, by the name of its file in the site."""
    found = {f"{name}.html": sorted(names) for name, names in anchors(Project(ROOT)).items()}
    claims = [anchor(claim.id) for claim in load(ROOT / "book" / "claims.yml")]
    found["book/claims.html"] = sorted([*found["book/claims.html"], *claims])
    return dict(sorted(found.items()))


if __name__ == "__main__":
    (ROOT / "tests" / "reference" / "anchors.json").write_text(json.dumps(present(), indent=1) + "\n")
