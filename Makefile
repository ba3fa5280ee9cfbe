# Everything a user or developer does. `make` alone lists it. Needs make and a Python from 3.11.2 to 3.14 with its venv
# module, nothing else; `make test-all` needs some Debian packages as well.

SERIES  := 3.14 3.13 3.12 3.11
FITS    := -c 'import sys; sys.exit(not (3, 11, 2) <= sys.version_info[:3] < (3, 15))'
# The newest that starts: a shim of a version manager may be on the PATH for a Python that is not switched on. Looked for
# once, when it is first needed.
PYTHON  ?= $(eval PYTHON := $(shell for name in $(SERIES:%=python%) python3; do \
             found=$$(command -v $$name) && "$$found" $(FITS) 2>/dev/null && echo "$$found" && break; done))$(PYTHON)
# Which build of PyTorch: cpu, cuda or default (the package index's). Empty: as the machine wants it.
TORCH   ?=
VENV   := .venv
BIN    := $(VENV)/bin
WEIGHTS := $(or $(VNYATNO_WEIGHTS),weights)

# Settings of single targets: make demo ARCHIVE=my.zip CONFIG=configs/defects.yaml KEEP=0
RECIPE  ?=
ARCHIVE ?=
CONFIG  ?=
SPEECH  ?=
KEEP    ?= 1
BUNDLE  ?=
FILE    ?=
NAME    ?=
ROLE    ?= predict
RATE    ?= 60

PACKAGES := $(VENV)/.packages
DEV      := $(VENV)/.packages-dev
WHISPER  := $(WEIGHTS)/whisper-base.pt

# What a build of PyTorch with CUDA brings and pins itself: no lock names it.
OF_TORCH := triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc \
            nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse \
            nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx
COMPILE  := $(BIN)/uv pip compile --no-config --quiet --universal --fork-strategy fewest --python-version 3.11.2 --no-header \
            $(OF_TORCH:%=--no-emit-package %) $(if $(UPGRADE),--upgrade)

.DEFAULT_GOAL := help
FORCE:
.PHONY: FORCE check help setup setup-dev demo up serve rollback export import key keys revoke-key check-archive audit test \
        test-all system-packages lint format types lock lock-check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# ---- setting up: all downloads happen here

setup: $(PACKAGES) $(WHISPER) ## install the packages into .venv and fetch the Whisper weights

$(PACKAGES): requirements.txt requirements-cuda.txt $(if $(TORCH),FORCE)
	@test -n "$(PYTHON)" || { \
	  echo "error: no Python from 3.11.2 to 3.14 is on the PATH. Install one (Debian, Ubuntu: apt-get install python3" \
	  "python3-venv), or name it: make PYTHON=/path/to/python3.13" >&2; exit 1; }
	@command -v "$(PYTHON)" >/dev/null || { \
	  echo "error: $(PYTHON) was not found. Vnyatno needs Python 3.11.2 to 3.14: make PYTHON=/path/to/python3.13" >&2; exit 1; }
	@"$(PYTHON)" $(FITS) || { \
	  echo "error: Vnyatno needs Python 3.11.2 to 3.14, and $(PYTHON) is $$("$(PYTHON)" -V 2>&1)" >&2; exit 1; }
	@"$(PYTHON)" -m deploy.install $(if $(TORCH),--torch '$(TORCH)')

$(WHISPER): | $(PACKAGES)
	@echo "fetching the weights of Whisper base into $(WEIGHTS) (134 MB)"
	@$(BIN)/python -m speech.whisper.weights --openai

setup-dev: $(DEV)

$(DEV): requirements-dev.txt $(PACKAGES)
	@$(BIN)/python -m deploy.install --dev

# ---- using. `exec`, so that a signal sent to make reaches the program and not a shell that ignores it

demo: setup ## train on a small archive, serve and ask (RECIPE=asr, ARCHIVE=, CONFIG=, SPEECH=en, KEEP=0)
	@exec $(BIN)/python -m deploy.demo --keep '$(KEEP)' $(if $(RECIPE),--recipe '$(RECIPE)') \
	  $(if $(ARCHIVE),--archive '$(ARCHIVE)') $(if $(CONFIG),--config '$(CONFIG)') \
	  $(if $(SPEECH),--language '$(SPEECH)')

up: setup ## start Dagster, the service and the web application until Ctrl-C
	@exec $(BIN)/python -m deploy.run.launcher up

serve: $(PACKAGES) ## start the service alone (BUNDLE=an exported bundle's file or a bundle's id)
	@exec $(BIN)/python -m deploy.run.launcher serve $(if $(BUNDLE),'$(BUNDLE)')

rollback: $(PACKAGES) ## put the bundle that served before into service again; once more returns (RECIPE=asr)
	@exec $(BIN)/python -m deploy.commands.rollback $(if $(RECIPE),--recipe '$(RECIPE)')

export: $(PACKAGES) ## write a bundle to one file (BUNDLE=a bundle's id, FILE=my.zip)
	@test -n '$(BUNDLE)' -a -n '$(FILE)' || { \
	  echo "error: name the bundle and the file: make export BUNDLE=defects-1a2b3c4d5e6f FILE=my.zip" >&2; exit 1; }
	@exec $(BIN)/python -m speech.bundles.transfer export '$(BUNDLE)' '$(FILE)'

import: $(PACKAGES) ## take a bundle from a file (FILE=my.zip); `make serve BUNDLE=its id` puts it into service
	@test -n '$(FILE)' || { echo "error: name the file: make import FILE=my.zip" >&2; exit 1; }
	@exec $(BIN)/python -m speech.bundles.transfer import '$(FILE)'

key: $(PACKAGES) ## make a key to the service and show it once (NAME=, ROLE=predict or admin, RATE=60 a minute)
	@test -n '$(NAME)' || { echo "error: name the key: make key NAME=anna" >&2; exit 1; }
	@exec $(BIN)/python -m api.security.commands make --role '$(ROLE)' --rate '$(RATE)' -- '$(NAME)'

keys: $(PACKAGES) ## list the keys to the service
	@exec $(BIN)/python -m api.security.commands list

revoke-key: $(PACKAGES) ## take a key back (NAME=)
	@test -n '$(NAME)' || { echo "error: name the key: make revoke-key NAME=anna" >&2; exit 1; }
	@exec $(BIN)/python -m api.security.commands revoke -- '$(NAME)'

check-archive: $(PACKAGES) ## validate an archive without training (ARCHIVE=path or link, CONFIG=)
	@test -n '$(ARCHIVE)' || { echo "error: name the archive: make check-archive ARCHIVE=my.zip" >&2; exit 1; }
	@exec $(BIN)/python -m pipeline.check_archive --archive '$(ARCHIVE)' $(if $(CONFIG),--config '$(CONFIG)')

# ---- developing

# A file's tests stay together, since they share servers; as many at once as there are cores, but no more than memory is for.
# A test that ends its process ends the run and is named: with a process in its place pytest-xdist 3.8 may wait for ever.
JOBS     ?= auto
TESTS    := $(BIN)/python -m pytest --numprocesses $(JOBS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder \
            --max-worker-restart 0

# What a change breaks first: no servers, no Whisper, no training that takes a second.
QUICK    := tests/test_walls.py tests/test_light_imports.py tests/speech/text tests/speech/audio \
            tests/speech/defects tests/speech/serving tests/speech/bundles tests/pipeline/archive tests/pipeline/clips \
            tests/pipeline/evaluation tests/api/intake tests/web

check: $(DEV) ## lint, types, walls and the quick tests, in four minutes
	@$(MAKE) --no-print-directory lint types
	$(TESTS) -m "not system and not long" $(QUICK)

test: setup $(DEV) ## lint, types, and all tests that need Python alone (JOBS=processes)
	@$(MAKE) --no-print-directory lint types
	@$(BIN)/python -m deploy.install.lock_check --if-reachable
	$(TESTS) -m "not system"

test-all: setup $(DEV) system-packages ## `test`, and what needs Debian packages, a browser or half a minute each
	@$(MAKE) --no-print-directory lint types
	@$(BIN)/python -m deploy.install.lock_check --if-reachable
	$(TESTS)

SYSTEM_PACKAGES := espeak-ng festival festvox-ru chromium caddy postgresql docker-compose curl

system-packages:
	@if command -v espeak-ng >/dev/null && command -v festival >/dev/null && command -v chromium >/dev/null \
	  && command -v caddy >/dev/null && command -v docker-compose >/dev/null && command -v curl >/dev/null && test -d /usr/lib/postgresql \
	  && test -d /usr/share/festival/voices/russian; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --yes $(SYSTEM_PACKAGES) >/dev/null; \
	else echo "error: install these Debian packages first: $(SYSTEM_PACKAGES)" >&2; exit 1; fi

lint: $(DEV) ## check style
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(DEV) ## put style right
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(DEV) ## check types
	$(BIN)/mypy

# Not a part of `test`: it asks a database on the network.
audit: $(DEV) ## look for known flaws in the packages of requirements.txt
	@exec $(BIN)/python -m deploy.commands.audit

# One resolution for all Pythons and processors, from the package index's metadata; what is tested is what is installed.
lock: $(DEV) ## pin what pyproject.toml allows into requirements*.txt (UPGRADE=1: the newest)
	$(COMPILE) --extra dev --extra vertex --output-file requirements-dev.txt pyproject.toml
	$(COMPILE) --constraint requirements-dev.txt --output-file requirements.txt pyproject.toml
	$(COMPILE) --constraint requirements-dev.txt --extra cuda --output-file requirements-cuda.txt pyproject.toml

lock-check: $(DEV) ## resolve the locks for each Python and processor, from metadata alone
	@exec $(BIN)/python -m deploy.install.lock_check

clean: ## remove what the tools left; data (var), weights and .venv stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
