"""Held-out voices: in quiet and in noise, what they tell; recordings that are kept for thresholds."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from asr.audio.features import SAMPLE_RATE
from wakeword.thresholds import wilson
from wakeword.train.build import _kept, summary
from wakeword.train.mixing import Sounds
from wakeword.train.model import TriggerOptions
from wakeword.train.negatives import Clip
from wakeword.train.validation import LOUD, NOISY, QUIET, Scores, Validation, ValidationSet, hold_out, measure

MODEL = TriggerOptions(n_mels=8, hidden=4, channels=4)


def hiss(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE)).astype(np.float32) * 0.1


def test_a_third_of_the_mixes_each_in_quiet_in_noise_and_in_loud_noise():
    held = hold_out(Sounds([hiss(0.5)], [], [hiss(4, 1)], [hiss(3, 2)]), MODEL, count=9)
    assert held.conditions == [QUIET, NOISY, LOUD] * 3 and len(held.without) == 3
    spread = held.frames.amax(1).mean(1) - held.frames.quantile(0.1, 1).mean(1)  # from pauses to the loudest
    assert spread[::3].mean() > spread[2::3].mean() + 1


def told(best: list[float], rates: dict[float, float] | None = None) -> Validation:
    frames = torch.zeros(len(best), 300, 8)
    held = ValidationSet(frames, [(SAMPLE_RATE,)] * len(best), [torch.zeros(2, 36_000, 8)] * 3)
    phrases, talk = np.zeros((len(best), 74), np.float32), np.zeros((2, 8999), np.float32)
    phrases[:, 26] = best
    talk[0, ::200] = np.linspace(0.01, 0.4, 45)
    return measure(Scores(phrases, [talk] * 3), held, MODEL, 0.5)


def test_misses_are_told_for_each_condition():
    measured = told([0.99, 0.99, 1e-4, 0.99, 1e-4, 1e-4])
    assert measured.missed_in == {QUIET: 0.0, NOISY: 0.5, LOUD: 1.0} and measured.phrases == 6
    assert measured.figures["missed in quiet"] == 0.0 and measured.missed[0.5] == 0.5


def test_hours_are_those_of_different_speech():
    measured = told([0.9] * 3)
    assert measured.hours == pytest.approx(0.2)
    assert measured.most_alarms(0.5) == pytest.approx((0.1 + 2 * 0.1**0.5 + 3) / 0.2)
    assert replace(measured, hours=10.0).most_alarms(0.5) < 1.3


def test_the_summary_says_what_the_figures_mean():
    text = summary(told([0.99, 0.99, 1e-4]), 0.5)
    assert "33.3 % (6.1 to 79.2)" in text and "0.0 % in quiet" in text and "100.0 % at 0 dB" in text
    assert "12 minutes of speech chose the threshold" in text and "wakeword check" in text


def test_half_of_many_hours_without_the_phrase_is_kept_for_thresholds():
    hour = np.zeros(3600 * SAMPLE_RATE // 4, np.float32)
    few = [Clip(hour[:1000], "", "mine", "unknown")] * 5
    assert _kept(few) == (few, [])
    by_files = _kept([Clip(hour, str(i), "mine", "unknown") for i in range(6)])
    assert [[clip.text for clip in side] for side in by_files] == [["0", "2", "4"], ["1", "3", "5"]]
    learnt, kept = _kept([Clip(hour, "", "mine", f"speaker {i % 7}") for i in range(28)])
    assert not {c.speaker for c in learnt} & {c.speaker for c in kept} and len(learnt) + len(kept) == 28 and kept


def test_an_interval_of_a_share():
    low, high = wilson(0.1, 10)
    assert (low, high) == pytest.approx((0.0179, 0.4042), abs=1e-4)
