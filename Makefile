# make up     start Watchdesk on this machine          make test   every test, nothing to prepare
# make check  lint, types, import arrows               make e2e bench fuzz soak   the long runs

SHELL := /bin/sh
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PORT ?= 8080
DATA ?= .watchdesk
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes
PYTEST := $(BIN)/python -m pytest
JOBS ?= 3

.PHONY: up test check e2e bench fuzz soak clean lock locale servers

up: $(VENV)/.collector
	@exec $(BIN)/watchdesk --data "$(DATA)" up --port "$(PORT)"

test: $(VENV)/.dev servers
	$(PYTEST) -n $(JOBS) --dist worksteal -m "not soak" tests

e2e: $(VENV)/.dev servers
	$(PYTEST) tests/e2e

soak: $(VENV)/.dev
	@$(BIN)/python -m tests.servers soak
	$(PYTEST) -m soak --timeout=0 tests

fuzz: $(VENV)/.dev
	WATCHDESK_FUZZ=1 $(PYTEST) --timeout=0 -m "not soak" -k fuzz tests

bench: $(VENV)/.dev servers
	@$(BIN)/python -m tests.bench $(ONLY)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Debian packages that the tests drive (Prometheus, a browser); installed where this user may, named where not.
servers: $(VENV)/.dev
	@$(BIN)/python -m tests.servers

$(VENV)/bin/python:
	@echo "Making the virtual environment with $(PYTHON) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Watchdesk needs Python 3.11 or newer; set PYTHON=/path/to/python3.11." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "python3 -m venv failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(VENV)/.collector: requirements/collector.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing the pinned dependencies (once; under a minute) ..."
	@$(PIP) -r requirements/build.txt -r requirements/collector.txt
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing the pinned development tools ..."
	@$(PIP) -r requirements/dev.txt
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.collector

# Needs uv; run after a change of the dependencies in pyproject.toml.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
	  pyproject.toml -o requirements/agent.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
	  --extra collector --extra postgresql pyproject.toml -o requirements/collector.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet \
	  --extra dev -c requirements/collector.txt pyproject.toml -o requirements/dev.txt
	printf 'setuptools\nwheel\n' | uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --quiet -c requirements/dev.txt - -o requirements/build.txt

# Brings the catalogues of the texts that people see up to date.
locale: $(VENV)/.dev
	$(BIN)/pybabel -q extract -F ticketing/locale/babel.toml --no-location --sort-output --no-wrap --omit-header \
	  -o ticketing/locale/watchdesk.pot ticketing
	$(BIN)/pybabel -q update -D watchdesk -l zh_CN -i ticketing/locale/watchdesk.pot -d ticketing/locale --no-wrap \
	  --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
