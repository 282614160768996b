# `make up` and `make test` are all a newcomer needs; `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help up down chart check lint types unit test bench schema clean

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

chart: .venv/.up ## package the service chart; prints the digest that pins it
	@$(BIN)/ladder chart

check: .venv/.test ## the fast loop: lint, types, schemas, quick tests without servers
	@$(MAKE) --no-print-directory -j2 lint types unit

lint: .venv/.test
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/ladder schema --check
	@$(BIN)/python -m tests.workflows

types: .venv/.test
	@$(BIN)/basedpyright --warnings

unit: .venv/.test
	@$(PYTEST) -q -n 2 -m "not servers and not exhaustive"

test: lint types ## everything, on real servers too
	@$(PYTEST) -q -n 2 -m "not servers"
	@$(PYTEST) -m servers

bench: .venv/.test ## how fast, as ratios with medians
	@$(BIN)/python -m bench

schema: .venv/.up ## write the JSON Schemas
	@$(BIN)/ladder schema

clean: ## forget the local cloud's state and the virtual environments
	@if [ -x $(BIN)/ladder ]; then $(BIN)/ladder sandbox stop || true; fi
	@rm -rf .sandbox .venv tests/scanner/.venv
