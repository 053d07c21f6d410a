"""Every Python snippet of README and docs runs, those of a page one after the other in one interpreter.

Of the commands in shell snippets, `asr` and `wakeword` must know all options; links must lead somewhere.
"""

import re
import shlex
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import soundfile
from loud import save_loud
from serving import pcm, running

from asr import audio, cli
from wakeword import cli as wakeword_cli

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PARSERS = {"asr": cli.parser, "wakeword": wakeword_cli.parser}
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


def commands(text: str):
    """The lists of arguments of all calls of `asr` and `wakeword` in shell snippets."""
    for snippet in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in snippet.replace("\\\n", " ").splitlines():
            words = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
            words.whitespace_split = True
            call: list[str] = []
            for word in [*words, ";"]:
                if not set(word) <= set("|&;<>"):
                    call.append(word)
                elif call:
                    if call[0] in PARSERS:
                        yield call
                    call = ["file"] if set(word) <= set("<>") else []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_have_the_options_that_are_shown(page):
    for name, *arguments in commands(page.read_text("utf-8")):
        try:
            PARSERS[name]().parse_args(arguments)
        except SystemExit as stopped:
            assert not stopped.code, f"{page.name}: {name} {shlex.join(arguments)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]+)?\)", page.read_text("utf-8")):
        file = page.parent / target if target else page
        assert file.exists(), f"{page.name}: {target}"
        if heading and file.suffix == ".md":
            titles = re.findall(r"^#+ (.*)", file.read_text("utf-8"), re.MULTILINE)
            anchors = {"#" + re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}
            assert heading in anchors, f"{page.name}: {target}{heading}"
