# make            set up .venv
# make test       set up, then run the tests
# make test-fast  set up, then run the quick tests: the daily round, 1 to 2 minutes
# make demo       set up, then train and compare a conventional and an ALONE Transformer (4 minutes on 2 cores)
# make check      set up, then check style (ruff), scripts (shellcheck) and types (mypy)
# make lint       the same
#
# PYTHON=python3.12 make ... chooses the Python that .venv is made with: 3.11 or 3.12.
# PYTEST_FLAGS="-k filters" make test ... runs some of the tests.

PYTHON ?= python3
# Only a process that died of a signal (of a library's native code: this package has none) gets a second try.
PYTEST_FLAGS ?= --numprocesses 2 --dist worksteal --reruns 1 --only-rerun "died of signal"
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
DONE := $(VENV)/.installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: all test test-fast demo check lint clean
.DELETE_ON_ERROR:

all: $(DONE)

# The stamp is written last, so a set-up that was interrupted goes on where it stopped: pip skips what is there.
$(DONE): setup.py constraints.txt tools/setup_venv.sh
	@PYTHON="$(PYTHON)" bash tools/setup_venv.sh "$(VENV)"
	@touch $@

test: $(DONE)
	@$(BIN)/python -m pytest tests $(PYTEST_FLAGS)

test-fast: $(DONE)
	@$(BIN)/python -m pytest tests -m "not slow" $(PYTEST_FLAGS)

demo: $(DONE)
	@$(BIN)/fairseq-alone demo $(CURDIR)/demo

check: $(DONE)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/shellcheck .ci/run $(wildcard tools/*.sh examples/*/*.sh benchmarks/*/*.sh)
	@$(BIN)/mypy

lint: check

clean:
	rm -rf $(VENV) build *.egg-info
