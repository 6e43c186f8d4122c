# make demo | test | test-all | bench | clean. Needs bash and a Python >= 3.11; everything else goes into .venv.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
PYTHON := .venv/bin/python

.PHONY: demo test test-all bench clean

demo: .venv/.installed
	@.venv/bin/replay demo

test: .venv/.installed-dev
	@$(PYTHON) -m tests.support.run_tests $(ARGS)

test-all: .venv/.installed-dev
	@$(PYTHON) -m tests.support.run_tests --all $(ARGS)

bench: .venv/.installed-dev
	@$(PYTHON) -m tests.support.private_engine --base bookworm -- \
		bash -c 'for bench in run ways upgrade; do $(PYTHON) benchmarks/$$bench.py $(ARGS) || exit; done'
	@$(MAKE) bench-search ARGS=

# How many probes the search takes, beside other people's searches. LOCKS: a folder with two real locks.
.PHONY: bench-search
bench-search: .venv/.installed-dev .venv-bench/.installed
	@$(PYTHON) benchmarks/search.py --peers .venv-bench/bin/python $(if $(LOCKS),--locks $(LOCKS)) $(ARGS)

.venv-bench/.installed: .venv/.installed-dev
	@$(PYTHON) -m venv --clear .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check picire==21.8 bugdoc==0.1
	@touch $@

# What comparing two tables costs. PEERS: an interpreter that has pandas, polars and datacompy; ARGS: numbers of rows.
.PHONY: bench-tables
bench-tables: .venv/.installed-dev
	@$(if $(PEERS),REPLAY_BENCH_PYTHON=$(PEERS)) $(PYTHON) benchmarks/tables.py $(ARGS)

# What keeping input data costs. restic and borg from the PATH; PEERS: an interpreter with a dvc beside it.
.PHONY: bench-snapshots
bench-snapshots: .venv/.installed-dev
	@$(if $(PEERS),REPLAY_BENCH_PYTHON=$(PEERS)) $(PYTHON) benchmarks/snapshots.py $(ARGS)

.venv/.installed: pyproject.toml .ci/venv
	@.ci/venv .

.venv/.installed-dev: pyproject.toml .ci/venv
	@.ci/venv '.[dev]'
	@touch .venv/.installed

clean:
	@rm -rf .venv .venv-bench .mypy_cache .ruff_cache .pytest_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Bind and bisect every incident of a collection (a folder of them, laid out as benchmarks/incidents.py says).
.PHONY: incidents
incidents: .venv/.installed-dev
	@$(PYTHON) -m tests.support.private_engine --base bookworm --base bookworm-notz --base trixie --base bullseye -- \
		$(PYTHON) benchmarks/incidents.py $(or $(INCIDENTS),$(error INCIDENTS=FOLDER names the collection))
