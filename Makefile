# Everything a person needs: make demo, make test. Both set up what is missing first.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.requirements.sha256

.PHONY: help setup demo test check lint lock browser console clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

setup: ## set everything up: packages by their hashes, the program, the console
	@PYTHON="$(PYTHON)" bash scripts/setup.sh

demo: setup ## start the simulated city and print the console's address
	@exec $(VENV)/bin/safecity demo $(ARGS)

test: setup browser ## run all tests
	@$(PY) -m safecity.web.console_build test
	@$(PY) -m pytest -m "not e2e and not faults" --numprocesses 4 --dist loadfile $(ARGS)
	@$(PY) -m pytest -m "e2e or faults" $(ARGS)

check: setup ## the same as test, after style and types
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test

lint: setup ## style and types, Python and console
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(PY) -m safecity.web.console_build check

browser: ## find a Chromium, or install Debian's
	@bash scripts/browser.sh

lock: ## pin all packages anew, with their hashes (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		--extra dev pyproject.toml --output-file requirements.lock
	@sed -i '/^--/d' requirements.lock

clean: ## forget the demo's data (./var)
	rm -rf var
