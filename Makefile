# Everything runs in a private virtual environment, .venv, made from requirements.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FPS ?= 1000
WORKLOAD := optimizer/workloads/fashion_mnist
# Tests start hundreds of processes, each of which would compile the package once more.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup demo test test-all versions lint docs bench regress clean

setup: $(STAMP)

$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "hwgen needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP)
	$(BIN)/hwgen optimize --model $(WORKLOAD)/resnet8.onnx --data $(WORKLOAD)/fashion_mnist.npz \
	  --target ecp5 --fps $(FPS) --out demo

PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist worksteal

# What takes a few minutes: every unit, format and room.
test: $(STAMP)
	$(PYTEST) -m "not slow"

# And all the rest (tests/slow.txt).
test-all: test
	$(PYTEST) -m slow

# Quick tests under the oldest and the newest supported Python of this machine.
versions: $(STAMP)
	.ci/versions $(PYTHON)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The site, in build/site; a warning is an error.
docs: $(STAMP)
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -c docs . build/site

bench: $(STAMP)
	$(BIN)/python tests/bench/speed.py
	$(BIN)/python tests/bench/elaboration.py
	$(BIN)/python tests/bench/cost.py

# Every unit, format, level and pair of codes; goes on where it was stopped.
regress: $(STAMP)
	$(BIN)/hwgen regress full --out regression

clean:
	rm -rf $(VENV) $(VENV)-3.* build dist demo *.egg-info .pytest_cache .mypy_cache .ruff_cache
