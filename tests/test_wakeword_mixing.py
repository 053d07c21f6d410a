"""Mixing: the same from the same seed, words where they are said to be, thresholds from tails."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio.features import SAMPLE_RATE
from wakeword.scoring import peaks, thresholds
from wakeword.synthesis import trim
from wakeword.train.examples import Mixer, MixOptions, Sounds

PLAIN = dict(room=0, colour=0, noise=0, talker=0, babble=0, clip=0, speed=0, level=(-20, -20), near_miss=0)


def tone(seconds: float, hz: float) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE).astype(np.float32)


SOUNDS = Sounds([tone(0.5, 3000)], [tone(0.4, 2000)], [tone(3, 500)], [tone(2, 100)])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_everything_at_once(seed):
    mixer = Mixer(SOUNDS)
    one, again = (mixer.example(np.random.default_rng(seed)) for _ in range(2))
    assert (one.samples == again.samples).all() and one.ends == again.ends
    assert one.samples.dtype == np.float32 and len(one.samples) == 8 * SAMPLE_RATE
    assert np.isfinite(one.samples).all() and np.abs(one.samples).max() <= 1
    assert all(0 < end <= len(one.samples) for end in one.ends)


def high(x: np.ndarray) -> float:
    """Share of the power near 3 kHz, the tone of the phrase."""
    power = np.abs(np.fft.rfft(x)) ** 2
    hz = np.fft.rfftfreq(len(x), 1 / SAMPLE_RATE)
    return power[np.abs(hz - 3000) < 60].sum() / power.sum()


def test_each_end_is_where_a_phrase_ends():
    mixer, seen = Mixer(SOUNDS, MixOptions(positive=0.5, **PLAIN)), 0
    for seed in range(10):
        example = mixer.example(np.random.default_rng(seed))
        for end in example.ends:
            assert high(example.samples[end - 6000 : end - 200]) > 0.9
            seen += 1
    assert seen > 10


def test_without_positives_nothing_sounds_like_the_phrase():
    example = Mixer(SOUNDS, MixOptions(positive=0, **PLAIN)).example(np.random.default_rng(0))
    assert example.ends == () and high(example.samples) < 0.01


@pytest.mark.parametrize("positive", [0, 1])
def test_beside_a_quarter_of_the_examples_somebody_talks_all_the_time_with_and_without_the_phrase(positive):
    told = MixOptions(positive=positive, **(PLAIN | {"talker": MixOptions().talker}))
    mixer, levels = Mixer(replace(SOUNDS, speech=[tone(3, 500)], near_misses=[tone(0.4, 2000)]), told), []
    for seed in range(200):
        (dry, beside), ends = mixer.scene(np.random.default_rng(seed))
        assert bool(ends) == bool(positive)
        for talk, snr in beside:
            levels.append(snr)
            assert np.abs(talk.reshape(-1, SAMPLE_RATE // 2)).max(1).min() > 0.5  # also while nothing is said
            heard = mixer.surroundings.recorded((dry, [(talk, (-5, -5))]), np.random.default_rng(seed))
            low = np.abs(np.fft.rfft(heard)[: 1000 * len(heard) // SAMPLE_RATE]) ** 2
            assert low.sum() > 0.5 * (np.abs(np.fft.rfft(heard)) ** 2).sum()
    assert 0.18 < len(levels) / 200 < 0.32 and set(levels) == {(-5.0, 20.0)}


def test_the_users_recordings_are_half_of_the_positives():
    own = Sounds([tone(0.5, 3000)], [], [tone(3, 500)], [], own_positives=[tone(0.5, 1000)])
    mixer = Mixer(own, MixOptions(positive=1, **PLAIN))
    said = [mixer._clip(np.random.default_rng(i))[0] for i in range(200)]
    share = np.mean([high(clip) < 0.1 for clip in said])
    assert 0.4 < share < 0.6


def test_trim():
    silent = np.zeros(8000, np.float32)
    clip = np.concatenate([silent, tone(0.5, 440), silent])
    assert abs(len(trim(clip)) - 8000) <= 320
    assert len(trim(silent)) == 0 and len(trim(silent[:5])) == 0


def test_trim_of_a_noisy_recording():
    hiss = 0.05 * np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    said = np.zeros(32_000, np.float32)
    said[12_000:20_000] = tone(0.5, 440)
    assert len(trim(said + hiss)) > 30_000
    assert abs(len(trim(said + hiss, noisy=True)) - 8000) <= 320


def test_thresholds_fall_with_the_rate_and_hold_on_new_data():
    rng = np.random.default_rng(0)
    draw = lambda n: 1 / (1 + np.exp(8 - 1.5 * rng.exponential(size=n)))  # noqa: E731
    events, hours = draw(7200), 3.0  # one peak each 1.5 s
    found = thresholds(events, hours, (0.1, 0.5, 1, 3))
    assert found[0.1] > found[0.5] > found[1] > found[3]
    rate = (draw(2_400_000) >= found[0.5]).sum() / 1000
    assert 0.2 < rate < 1.0


def test_thresholds_stay_inside_their_range():
    assert thresholds(np.ones(100), 1, (0.1,))[0.1] < 1
    assert thresholds(np.zeros(100), 1, (0.1,))[0.1] > 0
    assert thresholds(np.zeros(0), 1, (0.1,)) == {0.1: 0.5}


@pytest.mark.parametrize("n", [0, 1, 10, 11])
def test_peaks(n):
    scores = np.arange(n) / 20
    found = peaks(scores, 5)
    assert len(found) == -(-n // 5) and found.max(initial=0) == scores.max(initial=0)
