# make hello: transcribe a real clip.  make test: run the tests.  Each in a virtual environment of its own.
# make lint: style and types.  make docs: the public names' docstrings as pages, build/docs/index.html.
PYTHON = python3
CPU_TORCH = https://download.pytorch.org/whl/cpu

.PHONY: hello test lint docs ffmpeg

hello: .venv/ready
	.venv/bin/asr transcribe --quiet tests/data/names.opus

test: .venv-test/ready ffmpeg
	.venv-test/bin/python -m pytest

lint: .venv-test/ready
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

# the tests of video and odd containers are skipped without it
ffmpeg:
	@command -v ffmpeg >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update && apt-get install -y ffmpeg; } \
	|| echo "no ffmpeg here: the tests that need it are skipped (apt install ffmpeg)"
