"""The packages that the extras bring: what a user installs when an import fails."""

from __future__ import annotations

from fracrepro.errors import MissingPackageError

# The extra that brings each package, by the name under which it is imported; pip's name where it differs.
_NN = ("torch", "pandas", "tqdm", "pooch", "requests", "sklearn", "threadpoolctl")
_BOOK = (
    "myst_nb",
    "yaml",
    "papermill",
    "nbclient",
    "traitlets",
    "IPython",
    "matplotlib",
    "seaborn",
    "mpmath",
    "dask",
    "distributed",
    "psutil",
    "sphinx",
    "docutils",
    "bs4",
)
EXTRAS = dict.fromkeys(_NN, "nn") | dict.fromkeys(_BOOK, "book")
DISTRIBUTIONS = {"sklearn": "scikit-learn", "yaml": "pyyaml", "IPython": "ipykernel", "bs4": "beautifulsoup4"}
DISTRIBUTIONS |= dict.fromkeys(("sphinx", "docutils", "myst_nb"), "jupyter-book")


def missing_package(error: ModuleNotFoundError) -> MissingPackageError | None:
    """Return what a failed import lacks, or None where no extra would bring it: then it is a defect."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return None
    return MissingPackageError(DISTRIBUTIONS.get(package, package), EXTRAS[package])
