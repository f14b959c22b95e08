# Everything that a fresh Debian or Ubuntu machine with Python 3.11, git, make and apt needs is installed from here.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EMULATOR := $(VENV)/bqemulator
CONSUMERS := $(VENV)/dbt/.installed $(VENV)/airflow/.installed

# Tests wait for servers much of their time: one process more than there are cores.
TEST_PROCESSES ?= $(shell $(PYTHON) -c "import os; print(min(8, os.cpu_count() + 1))")
PYTEST := $(BIN)/python -m pytest --numprocesses=$(TEST_PROCESSES) --no-loadscope-reorder

.PHONY: demo test test-long lint bench soak clean help

help:
	@echo "make demo          a simulated shop, its binlog, and the LTV of its cohorts (LIVE=1: live, until Ctrl-C)"
	@echo "make test          lint and all tests, on private servers (PYTEST_ARGUMENTS, TEST_PROCESSES)"
	@echo "make test-long     the same, with more kills, rounds and examples in the tests that repeat something"
	@echo "make lint          ruff, mypy, and the Dockerfile's linter"
	@echo "make bench         speed, each beside a baseline in the same run"
	@echo "make soak          ten minutes of load; memory must stay flat"

$(STAMP): setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[local,test]'
	touch $@

# BigQuery's SQL for the tests, in an environment of its own: it pins other versions than Beam does.
$(EMULATOR)/.installed: $(STAMP) tests/bigquery/requirements.txt
	$(BIN)/python -m tests.bigquery.emulator_environment

# dbt and Airflow for the tests of consumers/, each in an environment of its own, too.
$(VENV)/%/.installed: tests/consumers/%.txt $(STAMP)
	$(BIN)/python -m tests.consumers.environments $*

demo: $(STAMP)
	$(BIN)/python -m demo $(if $(LIVE),--live)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile

test: lint $(EMULATOR)/.installed $(CONSUMERS)
	$(PYTEST) $(PYTEST_ARGUMENTS)

test-long: lint $(EMULATOR)/.installed $(CONSUMERS)
	LONG_TESTS=1 $(PYTEST) $(PYTEST_ARGUMENTS)

bench: $(STAMP)
	$(BIN)/python -m bench $(BENCH)

soak: $(STAMP)
	$(BIN)/python -m bench.soak

clean:
	rm -rf $(VENV) build dist *.egg-info demo-data
