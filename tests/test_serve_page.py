"""The page in headless Chromium, whose microphone plays a real clip."""

import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from browser import browser
from serving import CLIP, eager, running

import asr
from asr import audio
from asr.transcript import FORMATS

PAUSE = np.zeros(24_000, np.float32)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    soundfile.write(folder / "sound.wav", np.concatenate([PAUSE, audio.load(str(CLIP)), PAUSE]), 16_000)
    with (
        running("--wake", eager(folder / "eager.safetensors"), "--phrase", "American War") as server,
        browser(server.url, folder / "sound.wav") as page,
    ):
        page.wait("document.querySelectorAll('#wake li').length == 2 && !document.getElementById('talk').disabled")
        yield page


def drawn(canvas: str, top: int = 0, height: int = 48) -> str:
    """A script: in how many columns of these rows something is bright."""
    pixels = f"document.getElementById('{canvas}').getContext('2d').getImageData(0, {top}, 800, {height}).data"
    columns = "new Set(Array.from(x.keys()).filter((i) => i % 4 < 3 && x[i] > 150).map((i) => (i >> 2) % 800)).size"
    return f"((x) => {columns})({pixels})"


def shot(page, name: str) -> None:
    """Pictures to look at, where $PICTURES says."""
    if folder := os.environ.get("PICTURES"):
        page.picture(Path(folder) / name)


def test_a_dropped_file_is_transcribed(page):
    page.choose("#file", CLIP)
    words = page.wait("document.querySelector('#text .file')?.innerText")
    assert [w for w in words.split() if not re.fullmatch(r"\d+\.\d\d", w)] == asr.load().transcribe(CLIP).text.split()
    assert "0." in words  # word times


def test_the_words_are_copied_and_saved(page):
    """What would go to the clipboard and into files is caught here: a headless browser has neither."""
    page.value("""
        window.kept = [];
        const clipboard = { writeText: async (text) => kept.push(["copy", text]) };
        Object.defineProperty(navigator, "clipboard", { value: clipboard });
        URL.createObjectURL = (blob) => { blob.text().then((text) => kept.push([null, text])); return "#"; };
        HTMLAnchorElement.prototype.click = function () { window.saved = this.download; };
    """)
    page.choose("#file", CLIP)
    page.wait("document.querySelector('#text section .save') !== null")
    transcript = asr.load().transcribe(CLIP)
    for number, format in enumerate(["copy", "txt", "srt", "vtt"], start=1):
        page.value(f"document.querySelector('#text section .save [data-format={format}]').click()")
        page.wait(f"kept.length == {number}")
        wanted = io.StringIO()
        FORMATS["txt" if format == "copy" else format].write(transcript, wanted)
        assert page.value(f"kept[{number - 1}][1]") == wanted.getvalue()
    assert page.value("saved") == "independence.vtt" and page.problems == []


def test_the_microphone_is_heard_and_drawn(page):
    page.value("document.activeElement.blur()")
    page.press(" ", 32)  # the keyboard is enough
    page.wait("document.getElementById('talk').getAttribute('aria-pressed') == 'true'")
    page.wait("document.querySelector('#wake [data-name=eager].lit') !== null")
    page.wait("document.querySelector('#wake [data-name=american-war].lit') !== null")
    shot(page, "wake.png")
    page.wait("document.querySelector('#text .partial')?.textContent.length > 3")
    shot(page, "listening.png")
    wanted = list(set(asr.load().transcribe(CLIP).text.split()))
    settled = "[...document.querySelectorAll('#text p:not(.file) .word')].map((w) => w.firstChild.textContent.trim())"
    page.wait(f"{json.dumps(wanted)}.filter((w) => {settled}.includes(w)).length >= {len(wanted) // 3}")
    assert page.value(drawn("spectrogram", height=128)) > 100
    page.wait(f"{drawn('trigger', top=60, height=30)} > 0")  # the phrase's lane rises where it is said ...
    assert page.value(drawn("trigger", top=60, height=30)) < page.value(drawn("trigger")) / 2  # ... and falls again
    page.press(" ", 32)
    page.wait("document.getElementById('status').textContent == 'Stopped.'")
    assert page.problems == []


def test_it_fits_a_phone(page):
    page.size(360, 640)
    shot(page, "phone.png")
    assert page.value("document.documentElement.scrollWidth") <= 360
    assert page.value("document.getElementById('talk').getBoundingClientRect().height") >= 44


def test_nothing_comes_from_elsewhere(page):
    names = page.value("performance.getEntriesByType('resource').map((r) => r.name)")
    assert names and all(name.startswith("http://127.0.0.1:") for name in names)


def test_every_control_is_reached_by_the_keyboard(page):
    page.value("document.activeElement.blur()")
    reached = []
    for _ in range(2 + page.value("document.querySelectorAll('a, button, input, select, [tabindex]').length")):
        page.press("Tab", 9)
        reached.append(page.value("document.activeElement.id"))
    assert {"talk", "file", "times"} <= set(reached)
