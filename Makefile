# The commands of this house; `make` lists them. Each sets up what it needs first (tools/setup.sh).

BIN := .venv/bin
BOARD_OPTION = $(if $(BOARD),--board $(BOARD))
C_SOURCES = $(filter-out %/ebnn_ops.h,$(shell find usermod firmware tests host -name '*.[ch]'))
SHELL_SOURCES = .ci/run $(wildcard tools/*.sh)

.PHONY: help setup toolchain boards demo test matrix bench size parts speed repl firmware natmod clib clib-run golden mutants checks flips fuzz readme lint format lock clean

help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

setup: ## the Python packages, in .venv (PYTHON=python3.12 names the interpreter)
	@tools/setup.sh

toolchain: ## the same, and the Arm compiler and the emulator
	@tools/setup.sh firmware

boards: ## the same, and the compiler and the emulator for RISC-V
	@tools/setup.sh boards

demo: toolchain ## train, export, build, boot, classify on the board, report (BOARD=... DATA_DIR=...)
	@$(BIN)/ebnn demo $(BOARD_OPTION) $(if $(DATA_DIR),--data-dir "$(DATA_DIR)")

test: boards ## every test, with the firmware that they need (ARGS="-k golden" for some)
	@tools/setup.sh bigendian || echo "setup: the tests on a big-endian processor are skipped"
	@$(BIN)/python -m pytest -n 2 --dist loadgroup --durations=10 $(ARGS)

matrix: boards ## the device suite on every board with every MicroPython, and docs/boards.md (ARGS="-k virt")
	@$(BIN)/python tests/matrix.py $(ARGS)

bench: toolchain ## count instructions on emulated cores (CORE=m3,m4 GROUP=sweep CASE=n1 FIT=fast ARGS=--nodes)
	@$(BIN)/python -m ebnn.count $(if $(CORE),--core $(CORE)) $(if $(GROUP),--group $(GROUP)) \
	    $(if $(CASE),--case $(CASE)) $(if $(FIT),--fit $(FIT)) $(if $(FLAGS),--flags="$(FLAGS)") $(ARGS)

size: toolchain ## bytes and stack of the engine by function and core, beside the record (CORE=m4 ARGS=--record)
	@$(BIN)/python -m ebnn.count.size $(if $(CORE),--core $(CORE)) $(if $(FLAGS),--flags="$(FLAGS)") $(ARGS)

parts: toolchain ## bytes of each part of the engine that can be left out, into docs/size.md
	@$(BIN)/python -m ebnn.count.parts

speed: setup ## CPU time of a training step by its parts, beside the BLAS (ARGS="--dataset cifar10")
	@$(BIN)/python -m ebnn.train.speed $(ARGS)

repl: toolchain ## boot a board and stay at its prompt (BOARD=...)
	@$(BIN)/ebnn repl $(BOARD_OPTION)

firmware: toolchain ## build MicroPython with the ebnn module (BOARD=... MODEL=path/model.ebnn)
	@$(BIN)/ebnn firmware $(BOARD_OPTION) $(if $(MODEL),--model "$(MODEL)")

natmod: toolchain ## native .mpy modules and their mip packages, in build/natmod (ARGS="--arch armv6m")
	@$(BIN)/python firmware/natmod.py $(ARGS)

clib: setup ## the engine as ebnn.h and ebnn.c, a model and an example, in build/clib (MODEL=path/model.ebnn)
	@$(BIN)/python -m ebnn.clib $(if $(MODEL),--model "$(MODEL)")

clib-run: toolchain clib ## its example on an emulated core (CPU=cortex-m0 MACHINE=microbit)
	@$(MAKE) -s -C build/clib/example run

golden: setup ## write what is generated and committed: operator header, SPEC tables, golden vectors
	@$(BIN)/python tools/generate.py
	@$(BIN)/python tests/make_golden.py

mutants: setup ## plant faults in engine, simulator and folding: the tests must catch each
	@$(BIN)/python tests/mutants.py

checks: setup ## take each check of ebnn_open away: a damaged model must notice (ARGS=--fuzz: or the fuzzer)
	@$(BIN)/python tests/checks.py $(ARGS)

flips: setup ## flip every bit of three models, and change the bytes of models that are open
	@$(BIN)/python tests/fuzz/fuzz.py flips

fuzz: ## fuzz the engine with clang's libFuzzer, going on where it ended (MINUTES=10)
	@tools/setup.sh fuzz
	@$(BIN)/python tests/fuzz/fuzz.py run $(if $(MINUTES),--minutes $(MINUTES))

readme: setup ## README's figures from the last demo, its example from host/ebnn/examples
	@$(BIN)/python tools/readme.py build/demo/report.json

lint: setup ## ruff, the C format, the shell's syntax
	@$(BIN)/ruff check
	@$(BIN)/clang-format --dry-run -Werror $(C_SOURCES)
	@for file in $(SHELL_SOURCES); do sh -n $$file || exit 1; done

format: setup ## mend what can be mended: order of imports, the C format
	@$(BIN)/ruff check --fix
	@$(BIN)/clang-format -i $(C_SOURCES)

lock: setup ## pin the Python packages anew, with hashes
	@tools/lock.sh

clean: ## remove what was built (not .venv, not downloads)
	@rm -rf build .pytest_cache .ruff_cache .hypothesis
