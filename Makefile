# Nearcast: `make up` runs it, `make test` proves it. Everything is set up on the way.
SHELL := /bin/bash
BIN := .venv/bin
export NEARCAST_HOME ?= $(CURDIR)/.nearcast

.DEFAULT_GOAL := help
.PHONY: help up down test check docs bench lock clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

up:  ## set up what is missing, start the demo, print a sign-in link
	@deploy/setup.sh run
	@$(BIN)/nearcast up

down:  ## stop what `make up` started
	@$(BIN)/nearcast down

check:  ## lint, types, import rules, front-end types
	@deploy/setup.sh test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@deploy/npm.sh run check

test: check  ## every check and every test
	@deploy/npm.sh test
	@deploy/test.sh

docs:  ## write the generated reference pages anew
	@deploy/setup.sh test
	@$(BIN)/python -m nearcast.cli.docs

bench:  ## print the figures of the README beside their limits
	@deploy/setup.sh test
	@env -u NEARCAST_HOME $(BIN)/python -m bench.press_play

lock:  ## resolve the locks anew: versions and hashes, no addresses
	@deploy/lock.sh

clean:  ## remove what set-up made (not the films: those are in .nearcast)
	@rm -rf .venv .bootstrap web/node_modules web/dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
