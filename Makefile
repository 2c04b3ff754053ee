# seqmill. `make help` lists the targets; `make demo` and `make test` set up what they need and say so.

SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV ?= .venv
CORES ?= 2
RUN := $(VENV)/bin
# The first Python of 3.11-3.13 that really starts.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1 && command -v $$p && break; done)
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z0-9_%-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

.PHONY: env
env: ## Set up the Python environment
	@test -n "$(PYTHON)" || { echo "seqmill needs Python 3.11, 3.12 or 3.13; none was found (set PYTHON=...)" >&2; exit 1; }
	@$(PYTHON) envs/create.py $(VENV)

.PHONY: print-python
print-python: # for .ci/run
	@echo $(PYTHON)

.PHONY: system
system: # only lets more tests run
	@envs/system.sh bedtools || true
ifeq ($(SEQMILL_INSTALL_SYSTEM),1)
	@envs/system.sh bowtie2 bwa hisat2 samtools macs2=macs || true
	@envs/system.sh slurmd=slurm-wlm munged=munge chromium fasterq-dump=sra-toolkit || true
endif

.PHONY: demo
demo: env ## Run the whole workflow on the embedded, simulated world (5-6 minutes on two cores)
	@echo "demo: 33 steps, from a simulated genome to results/report/index.html; training takes most of the time"
	@snakemake --cores $(CORES) $(if $(CONFIGFILE),--configfile $(CONFIGFILE)) --quiet rules host
	@seqmill summary

.PHONY: demo-check
demo-check: demo ## Run the demo and check that it found the planted motifs and beat the k-mers
	@python tests/check_demo.py

PYTEST = python -m pytest -q -n $(CORES) --dist loadfile --durations=10
UNITS = tests/unit tests/property
OTHERS = tests/workflow tests/browser tests/faults

.PHONY: test
test: env system ## Run the tests, but for the slow ones (25 minutes on 2 busy cores)
	@$(PYTEST) -m "not slow" $(UNITS)
	@$(PYTEST) -m "not slow" $(OTHERS)

.PHONY: test-slow
test-slow: env system ## Run the slow tests: whole trainings and campaigns, every network, report pages (32 minutes)
	@$(PYTEST) -m slow $(UNITS)
	@$(PYTEST) -m slow $(OTHERS)

.PHONY: unit
unit: env ## Run the unit and property tests of `make test` only
	@$(PYTEST) -m "not slow" $(UNITS)

.PHONY: lint
lint: env ## ruff, snakefmt, snakemake --lint, types
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules workflow/Snakefile
	python -m pytest -q tests/workflow/test_lint.py
	mypy

.PHONY: slurm-demo
slurm-demo: env ## Run the demo through a real one-node Slurm on this machine (root)
	@bash profiles/slurm/demo.sh

bench-%: env ## One benchmark: ingest, memory-ingest, dataset, graph, verify, step, loader, memory, gpu, ism, variants, attribution, motifs, refresh, download, reads; writes benchmarks/results/NAME.json
	@python benchmarks/bench_$(subst -,_,$*).py

real-%: env ## One run on real data (SEQMILL_TEST_DATA): datasets, modalities, hg38_mini, ensemble, hg19_chr1, tasks, yeast, qtl, satmut, reports, atac, methylation
	@python benchmarks/real_$(subst -,_,$*).py

faults-%: env ## One fault campaign: demo, download, training
	@python benchmarks/faults_$(subst -,_,$*).py

.PHONY: generated
generated: env ## Write again what is made from the code: configuration schema and key tables
	python -m seqmill.config.schema config/schema/config.schema.json
	python -m seqmill.config.reference config/README.md

.PHONY: clean
clean: ## Delete results, logs and caches (not the environment)
	rm -rf results logs .snakemake .pytest_cache .hypothesis .mypy_cache .ruff_cache
