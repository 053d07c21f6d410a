"""Examples for the trigger word: clips laid over backgrounds at random places, with the ends of the words.

As in the lecture's exercise: positives, negatives and a background become one recording whose labels are known by
construction. Made on the fly from a seed, so that no two are alike and any of them can be made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr.audio.features import SAMPLE_RATE
from asr.training.augment import SoundOptions, Surroundings, loudness, speed

Samples = np.ndarray  # (n,) float32 at 16 kHz


@dataclass(frozen=True)
class MixOptions(SoundOptions):
    """What the examples of a training are like."""

    seconds: float = 8.0  # of an example
    positive: float = 0.3  # probability that the next clip is the phrase
    near_miss: float = 0.2  # ... is one of its near-misses
    hard: float = 0.15  # ... is something that fooled the detector, once that is known; else ordinary speech
    pause: float = 0.5  # s between clips, on average
    joined: float = 0.35  # probability that there is no pause between two clips
    room: float = 0.6
    direct: tuple[float, float] = (-8.0, 15.0)  # to 5 m
    noise: float = 0.7
    snr: tuple[float, float] = (-3.0, 30.0)
    made: float = 0.3
    babble: float = 0.3  # a talker, a television
    babble_snr: tuple[float, float] = (0.0, 20.0)
    colour: float = 0.5
    telephone: float = 0.4
    level: tuple[float, float] = (-62.0, -3.0)
    clip: float = 0.1
    hiss: float = 0.7


@dataclass(frozen=True)
class Sounds:
    """What examples are made of."""

    positives: Sequence[Samples]  # the phrase, trimmed: the word ends where the clip ends
    near_misses: Sequence[Samples]
    speech: Sequence[Samples]  # real speech without the phrase
    noises: Sequence[Samples]
    own_positives: Sequence[Samples] = ()  # the user's recordings: half of all positives, if there are any
    own_negatives: Sequence[Samples] = ()  # ... a quarter of what is not the phrase
    hard: Sequence[Samples] = ()  # pieces of the negatives that fooled the detector so far


@dataclass(frozen=True)
class Example:
    """Sound, and where in it the phrase was said."""

    samples: np.ndarray  # (n,) float32
    ends: tuple[int, ...]  # first sample after each phrase


class Mixer:
    """Clips laid over backgrounds at random, as the lecture makes its examples: so it is known where each word ends."""

    def __init__(self, sounds: Sounds, options: MixOptions = MixOptions()):
        self.sounds, self.options = sounds, options
        self.surroundings = Surroundings(options, sounds.noises, sounds.speech)

    def example(self, rng: np.random.Generator) -> Example:
        """Clips one after the other, then their surroundings."""
        dry, ends = self._talk(int(self.options.seconds * SAMPLE_RATE), rng)
        return Example(self.surroundings(dry, rng), ends)

    def _talk(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, tuple[int, ...]]:
        """Clips with pauses between them -> samples (n,), and where each phrase ended."""
        o, out, ends = self.options, np.zeros(n, np.float32), []
        at = int(rng.exponential(o.pause) * SAMPLE_RATE)
        while at < n:
            clip, said = self._clip(rng)
            out[at : at + len(clip)] += clip[: n - at] * 10 ** (rng.normal(0, 3) / 20)
            if said and at + len(clip) <= n:
                ends.append(at + len(clip))
            at += len(clip)
            if rng.random() > o.joined:
                at += int(rng.exponential(o.pause) * SAMPLE_RATE)
        return out, tuple(ends)

    def _clip(self, rng: np.random.Generator) -> tuple[np.ndarray, bool]:
        """-> one clip at a loudness of 1, and whether it is the phrase."""
        o, s = self.options, self.sounds
        draw = rng.random()
        said = draw < o.positive
        if said:
            clip = _any(s.own_positives if len(s.own_positives) and rng.random() < 0.5 else s.positives, rng)
        elif len(s.own_negatives) and rng.random() < 0.25:
            clip = _piece(_any(s.own_negatives, rng), rng)
        elif draw < o.positive + o.near_miss and len(s.near_misses):
            clip = _any(s.near_misses, rng)
        elif draw > 1 - o.hard and len(s.hard):
            clip = _any(s.hard, rng)
        else:
            clip = _piece(_any(s.speech, rng), rng)
        clip = speed(clip, rng.uniform(1 - o.speed, 1 + o.speed))
        return clip / max(loudness(clip), 1e-4), said


def _any(clips: Sequence[Samples], rng: np.random.Generator) -> Samples:
    return clips[int(rng.integers(len(clips)))]


def _piece(clip: Samples, rng: np.random.Generator) -> Samples:
    """0.5 to 4 s from anywhere in a clip."""
    n = int(rng.uniform(0.5, 4) * SAMPLE_RATE)
    start = rng.integers(max(1, len(clip) - n))
    return clip[start : start + n]
