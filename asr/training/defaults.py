"""Settings for an amount of data, where the user gives none."""

from __future__ import annotations

import math

from asr.model.options import ModelOptions
from asr.training.augment import AugmentOptions
from asr.training.configuration import Configuration
from asr.training.schedule import Stage, TrainOptions

MILD = AugmentOptions(speed=0.1, warp=0.1, room=0.15, noise=0.35, snr=(8.0, 35.0), time_masks=1, band_masks=1)
STRONG = AugmentOptions(room=0.15, noise=0.35, snr=(8.0, 35.0), time_masks=2, band_masks=2, band_width=15)


def from_nothing(hours: float, phonemes: tuple[str, ...] = ()) -> Configuration:
    """For a new model: little data is heard often, by a small model; much data by a large one."""
    layers, hidden = (3, 256) if hours < 3 else (3, 320) if hours < 100 else (4, 448)
    batch = min(160.0, max(40.0, 120 * hours))  # s: some thirty updates an epoch, until batches are as large as is good
    epochs = min(150.0, max(8.0, 120 / math.sqrt(hours)))
    updates = max(400, round(epochs * hours * 3600 / batch))
    decayed = updates * 2 // 5
    options = TrainOptions(
        (Stage(updates - decayed, streaming=0.1), Stage(decayed, streaming=0.25, decay=True)),
        batch_seconds=batch, learning_rate=3e-3, warmup=min(200, updates // 10), phoneme_weight=0.5,
        chained=0.1, chain_limit=15.0, evaluate_every=min(500, max(25, updates // 25)),
    )  # fmt: skip
    return ModelOptions(phonemes=phonemes, layers=layers, hidden=hidden), options, STRONG if hours < 3 else MILD


def from_a_model(model: ModelOptions, hours: float) -> Configuration:
    """For a trained model that gets to know a voice, a microphone, a vocabulary."""
    batch = min(120.0, max(20.0, 60 * hours))  # s
    epochs = min(16.0, max(4.0, 6 / math.sqrt(hours)))
    updates = max(60, round(epochs * hours * 3600 / batch))
    options = TrainOptions(
        (Stage(updates, streaming=0.25, decay=True),), batch_seconds=batch, learning_rate=1e-3,
        warmup=updates // 10, phoneme_weight=0.5, chained=0.1, chain_limit=15.0,
        evaluate_every=max(20, updates // 8), keep=3,
    )  # fmt: skip
    return model, options, MILD
