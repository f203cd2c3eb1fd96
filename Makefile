# Everything runs in .venv, which the first use of any verb sets up from requirements.lock.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --custom-compile-command "make lock" $(ARGS)

.DEFAULT_GOAL := help
.PHONY: demo test check bench evaluate simulate faults lock

.PHONY: help
help:
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r verb says; do printf '  make %-8s %s\n' "$$verb" "$$says"; done
	@echo "  Options go in ARGS: make demo ARGS=--exit"

demo: $(READY)  ## 28 days of made traffic through the embedded stack; the result on one screen
	@$(BIN)/tokenworth demo $(ARGS)

test: check  ## make check, then every test; those on Apache Kafka need Java 17 and mvn
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

check: $(READY)  ## lint, format, types and import rules
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(READY)  ## tokenworth beside its limits and its peers (ARGS=--quick: five minutes)
	@$(BIN)/python -m benchmarks $(ARGS)

evaluate: $(READY)  ## the alert rules on made histories (ARGS="--seed 7"), or the detectors on NAB (ARGS="--nab FOLDER")
	@$(BIN)/python -m benchmarks.detection $(ARGS)

faults: $(READY)  ## an hour of real faults over 20 million events; needs Java 17 (ARGS="--faults 0": a soak)
	@$(BIN)/python -m tests.faults $(ARGS)

lock: $(READY)  ## pin the dependencies of pyproject.toml again (ARGS=--upgrade takes newer ones)
	@$(COMPILE) --extra dev pyproject.toml --output-file requirements.lock
	@echo hatchling | $(COMPILE) --extra worker --extra apprise --constraint requirements.lock pyproject.toml - --output-file deploy/requirements.lock
	@for of in benchmarks/peers/*/requirements.in benchmarks/detection/libraries/requirements.in; do $(COMPILE) --python-version 3.11 $$of --output-file $${of%.in}.lock || exit 1; done

simulate: $(READY)  ## runs under random faults, replayable by seed: ARGS="--first 1 --seeds 100000"
	@$(BIN)/python -m tests.simulation $(ARGS)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "tokenworth needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@echo "Setting up .venv from requirements.lock; the first time takes two to three minutes and 1.8 GB."
	@$(PYTHON) -m venv .venv || { echo "Python's venv module is missing (on Debian: apt-get install python3-venv)" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
