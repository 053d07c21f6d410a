"""Word, then command: the command's text, the times, nothing lost in between, and listening again."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from loud import loud_detector

import asr
from asr import audio
from asr.live import Listener, ListenerOptions
from asr.live.utterance import EndpointOptions
from wakeword.listen import commands

CLIP = audio.load(str(Path(__file__).parent / "data" / "independence.opus")) * 0.2  # not loud enough to fire
BOOM = np.random.default_rng(0).standard_normal(2_400).astype(np.float32) * 0.5
QUIET = np.random.default_rng(1).standard_normal(32_000).astype(np.float32) * 1e-5


@pytest.fixture(scope="module")
def listener():
    return Listener(asr.load(), ListenerOptions(endpoints=EndpointOptions(nothing=2.5)))


def said(listener, stream: np.ndarray, size: int) -> list:
    blocks = (stream[i : i + size] for i in range(0, len(stream), size))
    return list(commands(loud_detector(), listener, blocks))


@pytest.mark.parametrize("size", [1280, 9000])
def test_two_commands_with_the_times_of_the_stream(listener, size):
    stream = np.concatenate([QUIET, BOOM, QUIET[:4000], CLIP, QUIET, BOOM, QUIET[:4000], CLIP, QUIET])
    first, second = said(listener, stream, size)
    assert all("american" in c.text for c in (first, second))
    apart = (len(BOOM) + 4000 + len(CLIP) + len(QUIET)) / 16_000
    starts = [next(w.start for w in c.words if w.text == "american") for c in (first, second)]
    assert starts[1] - starts[0] == pytest.approx(apart, abs=0.1)
    assert first.detection.time < first.words[0].start < second.detection.time


def test_nothing_said_after_the_word_is_an_empty_command(listener):
    stream = np.concatenate([QUIET, BOOM, QUIET, QUIET, QUIET, BOOM, CLIP, QUIET])
    first, second = said(listener, stream, 1280)
    assert first.text == "" and first.words == () and second.text


def test_a_detection_that_is_not_confirmed_is_passed_over(listener):
    """Whoever confirms hears the sound that led to the detection, and on_word only what is confirmed."""
    stream, asked, told = np.concatenate([QUIET, BOOM, QUIET, QUIET, BOOM, CLIP, QUIET]), [], []

    def confirmed(heard):
        asked.append(heard)
        return len(asked) > 1

    blocks = np.split(stream, range(1280, len(stream), 1280))
    (only,) = commands(loud_detector(), listener, blocks, told.append, confirmed)
    assert only.text and told == [asked[1]] and only.detection == asked[1].detection
    for heard in asked:
        end = round(heard.detection.time * 16_000)
        assert np.array_equal(heard.samples, stream[max(0, end - 40_000) : end]) and np.abs(heard.samples).max() > 0.5


def test_the_stream_may_end_in_the_middle(listener):
    (only,) = said(listener, np.concatenate([QUIET, BOOM, QUIET[:4000], CLIP]), 1280)
    assert only.text
    assert said(listener, QUIET, 1280) == []


def test_a_machine_too_slow_is_told_once_in_a_command(listener, monkeypatch):
    clock, told = iter(np.arange(10_000) * 1.0), []
    monkeypatch.setattr("asr.live.stream.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    stream = np.concatenate([QUIET, BOOM, CLIP, QUIET])
    blocks = np.split(stream, range(1280, len(stream), 1280))
    (only,) = commands(loud_detector(), listener, blocks, late=told.append)
    assert only.text and len(told) == 1 and "cannot keep up" in told[0]
