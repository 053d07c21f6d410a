"""Hard negatives: the places that score highest are found, wherever a clip lies in the streams they are scored in."""

import numpy as np
import torch

from asr.audio.features import SAMPLE_RATE
from wakeword.train import TriggerModel, TriggerOptions
from wakeword.train.examples import AFTER, BEFORE, Mixer, MixOptions, Sounds, cut, mine, negatives_of


class Loudness(torch.nn.Module):
    """Scores a step by its mean level."""

    options = TriggerOptions()

    def forward(self, frames: torch.Tensor) -> tuple[torch.Tensor, None]:
        return frames.unfold(1, 8, 4).mean((2, 3)), None


def quiet(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(int(seconds * SAMPLE_RATE)).astype(np.float32) * 1e-3


def test_the_loudest_moments_are_found_in_any_stream():
    clips = [quiet(s) for s in (7, 20, 50, 0.7, 70, 9)]
    at = {1: 11.0, 2: 3.0, 4: 30.0}  # s into the clip; the fourth is longer than a stream
    for clip, seconds in at.items():
        start = int(seconds * SAMPLE_RATE)
        clips[clip][start : start + 3200] *= 100 + clip
    places = mine(Loudness(), clips, 3)
    assert [clip for clip, _ in places] == [4, 2, 1]
    for clip, sample in places:
        assert abs(sample / SAMPLE_RATE - at[clip]) < 0.2
    pieces = cut(clips, places)
    assert all(len(p) <= (BEFORE + AFTER) * SAMPLE_RATE and np.abs(p).max() > 0.05 for p in pieces)


def test_all_of_a_long_recording_is_mined():
    radio = quiet(70)
    radio[65 * SAMPLE_RATE :][:3200] *= 100
    clips = negatives_of(Sounds([], [], [quiet(5)], [], own_negatives=[radio]))
    [(clip, sample)] = mine(Loudness(), clips, 1)
    assert (clip, abs(sample / SAMPLE_RATE - 5) < 0.2) == (2, True)
    assert np.abs(cut(clips, [(clip, sample)])[0]).max() > 0.05


def test_what_is_hard_is_mixed_in_and_near_misses_are_not_mined():
    hard, speech = np.full(8000, 0.5, np.float32), quiet(30)
    sounds = Sounds([], [hard], [speech], [], hard=[hard])
    assert len(negatives_of(sounds)) == 1 and len(negatives_of(Sounds([], [hard], [], [], own_negatives=[hard]))) == 1
    mixer, rng = Mixer(sounds, MixOptions(positive=0, near_miss=0, hard=0.5)), np.random.default_rng(0)
    drawn = [mixer._clip(rng)[0] for _ in range(200)]
    assert 60 < sum(np.ptp(clip) < 0.5 for clip in drawn) < 140  # the constant ones


def test_the_model_trains_on_afterwards():
    model = TriggerModel(TriggerOptions(hidden=8, channels=8))
    model.train()
    assert len(mine(model, [quiet(1), quiet(2)], 5)) == 2 and model.training
