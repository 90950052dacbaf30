# Everything runs from a clean clone with Python 3.11+ and make: uv and .venv are made here from uv.lock.
PYTHON ?= python3
UV = .uv/bin/uv
RUN = .venv/bin/

.PHONY: setup demo ui test test-slow test-fast lint format docs pictures verify mutants bench clean

setup: .venv/.locked  ## the environment, exactly as locked

.uv/bin/uv:
	@$(PYTHON) -m venv .uv && .uv/bin/pip install --quiet --disable-pip-version-check uv

.venv/.locked: uv.lock pyproject.toml | .uv/bin/uv
	@$(UV) sync --frozen --quiet --python $(PYTHON)
	@touch $@

demo: setup  ## the whole platform on a simulated company; prints the newest closed month
	@$(RUN)expansion demo

ui: setup  ## the Dagster UI on the same data, http://localhost:3000
	@$(RUN)expansion ui

test: setup lint  ## lint, types and every test but the slow ones
	@$(RUN)pytest -n auto --dist loadgroup -m "not slow"

test-slow: setup  ## the slow tests: whole companies against the truth, kills, faults, mutants, many examples of each property
	@$(RUN)pytest -n auto --dist loadgroup -m slow

test-fast: setup  ## the tests that take seconds
	@$(RUN)pytest -n auto -m "not slow and not ui"

lint: setup  ## ruff and mypy
	@$(RUN)ruff check . && $(RUN)ruff format --check --quiet . && $(RUN)mypy

format: setup  ## rewrites the code in the project's format
	@$(RUN)ruff check --fix --quiet . ; $(RUN)ruff format --quiet .

docs: setup  ## the data dictionary, the settings page and .env.example, from the code
	@$(RUN)python -m expansion_platform.docs

pictures: setup  ## the pictures in docs/images, from the demo in a real browser (minutes, needs Chromium)
	@$(RUN)python -m expansion_platform_tests.pictures

verify: setup  ## the pipeline against the simulator's truth, seeds 1 to 20, under both policy presets and every way to sell plans
	@for seed in $$(seq 1 20); do for policy in house stripe_parity; do \
	  $(RUN)python -m expansion_platform.simulator verify --seed $$seed --customers 200 --policy $$policy --quiet || exit 1; done; \
	  for catalog in one_product one_product_in_lists repriced; do \
	  $(RUN)python -m expansion_platform.simulator verify --seed $$seed --customers 200 --catalog $$catalog --quiet || exit 1; done; done

mutants: setup  ## flips one rule at a time and shows that a test notices each (minutes)
	@$(RUN)python -m expansion_platform_tests.mutations

bench: setup  ## speed and memory beside plain Python, plain SQL and floors; a quarter of an hour
	@$(RUN)python -m expansion_platform_tests.benchmarks month mrr range history refresh signals

clean:  ## forgets the demo's data and Dagster's history
	@rm -rf .expansion .dagster
