# Each target does all of its own set-up. A fresh machine needs Python 3.11 or newer and make; uv is used where it is present.
#   make PYTHON=/path/to/python …    choose the interpreter
#   make VENV=folder …               put the virtual environment elsewhere
#   make test ARGS="-k walk"         more arguments for pytest
#   make test WORKERS=0              in one process, for a debugger

VENV ?= .venv
WORKERS ?= 2
ARGS ?=
python := $(VENV)/bin/python

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test check lint format types house audit security build deploy-check docs hostile bench browser venv lock upgrade clean clean-all

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime  ## see it work, without credentials: sync, change, sync again, history
	@$(VENV)/bin/favsync demo

test: $(VENV)/.test  ## all tests, on SQLite and on a PostgreSQL that they start themselves
	@$(python) -m pytest -n $(WORKERS) $(ARGS)

check: $(VENV)/.check  ## everything that CI runs
	@bash .ci/run

lint: $(VENV)/.check  ## style and formatting
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .

format: $(VENV)/.check  ## mend style and formatting, as far as a machine can
	@$(python) -m ruff check --fix .
	@$(python) -m ruff format .

types: $(VENV)/.check  ## mypy, strict
	@$(python) -m mypy

house: $(VENV)/.test  ## who may import whom
	@$(VENV)/bin/lint-imports --no-logo

audit: $(VENV)/.check  ## known vulnerabilities in the locked packages
	@$(python) tools/audit.py requirements/check.txt requirements/extras.txt

security: $(VENV)/.check  ## unsafe habits in our own code
	@$(python) -m bandit --quiet --recursive --configfile pyproject.toml etl migrations tools

build: $(VENV)/.check  ## wheel and source distribution, into dist/
	@rm -rf dist
	@$(python) -m build --no-isolation --outdir dist . >$(VENV)/build.log 2>&1 || { cat $(VENV)/build.log; exit 1; }
	@ls -l dist

docs: $(VENV)/.test  ## the answers in docs/ again, from a made-up history
	@$(python) -m tools.examples

hostile: $(VENV)/.test  ## how many removals are false, against a service that misbehaves (short version); eight runs at once
	@$(python) -m benchmarks.hostile --quick $(ARGS)
	@FAVSYNC_TEST_ROUNDS=20 $(python) -m pytest -q -n $(WORKERS) tests/load/test_run_lock.py -k eight_accounts

bench: $(VENV)/.test  ## time and space, beside other tools on the same machine; takes long
	@$(python) -m benchmarks $(ARGS)

browser: $(VENV)/.browser  ## the HTML report in a real Chromium, which is installed if this machine allows
	@tools/chromium
	@$(python) -m pytest tests/browser -n $(WORKERS) $(ARGS)

deploy-check: $(VENV)/.check  ## the files of deploy/, each with the tool that knows its kind
	@deploy/check $(VENV)/bin

venv: $(VENV)/.check  ## the virtual environment with every tool in it

lock:  ## write requirements/ again; versions that still fit are kept
	@tools/lock

upgrade:  ## write requirements/ again, with the newest versions allowed
	@tools/lock --upgrade

clean:  ## remove what was built
	@rm -rf build dist demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

clean-all: clean  ## remove the virtual environment too
	@rm -rf $(VENV)

# Sizes of one environment: each holds the smaller ones, so each also stamps them.
$(VENV)/.runtime: requirements/build.txt requirements/runtime.txt pyproject.toml
	@tools/venv $(VENV) requirements/build.txt requirements/runtime.txt
	@touch $@

$(VENV)/.test: requirements/test.txt pyproject.toml
	@tools/venv $(VENV) requirements/test.txt
	@touch $(VENV)/.runtime $@

$(VENV)/.check: requirements/check.txt pyproject.toml
	@tools/venv $(VENV) requirements/check.txt
	@touch $(VENV)/.runtime $(VENV)/.test $@

$(VENV)/.browser: requirements/browser.txt pyproject.toml
	@tools/venv $(VENV) requirements/browser.txt
	@touch $(VENV)/.runtime $(VENV)/.test $@
