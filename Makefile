# Two commands do everything on a fresh machine with Python 3.11 or later:
#   make demo   sets up and runs the main path end to end, offline
#   make test   sets up and passes the tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export HF_HUB_OFFLINE := 1

.PHONY: demo test check format docs clean bench-tracing-peers bench-tracing-table

$(VENV)/.ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[offline,dev]'
	touch $@

demo: $(VENV)/.ready
	$(BIN)/tunescope demo

# One thread each: toy models are slowed down by more, many times over where cores are shared. A file's tests share their
# models and runs, so a file stays with one worker.
test: $(VENV)/.ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.ready
	$(BIN)/python -m tests.benchmarks.checks_pages

# The benchmarks write tests/benchmarks/NAME/{RESULTS.md,results.json}. Those that measure on real data read it from
# the folder that TUNESCOPE_DATA names.
$(VENV)/.bench: $(VENV)/.ready
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[offline,dev,bench]'
	touch $@

bench-%: $(VENV)/.bench
	$(BIN)/python -m tests.benchmarks.$(subst -,_,$*).run

# The tracing benchmark's peers, each in an environment of its own. torchvision and torchaudio, which some of them ask for,
# fit no CPU build of torch, and transformers fails to import beside them.
PEERS := tests/benchmarks/tracing/peers
PEER_ENVS := tests/benchmarks/tracing/.work/envs
bench-tracing-peers: $(PEER_ENVS)/kronfluence/.ready $(PEER_ENVS)/traker/.ready $(PEER_ENVS)/bergson/.ready

$(PEER_ENVS)/%/.ready: $(PEERS)/requirements-%.txt $(PEERS)/constraints.txt
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --constraint $(PEERS)/constraints.txt torch
	$(@D)/bin/pip install --quiet --disable-pip-version-check --constraint $(PEERS)/constraints.txt --requirement $<
	$(@D)/bin/pip uninstall --quiet --yes torchvision torchaudio
	touch $@

# The table of the tracing benchmark from what was measured before; needs no model.
bench-tracing-table: $(VENV)/.bench
	PARTS=table $(BIN)/python -m tests.benchmarks.tracing.run

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
