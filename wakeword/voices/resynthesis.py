"""Other people and other moods say the same clip: pitch, vocal tract and durations are changed apart from each other.

A vocoder (WORLD: Morise et al. 2016) takes a clip apart into pitch, spectral envelope and breath, every 5 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyworld

from asr.audio.features import SAMPLE_RATE

PITCHES = 70.0, 600.0  # Hz in which a pitch is looked for
LOWEST, HIGHEST = 80.0, 400.0  # Hz of men's and of children's voices
TRACT = 0.3  # formants go with this power of the pitch: a child's, an octave and a half above a man's, lie 1.37 higher


@dataclass(frozen=True)
class Manner:
    """How a clip is said anew."""

    tempo: tuple[float, float] = (0.55, 1.0)  # of synthetic voices', which read; people call machines more slowly
    drawl: float = 0.25  # deviation of the logarithm of the tempo from sound to sound
    melody: float = 0.5  # largest rise or fall from start to end, of the logarithm of the pitch
    whisper: float = 0.04  # probability of no pitch at all


HARDER = Manner((0.5, 0.85), 0.35, 0.6, 0.08)  # than all that is learnt from: held-out voices


def said_anew(clips: Sequence[np.ndarray], seed: int, manner: Manner = Manner()) -> list[np.ndarray]:
    """Each clip (n,) at 16 kHz once more, by somebody else: from a low voice to a child's."""
    rng = np.random.default_rng(seed)
    return [_said_anew(clip, rng, manner) for clip in clips]


def _said_anew(clip: np.ndarray, rng: np.random.Generator, manner: Manner) -> np.ndarray:
    samples = clip.astype(np.float64)
    coarse, times = pyworld.dio(samples, SAMPLE_RATE, *PITCHES)
    pitch = pyworld.stonemask(samples, coarse, times, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(samples, pitch, times, SAMPLE_RATE)  # (t, 513)
    breath = pyworld.d4c(samples, pitch, times, SAMPLE_RATE)  # (t, 513)
    voiced = pitch > 0
    middle = float(np.median(pitch[voiced])) if voiced.any() else 150.0
    wanted = np.exp(rng.uniform(np.log(LOWEST), np.log(HIGHEST)))
    tract = np.clip((wanted / middle) ** TRACT * np.exp(rng.normal(0, 0.06)), 0.7, 1.5)
    at = _pace(len(pitch), rng, manner)
    moved = np.clip(np.arange(envelope.shape[1]) / tract, 0, envelope.shape[1] - 1).round().astype(int)
    lively = wanted * (np.where(voiced, pitch, middle) / middle) ** rng.uniform(0.5, 1.5)
    slope = np.exp(rng.uniform(-manner.melody, manner.melody) * np.linspace(-0.5, 0.5, len(at)))
    whispered = rng.random() < manner.whisper
    new = np.where(voiced & (not whispered), lively, 0.0)[at] * slope
    grid = np.ascontiguousarray
    spoken = pyworld.synthesize(new, grid(envelope[at][:, moved]), grid(breath[at][:, moved]), SAMPLE_RATE)
    return (spoken * (np.abs(clip).max() / max(np.abs(spoken).max(), 1e-4))).astype(np.float32)


def _pace(frames: int, rng: np.random.Generator, manner: Manner) -> np.ndarray:
    """(n,) which frame is said in each of the new ones: slower on the whole, each sound by a little of its own."""
    sounds = max(2, frames // 16)  # of 80 ms
    drawl = np.interp(np.linspace(0, sounds - 1, frames), np.arange(sounds), rng.normal(0, manner.drawl, sounds))
    ends = np.cumsum(np.exp(drawl)) / rng.uniform(*manner.tempo) * frames / np.exp(drawl).sum()
    return np.searchsorted(ends, np.arange(int(ends[-1])) + 0.5).clip(max=frames - 1)
