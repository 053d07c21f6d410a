"""Every Python snippet of README and docs runs, those of a page one after the other in one interpreter."""

import re
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import soundfile
from loud import save_loud
from serving import pcm, running

from asr import audio

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SERVER = "127.0.0.1:8765"  # that snippets ask


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_snippets_run(page, tmp_path, monkeypatch):
    text = page.read_text("utf-8")
    if "from openai" in text:
        pytest.importorskip("openai")
    samples = audio.load(str(ROOT / "tests/data/independence.opus"))
    for name in ("talk.wav", "talk.mp3"):
        soundfile.write(tmp_path / name, samples, 16_000)
    (tmp_path / "speech.raw").write_bytes(pcm(samples))
    save_loud(tmp_path / "hey-computer.safetensors")
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "snippets", "blocks": np.array_split(samples, 20)}
    snippets = list(re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    asked = any(SERVER in snippet[1] for snippet in snippets)
    with running() if asked else nullcontext() as server:
        for snippet in snippets:
            line = text[: snippet.start()].count("\n") + 1
            code = snippet[1].replace(SERVER, f"127.0.0.1:{server.port}") if server else snippet[1]
            exec(compile("\n" * line + code, str(page), "exec"), names)
