# `make` lists the targets. Everything is set up in .venv; nothing else is touched.
PYTHON ?= python3
BIN := .venv/bin
# Examples are left out: scripts as users write them.
PACKAGES := clients/python/modelyard services tools benchmarks tests
CLIENTS := .cache/clients
# Twice as many as there are cores: tests wait for processes they start.
WORKERS := $(shell $(PYTHON) -c 'import os; print(min(4, 2 * (os.cpu_count() or 1)))')
# Tests are grouped by marks that tests/conftest.py gives. A test that has one of these comes later.
LATER := postgres or e2e or faults or clients
# Of the MLflow clients, `make test` takes one, and a part of the suite those it may need.
CLIENT := $(CLIENTS)/mlflow-3.17/installed
CLIENTS_OF_PART = $(if $(findstring compat,$(T))$(filter tests tests/,$(T)),clients) $(if $(findstring e2e,$(T)),$(CLIENTS)/uv/installed)
PYTEST := -m pytest -q -n $(WORKERS) --dist loadscope --no-loadscope-reorder
# Tests start hundreds of processes: what they import is compiled once.
export PYTHONDONTWRITEBYTECODE :=
# Wheels are unpacked once and linked into each environment.
UV := UV_CACHE_DIR=.cache/uv $(CLIENTS)/uv/bin/uv

.DEFAULT_GOAL := help
.PHONY: help install up demo clients test test-rest test-all coverage check format protos baseline lock soak bench clean compat-table settings-page

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

install: .venv/installed ## Set up .venv with the `modelyard` command

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else f"Modelyard needs Python 3.11 or newer, this is {sys.version.split()[0]}; say make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

up: install ## Run the platform until Ctrl-C: http://127.0.0.1:5000, gRPC 127.0.0.1:50051
	$(BIN)/modelyard up --home $${MODELYARD_HOME:-.home}

demo: install ## Train, register, stage, promote, serve, swap and roll back in a throw-away home
	$(BIN)/modelyard demo

clients: $(CLIENTS)/mlflow-2.22/installed $(CLIENTS)/mlflow-3.6/installed $(CLIENTS)/mlflow-3.17/installed ## Set up environments with the real MLflow clients, for the tests

$(CLIENTS)/mlflow-%/installed: tests/compat/requirements-mlflow-%.txt $(CLIENTS)/uv/installed
	$(UV) venv --quiet --clear --python $(CLIENTS)/uv/bin/python $(@D)
	$(UV) pip install --quiet --require-hashes --python $(@D)/bin/python -r $<
	@$(@D)/bin/python -W ignore -c 'import mlflow.cli, mlflow.sklearn, sklearn.ensemble' # compiles what each test would
	@touch $@

$(CLIENTS)/uv/installed: tests/compat/requirements-uv.txt
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --require-hashes -r $<
	@touch $@

test: install $(if $(T),$(CLIENTS_OF_PART),$(CLIENT)) ## Run the tests to run often: SQLite, one client, few processes (T=path for all of a part)
	$(BIN)/python $(PYTEST) $(if $(T),$(T),-m "not ($(LATER))")

test-rest: install clients ## Run the other tests: PostgreSQL, whole platforms, faults, the MLflow clients
	$(BIN)/python $(PYTEST) -m "$(LATER)"

test-all: install clients ## Run all tests
	$(BIN)/python $(PYTEST)

coverage: install clients ## Run all tests (T=path for a part) and print the branch coverage of services and the SDK
	$(BIN)/coverage erase
	mkdir -p .cache/coverage
	$(BIN)/coverage run $(PYTEST) $(T)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

compat-table: install clients ## Compare with MLflow's server and client, and write docs/compatibility.md
	COMPATIBILITY_PAGE=write $(BIN)/python -m pytest -q tests/compat/test_conformance.py

settings-page: install ## Write the tables of docs/settings.md from the declarations of the settings
	$(BIN)/python tools/settings_page.py

check: install ## Format, lint, types, import contracts, contract lint and breaking, stub drift
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(PACKAGES)
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell
	$(BIN)/buf format --diff --exit-code
	$(BIN)/buf lint
	$(BIN)/buf breaking --against protos/baseline.binpb
	$(BIN)/python tools/gen_stubs.py --check
	$(BIN)/python tools/check_manifests.py

format: install ## Format code and contract, mend what the linter can
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .
	$(BIN)/buf format --write

protos: install ## Generate the stubs from the contract
	$(BIN)/python tools/gen_stubs.py

baseline: install ## Take today's contract as the one that must not be broken (at a release)
	$(BIN)/buf build --exclude-source-info -o protos/baseline.binpb

lock: ## Pin versions and hashes of all dependencies anew (needs uv)
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-emit-index-url --no-annotate --quiet --output-file requirements.lock
	for f in tests/compat/requirements-*.in; do uv pip compile $$f --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url --no-annotate --quiet \
	  --output-file $${f%.in}.txt || exit 1; done

soak: install ## Run long forms: each fault N times (3), 5 s pauses, 16 clients; every hostile value; many examples; tracking without pipelining
	MODELYARD_SOAK=$(or $(N),3) $(BIN)/python -m pytest -q -s tests/faults tests/contract/test_hostile_*.py tests/property --timeout 7200
	TEST_PIPELINE=off $(BIN)/python -m pytest -q tests/contract/test_tracking_*.py -k postgresql

bench: install clients ## Print RPCs on both databases and transfers beside their floors, the edge beside gRPC and MLflow's server
	$(BIN)/python -m benchmarks.rpc
	$(BIN)/python -m benchmarks.http
	$(BIN)/python -m benchmarks.transfers

clean: ## Delete what make has made
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .home dist
