# Everything that a person or a pipeline types here. `make help` lists it.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
GATE ?= yes
SOURCES := src flows tasks tests demo bench
# What compiles to bytecode starts four times as fast; a machine that forbids it would make everything here slow.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help:  ## what there is to type
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

.PHONY: install
install: $(VENV)/.installed  ## make .venv from requirements.lock (hashes checked)

$(VENV)/.installed: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "aks-entra needs Python 3.11: install it, or name one with PYTHON=…" >&2; exit 2; }
	@echo "installing into $(VENV) from requirements.lock (a minute or two)"
	@rm -f $@
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@echo "compiling bytecode"
	@$(BIN)/python -W ignore -m compileall -q -j 0 $(VENV)/lib >/dev/null || true
	@touch $@

.PHONY: demo
demo: install  ## migrate a fleet of AKS clusters, from inventory to evidence (GATE=ask waits for a person)
	@$(BIN)/python demo/demo.py --gate $(GATE)

.PHONY: test
test: install  ## the tests that need nothing but Python
	@$(BIN)/python -m pytest -n 2 --dist loadfile -m "not clients and not control_plane and not long" $(ARGS)

.PHONY: test-long
test-long: install  ## the whole kill and fault matrices and random days: half an hour
	@$(BIN)/python -m pytest -m long $(ARGS)

.PHONY: mutation
mutation: install  ## change the core thousands of times and see a test fail each time: half an hour (ARGS="aks_entra.core.plan*")
	@$(BIN)/python tests/mutation/run.py $(ARGS)

.PHONY: check
check: install  ## formatting, lint, types and import contracts: static only
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/mypy --explicit-package-bases tests demo bench
	@$(BIN)/lint-imports

.PHONY: docs
docs: install  ## make the reference pages anew that are made from the sources
	@$(BIN)/python -m aks_entra.report.preflight_page > docs/reference/preflight.md
	@$(BIN)/python -m aks_entra.fleet_file > docs/reference/fleet-file.schema.json

.PHONY: format
format: install  ## put the sources into the house's form
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

.PHONY: clients
clients:  ## build az, kubectl and kubelogin into a cache folder outside the tree
	@clients/build kubelogin kubectl az

.PHONY: test-clients
test-clients: install clients  ## the journeys of unmodified az, kubectl and kubelogin
	@eval "$$(clients/build --print-env)"; $(BIN)/python -m pytest -m clients $(ARGS)

.PHONY: control-plane
control-plane:  ## build kube-apiserver, etcd, kubectl and kubelogin into a cache folder outside the tree
	@clients/build control-plane

.PHONY: test-control-plane
test-control-plane: install control-plane  ## the proofs against a real kube-apiserver, and that the built-in one answers alike
	@eval "$$(clients/build --print-env)"; $(BIN)/python -m pytest -m control_plane $(ARGS)

.PHONY: bench
bench: install  ## what a migration costs, beside what a person would otherwise run
	@eval "$$(clients/build --print-env)"; $(BIN)/python bench/migrate.py $(ARGS)

.PHONY: bench-sandbox
bench-sandbox: install  ## a thousand clusters in one sandbox: start, memory, requests a second (ARGS="--moto …/moto_server")
	@$(BIN)/python bench/sandbox.py $(ARGS)

.PHONY: clean
clean:  ## remove what was made here
	@rm -rf $(VENV) .build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .aks-entra dist
