"""Examples for the trigger word: clips laid over backgrounds at random places, with the ends of the words.

As in the lecture's exercise: positives, negatives and a background become one recording whose labels are known by
construction. Made on the fly from a seed, so that no two are alike and any of them can be made again.

Hard negatives are the moments at which a half-trained detector is fooled most, to be trained on more often:
hard-example mining (Sung & Poggio 1994; Shrivastava et al. 2016).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asr.audio.features import SAMPLE_RATE, LogMel
from asr.training.augment import Scene, SoundOptions, Surroundings, loudness, speed
from wakeword.train import TriggerModel

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
    direct: tuple[float, float] = (-10.0, 12.0)  # to 5 m
    noise: float = 0.7
    snr: tuple[float, float] = (-3.0, 30.0)
    made: float = 0.3
    talker: float = 0.25
    babble: float = 0.2  # a television, a party
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
        scene, ends = self.scene(rng)
        return Example(self.surroundings.recorded(scene, rng), ends)

    def scene(self, rng: np.random.Generator) -> tuple[Scene, tuple[int, ...]]:
        """Clips one after the other and what sounds beside them, before a microphone hears it; the phrases' ends."""
        dry, ends = self._talk(int(self.options.seconds * SAMPLE_RATE), rng)
        return self.surroundings.scene(dry, rng), ends

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


BEFORE, AFTER = 2.0, 0.3  # s of a clip that are kept around the step that scored highest
ROW = 60 * SAMPLE_RATE  # samples that are scored as one stream

Place = tuple[int, int]  # number of a clip among the negatives, and the sample of its highest score


def negatives_of(sounds: Sounds) -> list[Samples]:
    """Real speech without the phrase by the minute, as places count it; near-misses are trained on often anyway."""
    clips = [*sounds.speech, *sounds.own_negatives]
    return [clip[at : at + ROW] for clip in clips for at in range(0, max(1, len(clip) - SAMPLE_RATE), ROW)]


def mine(model: TriggerModel, clips: Sequence[Samples], count: int) -> list[Place]:
    """The ``count`` places that score highest, one of a clip, highest first; each clip is (n,) samples."""
    found: list[tuple[float, Place]] = []
    for batch in _rows(clips):
        scores = _scores(model, torch.from_numpy(_frames(model, [samples for samples, _ in batch])))
        for row, (_, starts) in zip(scores, batch):
            found += [_highest(row, clip, start, len(clips[clip]), model) for clip, start in starts]
    return [place for _, place in sorted(found, reverse=True)[:count]]


def cut(clips: Sequence[Samples], places: Sequence[Place]) -> list[Samples]:
    """What lies around the places: the clips to train on."""
    before, after = int(BEFORE * SAMPLE_RATE), int(AFTER * SAMPLE_RATE)
    return [clips[clip][max(0, at - before) : at + after] for clip, at in places]


def _rows(clips: Sequence[Samples], together: int = 16) -> Iterator[list[tuple[np.ndarray, list[Place]]]]:
    """Clips joined to streams (ROW,), each with the numbers of its clips and where they begin; some at a time."""
    batch, at = [], ROW
    for number, clip in enumerate(clips):
        if at + len(clip) > ROW:
            if len(batch) == together:
                yield batch
                batch = []
            batch.append((np.zeros(ROW, np.float32), []))
            at = 0
        samples, starts = batch[-1]
        samples[at : at + len(clip)] = clip[: ROW - at]
        starts.append((number, at))
        at += len(clip) + SAMPLE_RATE // 2
    if batch:
        yield batch


def _frames(model: TriggerModel, rows: Sequence[np.ndarray]) -> np.ndarray:
    frontend = LogMel(model.options.frontend)
    return np.stack([frontend.warped(samples, 1.0) for samples in rows])


@torch.inference_mode()
def _scores(model: TriggerModel, frames: Tensor) -> np.ndarray:
    """(B, T, n_mels) -> logits (B, n)."""
    model.eval()
    logits = model(frames)[0].numpy()
    model.train()
    return logits


def _highest(row: np.ndarray, clip: int, start: int, length: int, model: TriggerModel) -> tuple[float, Place]:
    """The highest score from a clip's start to a little after its end."""
    step = model.options.step_seconds * SAMPLE_RATE
    first, last = int(start / step), min(len(row), int((start + length) / step) + 8)
    best = first + int(row[first:last].argmax())
    return float(row[best]), (clip, min(length, max(0, round(best * step) - start)))
