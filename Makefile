# Each command does all of its own set-up: python3 and make are enough.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: help demo quick test check campaign bench bench-quick docs dist clean

help:
	@echo "make demo         install, and run the examples (DEMO_ARGS=... for plot_hello_digits.py)"
	@echo "make quick        install, and run the first and the last case of each test, in"
	@echo "                  less than a minute"
	@echo "make test         install, and run the tests"
	@echo "make check        the style checks, the types and the tests, the quick ones first"
	@echo "make campaign     thousands of injected faults, in some minutes (CAMPAIGN_ARGS=--short)"
	@echo "make bench        speed and memory beside scikit-learn, skorch and torch; tables and"
	@echo "                  plots go to build/bench (BENCH_ARGS='--threads 1')"
	@echo "make bench-quick  the same in some minutes: fewer turns and sizes"
	@echo "make docs         the site, in build/docs; a warning is an error"
	@echo "make dist         the wheel and the sources, checked, and the first page run with them"
	@echo "make clean        remove what these commands made"

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed"'
	$(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(INSTALLED)
	MPLBACKEND=Agg $(BIN)/python examples/start/plot_hello_digits.py $(DEMO_ARGS)
	MPLBACKEND=Agg $(BIN)/python examples/tools/plot_batched_search.py
	MPLBACKEND=Agg $(BIN)/python examples/tools/plot_pictures.py
	$(BIN)/python examples/tasks/plot_parquet.py

quick: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests --quick -n 2 --dist worksteal -q

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -q --durations=25

check: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(MAKE) quick
	$(MAKE) test

campaign: $(INSTALLED)
	cd tests && OMP_NUM_THREADS=1 ../$(BIN)/python -m campaign $(CAMPAIGN_ARGS)

bench: $(INSTALLED)
	$(BIN)/python benchmarks/bench_fit.py $(BENCH_ARGS)
	$(BIN)/python benchmarks/bench_predict.py $(BENCH_ARGS)
	$(BIN)/python benchmarks/bench_scaling.py $(BENCH_ARGS)
	$(BIN)/python benchmarks/bench_search.py $(BENCH_ARGS)
	$(BIN)/python benchmarks/bench_callbacks.py $(BENCH_ARGS)
	$(BIN)/python benchmarks/bench_diagnosis.py $(BENCH_ARGS)
	$(BIN)/python benchmarks/bench_memory.py $(BENCH_ARGS)
	$(BIN)/python benchmarks/bench_workers.py $(BENCH_ARGS)

bench-quick:
	$(MAKE) bench BENCH_ARGS="--quick $(BENCH_ARGS)"

docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	MPLBACKEND=Agg $(BIN)/sphinx-build -q -W --keep-going -b html docs build/docs
	$(BIN)/python docs/check_links.py build/docs

dist: $(INSTALLED)
	rm -rf dist build/empty
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet build twine
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(PYTHON) -m venv build/empty
	build/empty/bin/python -m pip install --quiet --constraint constraints.txt \
		"$$(ls dist/*.whl)[skops]"
	cd build/empty && bin/python -I ../../tests/smoke.py ../../docs/start.md

clean:
	rm -rf dist docs/gallery docs/generated docs/options docs/sg_execution_times.rst
	rm -rf .venv build .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
