# Every command for people and pipelines. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
GATE ?= yes
SOURCES := src flows tasks tests demo bench deployments
# Compiled bytecode starts four times as fast; without it everything here would be slow.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-19s %s\n", $$1, $$2}'

.PHONY: install
install: $(VENV)/.installed  ## create .venv from requirements.lock (hashes checked)

$(VENV)/.installed: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "aks-entra needs Python 3.11: install it, or name one with PYTHON=…" >&2; exit 2; }
	@echo "installing into $(VENV) from requirements.lock (a minute or two)"
	@rm -f $@
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --no-compile --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@echo "compiling bytecode, on all processors"
	@$(BIN)/python -W ignore -m compileall -q -j 0 $(VENV)/lib >/dev/null || true
	@touch $@

.PHONY: demo
demo: install  ## migrate a fleet of AKS clusters, from inventory to evidence (GATE=ask waits for a person)
	@$(BIN)/aks-entra demo --gate $(GATE)

.PHONY: dist
dist: install  ## build wheel and sdist into dist/, the same bytes each time, with what the container file needs
	@rm -rf dist
	@$(BIN)/python -m hatchling build -d dist
	@cp requirements.lock deployments/container/container.lock deployments/container/tree.py dist

# A test that hangs for 15 minutes ends the run, with the stacks of all threads and its name. It is not tried again.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -o faulthandler_timeout=900 -o faulthandler_exit_on_timeout=true --max-worker-restart=0
SPECIAL := clients or control_plane or kubernetes or team or long

SOME := -m "not (prefect or $(SPECIAL))"
# The many short tests come last and fill the time in which the long ones wait, and the tests are collected only once.
ALL := -n 3 -m "not ($(SPECIAL))"

.PHONY: test
test: install  ## run the tests that need nothing but Python, with a sample of those that need Prefect's server: 7 minutes (PREFECT=all: with all of those)
	@$(PYTEST) $(if $(filter all,$(PREFECT)),$(ALL),$(SOME)) $(ARGS)

# Three processes on two processors: a third of the time a test only waits for the processes that it started.
.PHONY: test-prefect
test-prefect: install  ## run all tests that need Prefect's server and a worker, which it starts: 15 minutes
	@$(PYTEST) -n 3 -o testpaths="tests/flows tests/journeys" -m "prefect and not ($(SPECIAL))" $(ARGS)

.PHONY: test-long
test-long: install  ## run the whole kill and fault matrices, every property with more examples, 5,000 histories: about an hour
	@$(BIN)/python -m pytest --hypothesis-profile thorough -m "long or hypothesis" $(ARGS)

.PHONY: mutation
mutation: install  ## change the core thousands of times; a test must fail each time: an hour (ARGS="aks_entra.core.planning.plan*")
	@$(BIN)/python tests/mutation/run.py $(ARGS)

.PHONY: check
check: install  ## check formatting, lint, types and import contracts
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/mypy --explicit-package-bases tests demo bench deployments/container
	@$(BIN)/lint-imports

.PHONY: docs
docs: install  ## renew the reference pages that are generated from the sources
	@$(BIN)/python -m aks_entra.report.preflight_page > docs/reference/preflight.md
	@$(BIN)/python -m aks_entra.report.doors_page > docs/reference/doors.md
	@$(BIN)/python -m aks_entra.fleet_file.model > docs/reference/fleet-file.schema.json
	@$(BIN)/python -m aks_entra.fleet_file.cluster_file > docs/reference/cluster-file.schema.json

.PHONY: format
format: install  ## format the sources and fix what ruff can fix
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

.PHONY: clients
clients:  ## build az, kubectl and kubelogin into a cache folder outside the tree
	@clients/build kubelogin kubectl az

.PHONY: test-clients
test-clients: install clients  ## run the journeys with unmodified az, kubectl and kubelogin
	@eval "$$(clients/build --print-env)"; $(BIN)/python -m pytest -o testpaths="tests/journeys tests/contract/test_record_places.py" -m clients $(ARGS)

# Not part of `make test-clients`: azurerm alone takes half an hour to build.
.PHONY: foreign-clients
foreign-clients:  ## build OpenTofu with azurerm, helm, Cloud Custodian, Prowler and programs on Azure's SDKs for Go and JavaScript
	@clients/foreign/build $(CLIENTS)

.PHONY: test-foreign-clients
test-foreign-clients: install clients foreign-clients  ## run the journeys with them (CLIENTS="helm custodian": only these)
	@eval "$$(clients/build --print-env)"; eval "$$(clients/foreign/build --print-env)"; \
		$(BIN)/python -m pytest tests/journeys/test_foreign_clients.py $(ARGS)

.PHONY: control-plane
control-plane:  ## build kube-apiserver, etcd, kubectl and kubelogin into a cache folder outside the tree
	@clients/build control-plane

.PHONY: test-control-plane
test-control-plane: install control-plane  ## run the proofs against a real kube-apiserver, and compare the built-in one with it
	@eval "$$(clients/build --print-env)"; $(BIN)/python -m pytest -o testpaths=tests/control_plane -m control_plane $(ARGS)

.PHONY: test-team
test-team: install  ## run migrations on two hosts, two replicas, PostgreSQL and Redis, and kill each part (needs root)
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --require-hashes --no-deps -r deployments/container/container.lock
	@$(BIN)/python -m pytest -p no:randomly -m team $(ARGS)

.PHONY: kubernetes
kubernetes:  ## build Kubernetes with a kubelet into a cache folder outside the tree
	@clients/build kubernetes

# In namespaces of their own: what the tests start and mount ends with them. containerd, runc, CNI plug-ins and buildah
# are Debian's packages; a test that is skipped names what is missing.
.PHONY: test-kubernetes
test-kubernetes: install kubernetes dist  ## run flow runs in pods of a real Kubernetes, evict one and kill one (needs root): 10 minutes
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --require-hashes --no-deps -r deployments/container/container.lock
	@tests/kubernetes/image .build/kubernetes
	@eval "$$(clients/build --print-env)"; unshare --mount --net --pid --fork --kill-child --mount-proc \
		$(BIN)/python -m pytest -p no:randomly -m kubernetes $(ARGS)

.PHONY: bench
bench: install  ## measure what a migration costs, compared with the same work by hand (bench/README.md)
	@eval "$$(clients/build --print-env)"; $(BIN)/python bench/migrate.py $(ARGS)

.PHONY: bench-team
bench-team: install  ## measure a migration in five batches on PostgreSQL, Redis, two replicas and two hosts (needs root)
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --require-hashes --no-deps -r deployments/container/container.lock
	@$(BIN)/python bench/team.py $(ARGS)

.PHONY: bench-inventory
bench-inventory: install  ## measure an inventory of 1,000 clusters, and of a tenant with 10,000
	@$(BIN)/python bench/inventory.py $(ARGS)

.PHONY: bench-start-up
bench-start-up: install  ## measure the CPU of `aks-entra --help` and of `inventory` of one cluster
	@$(BIN)/python bench/start_up.py $(ARGS)

.PHONY: bench-signed-approvals
bench-signed-approvals: install  ## measure what the check of a signed approval costs a batch
	@$(BIN)/python bench/signed_approvals.py

.PHONY: bench-simulate
bench-simulate: install  ## simulate rollouts of 1,000 to 100,000 clusters (ARGS="--held-against FILE …": compare with measurements)
	@$(BIN)/python bench/simulate.py $(ARGS)

.PHONY: bench-sandbox
bench-sandbox: install  ## measure a thousand clusters in one sandbox: start, memory, requests a second (ARGS="--moto …/moto_server")
	@$(BIN)/python bench/sandbox.py $(ARGS)

.PHONY: clean
clean:  ## remove everything that these targets created in this folder
	@rm -rf $(VENV) .build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .aks-entra dist
