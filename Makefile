# `make book` builds the book and `make test` runs every check, each from a bare checkout.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: book test lint torture clean
.DELETE_ON_ERROR:

book: $(READY)
	$(BIN)/fracrepro build

test: $(READY) lint
	$(BIN)/pytest -n 2 --dist loadgroup -q

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Kills at random moments and damaged inputs; ten minutes of two idle cores, and goes on where it was stopped.
torture: $(READY)
	$(BIN)/pytest -q -m long tests/workflow
	$(BIN)/python -m torture --kills 200 --damaged 2000 --record recorded/torture.json

# The environment is made anew only when what it is made from changes.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11: run make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[test]'
	@touch $@

clean:
	rm -rf _build book/executed book/_static/mathjax book/_static/interactive/tables book/_generated
