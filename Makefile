# `make` lists the commands. Each sets up what it needs by itself, in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := pipelines tests bench
# Made-up credentials (in tests they begin with hush), and words that only look like some; whatever
# else looks like one fails `make lint`.
NO_SECRETS := ^(hush.*|sandbox-secret|s3cret|hunter2|password|pass|wrong|another|out|M3TER_API_SECRET|from the keyring|alert URL.*)$$

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format docs pictures bench lock clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/runtime.stamp: $(BIN)/python requirements/build.txt requirements/runtime.txt pyproject.toml
	$(PIP) install --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/runtime.stamp requirements/dev.txt
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

setup: $(VENV)/runtime.stamp ## make .venv with the pinned dependencies and the command

demo: setup ## sync a local m3ter twice and show the two answers; needs no account
	$(BIN)/m3ter-sync demo

test: $(VENV)/dev.stamp ## run all tests, with coverage
	$(BIN)/python -m pytest -n 2 --dist loadgroup --cov --cov-report=term

lint: $(VENV)/dev.stamp ## check format, style, types, SQL, spelling and security
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --disable-progress-bar sql
	$(BIN)/codespell
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive pipelines
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --no-verify --exclude-secrets '$(NO_SECRETS)'

format: $(VENV)/dev.stamp ## format the code and mend what can be mended by itself
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/sqlfluff fix --disable-progress-bar sql

docs: $(VENV)/dev.stamp ## write the generated parts of the documentation anew
	$(BIN)/python tests/contract/test_readme.py
	$(BIN)/python tests/contract/test_data_dictionary.py
	$(BIN)/python tests/contract/test_reliability.py
	PYTHONPATH=. $(BIN)/python tests/contract/test_alerts_page.py

pictures: $(VENV)/dev.stamp ## take the README's pictures of the report anew; needs chromium
	$(BIN)/python -m tests.browser.picture

bench: $(VENV)/dev.stamp ## run the benchmarks of bench/README.md
	$(BIN)/python -m bench

# Extras stay in the pins: without them pip before 23.3 takes the newest release of what is asked for with extras.
lock: $(VENV)/dev.stamp ## pin the newest dependencies that pyproject.toml and requirements/*.in allow
	@for name in build runtime dev $(basename $(patsubst requirements/%,%,$(wildcard requirements/*/*.in))); do \
		case $$name in runtime) from=pyproject.toml;; dev) from="pyproject.toml requirements/dev.in";; *) from=requirements/$$name.in;; esac; \
		$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-emit-find-links --no-header --no-strip-extras --output-file requirements/$$name.txt $$from || exit 1; \
	done

clean: ## remove .venv and what the commands wrote
	rm -rf $(VENV) data dist .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
