"""Live recognition: the results of a stream are those of the file, however it is cut and whoever listens beside it."""

import json
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asr
from asr import audio
from asr.audio.features import SamplesError
from asr.errors import UsageError
from asr.live import Listener, ListenerOptions
from asr.live.stream import Result
from asr.live.utterance import EndpointOptions
from asr.native import encoder as native
from asr.recognizer import Recognizer, RecognizerOptions
from asr.search.decoder import DecoderOptions

DATA = Path(__file__).parent / "data"
RATE = 16_000
CLIPS = [audio.load(str(DATA / json.loads(line)["audio_filepath"])) for line in (DATA / "clips.jsonl").open()]
PAUSE = np.zeros(RATE, np.float32)
SPEECH = np.concatenate([x for clip in CLIPS[:2] for x in (clip, PAUSE)])
SHORT = np.concatenate([PAUSE, CLIPS[0][: 2 * RATE], PAUSE])
HURRIED = EndpointOptions(silence=0.3, too_long=2.5, pre_roll=0.3)


@pytest.fixture(scope="module")
def recognizer() -> Recognizer:
    return asr.load()


@pytest.fixture(scope="module")
def greedy() -> Recognizer:
    return asr.load(options=RecognizerOptions(DecoderOptions(beam=1)))


def blocks(samples: np.ndarray, size: int = 1_280) -> list[np.ndarray]:
    return [samples[i : i + size] for i in range(0, len(samples), size)]


def seen(results: list[Result]) -> list[tuple]:
    """All but the confidences, whose last bits differ as matrix products do where the model is not compiled."""
    return [(replace(r, words=(), written=()), [(w.text, w.start, w.end) for w in r.words]) for r in results]


def finals(results: list[Result]) -> list[list[tuple]]:
    return [words for r, words in seen(results) if r.kind == "final" and r.text]


def of_file(recognizer: Recognizer, options: ListenerOptions, samples: np.ndarray) -> list[list[tuple]]:
    """What `asr transcribe` makes of the same sound with the same endpoints: whole, or with the latency of one pass."""
    latency = None if options.second_pass else options.latency
    same = replace(recognizer.options, latency=latency, segments=options.endpoints.segments())
    segments = Recognizer(recognizer.model, recognizer.aligner, same).segments([samples])
    return [[(w.text, w.start, w.end) for w in s.words] for s in segments]


@pytest.mark.parametrize("second_pass", [True, False])
@pytest.mark.parametrize("latency", [160.0, 320.0, 640.0])
def test_sentences_are_those_of_the_file(recognizer, latency, second_pass):
    options = ListenerOptions(latency, second_pass=second_pass)
    results = list(Listener(recognizer, options).over(blocks(SPEECH)))
    assert len(finals(results)) == 2 and finals(results) == of_file(recognizer, options, SPEECH)


def test_speech_without_a_pause_is_cut_as_in_the_file(recognizer):
    options = ListenerOptions(endpoints=HURRIED, second_pass=False)
    results = list(Listener(recognizer, options).over(blocks(SPEECH, 999)))
    assert finals(results) == of_file(recognizer, options, SPEECH)
    assert {"silence", "too long"} <= {r.endpoint for r in results}


def test_a_second_pass_hears_less_after_a_cut_than_a_file_and_nothing_else_differs(recognizer):
    options = ListenerOptions(endpoints=HURRIED)
    found = [r for r in Listener(recognizer, options).over(blocks(SPEECH)) if r.kind == "final" and r.text]
    wanted = of_file(recognizer, options, SPEECH)
    assert len(found) == len(wanted)
    same = [words == of for (_, words), of in zip(seen(found), wanted)]
    assert all(same[i] for i, final in enumerate(found) if final.endpoint == "silence")


@settings(max_examples=6)
@given(st.lists(st.integers(0, len(SHORT)), max_size=30))
def test_blocks_do_not_show(greedy, cuts):
    listener = Listener(greedy)
    whole, cut = list(listener.over([SHORT])), list(listener.over(np.split(SHORT, sorted(cuts))))
    assert seen(cut) == seen(whole)
    if native is not None:
        assert cut == whole  # confidences, too


@pytest.mark.parametrize("second_pass", [True, False])
def test_partial_results_grow_into_final_ones(recognizer, second_pass):
    """With a second pass the partial ones only grow among themselves."""
    options = ListenerOptions(endpoints=HURRIED, second_pass=second_pass)
    results = list(Listener(recognizer, options).over(blocks(SPEECH)))
    numbers = [r.segment for r in results]
    assert numbers == sorted(numbers) and [r.time for r in results] == sorted(r.time for r in results)
    for number in set(numbers):
        *partials, final = [r for r in results if r.segment == number]
        assert [r.kind for r in partials] == ["partial"] * len(partials) and final.kind == "final"
        kept = final.endpoint == "silence" and not second_pass  # and not cut
        following = [*partials[1:], final] if kept else partials[1:]
        for earlier, later in zip(partials, following):
            assert earlier.text.startswith(earlier.stable)
            shown = later.spoken or later.text
            assert shown.split()[: len(earlier.stable.split())] == earlier.stable.split()
    assert any(r.stable for r in results if r.kind == "partial")


def test_a_pause_shows_what_will_be_final(recognizer):
    """Of one pass; before the silence is long enough for an endpoint, and until there is one."""
    speech = np.concatenate([PAUSE, *(x for clip in CLIPS for x in (clip, PAUSE))])
    results = list(Listener(recognizer, ListenerOptions(second_pass=False)).over(blocks(speech)))
    ended = [r for r in results if r.endpoint == "silence" and r.text]
    last = {r.segment: r for r in results if r.kind == "partial"}
    assert len(ended) >= len(CLIPS) and [last[r.segment].text for r in ended] == [r.spoken for r in ended]
    assert all(last[r.segment].time <= r.time - 0.1 for r in ended)


def test_words_are_shown_before_the_encoder_has_settled_them(recognizer, monkeypatch):
    """From the frames it has only looked at ahead; what is stable and final stays the same."""
    runs = [list(Listener(recognizer).over(blocks(CLIPS[0])))]
    monkeypatch.setattr("asr.live.utterance.Utterance._look_ahead", lambda self: None)
    runs.append(list(Listener(recognizer).over(blocks(CLIPS[0]))))
    assert finals(runs[0]) == finals(runs[1])
    reached = [{len(r.words): r.time for r in reversed(run) if r.kind == "partial"} for run in runs]
    sooner = [reached[1][n] - reached[0][n] for n in reached[0].keys() & reached[1].keys()]
    assert len(sooner) > 5 and 0.08 <= np.median(sooner) <= 0.24 and min(sooner) >= 0


def test_words_have_times_while_they_are_said(recognizer):
    results = list(Listener(recognizer).over(blocks(np.concatenate([PAUSE, PAUSE, CLIPS[0], PAUSE]))))
    for result in results:
        assert [w.text for w in result.words] == (result.spoken or result.text).split()
        assert all(1.5 < w.start < w.end <= result.time for w in result.words)  # pre-roll included
        assert all(a.end <= b.start for a, b in zip(result.words, result.words[1:]))
    last = results[-1].words  # of words that stay, the times hardly move
    moved = [abs(w.start - x.start) for r in results[:-1] for w, x in zip(r.words, last) if w.text == x.text]
    assert len(moved) > 20 and max(moved) <= 0.2


def test_many_streams_as_each_alone(greedy):
    listener = Listener(greedy)
    sounds = [SHORT, np.concatenate([SHORT[5_000:], SHORT])[: len(SHORT)], np.zeros(len(SHORT), np.float32)]
    streams, together = [listener.stream() for _ in sounds], [[] for _ in sounds]
    for some in zip(*map(blocks, sounds)):
        for results, new in zip(together, listener.feed(streams, some)):
            results += new
    for results, new in zip(together, listener.flush(streams)):
        results += new
    assert [seen(r) for r in together] == [seen(list(listener.over([x]))) for x in sounds]


def test_nothing_said_is_told_once_until_there_are_words(greedy):
    listener = Listener(greedy, ListenerOptions(endpoints=EndpointOptions(nothing=3.0)))
    results = list(listener.over([np.zeros(8 * RATE, np.float32), SHORT, np.zeros(8 * RATE, np.float32)]))
    final = [r for r in results if r.kind == "final"][-1]
    assert [r.time for r in results if r.kind == "nothing"] == [3.0, final.time + 3.0]
    assert not any(r.kind == "nothing" for r in Listener(greedy).over([SHORT]))


@pytest.mark.parametrize("noise", ["white", "hum", "clicks"])
def test_noise_says_nothing(recognizer, noise):
    rng, t = np.random.default_rng(1), np.arange(10 * RATE) / RATE
    sounds = {
        "white": rng.normal(0, 0.02, len(t)),
        "hum": 0.1 * np.sin(2 * np.pi * 50 * t) + 0.05 * np.sin(2 * np.pi * 150 * t),
        "clicks": (rng.random(len(t)) < 1e-4) * 0.5,
    }
    assert not finals(list(Listener(recognizer).over(blocks(sounds[noise]))))


def test_what_a_driver_gives_instead_of_numbers_is_silence(greedy):
    broken = np.concatenate([np.full(RATE, np.nan, np.float32), np.full(RATE, np.inf, np.float32), SHORT])
    silent = np.concatenate([np.zeros(2 * RATE, np.float32), SHORT])
    assert seen(list(Listener(greedy).over([broken]))) == seen(list(Listener(greedy).over([silent])))


def test_bad_samples_are_counted_and_reported_once(greedy, caplog):
    stream = Listener(greedy).stream()
    for _ in range(2):
        stream.feed(np.array([0, np.nan, -np.inf, 1e9, 0.1]))
    assert stream.bad_samples == 6 and caplog.text.count("NaN, infinite") == 1


def test_whole_numbers_are_scaled(greedy):
    whole = (SHORT * 32_767).astype(np.int16)
    listener = Listener(greedy)
    assert seen(list(listener.over([whole]))) == seen(list(listener.over([whole / np.float32(32_768)])))
    with pytest.raises(SamplesError, match="complex128"):
        listener.stream().feed(np.zeros(10, complex))


def test_misuse_is_told(greedy):
    stream = Listener(greedy).stream()
    with pytest.raises(UsageError, match="one channel"):
        stream.feed(np.zeros((100, 2), np.float32))
    assert stream.feed(np.zeros(0, np.float32)) == stream.flush() == []
    with pytest.raises(UsageError, match="ended"):
        stream.feed(np.zeros(100, np.float32))


@pytest.mark.parametrize("samples", [0, 1, 159, 160, 161, 16_001, 50_000])
def test_every_sample_is_accounted_for(greedy, samples):
    stream = Listener(greedy).stream()
    for block in blocks(SPEECH[:samples], 777):
        stream.feed(block)
    stream.flush()
    assert stream.seconds == -(-samples // 160) / 100  # a frame begins every 10 ms


def test_memory_does_not_grow(greedy):
    stream = Listener(greedy).stream()

    def held(times: int) -> int:
        for _ in range(times):
            stream.feed(SHORT)
        return tracemalloc.get_traced_memory()[0]

    held(1)
    tracemalloc.start()
    early, late = held(2), held(6)
    tracemalloc.stop()
    assert late - early < 100_000  # bytes; the frames alone of 24 s are 768 000


def test_a_machine_too_slow_is_noticed(greedy, monkeypatch):
    stream, clock = Listener(greedy).stream(), iter(np.arange(100) * 3.0)
    monkeypatch.setattr("asr.live.stream.time.perf_counter", lambda: next(clock))
    lags = [r.lag for block in blocks(SHORT, RATE) for r in stream.feed(block)]  # 3 s for each second
    assert lags == sorted(lags) and 2 <= lags[0] < lags[-1] <= 8
    assert "cannot keep up: 8.0 s behind" in stream.pace.warning
