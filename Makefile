# make hello: transcribe a real clip.  make test: run the tests.  Each in a virtual environment of its own.
# Both first bring the Debian packages they need: as root, by sudo, or they say which.
# make lint: style and types.  make docs: the public names' docstrings as pages, build/docs/index.html.
PYTHON = python3
CPU_TORCH = https://download.pytorch.org/whl/cpu

.PHONY: hello test lint docs system

hello: system .venv/ready
	.venv/bin/asr transcribe --quiet tests/data/names.opus

test: system .venv-test/ready
	.venv-test/bin/python -m pytest

lint: system .venv-test/ready
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy

docs: .venv-test/ready
	.venv-test/bin/python docs/api.py

.venv-test/ready: EXTRAS = [test,train,serve,cluster,lint,docs]

# torch first, by itself: only there is its index of CPU builds looked at, the other packages come from PyPI
.venv-test/ready: TORCH = $(@D)/bin/pip install --no-deps --constraint constraints.txt --extra-index-url $(CPU_TORCH) --timeout 15 --retries 2 torch

.venv/ready .venv-test/ready: setup.cfg pyproject.toml constraints.txt $(wildcard asr/native/*.cpp asr/native/*.h)
	$(PYTHON) -m venv --clear $(@D)
	$(TORCH)
	$(@D)/bin/pip install --constraint constraints.txt --editable .$(EXTRAS)
	touch $@

# ffmpeg reads video and odd containers; the compiler makes the search ten times faster
system:
	@PYTHON=$(PYTHON) sh .ci/system
