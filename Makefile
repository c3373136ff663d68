# Every verb sets up what it needs; `make help` lists them.
BIN := .venv/bin
PYTHON ?=
ORDERS ?=
DATA ?=
ACCOUNTS ?=
VALUES ?=
OUT ?=
UPGRADE ?=
STACK ?=
VERSION ?= dev
IMAGE ?= zerocart
export PYTHONUNBUFFERED = 1

.DEFAULT_GOAL := help
.PHONY: help setup setup-local check format test test-fast demo up down chaos fuzz year bench promtool manifests openapi keep traces lock docs clean
.PHONY: image secrets up-compose down-compose test-containers

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

setup: ## make .venv, install the pinned dependencies and fetch Kafka (PYTHON=path chooses the Python)
	@PYTHON="$(PYTHON)" sh scripts/setup.sh dev

setup-local: # the part of it that demo, up and down need
	@PYTHON="$(PYTHON)" sh scripts/setup.sh local

check: setup ## formatting, lint, types, architecture
	$(BIN)/ruff format --check services tools tests scripts typings
	$(BIN)/ruff check services tools tests scripts typings
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/pytest tests/architecture

format: setup ## format and mend what can be mended
	$(BIN)/ruff check --fix services tools tests scripts typings
	$(BIN)/ruff format services tools tests scripts typings

# three workers on two cores, because many tests wait; in the order of tests/conftest.py
test: setup ## every test, on real Postgres and Kafka
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not chaos and not containers"

test-fast: setup ## the pure tests (domain and sagas), in seconds
	$(BIN)/pytest -n 2 tests/domain tests/sagas

demo: $(if $(filter compose,$(STACK)),,setup-local) ## the main job: real orders through every service, then the books (ORDERS=n, STACK=compose)
	$(if $(filter compose,$(STACK)),sh docker/demo.sh,$(BIN)/zerocart demo) $(if $(ORDERS),--orders $(ORDERS))

up: setup-local ## start the local cluster and leave it running
	$(BIN)/zerocart up --detach

down: setup-local ## stop the local cluster
	$(BIN)/zerocart down

image: ## the image of the services, the same layers for the same commit (IMAGE=name VERSION=tag)
	sh docker/image.sh $(IMAGE) $(VERSION)

secrets: ## write what compose.yaml asks for into .env, once
	sh docker/secrets.sh

up-compose: secrets ## everything in containers, edge on 127.0.0.1:8080
	docker compose up --detach --build --wait

down-compose: secrets ## stop it; the data stays (docker compose down --volumes forgets it)
	docker compose --profile grafana --profile demo down

test-containers: setup ## ports, image and compose on a container engine; skipped where there is none
	$(BIN)/pytest tests/containers -m containers
	ZEROCART_TEST_SERVERS=containers $(BIN)/pytest tests/ports tests/tools/test_delivery_on_kafka.py \
		tests/services/test_query.py tests/services/test_projection.py

chaos: setup ## kill and restart things while orders flow, then the books
	$(BIN)/pytest -m chaos -s

fuzz: setup ## every route against its OpenAPI document, deeper and at random (EXAMPLES=n for each)
	ZEROCART_FUZZ_EXAMPLES=$(or $(EXAMPLES),200) $(BIN)/pytest tests/services/test_openapi.py

year: setup ## a whole data set through REST, and every row beside a second opinion (DATA=path, ORDERS=n, ACCOUNTS=1, FINISHED=1)
	$(BIN)/python -m tests.year $(DATA) $(if $(ORDERS),--orders $(ORDERS)) $(if $(ACCOUNTS),--accounts) \
		$(if $(FINISHED),--finished)

bench: setup ## measure what docs/performance.md says
	$(BIN)/python -m tests.bench

promtool: setup ## build the promtool that checks the alert rules (needs Go, takes minutes)
	$(BIN)/python -m scripts.promtool

manifests: setup ## render charts/zerocart into knative/ (VALUES=file and OUT=folder for manifests of your own)
	$(BIN)/python -m scripts.manifests $(addprefix --values ,$(VALUES)) $(addprefix --out ,$(OUT))

openapi: setup ## write docker/edge/openapi.json, the document of the REST interface, from the code
	$(BIN)/python -m scripts.openapi

keep: setup ## keep the shapes of new messages and the checksums of new migrations (what is kept must not change)
	$(BIN)/python -m scripts.keep

traces: setup ## write what a run of the saga does in each scenario (tests/sagas/traces), to be read in the diff
	UPDATE_TRACES=1 $(BIN)/pytest tests/sagas/test_traces.py

lock: setup ## pin what pyproject.toml names (UPGRADE=1 for the newest that fits)
	sh scripts/lock.sh $(if $(UPGRADE),--upgrade)

docs: setup ## build the documentation site into build/site; a broken link fails
	sh scripts/site.sh

clean: ## forget the virtual environment and caches
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
