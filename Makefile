# `make help` lists what there is. Needed: Python 3.11 or newer, with its venv module. Everything else is fetched.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PYTHON ?= python3
# Used when the machine has no uv of its own.
UV_VERSION := 0.13.9
# The Python that is there is the one to use, and the virtual environment is always the one beside this file.
export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := .venv
unexport VIRTUAL_ENV

UV := $(or $(shell command -v uv 2>/dev/null),.venv-uv/bin/uv)
SYNC = $(UV) sync --frozen --quiet --python "$$(command -v $(PYTHON))"

# Written when the environment matches uv.lock: nothing is synchronised again until that changes.
RUN_STAMP := .venv/.synced-run
DEV_STAMP := .venv/.synced-dev

# What `check --deploy` looks at: a server as it stands in production. The values are placeholders.
PRODUCTION := DEBUG=0 DATA_DIR=$(CURDIR)/.venv/production SITE_URL=https://blueprints.example \
	ALLOWED_HOSTS=blueprints.example API_TOKENS=placeholder GITHUB_WEBHOOK_SECRETS=placeholder \
	AWS_EVENTS_TOKEN=placeholder EMAIL_URL=smtp://mail.blueprints.example:25 \
	SECRET_KEY=a-placeholder-as-long-and-as-varied-as-a-real-one-0123456789-ABCDEFGHIJ \
	FIELD_ENCRYPTION_KEYS=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= \
	DATABASE_URL=postgres://offboard@127.0.0.1:1/offboard REDIS_URL=redis://127.0.0.1:1/0

.PHONY: help run test lint format bench bench-small screenshots messages python

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | \
		while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

run: $(RUN_STAMP) ## Everything at http://127.0.0.1:$PORT (8000), data in $DATA_DIR (var/), until Ctrl-C
	@exec .venv/bin/python -m config.stack

# Three at once on two processors: a fifth of the tests' time is waiting, for a kill, a mail, a process to start.
test: $(DEV_STAMP) messages ## Every test; one file: make test T=tests/accounts/erasure/test_purge.py
	@exec .venv/bin/python -m pytest $(if $(T),$(T),-n 3 --dist worksteal)

lint: $(DEV_STAMP) ## Formatting, types, import contracts, migrations, deployment checks, build files
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	git ls-files -z --cached --others --exclude-standard -- 'templates/*.html' | xargs -0r .venv/bin/djade --check
	$(PRODUCTION) .venv/bin/mypy .
	.venv/bin/lint-imports
	$(PRODUCTION) .venv/bin/python manage.py makemigrations --check --dry-run
	$(PRODUCTION) .venv/bin/python manage.py check --deploy --fail-level WARNING
	.venv/bin/hadolint Dockerfile
	.venv/bin/check-jsonschema --builtin-schema vendor.compose-spec compose.yaml

format: $(DEV_STAMP) ## Format code and templates
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .
	@# djade exits with 1, and so xargs with 123, when it has changed something.
	git ls-files -z --cached --others --exclude-standard -- 'templates/*.html' | xargs -0r .venv/bin/djade || [ $$? = 123 ]

bench: $(DEV_STAMP) messages ## The benchmarks
	@exec .venv/bin/python -m bench

bench-small: $(DEV_STAMP) messages ## The benchmarks at their small scale: that each runs, and answers right
	@exec .venv/bin/python -m bench --scale small

screenshots: $(DEV_STAMP) messages ## The pictures in the documentation
	@exec .venv/bin/python docs/screenshots.py

messages: $(RUN_STAMP)
	@if [ -d locale ]; then .venv/bin/pybabel --quiet compile -D django -d locale; fi

# A development environment can run the product too; `--inexact` leaves its additions alone.
$(RUN_STAMP): uv.lock pyproject.toml | python $(UV)
	@echo "Preparing the virtual environment .venv"
	@$(SYNC) --no-dev --inexact
	@touch $@

$(DEV_STAMP): uv.lock pyproject.toml | python $(UV)
	@echo "Preparing the virtual environment .venv, with the development tools"
	@$(SYNC) --all-extras
	@touch $@ $(RUN_STAMP)

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "offboard: Python 3.11 or newer is needed (set PYTHON=... if it has another name)." >&2; exit 1; }

.venv-uv/bin/uv: | python
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "offboard: Python's venv module is missing (on Debian: apt install python3-venv)." >&2; exit 1; }
	@echo "Fetching uv $(UV_VERSION)"
	@rm -rf .venv-uv
	@$(PYTHON) -m venv .venv-uv
	@.venv-uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
