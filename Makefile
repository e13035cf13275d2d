# `make demo` and `make test` work in a fresh clone; each sets up .venv first (once).
SHELL := /bin/bash
export PYTHON
# Threads that wait should sleep: spinning ones make a busy machine several times slower.
export OMP_WAIT_POLICY ?= PASSIVE
BIN := .venv/bin

.PHONY: help setup demo test test-fast test-slow coverage docs lint format train-mini lock audit clean
help:            ## this list
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/:/' | column -t -s:

setup:           ## make .venv with the pinned packages (skips what is done); NO_COMPILER=1: nothing is compiled
	@bash tools/setup_env.sh $(if $(NO_COMPILER),--no-compiler)

demo: setup      ## mini data set, short training, evaluation, pictures: the whole job on a CPU
	@$(BIN)/python tools/demo.py

# A process a core, up to four, each with one thread; the tests of a file stay together.
test coverage: PYTEST_ALL = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --cov
test: setup      ## the test suite, which must cover 85 % of the lines (10 to 20 minutes on 2 cores)
	@$(PYTEST_ALL) --cov-report=

FAST := $(addprefix tests/test_,geometry ops losses datasets evaluation checkpoint visualization) \
  tests/test_config.py tests/test_command_line.py tests/test_files.py tests/test_architecture.py
test-fast: setup ## what takes no network: under two minutes
	@$(BIN)/python -m pytest $(FAST)

coverage: setup  ## the test suite, and which lines it does not cover
	@$(PYTEST_ALL)

test-slow: setup ## the long tests too: full-size network, real trainings
	@$(BIN)/python -m pytest -m slow

docs: setup      ## the documentation site in outputs/site; a broken link is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -W ignore -m mkdocs build --strict

lint: setup      ## ruff, format and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup    ## fix what ruff can fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

MINI := projects/configs/occupancy/mini
STREETS := $(MINI)/htcl_plus_streets.py
train-mini: setup ## make pretrain/mini_htcl.pth and its card: 64 streets, three trainings, scores; goes on where it was
	@$(BIN)/python tools/make_mini_kitti.py --out data/streets --streets 66 --lean --label-every 3
	@$(BIN)/python tools/train.py $(STREETS) --work-dir work_dirs/mini/stereo_plus --amp --resume \
	  --cfg-options num_history=0 model.temporal=None model.temporal_fusion=None max_iters=600 train_cfg.val_interval=300 \
	  class_weights=1,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3,3
	@$(BIN)/python tools/train.py $(STREETS) --amp --resume \
	  --load-from work_dirs/mini/stereo_plus/iter_600.pth
	@$(BIN)/python tools/train.py $(STREETS) --work-dir work_dirs/mini/htcl_plus_longer --amp --resume \
	  --load-from work_dirs/mini/htcl_plus_streets/iter_1000.pth \
	  --cfg-options max_iters=1500 train_cfg.val_interval=500
	@$(BIN)/python tools/publish_checkpoint.py $(STREETS) \
	  work_dirs/mini/htcl_plus_longer/iter_1500.pth pretrain/mini_htcl.pth --force --command "make train-mini" \
	  --intro "The mini network of this project, trained on synthetic streets: 600 steps without history from \
	ImageNet weights of the image backbone, 1,000 of the whole htcl_plus.py from there, and as a third training those that the table counts."

lock: setup      ## resolve requirements/lock.txt anew
	@$(BIN)/uv pip compile --quiet --upgrade --no-header --no-annotate --python-version 3.11 --extra dev --extra export --extra docs \
	  pyproject.toml requirements/direct.in -o requirements/lock.txt

audit: setup     ## known vulnerabilities of the pinned packages (asks the advisory databases)
	@$(BIN)/uv tool run pip-audit --requirement requirements/lock.txt --no-deps --disable-pip

clean:           ## remove .venv and all outputs (data and checkpoints stay)
	rm -rf .venv outputs work_dirs build .pytest_cache .ruff_cache .mypy_cache
