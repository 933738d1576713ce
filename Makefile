# `make` lists the targets. Everything they install is in .venv and .cache.
PYTHON ?= python3
BIN := .venv/bin
# Without examples, which are scripts as users write them.
PACKAGES := clients/python/modelyard services tools benchmarks tests
CLIENTS := .cache/clients
# Two per core: tests wait for processes they start.
WORKERS := $(shell $(PYTHON) -c 'import os; print(min(4, 2 * (os.cpu_count() or 1)))')
# tests/conftest.py marks the tests. Those with one of these marks are not in `make test`.
LATER := postgres or e2e or faults or clients
# `make test` needs one MLflow client; with T=, the clients that the part of the suite may need.
CLIENT := $(CLIENTS)/mlflow-3.17/installed
CLIENTS_OF_PART = $(if $(findstring compat,$(T))$(filter tests tests/,$(T)),clients)
PYTEST := -m pytest -q -n $(WORKERS) --dist loadscope --no-loadscope-reorder
# Tests start hundreds of processes: compile their imports once.
export PYTHONDONTWRITEBYTECODE :=
# uv installs in seconds what takes pip minutes, and checks each file's hash for a part of a lock too.
# Wheels are unpacked once and linked into each environment.
UV := UV_CACHE_DIR=.cache/uv .cache/installer/bin/uv
INSTALL := $(UV) pip install --quiet --python $(BIN)/python
PINNED := --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate

.DEFAULT_GOAL := help
.PHONY: help install dev up demo clients test test-rest test-all coverage check format protos baseline lock soak bench clean compat-table settings-page sdk-page

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

install: .venv/installed ## Install the platform and the SDK into .venv, with the `modelyard` command

.venv/installed: requirements.lock pyproject.toml .cache/installer/installed
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	$(INSTALL) --require-hashes --constraint requirements.lock --requirement pyproject.toml --extra server
	$(INSTALL) --no-deps --build-constraints requirements.lock --editable .
	@touch $@

dev: .venv/dev ## Install the tools of developers into .venv too

.venv/dev: .venv/installed
	$(INSTALL) --require-hashes --requirement requirements.lock
	@touch $@

.cache/installer/installed: tools/requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else f"Modelyard needs Python 3.11 or newer, this is {sys.version.split()[0]}; run make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --require-hashes -r $<
	@touch $@

up: install ## Run the platform until Ctrl-C: http://127.0.0.1:5000, gRPC 127.0.0.1:50051
	$(BIN)/modelyard up --home $${MODELYARD_HOME:-.home}

demo: install ## Train, register, stage, promote, serve, swap and roll back in a throw-away home
	$(BIN)/modelyard demo

clients: $(CLIENTS)/mlflow-2.22/installed $(CLIENTS)/mlflow-3.6/installed $(CLIENTS)/mlflow-3.17/installed ## Install environments with the real MLflow clients, for the tests

$(CLIENTS)/mlflow-%/installed: tests/compat/requirements-mlflow-%.txt .cache/installer/installed
	$(UV) venv --quiet --clear --python $(PYTHON) $(@D)
	$(UV) pip install --quiet --require-hashes --python $(@D)/bin/python -r $<
	@$(@D)/bin/python -W ignore -c 'import mlflow.cli, mlflow.sklearn, sklearn.ensemble' # compiles once for all tests
	@touch $@

test: dev $(if $(T),$(CLIENTS_OF_PART),$(CLIENT)) ## Run the daily tests: SQLite, one MLflow client, few processes (T=path: all tests of a path)
	$(BIN)/python $(PYTEST) $(if $(T),$(T),-m "not ($(LATER))")

test-rest: dev clients ## Run the other tests: PostgreSQL, whole platforms, faults, all MLflow clients
	$(BIN)/python $(PYTEST) -m "$(LATER)"

test-all: dev clients ## Run all tests
	$(BIN)/python $(PYTEST)

coverage: dev clients ## Run all tests (T=path: those of a path) and print the branch coverage of services and the SDK
	$(BIN)/coverage erase
	mkdir -p .cache/coverage
	$(BIN)/coverage run $(PYTEST) $(T)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

compat-table: dev clients ## Compare with MLflow's server and client, and generate docs/compatibility.md
	COMPATIBILITY_PAGE=write $(BIN)/python -m pytest -q tests/compat/test_conformance.py

settings-page: dev ## Generate the tables of docs/settings.md from the declarations of the settings
	$(BIN)/python tools/settings_page.py

sdk-page: dev $(CLIENT) ## List MLflow's names from its client, and generate the tables of docs/sdk.md
	$(CLIENTS)/mlflow-3.17/bin/python -W ignore tools/mlflow_inventory.py names > .cache/names.txt
	mv .cache/names.txt clients/python/modelyard/_names_of_mlflow.txt
	$(BIN)/python tools/sdk_page.py

check: dev ## Check format, lint, types, imports, spelling, the contract, stub drift, manifests
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

format: dev ## Format code and contract, apply the linter's fixes
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .
	$(BIN)/buf format --write

protos: dev ## Generate the stubs from the contract
	$(BIN)/python tools/gen_stubs.py

baseline: dev ## Make the present contract the baseline for breaking changes (at a release)
	$(BIN)/buf build --exclude-source-info -o protos/baseline.binpb

lock: .cache/installer/installed ## Pin versions and hashes of all dependencies again
	$(UV) pip compile pyproject.toml --all-extras $(PINNED) --output-file requirements.lock
	for f in tests/compat/requirements-*.in tools/requirements-uv.in; do \
	  $(UV) pip compile $$f $(PINNED) --output-file $${f%.in}.txt || exit 1; done

soak: dev ## Run long forms: each fault N times (3), all hostile values, many examples, hostile peers
	TEST_SOAK=$(or $(N),3) $(BIN)/python -m pytest -q -s tests/faults tests/contract/test_hostile_*.py tests/property --timeout 7200
	TEST_PIPELINE=off $(BIN)/python -m pytest -q tests/contract/test_tracking_*.py -k postgresql
	$(BIN)/python -m benchmarks.hostile

bench: dev clients ## Measure RPCs, points, pages and transfers against their floors, the edge against gRPC and MLflow's server
	$(BIN)/python -m benchmarks.rpc
	$(BIN)/python -m benchmarks.volumes
	$(BIN)/python -m benchmarks.http
	$(BIN)/python -m benchmarks.transfers

clean: ## Delete everything that make creates
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .home dist
