PYTHON ?= python3
PORT ?= 8501
VENV := .venv
BIN := $(VENV)/bin

.PHONY: app setup test test-fast test-all coverage check bench faults sample-runs clean

## app: start the dashboard with the sample runs (PORT=8501)
app: $(VENV)/.runtime
	@$(BIN)/python -m app --port $(PORT)

## setup: make .venv and install the pinned dependencies
setup: $(VENV)/.runtime

## test: the tests, browser included, in about half an hour on two cores; three at a time, since some wait for a browser
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 3 --dist worksteal

## test-fast: unit tests, examples and pins, without what takes seconds; under three minutes, to run after every change
test-fast: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not long and not browser" tests/unit tests/pins

## test-all: also those that train for minutes, take a very large run, or install a trainer into an environment of its own
test-all: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "slow or not slow"

## coverage: the tests once more, and which lines none of them runs; takes about a third longer
coverage: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist worksteal --cov

## check: format, lint, types
check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

## bench: figures side by side
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

## faults: every fault of a disk, a power supply, a process and a bit on everything that writes; PART=0/20 for a twentieth of it
PART ?= 0/1
faults: $(VENV)/.dev
	$(BIN)/python -m benchmarks.faults --part $(PART)

## sample-runs: train the sample runs anew (into FOLDER, by default build/sample_runs)
FOLDER ?= build/sample_runs
sample-runs: $(VENV)/.runtime
	PYTHON=$(BIN)/python sample_runs/make.sh $(FOLDER)

clean:
	rm -rf $(VENV) build .coverage .pytest_cache .mypy_cache .ruff_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[sb3,rlhf]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.runtime
