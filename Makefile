# Everything that a fresh Debian or Ubuntu machine with Python 3.11, git, make and apt needs is installed from here.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint bench soak clean help

help:
	@echo "make demo          a simulated shop, its binlog, and the LTV of its cohorts (LIVE=1 goes on until Ctrl-C)"
	@echo "make test          lint and all tests, on private servers"
	@echo "make lint          ruff, mypy, and the Dockerfile's linter"
	@echo "make bench         speed, each beside a baseline in the same run"
	@echo "make soak          ten minutes of load; memory must stay flat"

$(STAMP): setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[local,test]'
	touch $@

demo: $(STAMP)
	$(BIN)/python -m demo $(if $(LIVE),--live)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile

test: lint
	$(BIN)/python -m pytest $(PYTEST_ARGUMENTS)

bench: $(STAMP)
	$(BIN)/python -m bench $(BENCH)

soak: $(STAMP)
	$(BIN)/python -m bench.soak

clean:
	rm -rf $(VENV) build dist *.egg-info demo-data
