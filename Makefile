# The whole project in a few commands; `make` alone explains them.
#
# The first use makes an environment in .venv from the files that constraints.txt names by version and hash. To use one you have
# (conda, a module on a cluster), name its folder: make book VENV=$CONDA_PREFIX

PYTHON   ?= python3
VENV     ?= .venv
PRESET   ?= quick
CORES    ?= all
PORT     ?= 8000
# Anything else for Snakemake, such as SNAKEMAKE="--workflow-profile workflow/profiles/slurm"
SNAKEMAKE ?=
# Anything else for pytest, such as PYTEST="-k hessian -x"
PYTEST   ?=
# Anything else for JupyterLab, such as JUPYTER="--no-browser --port 9000", or --allow-root in a container
JUPYTER  ?=
# Anything else for `make lock`, such as LOCK="--constraint constraints.txt", which keeps the versions that still fit
LOCK     ?=
# Where `make gpu` computes and writes; TINY=1 tries its lines in little time.
DEVICE   ?= cuda
OUTPUT   ?= build/gpu
TINY     ?=
# Test files run side by side in this many processes, each on one thread.
JOBS     ?= 2

BIN      := $(VENV)/bin
HTML     := build/book/_build/html/index.html
BOOK     := $(VENV)/.memlib-book
DEV      := $(VENV)/.memlib-dev
COMPARE  := $(VENV)/.memlib-compare
LAB      := $(VENV)/share/jupyter/lab/settings/overrides.json
# --nolock: a lock left by a killed run would stop the next one; runs lock their own folder while they last.
PIPELINE  = $(BIN)/snakemake --snakefile workflow/Snakefile --cores $(CORES) --nolock --rerun-incomplete \
            --quiet host progress reason rules $(SNAKEMAKE)
# What went wrong in this call is the last thing one reads.
BEGUN    := $(shell date +%s)
WHY       = { $(BIN)/companion failures --since $(BEGUN); exit 1; }

.DEFAULT_GOAL := help
.PHONY: help setup book pdf archive lab notebooks run sweep record claims
.PHONY: test lint bench gpu rehearsal again serve clean lock audit-dependencies
.DELETE_ON_ERROR:
.SUFFIXES:

help:  ## this text
	@echo "Usage: make TARGET [NAME=VALUE ...]"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-26s %s\n", $$1, $$2 }'
	@echo
	@echo "Examples"
	@echo "  make book                                     every notebook at the preset quick, then the book"
	@echo "  make book PRESET=full SNAKEMAKE='--workflow-profile workflow/profiles/slurm'"
	@echo "  make run NOTEBOOK=02_gaussian_mixture PARAMETERS='-p seed=1'"
	@echo "  make sweep SWEEP=workflow/sweeps/seeds.yml"
	@echo "  make test PYTEST='-k recorder'"
	@echo
	@echo "The first command installs the pinned versions into $(VENV) (PYTHON=python3.12 chooses another Python,"
	@echo "VENV=DIR an environment you have). Everything else is written to build/."

setup: $(DEV)  ## the environment for all of the below

book: $(BOOK)  ## run what has changed, build the book, say where to open it
	@$(PIPELINE) --config preset=$(PRESET) -- book || $(WHY)
	@echo
	@echo "The book is ready: file://$(CURDIR)/$(HTML)"

pdf: $(DEV) book  ## the whole book as build/book.pdf, printed by Chromium
	@$(BIN)/companion pdf

archive: $(BOOK) book  ## build/archive.zip: sources, runs and their provenance, with checksums
	@$(BIN)/companion archive

lab: $(LAB)  ## JupyterLab on the notebooks, with what they need
	@$(BIN)/jupyter-lab --ServerApp.root_dir="$(CURDIR)" --LabApp.default_url=/lab/tree/notebooks $(JUPYTER)

notebooks: $(BOOK)  ## plain .ipynb files in build/notebooks, for Jupyter without jupytext
	@$(BIN)/companion convert

run: $(BOOK)  ## one notebook: NOTEBOOK=02_gaussian_mixture PRESET=quick PARAMETERS='-p seed=1'
	@test -n "$(NOTEBOOK)" || { echo "Name a notebook: make run NOTEBOOK=..., one of"; $(BIN)/companion notebooks; exit 1; }
	@$(BIN)/companion run $(NOTEBOOK) --preset $(PRESET) $(PARAMETERS)

sweep: $(BOOK)  ## all runs of a sweep: SWEEP=workflow/sweeps/seeds.yml
	@test -n "$(SWEEP)" || { echo "Name a sweep file: make sweep SWEEP=..., for example"; ls workflow/sweeps/*.yml; exit 1; }
	@$(PIPELINE) --config sweep=$(SWEEP) -- runs || $(WHY)

record: $(BOOK)  ## the larger runs that verdicts rest on, kept in recorded/: an hour or two
	@$(PIPELINE) --config preset=recorded -- record || $(WHY)

claims: $(if $(SEEDS),$(BOOK),book)  ## the verdicts of book/claims.yml against the runs; SEEDS=5 counts them under other seeds
ifdef SEEDS
	@$(PIPELINE) --config preset=$(PRESET) seeds=$(SEEDS) -- verdicts || $(WHY)
else
	@$(BIN)/companion claims --preset $(PRESET)
endif

again: book  ## every chapter three times more, and what moved: once as before, on two threads, without AVX-512
	@$(PIPELINE) --config preset=$(PRESET) repeat=1 -- again || $(WHY)

# Side by side where a part leaves a core idle: the last chapter with lint, Sphinx with tests that need no book.
test: $(DEV) $(BOOK)  ## lint and the book, then every test
	@$(MAKE) --no-print-directory --jobs 2 lint chapters
	@$(MAKE) --no-print-directory --jobs 2 book test-of-code
	@$(call SUITE,load,$(OF_BOOK))

# A choice of tests, such as PYTEST="-k hessian", may leave one of the two parts without any, which pytest calls an error.
# Tests of one file share what it makes; pages of the book share nothing, and most of them are tests of one file.
SUITE     = OMP_NUM_THREADS=1 $(BIN)/pytest -n $(JOBS) --dist $(1) --no-loadscope-reorder $(2) $(PYTEST) || test $$? = 5
OF_BOOK  := tests/book tests/browser

.PHONY: chapters test-of-code
test-of-code:
	@$(call SUITE,loadfile,tests $(OF_BOOK:%=--ignore=%))

chapters: $(BOOK)
	@$(PIPELINE) --config preset=$(PRESET) -- runs || $(WHY)

lint: $(DEV)  ## style, types on memlib, who may import whom
	$(BIN)/ruff check --no-cache .  # its cache keeps what a file it no longer finds was
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(BOOK) $(COMPARE)  ## timings beside what one would use instead
	$(BIN)/python -m benchmarks

# No environment is made: a machine with a card has one, and no network perhaps.
gpu:  ## 8 minutes of a CUDA card, with torch alone: tests, benchmarks, chapters; DEVICE=cpu TINY=1 tries every line
	@$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON)) -m benchmarks.gpu --device $(DEVICE) --output $(OUTPUT) \
		$(if $(TINY),--tiny)

# The vocabulary alone is used of this package, which is put beside the environment and not into it: it asks for torchvision.
OPEN_CLIP := open_clip_torch==3.3.0
REHEARSAL := $(CURDIR)/build/rehearsal

rehearsal: $(BOOK)  ## the chapter on real models at full size, with random weights: 16 GB of memory, an hour and a half
	@$(INSTALL) --no-deps --upgrade --target $(REHEARSAL)/vocabulary $(OPEN_CLIP)
	@$(BIN)/python -m companion.real_models.rehearsal $(REHEARSAL) \
		$(REHEARSAL)/vocabulary/open_clip/bpe_simple_vocab_16e6.txt.gz
	@$(BIN)/companion run 10_real_models --preset rehearsal -p model=$(REHEARSAL)/pipeline \
		-p prompts=$(REHEARSAL)/captions.csv -p listing=$(REHEARSAL)/listing.jsonl --name rehearsal

serve: $(BOOK)  ## the built book at http://localhost:8000 (PORT=...)
	@test -f $(HTML) || { echo "There is no book yet: make book"; exit 1; }
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory $(dir $(HTML))

clean:  ## remove everything made, except the environment
	rm -rf build .snakemake

# In a folder of its own. The sections of the lock keep to the versions of the first resolution, which is of everything, and each
# holds what those before it lack. What torch brings for a card is left out: it depends on the build of torch.
UV := uv==0.13.9
COMPILE = build/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

lock: $(BIN)/python  ## write constraints.txt anew: the newest versions that pyproject.toml allows, torch as it is
	@$(INSTALL) --upgrade --target build/uv $(UV)
	@rm -rf build/lock && mkdir -p build/lock
	@printf '%s\nsetuptools\n' '$(TORCH)' > build/lock/also
	@$(COMPILE) pyproject.toml build/lock/also --all-extras $(LOCK) --output-file build/lock/all
	@for name in torch setuptools; do \
	    echo $$name | $(COMPILE) - --no-deps --constraint build/lock/all --output-file build/lock/$$name || exit 1; done
	@for extra in book dev compare lab; do \
	    $(COMPILE) pyproject.toml --extra $$extra --constraint build/lock/all --output-file build/lock/$$extra || exit 1; done
	@cd build/lock && { \
	    echo "# Every file that may be installed, by version and hash. Written by \`make lock\`, and read a section at a time."; \
	    awk 'FNR == 1 { print "# section " FILENAME } /^[^ ]/ { keep = !seen[$$0]++ && !/^(nvidia-|cuda-|triton==)/ } keep' \
	        torch setuptools book dev compare lab; } > lock.txt
	@mv build/lock/lock.txt constraints.txt

# In a folder of its own: it asks a database on the network, and nothing of it is imported.
PIP_AUDIT := pip-audit==2.10.1

audit-dependencies: $(BIN)/python  ## which pinned versions have known vulnerabilities; needs the network
	@$(INSTALL) --upgrade --target build/pip-audit $(PIP_AUDIT)
	@PYTHONPATH=build/pip-audit $(BIN)/python -m pip_audit --strict --requirement constraints.txt --no-deps --disable-pip

# --- the environment --------------------------------------------------------------------------------------------------

# By its exact version alone, since there are builds of it for every card and for none, each with hashes of its own.
TORCH := $(shell sed -n 's/^\(torch==[^ ]*\).*/\1/p' constraints.txt)
# Python compiles the files that are imported, which are fewer than half; pip would compile all, for two minutes.
INSTALL = $(BIN)/python -m pip install --quiet --no-compile
# A section of the lock: a file with another hash is refused. What must be built is built by the setuptools of the lock.
LOCKED = awk '/^\# section / { keep = $$3 == "$(1)" } keep' constraints.txt | \
         $(INSTALL) --no-deps --require-hashes --no-build-isolation --use-pep517 --requirement /dev/stdin

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || \
		{ echo "$(PYTHON) is not there: install Python 3.11 or newer, or name one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$$($(PYTHON) --version) is too old: Python 3.11 or newer is needed; name one: make PYTHON=python3.12 ..."; exit 1; }
	@echo "Making an environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# An environment holds one clone: the other one's code would run here, or this one's there.
.PHONY: owner
owner:
	@owner=$$(sed -n 's|.*"url": *"file://\([^"]*\)".*|\1|p' \
	    "$(VENV)"/lib/python*/site-packages/memlib-*.dist-info/direct_url.json 2> /dev/null | head -n 1); \
	test -z "$$owner" || test "$$owner" -ef . || { \
	    echo "The environment $(VENV) belongs to the clone $$owner. Name another folder for this one: make ... VENV=FOLDER"; \
	    echo "To hand that one over instead: $(BIN)/pip uninstall -y memlib; rm -f $(VENV)/.memlib-*"; exit 1; }

$(BOOK): pyproject.toml constraints.txt | owner $(BIN)/python
	@echo "Installing the locked versions: a few minutes the first time"
	@$(call LOCKED,setuptools)
	@$(call LOCKED,book)
	@$(INSTALL) $(TORCH)
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# What a section needs of those before it is not in it again.
$(VENV)/.memlib-%: $(BOOK)
	@echo "Installing the locked versions of $*"
	@$(call LOCKED,$*)
	@touch $@

# Python files open as notebooks; jupytext does the rest.
$(LAB): $(VENV)/.memlib-lab
	@$(BIN)/python -m ipykernel install --prefix "$(VENV)" > /dev/null
	@mkdir -p $(@D)
	@echo '{"@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"python": "Jupytext Notebook"}}}' > $@
