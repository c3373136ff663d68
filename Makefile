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
WORKERS ?= 3
export PYTHONUNBUFFERED = 1

.DEFAULT_GOAL := help
.PHONY: help setup setup-local check lint format test test-fast demo up down chaos fuzz year bench promtool manifests openapi linters keep mails traces screenshots lock docs clean
.PHONY: image secrets up-compose down-compose test-containers

help: ## list the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

setup: ## make .venv, install the pinned dependencies and fetch Kafka (PYTHON=path chooses the Python)
	@PYTHON="$(PYTHON)" sh scripts/setup.sh dev

setup-local: # the packages that demo, up and down need
	@PYTHON="$(PYTHON)" sh scripts/setup.sh local

check: lint ## check formatting, lint, types, import rules and architecture
	$(BIN)/pytest tests/architecture

lint: setup ## check formatting, lint, types and import rules
	$(BIN)/ruff format --check services tools tests scripts typings
	$(BIN)/ruff check services tools tests scripts typings
	$(BIN)/pyright
	$(BIN)/lint-imports

format: setup ## format, and apply the corrections of the linter
	$(BIN)/ruff check --fix services tools tests scripts typings
	$(BIN)/ruff format services tools tests scripts typings

# Three workers on two cores, because many tests wait; in the order of tests/conftest.py. Without bytecode each worker, and
# each program that a test starts, would compile the same modules again.
test: export PYTHONDONTWRITEBYTECODE =
test: setup ## run every test, on real Postgres and Kafka (WORKERS=n at the same time)
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not chaos" \
		--ignore tests/chaos --ignore tests/containers

test-fast: setup ## run the pure tests (domain, sagas, model), without servers and with fewer examples
	$(BIN)/pytest -n 2 -m "not chaos" --hypothesis-profile=fast tests/domain tests/sagas tests/model

demo: $(if $(filter compose,$(STACK)),,setup-local) ## place real orders, check money and stock, then scale to zero and wake (ORDERS=n, STACK=compose)
	$(if $(filter compose,$(STACK)),sh docker/demo.sh,$(BIN)/zerocart demo) $(if $(ORDERS),--orders $(ORDERS))

up: setup-local ## start the local cluster and leave it running
	$(BIN)/zerocart up --detach

down: setup-local ## stop the local cluster
	$(BIN)/zerocart down

image: ## build the image of the services, reproducibly (IMAGE=name VERSION=tag)
	sh docker/image.sh $(IMAGE) $(VERSION)

secrets: ## add the secrets that compose.yaml needs to .env
	sh docker/secrets.sh

up-compose: secrets ## start everything in containers, edge on 127.0.0.1:8080
	docker compose up --detach --build --wait

down-compose: secrets ## stop the containers and keep the data (docker compose down --volumes deletes it)
	docker compose --profile grafana --profile demo down

test-containers: setup ## test ports, image and compose on a container engine; skipped without one
	$(BIN)/pytest tests/containers -m containers
	ZEROCART_TEST_SERVERS=containers $(BIN)/pytest tests/ports tests/tools/test_delivery_on_kafka.py \
		tests/services/test_query.py tests/services/test_projection.py

chaos: setup ## kill and restart parts while orders flow, then check that the totals agree (PART=test_chaos, operator, interleaving, gauntlet or global_order)
ifneq ($(PART),interleaving)
	$(BIN)/pytest -m chaos -s -v --ignore tests/model $(if $(PART),-k $(PART))
endif
ifeq ($(or $(PART),interleaving),interleaving)
	$(BIN)/pytest -m chaos -n 2 tests/model
endif

fuzz: setup ## send random requests to every route and check the answers by the OpenAPI document (EXAMPLES=n for each)
	ZEROCART_FUZZ_EXAMPLES=$(or $(EXAMPLES),200) $(BIN)/pytest tests/services/test_openapi.py

year: setup ## import a whole data set and compare every row with DuckDB (DATA=path, ORDERS=n, ACCOUNTS=1, FINISHED=1)
	$(BIN)/python -m tests.year $(DATA) $(if $(ORDERS),--orders $(ORDERS)) $(if $(ACCOUNTS),--accounts) \
		$(if $(FINISHED),--finished)

bench: setup ## run the measurements of docs/performance.md
	$(BIN)/python -m tests.bench

promtool: setup ## build the promtool that checks the alert rules (needs Go, takes minutes)
	$(BIN)/python -m scripts.promtool

manifests: setup ## render charts/zerocart into knative/ (VALUES=file and OUT=folder for manifests of your own)
	$(BIN)/python -m scripts.manifests $(addprefix --values ,$(VALUES)) $(addprefix --out ,$(OUT))

openapi: setup ## write docker/edge/openapi.json and asyncapi.json, the documents of REST and events, from the code
	$(BIN)/python -m scripts.openapi

linters: setup ## check the OpenAPI document with Spectral and Redocly, and the AsyncAPI document with its schema
	$(BIN)/pytest tests/tools/test_api_documents.py

keep: setup ## record the shapes of new messages and the checksums of new migrations
	$(BIN)/python -m scripts.keep

mails: setup ## write every mail with made-up values to OUT (default: mails), to look at the wording of a shop
	$(BIN)/python -m services.notifications.previews $(or $(OUT),mails)

traces: setup ## write the recorded saga runs and counterexamples anew; read the diff
	UPDATE_TRACES=1 $(BIN)/pytest tests/sagas/test_traces.py tests/sagas/test_order_traces.py tests/sagas/test_versions.py tests/model

screenshots: setup ## write pictures of every page of the console to OUT (default: build/screenshots), to look at
	$(BIN)/python -m tests.console.screenshots $(if $(OUT),--out $(OUT))

lock: setup ## pin the dependencies in pyproject.toml (UPGRADE=1 for the newest versions)
	sh scripts/lock.sh $(if $(UPGRADE),--upgrade)

docs: setup ## build the documentation site into build/site; a broken link fails
	sh scripts/site.sh

clean: ## delete the virtual environment and caches
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
