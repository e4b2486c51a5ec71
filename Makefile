# make demo   install into .venv, fetch and verify the weights, analyse data/samples
# make test   install into .venv, then lint, types, import layers, tests: what CI runs
.PHONY: demo test lint types layers unit install dev weights accuracy bench bench-desk faults fairness clean

VENV := .venv
BIN := $(VENV)/bin
OUT ?= out/demo
SHELL := /bin/sh

# The first Python from 3.11 to 3.13 that can make an environment; PYTHON=... overrides.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	2>/dev/null && echo $$p && break; done)

demo: weights
	$(BIN)/callcoach analyze data/samples --out $(OUT) \
	  --metadata data/samples/metadata.csv --scores data/samples/outside_scores.csv
	@echo "To hear the calls and see why: $(BIN)/callcoach serve $(OUT)   then open http://127.0.0.1:8765/"

test: dev weights lint types layers unit

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

layers:
	$(BIN)/lint-imports

unit:
	$(BIN)/python -m pytest

weights: install
	$(BIN)/callcoach models fetch

install: $(VENV)/.installed
dev: $(VENV)/.installed-dev

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 to 3.13 with the venv module was found." \
	  "On Debian or Ubuntu: apt-get install python3 python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24"

$(VENV)/.installed: pyproject.toml $(wildcard requirements/*.lock) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -c $$($(BIN)/python requirements/which.py) -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml $(wildcard requirements/*.lock) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -c $$($(BIN)/python requirements/which.py) -e '.[dev]'
	touch $@ $(VENV)/.installed

# Measure against the synthetic corpus; writes docs/accuracy.md and docs/accuracy.json.
accuracy: dev weights
	$(BIN)/python -m tests.benchmarks.accuracy

# Measure the time it takes beside the plain recipe; writes docs/performance.md and docs/performance.json.
bench: dev weights
	$(BIN)/python -m tests.benchmarks.performance

# Measure the desk over 200,000 made-up calls; writes the table of budgets into docs/desk.md.
bench-desk: dev
	$(BIN)/python -m tests.benchmarks.desk --write

# Draw agents with known truth and see how often their figures are right; writes docs/fairness.md, .json.
fairness: dev
	$(BIN)/python -m tests.benchmarks.fairness

# Do to runs what can befall them; writes docs/faults.md.
faults: dev weights
	$(BIN)/python -m tests.faults

clean:
	rm -rf $(VENV) out build *.egg-info
