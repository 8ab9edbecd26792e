# Two commands set everything up on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: run serve test check slow release

run: $(VENV)/answers  ## install what answering needs, and label the example article
	$(BIN)/communique score --pretty examples/article.txt

serve: $(VENV)/answers  ## the service and its page at http://127.0.0.1:3000
	$(BIN)/communique serve

test: $(VENV)/develops check  ## install everything, check the code and run the tests
	$(BIN)/pytest

check: $(VENV)/develops
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

slow: $(VENV)/develops  ## the tests that take minutes as well
	$(BIN)/pytest --slow

release: $(VENV)/develops  ## replace the released model by one trained on data/annotations alone
	rm -rf model/released
	$(BIN)/communique train --light --out model/released

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/answers: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/develops: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@ $(VENV)/answers
