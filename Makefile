# `make demo` and `make test` do all the set-up on a fresh machine; `make help` lists every target.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RECIPE ?= sample
STORE ?= data/stores/$(RECIPE)
RUN ?= runs/$(RECIPE)
SIZE ?= full
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint types layers cache verify repair push pull merge diff soak audit train evaluate explain compare reproduce discover predict inspect bench weights clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo
	@echo "  RECIPE=$(RECIPE) STORE=$(STORE) RUN=$(RUN); further options in ARGS='--set key=value'"

setup: $(VENV)/.installed ## create .venv and install everything into it (about 4 minutes, 8 GB)

# torch and torchvision are asked for in one command, so that pip picks builds that match.
$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch torchvision -e '.[retrieval,minilm,share,plots,bench,dev]'
	@touch $@

demo: setup ## make the sample world, build its stores, train, evaluate, and write the report (some minutes)
	$(BIN)/ramie demo

# Files of tests side by side, one on each core; more threads in each would only be in the way.
test: setup ## run the default test suite (no network, no GPU)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist loadfile $(ARGS)

check: lint types layers test ## everything that must pass before a commit

lint: setup ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## mypy, strict
	$(BIN)/mypy

layers: setup ## pipelines -> retrieval | model -> cache
	$(BIN)/lint-imports

cache: setup ## build the store of RECIPE (resumes)
	$(BIN)/ramie build $(RECIPE) --store $(STORE) $(ARGS)

verify: setup ## check every byte of STORE
	$(BIN)/ramie verify $(STORE) $(ARGS)

repair: setup ## mend STORE from another copy or by its recipe: ARGS='--from COPY --recipe RECIPE'
	$(BIN)/ramie verify $(STORE) --repair $(ARGS)

push: setup ## hand STORE on: make push URL=s3://bucket/name (or a folder)
	$(BIN)/ramie push $(STORE) $(URL) $(ARGS)

pull: setup ## fetch a store into STORE: make pull URL=https://example.org/name
	$(BIN)/ramie pull $(URL) $(STORE) $(ARGS)

merge: setup ## one store of several: make merge STORES="a b" STORE=data/stores/all
	$(BIN)/ramie merge $(STORE) $(STORES) $(ARGS)

diff: setup ## what changed between two stores: make diff STORES="a b"
	$(BIN)/ramie diff $(STORES) $(ARGS)

soak: setup ## kill builds 200 times and compare what they leave; takes some minutes
	$(BIN)/python -m pipelines.soak kill $(ARGS)

audit: setup ## check that nothing about the evidence of STORE gives labels away
	$(BIN)/ramie audit $(STORE) $(ARGS)

train: setup ## train RECIPE on STORE into RUN (resumes)
	$(BIN)/ramie train $(RECIPE) --store $(STORE) --out $(RUN) $(ARGS)

evaluate: setup ## score RUN on the test split
	$(BIN)/ramie evaluate $(RUN) $(ARGS)

explain: setup ## show which evidence mattered to RUN, and its errors: ARGS='--html FILE'
	$(BIN)/ramie explain $(RUN) $(ARGS)

compare: setup ## train and compare several systems on STORE
	$(BIN)/ramie compare $(RECIPE) --store $(STORE) $(ARGS)

# Only a STORE that somebody names: the default above is not where SIZE=tiny belongs.
reproduce: setup ## a published setting from raw files to the table: make reproduce RECIPE=twitter2017 [SIZE=tiny]
	$(BIN)/ramie reproduce $(RECIPE) --size $(SIZE) $(if $(filter-out file,$(origin STORE)),--store $(STORE)) $(ARGS)

discover: setup ## relations without labels or with few, from STORE
	$(BIN)/ramie discover $(RECIPE) --store $(STORE) $(ARGS)

predict: setup ## entities or relation of a new post: make predict RUN=... ARGS='--text "..."'
	$(BIN)/ramie predict $(RUN) $(ARGS)

inspect: setup ## write one HTML page that shows what STORE holds
	$(BIN)/ramie inspect $(STORE) $(ARGS)

bench: setup ## every figure of retrieval beside the one to reach, as a table: make bench ARGS="--quick"
	$(BIN)/ramie bench $(ARGS)

weights: setup ## remake the tiny weights of the sample world (about 10 minutes)
	$(BIN)/python -m pipelines.sample.train_weights $(ARGS)

clean: ## remove what the demo made; keeps .venv
	rm -rf data/sample data/kb/sample data/stores/sample data/stores/sample-relations data/runs data/reports
