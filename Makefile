# The commands of this house; `make` lists them. Each sets up what it needs first (tools/setup.sh).

BOARD ?= mps2-an385
BIN := .venv/bin
C_SOURCES = $(filter-out %/ebnn_ops.h,$(shell find usermod firmware tests -name '*.[ch]'))
SHELL_SOURCES = .ci/run $(wildcard tools/*.sh)

.PHONY: help setup toolchain demo test repl firmware golden mutants lint format lock clean

help:  # the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## the Python packages, in .venv (PYTHON=python3.12 names the interpreter)
	@tools/setup.sh

toolchain: ## the same, with the Arm compiler and the emulator
	@tools/setup.sh firmware

demo: toolchain ## train, export, build, boot, classify on the board, report (DATA_DIR=... BOARD=...)
	@$(BIN)/ebnn demo --board $(BOARD) $(if $(DATA_DIR),--data-dir "$(DATA_DIR)")

test: toolchain ## all tests, with the boards they need (ARGS="-k format" for some)
	@$(BIN)/python -m pytest -n 2 --durations=10 $(ARGS)

repl: toolchain ## boot the board and leave you at its prompt (BOARD=...)
	@$(BIN)/ebnn repl --board $(BOARD)

firmware: toolchain ## build MicroPython with ebnn for a board (BOARD=... MODEL=path/model.ebnn)
	@$(BIN)/ebnn firmware --board $(BOARD) $(if $(MODEL),--model "$(MODEL)")

golden: setup ## write the golden vectors again, from the oracle
	@$(BIN)/python tests/make_golden.py

mutants: setup ## seed faults in engine, simulator and folding: each must be caught
	@$(BIN)/python tests/mutants.py

lint: setup ## ruff, the C format, the shell's syntax
	@$(BIN)/ruff check
	@$(BIN)/clang-format --dry-run -Werror $(C_SOURCES)
	@for file in $(SHELL_SOURCES); do sh -n $$file || exit 1; done

format: setup ## mend what can be mended: imports, the C format
	@$(BIN)/ruff check --fix
	@$(BIN)/clang-format -i $(C_SOURCES)

lock: setup ## pin the Python packages anew, with hashes
	@tools/lock.sh

clean: ## remove what was built (not .venv, not what was downloaded)
	@rm -rf build .pytest_cache .ruff_cache .hypothesis
