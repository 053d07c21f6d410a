# make hello: transcribe a real clip.  make test: run the tests.  Each in a virtual environment of its own.
PYTHON = python3
CPU_TORCH = https://download.pytorch.org/whl/cpu

.PHONY: hello test ffmpeg

hello: .venv/ready
	.venv/bin/asr transcribe --quiet tests/data/independence.opus

test: .venv-test/ready ffmpeg
	.venv-test/bin/python -m pytest

.venv-test/ready: EXTRAS = [test,train,serve]

# torch first, by itself: only there is its index of CPU builds looked at, the other packages come from PyPI
.venv/ready .venv-test/ready: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(@D)
	$(@D)/bin/pip install --no-deps --constraint constraints.txt --extra-index-url $(CPU_TORCH) --timeout 15 --retries 2 torch
	$(@D)/bin/pip install --constraint constraints.txt --editable .$(EXTRAS)
	touch $@

# the tests of video and odd containers are skipped without it
ffmpeg:
	@command -v ffmpeg >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update && apt-get install -y ffmpeg; } \
	|| echo "no ffmpeg here: the tests that need it are skipped (apt install ffmpeg)"
