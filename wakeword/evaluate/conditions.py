"""A recording as it is heard elsewhere: by telephone, across a room, very quietly, beside somebody who talks.

Speech recognition is measured on the same (benchmarks/conditions.py). What is random comes from a generator, so that
every engine hears the same samples.
"""

from __future__ import annotations

import numpy as np

from asr.audio.features import SAMPLE_RATE
from asr.training.augment import loudness

RT60 = 0.64  # s in which a room's sound falls by 60 dB
FIRST_REFLECTION = 0.005  # s after the sound itself
REVERBERATION = 5.0  # dB over the direct sound: some 3 m from the microphone
QUIET = -60.0  # dBFS
TALKER = 5.0  # dB of the phrase over a talker, loudest frame against loudest frame


def across_a_room(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Samples (n,) -> (n,), as loud as before: the direct sound, and then a tail that decays."""
    t = np.arange(int(RT60 * SAMPLE_RATE)) / SAMPLE_RATE
    tail = rng.standard_normal(len(t)) * 10 ** (-3 * t / RT60) * (t > FIRST_REFLECTION)
    tail *= 10 ** (REVERBERATION / 20) / np.sqrt((tail**2).sum())
    tail[0] = 1.0
    size = len(x) + len(tail)
    wet = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(tail, size), size)[: len(x)]
    return wet * loudness(x) / max(loudness(wet), 1e-4)


def quiet(x: np.ndarray, dbfs: float = QUIET) -> np.ndarray:
    """Samples (n,) -> (n,) whose loud half is at ``dbfs``, in the steps of a file of 16 bits."""
    return in_16_bits(x * 10 ** (dbfs / 20) / max(loudness(x), 1e-4))


def in_16_bits(x: np.ndarray) -> np.ndarray:
    return np.clip(np.round(x * 32768) / 32768, -1, 1)
