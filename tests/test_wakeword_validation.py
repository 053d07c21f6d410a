"""Held-out voices: in quiet and in noise, what they tell; recordings that are kept for thresholds."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from asr.audio.features import SAMPLE_RATE
from wakeword.scoring import wilson
from wakeword.synthesis import Spoken
from wakeword.train import TriggerOptions
from wakeword.train.build import _apart, _kept, summary
from wakeword.train.examples import Sounds
from wakeword.train.negatives import Clip
from wakeword.train.validation import (
    CONDITIONS,
    QUIET,
    Phonemes,
    Scores,
    Validation,
    ValidationSet,
    _of_the_same_rank,
    hold_out,
    measure,
)

MODEL = TriggerOptions(n_mels=8, hidden=4, channels=4)


def hiss(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(round(seconds * SAMPLE_RATE)).astype(np.float32) * 0.1


def test_a_sixth_of_the_mixes_each_in_quiet_in_noise_in_loud_noise_from_afar_beside_a_talker_and_by_telephone():
    held = hold_out(Sounds([hiss(0.5)], [], [hiss(4, 1)], [hiss(3, 2)]), MODEL, count=18)
    assert held.conditions == list(CONDITIONS) * 3 and len(held.without) == 2
    spread = held.frames.amax(1).mean(1) - held.frames.quantile(0.1, 1).mean(1)  # from pauses to the loudest
    assert spread[::6].mean() > max(spread[2::6].mean(), spread[4::6].mean()) + 1
    high, middle = (held.frames[..., bands].quantile(0.9, 1).mean(1) for bands in (slice(7, 8), slice(3, 6)))
    assert (middle - high)[5::6].mean() > (middle - high)[::6].mean() + 1


def test_what_is_learnt_from_is_heard_in_noise():
    pulses = np.zeros(4 * SAMPLE_RATE, np.float32)
    pulses[:: SAMPLE_RATE // 4] = 1
    sounds = Sounds([hiss(0.5)], [], [pulses], [hiss(3, 2)])
    held = hold_out(sounds, MODEL, count=1, learnt=sounds)
    quiet, noisy, learnt = (streams.mean() for streams in (*held.without, *held.learnt))
    assert min(noisy, learnt) > quiet + 1


def told(best: list[float], rates: dict[float, float] | None = None) -> Validation:
    frames = torch.zeros(len(best), 300, 8)
    held = ValidationSet(frames, [(SAMPLE_RATE,)] * len(best), [torch.zeros(2, 36_000, 8)] * 3)
    phrases, talk = np.zeros((len(best), 74), np.float32), np.zeros((2, 8999), np.float32)
    phrases[:, 26] = best
    talk[0, ::200] = np.linspace(0.01, 0.4, 45)
    return measure(Scores(phrases, [talk] * 3), held, MODEL, 0.5)


def test_misses_are_told_for_each_condition():
    measured = told([0.99, 0.99, 1e-4, 1e-4, 0.99, 0.99, 0.99, 1e-4, 1e-4, 1e-4, 1e-4, 0.99])
    assert measured.missed_in == dict(zip(CONDITIONS, (0.0, 0.5, 1.0, 1.0, 0.5, 0.0))) and measured.phrases == 12
    assert measured.figures[f"missed {QUIET}"] == 0.0 and measured.missed[0.5] == 0.5


def test_hours_are_those_of_different_speech():
    measured = told([0.9] * 3)
    assert measured.hours == pytest.approx(0.2)
    assert measured.most_alarms(0.5) == pytest.approx((0.1 + 2 * 0.1**0.5 + 3) / 0.2)
    assert replace(measured, hours=10.0).most_alarms(0.5) < 1.3


def test_the_summary_says_what_the_figures_mean():
    text = summary(told([0.99, 0.99, 1e-4]), 0.5)
    assert "33.3 % (6.1 to 79.2)" in text and "0.0 % (up to 79) in quiet" in text and "100.0 % in noise at 0 dB" in text
    assert "expect 100 %" in text and "expect 3 %" in summary(told([0.99] * 100), 0.5)
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


def test_learnt_speech_gets_the_scores_of_the_same_rank_in_other_speech():
    learnt, other = np.array([[0.1, 0.3], [0.0, 0.2]], np.float32), np.array([0.2, 0.4, 0.6, 0.8], np.float32)
    np.testing.assert_allclose(_of_the_same_rank(learnt, other), [[0.4, 0.8], [0.2, 0.6]])


class Echo:
    """Fuses by the product; hears the mean of the frames of each chunk."""

    def hear(self, frames: np.ndarray) -> np.ndarray:
        return frames[: len(frames) // 32 * 32].reshape(-1, 32, frames.shape[1]).mean((1, 2))

    def fuse(self, rnn: np.ndarray, heard: np.ndarray) -> np.ndarray:
        return rnn * np.resize(np.repeat(heard, 8), len(rnn))


def test_thresholds_rest_on_learnt_speech_too_once_phonemes_are_heard():
    talk = torch.rand(2, 36_000, 8, generator=torch.Generator().manual_seed(1))
    held = ValidationSet(torch.ones(3, 300, 8), [(SAMPLE_RATE,)] * 3, [talk] * 2, [talk * 2])
    rng = np.random.default_rng(3)
    rnn = Scores(np.full((3, 74), 0.9, np.float32), [rng.random((2, 8999)) * 0.5] * 2, [rng.random((2, 8999)) * 1e-3])
    phonemes = Phonemes.of(Echo(), held)
    fused = phonemes.fused(rnn)
    assert [rows.shape for rows in fused.without] == [(2, 8999)] * 3
    assert fused.without[2].max() > 0.8 * 0.5  # as if the RNN had not learnt from it
    measured = measure(rnn, held, MODEL, 0.5, phonemes)
    assert measured.hours == pytest.approx(0.4) and measured.missed[0.5] == 0.0


def test_voices_like_machines_are_held_out_only_where_there_are_no_others():
    robots = [Spoken(np.full(1, i), "", "festival-kal_diphone-1.00") for i in range(3)]
    people = [Spoken(np.full(1, 9), "", "hibari-warp1.09-pitch1.19"), Spoken(np.full(1, 8), "", "flite-rms-1.00")]
    assert robots[0].held_out and people[0].held_out and not people[1].held_out
    assert [clip[0] for clip in _apart([*robots, *people], True)] == [9]
    assert len(_apart([*robots, people[1]], True)) == 3
