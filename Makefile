# The two commands: "make demo" and "make test". Each installs what it needs by itself.
SHELL := /bin/sh
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= demo-out
# Tests share the work, file by file. Made-up cases are the same in every run; "make long" hunts
# with new ones.
SHARED := --durations 60 -n logical --maxprocesses 4 --dist loadfile --hypothesis-profile ci
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo test desktop check long clean

help:
	@echo "make demo      install, plan the sample patient, write report and record to $(OUT)/"
	@echo "make test      install, check the code and run all tests"
	@echo "make desktop   open the desktop on the sample patient"
	@echo "make long      run the tests that take minutes"
	@echo "make clean     remove what the above made"

$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "irplan needs Python 3.11 or later: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Each stamp holds the dependencies of one use; the package itself is laid in anew where a source
# is another than before, so that no old copy stays behind.
$(VENV)/.all: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt setuptools
	$(PIP) install -c constraints.txt '.[all]'
	@rm -f $(VENV)/.laid
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt setuptools
	$(PIP) install -c constraints.txt '.[dev]'
	@rm -f $(VENV)/.laid
	@touch $@ $(VENV)/.all

LAY_IN := BIN=$(BIN) LAID=$(VENV)/.laid sh scripts/lay-in.sh

# The inner loops, compiled where they lie: no plan has to wait for that.
$(VENV)/.compiled: $(VENV)/.laid
	$(BIN)/python scripts/compile_loops.py
	@touch $@

system-%:
	@PYTHON=$(PYTHON) sh scripts/system-packages.sh $*

demo: | system-run
	@$(MAKE) --no-print-directory $(VENV)/.all
	@$(LAY_IN)
	@$(MAKE) --no-print-directory $(VENV)/.compiled
	@BIN=$(BIN) OUT=$(OUT) sh scripts/demo.sh

test: | system-test
	@$(MAKE) --no-print-directory $(VENV)/.dev
	@$(LAY_IN)
	@$(MAKE) --no-print-directory -j 2 check $(VENV)/.compiled
	$(BIN)/pytest -m "not long" $(SHARED)

check:
	$(BIN)/ruff check irplan ui tests benchmarks
	$(BIN)/ruff format --check irplan ui tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

long: | system-test
	@$(MAKE) --no-print-directory $(VENV)/.dev
	@$(LAY_IN)
	$(BIN)/pytest -m long

desktop: | system-desktop
	@$(MAKE) --no-print-directory $(VENV)/.all
	@$(LAY_IN)
	@$(MAKE) --no-print-directory $(VENV)/.compiled
	$(BIN)/irplan desktop sample_dicom/visit1

clean:
	rm -rf build $(OUT) $(VENV) irplan.egg-info
