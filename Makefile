# Holdfast. `make demo` and `make test` are all a newcomer needs; each sets itself up first.

PYTHON ?= python3
BIN := .venv/bin
UV := $(shell command -v uv 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help setup demo up test stack proof lint lock generate clean

help: ## what can be made
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort | expand -t 10

# pip is given the lock as constraints too: alone it does not hold what asks for name[extra] to the pinned name.
setup: .venv/.complete ## create .venv from requirements.lock

.venv/.complete: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "Holdfast needs Python 3.11 to 3.13, but $(PYTHON) is $$($(PYTHON) --version). Call make PYTHON=python3.12"; exit 1; }
	@echo "Setting up .venv from requirements.lock with $(if $(UV),uv,pip) (once; about a minute) ..."
ifneq ($(UV),)
	@$(UV) venv --quiet --clear --python $(PYTHON) .venv
	@VIRTUAL_ENV=.venv $(UV) pip install --quiet --require-hashes -r requirements.lock
	@VIRTUAL_ENV=.venv $(UV) pip install --quiet --no-deps --no-build-isolation -e .
else
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary=:all: --no-binary=dkimpy \
		-r requirements.lock -c requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
endif
	@touch $@
	@echo "Ready: $(BIN)/holdfast --help"

demo: .venv/.complete ## run the whole loop once on real data
	@HOLDFAST_APPROVAL=auto $(BIN)/holdfast run --sample complete-journey --cutoff 2017-11-26

up: .venv/.complete ## Airflow, MLflow, Feast and a mailbox on loopback, until Ctrl-C
	@$(BIN)/holdfast up

test: lint ## lint, types, import contracts and all tests, on up to four cores
	@$(BIN)/pytest -n logical --maxprocesses 4 --no-loadscope-reorder

stack: .venv/.complete ## the services of docker-compose.yml as local processes, and the whole loop on them
	@$(BIN)/pytest -m "stack and not full" -s tests/stack

proof: .venv/.complete ## the long proofs: hundreds of kills, thousands of random events, whole data sets
	@$(BIN)/pytest -m full -s

lint: .venv/.complete ## lint, types and import contracts only
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

generate: .venv/.complete ## write the GX suites and the reference pages anew from their declarations
	@$(BIN)/holdfast generate

lock: ## resolve both lock files anew (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra production \
		--group dev pyproject.toml -o requirements.lock
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra production \
		--constraints requirements.lock pyproject.toml -o requirements-production.lock

clean: ## delete all that Holdfast wrote, but not .venv
	@rm -rf var
