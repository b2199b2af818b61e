# make demo: the main job. make test: the tests. Each sets up .venv by itself; a second call needs no network.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(shell $(PYTHON) -c 'import sys; print("py311" if sys.version_info[:2] == (3, 11) else "py312")')
CONSTRAINTS := constraints-$(PY).txt
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo notebooks test test-law test-notebooks test-all lint format clean

demo: $(VENV)/ready
	$(BIN)/python -m experiments.gradient_norms

# JupyterLab with the notebooks; nothing else needs it, so it is pinned here alone.
notebooks: $(VENV)/ready
	$(BIN)/python -c 'import jupyterlab' 2> /dev/null || $(PIP) jupyterlab==4.6.6
	$(BIN)/jupyter lab notebooks

test: $(VENV)/ready-torch lint
	$(BIN)/python -m pytest -n 2 -m "not slow"

# What another version of Python or jax could break: the law over all cells, the documents, the experiments.
test-law: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 -m "not slow" tests/core/test_contract.py tests/decode/test_devices.py tests/test_documents.py tests/test_examples.py tests/experiments

# Every notebook, in a kernel of its own.
test-notebooks: $(VENV)/ready
	$(BIN)/python -m pytest -n 2 tests/test_notebooks.py

test-all: $(VENV)/ready-torch lint
	SEQJAX_TEST_OPTIMISED=1 $(BIN)/python -m pytest -n 2

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/ready: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "seqjax needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes -r $(CONSTRAINTS)
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

# torch and transformers serve the reference tests alone. Where there is no build of them, those tests say so and are skipped.
$(VENV)/ready-torch: $(VENV)/ready
	$(PIP) torch==2.13.0 || echo "torch could not be installed; the tests against it will be skipped"
	$(PIP) transformers==5.24.0 || echo "transformers could not be installed; the tests against it will be skipped"
	touch $@

clean:
	rm -rf .venv .venv-* runs
