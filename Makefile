# make demo, make test: the two commands of the README. `make` alone lists all of them.

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=

BIN := $(VENV)/bin
# Newer than all it depends on once the environment is complete: then nothing is installed again.
STAMP := $(VENV)/.installed

.PHONY: help install demo test lint format docs gate clean

help:
	@echo 'make install   the environment, in $(VENV)'
	@echo 'make demo      trains and evaluates a small model, then shows trained weights; no download'
	@echo 'make test      all tests; PYTEST_ARGS=tests/data for a part of them'
	@echo 'make lint      ruff and mypy'
	@echo 'make format    formats the code'
	@echo 'make docs      the documentation as a site, in build/site'
	@echo 'make gate      small steps compiled for GPUs and TPUs that need not be here, and checked'
	@echo 'make clean     removes .venv and what tools left behind; runs/ stays'

install: $(STAMP)

$(STAMP): requirements.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'eojax needs Python 3.11 or newer; name one: make $(or $(MAKECMDGOALS),install) PYTHON=python3.12' >&2; \
	  exit 1; }
	@# Debian's python3 has no ensurepip without python3-venv: there the outer pip installs the inner.
	@$(PYTHON) -m venv '$(VENV)' >/dev/null 2>&1 || { \
	  $(PYTHON) -m venv --without-pip '$(VENV)' && \
	  $(PYTHON) -m pip --python '$(BIN)/python' install --quiet pip; } || { \
	  echo 'no environment could be made in $(VENV): install pip or the venv module for $(PYTHON)' >&2; \
	  exit 1; }
	'$(BIN)/python' -m pip install --disable-pip-version-check \
	  --constraint constraints.txt --requirement requirements.txt --editable '.[dev]'
	@touch '$@'

demo: $(STAMP)
	'$(BIN)/python' -m eojax.main --config=configs/quickstart.py
	'$(BIN)/python' -m eojax.apps.demo --out=runs/demo

test: $(STAMP)
	@# Files are started in the order in which tests/conftest.py puts them: the longest first.
	'$(BIN)/python' -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint: $(STAMP)
	'$(BIN)/python' -m ruff check .
	'$(BIN)/python' -m ruff format --check .
	'$(BIN)/python' -m mypy eojax benchmarks docs/examples

format: $(STAMP)
	'$(BIN)/python' -m ruff check --fix .
	'$(BIN)/python' -m ruff format .

# In an environment of its own: jax looks for devices of every plugin that is installed.
gate:
	$(PYTHON) -m venv .venv-gate
	.venv-gate/bin/python -m pip install --disable-pip-version-check --quiet \
	  --constraint constraints.txt --requirement requirements.txt --editable '.[aot]'
	.venv-gate/bin/python -m benchmarks.compile_for --check --no-count \
	  --target=h100:8 --target=v5e:2x4 --config=quickstart --set sampler.buffer_parts=8 \
	  --set sampler.buffer_size=512
	.venv-gate/bin/python -m benchmarks.compile_for --check --no-count \
	  --target=v5e:2x4 --config=fixmatch_eurosat_small --set model.depth=10

# Its tools are not those of eojax, so they have an environment of their own.
docs:
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --requirement docs/requirements.txt
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/python -m mkdocs build --strict
	@echo 'open build/site/index.html'

# .venv and not $(VENV): a folder that somebody named on the command line is theirs to remove.
clean:
	rm -rf .venv .venv-docs .venv-gate .mypy_cache .pytest_cache .ruff_cache build dist eojax.egg-info
	find configs eojax tests -name __pycache__ -type d -prune -exec rm -rf {} +
