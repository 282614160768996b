# `make up` and `make test` are all a newcomer needs; `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help up down check lint types unit test bench schema clean

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# One stamp for each set of packages: `make up` installs no test tool.
.venv/.up: pyproject.toml uv.lock scripts/bootstrap
	@uv=$$(scripts/bootstrap) && "$$uv" sync --quiet --frozen --inexact --group sandbox
	@touch $@

.venv/.test: pyproject.toml uv.lock scripts/bootstrap
	@uv=$$(scripts/bootstrap test) && "$$uv" sync --quiet --frozen --all-groups
	@touch $@ .venv/.up

up: .venv/.up ## start the local cloud and bring dev up on it
	@$(BIN)/ladder sandbox start
	@$(BIN)/ladder up dev

down: .venv/.up ## stop the local cloud; its state is kept
	@$(BIN)/ladder sandbox stop

check: .venv/.test ## the fast loop: lint, types, schemas, quick tests without servers
	@$(MAKE) --no-print-directory -j2 lint types unit

lint: .venv/.test
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/ladder schema --check

types: .venv/.test
	@$(BIN)/basedpyright --warnings

unit: .venv/.test
	@$(PYTEST) -q -m "not servers and not exhaustive"

test: lint types ## everything, on real servers too
	@$(PYTEST)

bench: .venv/.test ## how fast, as ratios with medians
	@$(BIN)/python -m bench

schema: .venv/.up ## write the JSON Schemas
	@$(BIN)/ladder schema

clean: ## forget the local cloud's state and the virtual environment
	@if [ -x $(BIN)/ladder ]; then $(BIN)/ladder sandbox stop || true; fi
	@rm -rf .sandbox .venv
