# Each target sets up what it needs. A fresh machine needs Python 3.11 or newer and make; uv is used if it is installed.
#   make PYTHON=/path/to/python …    choose the interpreter
#   make VENV=folder …               choose the folder of the virtual environment
#   make test ARGS="-k snapshot"     pass more arguments to pytest
#   make test WORKERS=0              run in one process, for a debugger

VENV ?= .venv
WORKERS ?= 2
ARGS ?=
python := $(VENV)/bin/python

# Tests that exercise the dependencies; the rest tests the sandbox, documents and whole processes.
LOWEST := $(addprefix tests/,accounts backfill boomplay cli db extract load migrations model monitor replay reporting \
	scheduler sync transform test_config.py test_config_schema.py test_logs.py test_security.py test_settings.py)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test check lint format types imports lowest audit security build sbom deploy-check docs hostile bench browser venv lock upgrade clean clean-all

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime  ## show what favsync does, without credentials
	@$(VENV)/bin/favsync demo

test: $(VENV)/.test  ## all tests, on SQLite and on a PostgreSQL server that they start
	@$(python) -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

check: $(VENV)/.check  ## everything that CI runs
	@bash .ci/run

lint: $(VENV)/.check  ## check style and formatting
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .

format: $(VENV)/.check  ## correct style and formatting where ruff can
	@$(python) -m ruff check --fix .
	@$(python) -m ruff format .

types: $(VENV)/.check  ## mypy, strict
	@$(python) -m mypy

imports: $(VENV)/.test  ## import contracts: which package may import which
	@$(VENV)/bin/lint-imports --no-logo

lowest:  ## tests with the oldest dependencies that pyproject.toml allows
	@tools/lowest $(VENV)-lowest -q -n $(WORKERS) $(or $(ARGS),-m 'not postgresql' $(LOWEST))

audit: $(VENV)/.check  ## known vulnerabilities in the locked packages
	@$(python) tools/audit.py requirements/check.txt requirements/extras.txt

security: $(VENV)/.check  ## unsafe patterns in our code
	@$(python) -m bandit --quiet --recursive --configfile pyproject.toml etl migrations tools

build: $(VENV)/.check  ## wheel and source distribution, into dist/
	@rm -rf dist
	@$(python) -m build --no-isolation --outdir dist . >$(VENV)/build.log 2>&1 || { cat $(VENV)/build.log; exit 1; }
	@ls -l dist

sbom: $(VENV)/.check  ## the bill of materials of what favsync installs (CycloneDX), into build/
	@mkdir -p build
	@$(VENV)/bin/cyclonedx-py requirements requirements/runtime.txt --pyproject pyproject.toml --short-PURLs \
		--output-reproducible --output-format JSON --output-file build/favsync.cdx.json 2>$(VENV)/sbom.log || { cat $(VENV)/sbom.log; exit 1; }
	@ls -l build/favsync.cdx.json

docs: $(VENV)/.test  ## write the example answers in docs/ and the man page again
	@$(python) -m tools.examples
	@$(python) -m tools.manpage

hostile: $(VENV)/.test  ## count false removals against a faulty service (short version); eight runs at once
	@$(python) -m benchmarks.hostile --quick $(ARGS)
	@FAVSYNC_TEST_ROUNDS=20 $(python) -m pytest -q -n $(WORKERS) tests/load/test_run_lock.py -k eight_processes

bench: $(VENV)/.test  ## judge time and space, beside other tools; ARGS="--write docs/benchmarks.md" writes the page
	@$(python) -m benchmarks $(ARGS)

browser: $(VENV)/.browser  ## the HTML report in Chromium, which is installed if this machine allows
	@tools/chromium
	@$(python) -m pytest tests/browser -n $(WORKERS) $(ARGS)

deploy-check: $(VENV)/.check  ## the files of deploy/ and the workflows, each with a linter for its kind
	@deploy/check $(VENV)/bin

venv: $(VENV)/.check  ## the virtual environment with every tool

lock:  ## write requirements/ again; versions that still fit are kept
	@tools/lock

upgrade:  ## write requirements/ again, with the newest versions allowed
	@tools/lock --upgrade

clean:  ## remove what was built
	@rm -rf build dist demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

clean-all: clean  ## remove the virtual environments too
	@rm -rf $(VENV) $(VENV)-lowest

# Each environment contains the ones above it, so each also sets their stamps.
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
