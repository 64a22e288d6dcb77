# make lab      the lessons, in JupyterLab            make test     everything that this machine can test
# make install  the set-up alone                      make check    the gate: style, types, import order, unit tests
# make bench    how quick it is, beside its peers     make test-v2  the kernel and e2e tests on a cgroup v2 machine
#
# ARGS=… is passed on:  make lab ARGS=--port=9000     make test ARGS="tests/unit -k digest"
# PYTHON=… names the interpreter on PATH to use:      make install PYTHON=python3.12

SHELL := /bin/sh
BIN := .venv/bin
ARGS ?=

# JupyterLab looks for updates, news and extensions on the network; a lesson needs none of them.
# It opens at the lessons, and the source that they show can be opened, too: it is one directory above.
LAB_FLAGS := --ServerApp.ip=127.0.0.1 --ServerApp.root_dir="$(CURDIR)" --ServerApp.preferred_dir="$(CURDIR)/notebooks" \
	--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate --LabApp.news_url=None --LabApp.extension_manager=readonly
# Jupyter asks root to say so; and no browser should be started with root's privilege: open the address that is printed.
ifeq ($(shell id -u),0)
LAB_FLAGS += --allow-root --no-browser
endif

# JupyterLab's first question would be whether it may fetch news.
SETTINGS := .venv/share/jupyter/lab/settings

.PHONY: lab install test check test-v2 bench clean

lab: install
	@$(BIN)/lab doctor --summary || true
	@$(BIN)/jupyter lab $(LAB_FLAGS) $(ARGS)

install: .venv/installed

test: .venv/installed-test
	@$(BIN)/python -m pytest $(ARGS)

check: .venv/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest tests/unit $(ARGS)

test-v2: .venv/installed-test
	@$(BIN)/python -m tests.machine_v2 $(ARGS)

bench: .venv/installed
	@$(BIN)/python benchmarks/start.py $(ARGS)
	@$(BIN)/python benchmarks/exec.py $(ARGS)
	@$(BIN)/python benchmarks/trace.py $(ARGS)
	@$(BIN)/python benchmarks/many.py --running 0,50 --churn 200
	@$(BIN)/python benchmarks/chaos.py 40

clean:
	rm -rf .venv build dist test-results .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

# The files "installed" are newer than pyproject.toml as long as there is nothing to install: then pip is not even started.
.venv/installed: pyproject.toml | .venv/bin/pip
	@echo "installing labcontainer and JupyterLab into .venv (a minute, once) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@mkdir -p $(SETTINGS)
	@echo '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}' >$(SETTINGS)/overrides.json
	@touch $@

.venv/installed-test: .venv/installed
	@echo "installing what the tests need into .venv …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

# The first Python ≥ 3.11 on PATH that can make a virtual environment. Each candidate is tried: Debian puts ensurepip into
# a package of its own, and pyenv's stubs are there for versions that are not.
.venv/bin/pip:
	@without_venv=; IFS=:; \
	for directory in $$PATH; do \
		for name in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
			python=$$directory/$$name; \
			$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
			if $$python -c 'import ensurepip, venv' 2>/dev/null; then \
				echo "making .venv with $$python"; exec $$python -m venv .venv; \
			fi; \
			without_venv=$$python; \
		done; \
	done; \
	if [ -n "$$without_venv" ]; then \
		echo "$$without_venv has no venv; try: sudo apt-get install python3-venv" >&2; \
	else \
		echo "found no $(or $(PYTHON),Python) ≥ 3.11 on PATH; try: sudo apt-get install python3 python3-venv" >&2; \
	fi; \
	exit 1
