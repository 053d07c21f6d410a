"""Held-out voices, speakers and backgrounds: they choose the checkpoint and the thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asr.audio.features import SAMPLE_RATE, LogMel
from asr.training.augment import loudness
from wakeword.phonemes.fusion import FRAMES_PER_SECOND, Fusion, SecondStage, SecondStageOptions
from wakeword.thresholds import LOOKED_TAIL, RATES, TAIL, TAIL_RATE, logit, peaks, thresholds
from wakeword.train.mixing import Mixer, MixOptions, Sounds
from wakeword.train.model import TriggerModel, TriggerOptions

EARLY, LATE = 0.25, 0.75  # s before and after a word's end in which a step that is a hit begins; it ends 0.1 s later
MIN_EVENT_GAP_S = 1.5  # s; higher scores that are closer belong to one event
LOOKS_PER_HOUR = 60.0  # of a second stage
STRANGERS = 3.0  # times as many false alarms of the RNN alone are reckoned with in speech of other corpora


@dataclass(frozen=True)
class ValidationSet:
    """What chooses the checkpoint and the thresholds: mixes with the phrase, and hours without it."""

    frames: Tensor  # (B, T, n_mels)
    ends: list[tuple[int, ...]]  # samples
    without: list[Tensor]  # (B, T, n_mels) each, streams in which the phrase is not said

    @property
    def hours(self) -> float:
        return sum(w.shape[0] * w.shape[1] for w in self.without) / FRAMES_PER_SECOND / 3600


def hold_out(sounds: Sounds, model: TriggerOptions, count: int = 300, passes: int = 3, seed: int = 7) -> ValidationSet:
    """Mixes of held-out clips: ``count`` examples with the phrase, ``passes`` over the speech without it.

    The speech is whole utterances one after the other, as a radio would say them; every pass but the first has
    noise under it.
    """
    frontend = LogMel(model.frontend)
    spoken = Mixer(sounds, MixOptions(seconds=5, positive=0.4, near_miss=0, pause=0.8))
    mixes = [spoken.example(np.random.default_rng([seed, i])) for i in range(count)]
    frames = np.stack([frontend(m.samples) for m in mixes])
    without = [_talk(sounds, frontend, noisy=i > 0, rng=np.random.default_rng([seed + 1, i])) for i in range(passes)]
    return ValidationSet(torch.from_numpy(frames), [m.ends for m in mixes], without)


def _talk(sounds: Sounds, frontend: LogMel, noisy: bool, rng: np.random.Generator) -> Tensor:
    """All of the speech once, cut into streams of a minute -> frames (B, T, n_mels)."""
    parts = []
    for i in rng.permutation(len(sounds.speech)):
        clip = sounds.speech[i]
        parts += [clip * (10 ** (rng.uniform(-40, -12) / 20) / max(loudness(clip), 1e-4))]
        parts += [np.zeros(int(rng.exponential(0.5) * SAMPLE_RATE), np.float32)]
    talk, n = np.concatenate(parts), 60 * SAMPLE_RATE
    if noisy:
        background = np.concatenate([Mixer(sounds).surroundings.noise(n, rng) for _ in range(-(-len(talk) // n))])
        talk = talk + background[: len(talk)] * 10 ** (rng.uniform(-55, -35) / 20)
    streams = np.resize(np.clip(talk, -1, 1), -(-len(talk) // n) * n).reshape(-1, n).astype(np.float32)
    return torch.from_numpy(np.stack([frontend(s) for s in streams]))


@dataclass(frozen=True)
class Scores:
    """Of all that is held out, smoothed as wakeword.detector does it."""

    phrases: np.ndarray  # (B, n), of ValidationSet.frames
    without: list[np.ndarray]  # (B, n) each, of ValidationSet.without


def score(model: TriggerModel, held: ValidationSet, smooth: int) -> Scores:
    model.eval()
    found = Scores(_smoothed(model, held.frames, smooth), [_smoothed(model, w, smooth) for w in held.without])
    model.train()
    return found


@torch.inference_mode()
def _smoothed(model: TriggerModel, frames: Tensor, smooth: int) -> np.ndarray:
    """(B, T, n_mels) -> (B, n)"""
    p = torch.sigmoid(model(frames)[0])
    return nn.functional.pad(p, (smooth - 1, 0)).unfold(1, smooth, 1).mean(-1).numpy()


def fused_scores(scores: Scores, held: ValidationSet, fusion: Fusion | SecondStage) -> Scores:
    """The same after the phoneme model has heard everything, too."""

    def again(rows: np.ndarray, frames: Tensor) -> np.ndarray:
        feed: Any = fusion.feed  # each takes the state that its own start() gives
        return np.stack([feed(row, of, fusion.start())[0] for row, of in zip(rows, frames.numpy())])

    return Scores(again(scores.phrases, held.frames), [again(*pair) for pair in zip(scores.without, held.without)])


@dataclass(frozen=True)
class Validation:
    """A model on held-out voices and backgrounds.

    Held-out speech is of the same corpora and recordings as what was learnt from, so a threshold for N false alarms an
    hour is set where it gives N / STRANGERS; with the phonemes it fits strangers as it is (recipes/wake_words).
    """

    thresholds: dict[float, float]  # false alarms an hour -> threshold
    missed: dict[float, float]  # ... -> share of the phrases missed at that threshold
    distance: float  # mean logit of the hits' best scores above the threshold of the chosen rate
    phrases: int = 0  # that were to be heard

    @property
    def figures(self) -> dict[str, float]:
        return {f"missed at {rate:g}/h": round(share, 4) for rate, share in self.missed.items()}

    def interval(self, rate: float) -> tuple[float, float]:
        """The 95 % interval of the share missed at a rate (Wilson 1927)."""
        share, z2 = self.missed[rate], 1.96**2 / max(1, self.phrases)
        middle, half = share + z2 / 2, (share * (1 - share) * z2 + z2**2 / 4) ** 0.5
        return (middle - half) / (1 + z2), (middle + half) / (1 + z2)


def measure(
    scores: Scores, held: ValidationSet, model: TriggerOptions, rate: float, by: Fusion | SecondStage | None = None
) -> Validation:
    """rate: false alarms an hour, of Validation.distance; by: what has fused the scores with those of the phonemes."""
    step = model.step_seconds
    events = _events(scores, step)
    if by is None:
        found = thresholds(events, held.hours / STRANGERS, RATES, TAIL)
    elif isinstance(by, SecondStage):
        found = thresholds(events, held.hours, RATES, LOOKED_TAIL)
    else:
        tail = max(LOOKED_TAIL, round(TAIL_RATE * held.hours))
        found = thresholds(events, held.hours, RATES, tail, shape=True)
    best = np.array(
        [
            row[max(0, round((end / SAMPLE_RATE - EARLY) / step)) : round((end / SAMPLE_RATE + LATE) / step) + 1].max(
                initial=0
            )
            for row, ends in zip(scores.phrases, held.ends)
            for end in ends
            if end / SAMPLE_RATE + LATE < held.frames.shape[1] / FRAMES_PER_SECOND
        ]
    )
    missed = {rate: float((best < threshold).mean()) for rate, threshold in found.items()}
    return Validation(found, missed, float(np.mean(logit(best)) - logit(np.array(found[rate]))), len(best))


def second_stage(said: tuple[tuple[str, ...], ...], scores: Scores, held: ValidationSet, step: float) -> SecondStage:
    """The second stage that is asked LOOKS_PER_HOUR times an hour of speech; step: s from one score to the next."""
    events = np.sort(_events(scores, step))[::-1]
    floor = float(events[min(len(events) - 1, round(LOOKS_PER_HOUR * held.hours))])
    return SecondStage(SecondStageOptions(said, floor))


def phonemes_heard(held: ValidationSet, fusion: Fusion, before: float = 2.0) -> np.ndarray:
    """What the phonemes say at the end of each phrase of held-out voices, and ``before`` s before it: 0..1."""
    ends = [
        (of, round(end / SAMPLE_RATE * FRAMES_PER_SECOND))
        for of, ends in zip(held.frames.numpy(), held.ends)
        for end in ends
    ]
    return np.array(
        [
            fusion.heard(of[max(0, end - round(before * FRAMES_PER_SECOND)) : end + round(EARLY * FRAMES_PER_SECOND)])
            for of, end in ends
        ]
    )


def _events(scores: Scores, step: float) -> np.ndarray:
    """What could be false alarms, each with its highest score."""
    gap = round(MIN_EVENT_GAP_S / step)
    return np.concatenate([peaks(row, gap) for rows in scores.without for row in rows])
