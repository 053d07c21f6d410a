"""asr.audio.vad: the detector on real speech and noise, the segmenter on made probabilities."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio.features import SAMPLE_RATE, LogMel
from asr.audio.vad import STEP, Segmenter, SegmenterOptions, Span, SpeechDetector
from asr.errors import UsageError
from recipes.vad.evaluate import ELSEWHERE, inside
from recipes.vad.mixing import speech_steps
from wakeword.train import negatives


@pytest.fixture(scope="module")
def detector():
    return SpeechDetector.load()


def blocks(x, cuts):
    """Cut ``x`` at the given places (any order, repeats allowed: empty blocks)."""
    return np.split(x, sorted(min(c, len(x)) for c in cuts))


def segments_of(p, options=SegmenterOptions()):
    segmenter = Segmenter(options)
    return [*segmenter.feed(p), *segmenter.flush()]


def syllables(seconds):
    """A buzz near 120 Hz through two moving resonances, four syllables a second, (n,) float32."""
    rng, t = np.random.default_rng(0), np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    turns = np.arange(0, seconds + 0.2, 0.2)
    bands = (300, 800), (900, 2200)
    formants = [np.interp(t, turns, rng.uniform(*band, len(turns))) for band in bands]
    hz = 120 * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * t))
    phase, out = np.cumsum(2 * np.pi * hz / SAMPLE_RATE), np.zeros(len(t))
    for k in range(1, 30):
        out += sum(1 / (1 + ((k * hz - f) / 80) ** 2) for f in formants) * np.sin(k * phase)
    out *= np.abs(np.sin(2 * np.pi * 2 * t)) ** 0.5
    return (0.1 * out / np.abs(out).max()).astype(np.float32)


# --- the detector --------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 203), max_size=8), seed=st.integers(0, 99))
def test_any_cut_gives_the_same_probabilities(detector, cuts, seed):
    frames = np.random.default_rng(seed).normal(-7, 4, (203, 80)).astype(np.float32)
    state, parts = detector.start(), []
    for block in blocks(frames, cuts):
        p, state = detector.probabilities(block, state)
        parts.append(p)
    parts.append(detector.flush(state))
    whole = detector(frames)
    assert len(whole) == -(-203 // STEP) and np.ptp(whole) > 0
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_streams_do_not_share_state(detector):
    a, b = (np.random.default_rng(s).normal(-7, 4, (40, 80)).astype(np.float32) for s in (1, 2))
    start = detector.start()
    first, after = detector.probabilities(a, start)
    detector.probabilities(b, after)
    again, _ = detector.probabilities(a, start)
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("scale", [1.0, 0.03])
def test_syllables_between_silences_are_found(detector, scale):
    silence = np.zeros(3 * SAMPLE_RATE, np.float32)
    samples = scale * np.concatenate([silence, syllables(3), silence])
    samples += 1e-4 * np.random.default_rng(0).standard_normal(len(samples)).astype(np.float32)
    (segment,) = segments_of(detector(LogMel()(samples)))
    assert 260 <= segment.start <= 305 and 600 <= segment.end <= 680


@pytest.fixture(scope="module")
def speech():
    return [clip for clip in negatives.read("held-out") if clip.text][::6]


@pytest.mark.parametrize("where", [None, *ELSEWHERE])
def test_speech_is_found_close_by_and_elsewhere(detector, speech, where):
    found = []
    for clip in speech:
        spoken = speech_steps(clip.samples) == 1
        heard = ELSEWHERE[where](clip.samples) if where else clip.samples
        p = detector(LogMel()(heard.astype(np.float32)))
        found.append(inside(segments_of(p), len(spoken))[spoken])
    assert np.concatenate(found).mean() > 0.98


def hum(t):
    return 0.2 * sum(np.sin(2 * np.pi * 50 * k * t) / k for k in (1, 2, 3, 5))


def chords(t):
    notes = np.array([[220, 277, 330], [196, 247, 294], [175, 220, 262]])[(t // 1.5).astype(int) % 3].T
    tones = sum(np.sin(2 * np.pi * k * hz * t) / k for hz in notes for k in (1, 2, 3))
    return 0.1 * np.exp(-2 * (t % 1.5)) * tones


@pytest.mark.parametrize("sound", [np.zeros_like, hum, chords, lambda t: np.full_like(t, 0.3)])
def test_silence_hum_music_and_an_offset_are_not_speech(detector, sound):
    samples = sound(np.arange(60 * SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    assert segments_of(detector(LogMel()(samples))) == []


@pytest.mark.parametrize("level", [-60, -30, -6])
def test_white_noise_is_not_speech(detector, level):
    noise = np.random.default_rng(0).standard_normal(60 * SAMPLE_RATE) * 10 ** (level / 20)
    assert segments_of(detector(LogMel()(np.clip(noise, -1, 1)))) == []


def test_the_detector_needs_no_torch():
    code = "import sys, asr.audio.vad; asr.audio.vad.SpeechDetector.load(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1]).returncode == 0


def test_the_packaged_weights_say_what_they_are(detector):
    card = detector.metadata
    assert card["front_end"] == LogMel().options.asdict()
    assert "CC BY" in card["data_licences"] and card["training"]["speech"]


@pytest.mark.parametrize("content", [None, b"", b"not weights at all", b"\x08\0\0\0\0\0\0\0{}      "])
def test_damaged_weights_are_reported_in_one_sentence(tmp_path, content):
    path = tmp_path / "vad.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match="holds no speech detector"):
        SpeechDetector.load(path)


# --- the segmenter -------------------------------------------------------------------------------


def track(*pieces):
    """(seconds, probability) pairs -> probabilities each 40 ms."""
    return np.concatenate([np.full(round(25 * seconds), p) for seconds, p in pieces])


PROBABILITIES = st.lists(
    st.tuples(st.floats(0.04, 9), st.sampled_from([0.01, 0.15, 0.19, 0.6, 0.99])), min_size=1, max_size=20
).map(lambda pieces: track(*pieces))


@settings(max_examples=100, deadline=None)
@given(p=PROBABILITIES, cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_any_cut_gives_the_same_segments(p, cuts):
    segmenter = Segmenter(SegmenterOptions(max_length=6))
    parts = [s for block in blocks(p, cuts) for s in segmenter.feed(block)] + list(segmenter.flush())
    assert parts == segments_of(p, SegmenterOptions(max_length=6))


@settings(max_examples=100, deadline=None)
@given(p=PROBABILITIES)
def test_segments_are_ordered_bounded_and_hold_all_long_speech(p):
    options = SegmenterOptions(max_length=6)
    segments = segments_of(p, options)
    covered = np.zeros(len(p), bool)
    for segment in segments:
        assert 0 <= segment.start < segment.end <= STEP * len(p)
        assert segment.end - segment.start <= 100 * options.max_length
        covered[segment.start // STEP : segment.end // STEP] = True
    for a, b in zip(segments, segments[1:]):
        assert a.end <= b.start
        assert a.cut_right == b.cut_left and (a.end == b.start or not a.cut_right)
    loud = p >= options.on
    runs = np.flatnonzero(np.convolve(loud, np.ones(5), mode="valid") == 5)  # 0.2 s and more
    assert all(covered[i : i + 5].all() for i in runs)


@settings(max_examples=50, deadline=None)
@given(p=PROBABILITIES)
def test_nothing_before_keep_from_is_asked_for_later(p):
    segmenter, kept = Segmenter(SegmenterOptions(max_length=6)), 0
    for block in np.array_split(p, max(1, len(p) // 7)):
        for segment in segmenter.feed(block):
            assert segment.start >= kept
        assert segmenter.keep_from >= kept
        kept = segmenter.keep_from
    assert STEP * len(p) - kept <= 600 + STEP
    assert all(segment.start >= kept for segment in segmenter.flush())


def test_padding_is_shared_between_neighbours():
    p = track((2, 0), (1, 1), (0.6, 0), (1, 1), (2, 0))
    assert segments_of(p) == [Span(168, 332), Span(332, 492)]


def test_a_short_pause_does_not_split_and_a_click_is_dropped():
    assert segments_of(track((1, 0), (1, 1), (0.5, 0), (1, 1), (1, 0))) == [Span(68, 380)]
    assert segments_of(track((1, 0), (0.08, 1), (2, 0))) == []


def test_speech_to_the_end_is_flushed():
    assert segments_of(track((1, 0), (1, 1))) == [Span(68, 200)]
    assert segments_of([]) == []


def test_long_speech_is_cut_in_its_deepest_dip_and_flagged():
    p = track((10, 0.95), (6, 0.9), (0.2, 0.5), (14, 0.9), (5, 0.95), (2, 0))
    first, second = segments_of(p, SegmenterOptions(max_length=20))
    assert first.cut_right and second.cut_left and not second.cut_right
    assert first.end == second.start and 1600 <= first.end <= 1620


@pytest.mark.parametrize(
    "wrong", [{"on": 0.2, "off": 0.4}, {"on": 1.5}, {"padding": 1.0, "min_silence": 0.5}, {"max_length": 1.0}]
)
def test_options_that_contradict_each_other_are_refused(wrong):
    with pytest.raises(UsageError):
        SegmenterOptions(**wrong)
