# The two commands to know: `make demo` and `make test`. Each makes what it needs, and twice is fast.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
JOBS ?= 2

.PHONY: help demo test check bench bench-agentdojo serve clean

help:
	@echo "make demo    run the example: a support agent, a person who approves (ARGS=\"--answer approve\")"
	@echo "make test    run the tests"
	@echo "make check   what CI runs, and the slow tests: style, types, layers, all tests"
	@echo "make bench   print the table of costs"
	@echo "make bench-agentdojo  replay AgentDojo's attacks without a model (ARGS=\"--transforms\"); installs it"
	@echo "make serve   start the server on loopback (ARGS=\"-c FILE\" names its settings)"
	@echo "make clean   remove what the above made"

demo: $(VENV)/.installed
	@$(BIN)/pratique demo $(ARGS)

test: $(VENV)/.tested
	$(BIN)/pytest -n $(JOBS) -m "not slow" $(ARGS)

check: $(VENV)/.checked
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/bounds.py lowest
	$(BIN)/pytest -n $(JOBS) $(ARGS)

bench: $(VENV)/.tested
	$(BIN)/python -m benchmarks $(ARGS)

bench-agentdojo: $(VENV)/.agentdojo
	$(BIN)/python -m benchmarks.agentdojo.replay $(ARGS)

serve: $(VENV)/.installed
	$(BIN)/pratique serve $(ARGS)

clean:
	rm -rf $(VENV) build dist demo-run .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp is newer than what was installed for it; pip runs again only when pyproject.toml changes.

$(BIN)/python:
	$(PYTHON) tools/make_venv.py $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[sandbox]'
	@touch $@

$(VENV)/.agentdojo: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group agentdojo
	@touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group test
	@touch $@

$(VENV)/.checked: $(VENV)/.tested
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group check
	@touch $@
