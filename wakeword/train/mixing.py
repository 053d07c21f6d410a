"""Examples for the trigger word: clips laid over backgrounds at random places, with the ends of the words.

As in the lecture's exercise: positives, negatives and a background become one recording whose labels are known by
construction. Made on the fly from a seed, so that no two are alike and any of them can be made again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr.audio.features import SAMPLE_RATE
from asr.training.augment import colour, loudness, room, speed
from asr.training.sounds import MADE

Samples = np.ndarray  # (n,) float32 at 16 kHz


@dataclass(frozen=True)
class MixOptions:
    """What the examples of a training are like."""

    seconds: float = 8.0  # of an example
    positive: float = 0.3  # probability that the next clip is the phrase
    near_miss: float = 0.2  # ... is one of its near-misses
    hard: float = 0.15  # ... is something that fooled the detector, once that is known; else ordinary speech
    pause: float = 0.5  # s between clips, on average
    joined: float = 0.35  # probability that there is no pause between two clips
    speed: float = 0.12  # tempo and pitch by 1 +- this much
    room: float = 0.5  # probability of a simulated room
    colour: float = 0.5  # probability of a microphone's response
    noise: float = 0.75  # probability of a background of noise
    babble: float = 0.2  # probability of somebody else talking in the background
    snr: tuple[float, float] = (-3.0, 30.0)  # dB of the noise
    babble_snr: tuple[float, float] = (5.0, 25.0)  # dB of the talk
    level: tuple[float, float] = (-48.0, -6.0)  # dBFS of the loud parts
    clip: float = 0.08  # probability of an overdriven input
    hiss: float = 0.7  # probability of a microphone's own noise; else pauses may be digital silence


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

    def example(self, rng: np.random.Generator) -> Example:
        """Clips one after the other in one room, then background, level and the microphone's limits."""
        o = self.options
        dry, ends = self._talk(int(o.seconds * SAMPLE_RATE), rng)
        x = room(dry, rng) if rng.random() < o.room else dry
        loud = loudness(x)
        if rng.random() < o.babble and len(self.sounds.speech):
            x = x + self._babble(len(x), rng) * _ratio(loud, o.babble_snr, rng)
        if rng.random() < o.noise:
            x = x + self.noise(len(x), rng) * _ratio(loud, o.snr, rng)
        if rng.random() < o.colour:
            x = colour(x, rng)
        x = x * (10 ** (rng.uniform(*o.level) / 20) / max(loudness(x), 1e-5))
        if rng.random() < o.clip:
            limit = np.abs(x).max() * rng.uniform(0.15, 0.8)
            x = np.clip(x, -limit, limit)
        if rng.random() < o.hiss:
            x = x + rng.standard_normal(len(x), np.float32) * 10 ** (rng.uniform(-95, -60) / 20)
        return Example(np.clip(x, -1, 1).astype(np.float32), ends)

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

    def noise(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n,) of a recorded or made noise at a loudness of 1."""
        if not len(self.sounds.noises) or rng.random() < 0.3:
            noise = MADE[str(rng.choice(list(MADE)))](rng, n).astype(np.float32)
        else:
            noise = speed(_looped(_any(self.sounds.noises, rng), int(1.3 * n), rng), rng.uniform(0.8, 1.25))[:n]
        return noise / max(loudness(noise), 1e-4)

    def _babble(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n,) of one to four other people talking at once, in a room, at a loudness of 1."""
        voices = (_looped(_any(self.sounds.speech, rng), n, rng) for _ in range(rng.integers(1, 5)))
        talk = room(sum(voices, np.zeros(n, np.float32)), rng)
        return talk / max(loudness(talk), 1e-4)


def _ratio(loud: float, snr: tuple[float, float], rng: np.random.Generator) -> float:
    return max(loud, 1e-3) * 10 ** (-rng.uniform(*snr) / 20)


def _any(clips: Sequence[Samples], rng: np.random.Generator) -> Samples:
    return clips[int(rng.integers(len(clips)))]


def _piece(clip: Samples, rng: np.random.Generator) -> Samples:
    """0.5 to 4 s from anywhere in a clip."""
    n = int(rng.uniform(0.5, 4) * SAMPLE_RATE)
    start = rng.integers(max(1, len(clip) - n))
    return clip[start : start + n]


def _looped(clip: Samples, n: int, rng: np.random.Generator) -> np.ndarray:
    start = rng.integers(max(1, len(clip) - n))
    return np.resize(clip[start : start + n], n).astype(np.float32)
