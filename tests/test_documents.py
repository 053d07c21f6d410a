"""Every Python snippet of README and docs runs, those of a page one after the other in one interpreter."""

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from loud import save_loud

from asr import audio

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_snippets_run(page, tmp_path, monkeypatch):
    samples = audio.load(str(ROOT / "tests/data/independence.opus"))
    for name in ("talk.wav", "talk.mp3"):
        soundfile.write(tmp_path / name, samples, 16_000)
    save_loud(tmp_path / "hey-computer.safetensors")
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "snippets", "blocks": np.array_split(samples, 20)}
    for match in re.finditer(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE):
        line = page.read_text("utf-8")[: match.start()].count("\n") + 1
        exec(compile("\n" * line + match[1], str(page), "exec"), names)
