"""Held-out voices, speakers and backgrounds: they choose the checkpoint and the thresholds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from asr.audio.features import SAMPLE_RATE, LogMel
from asr.training.augment import loudness, telephone
from wakeword.phonemes import FRAMES_PER_SECOND, Fusion
from wakeword.scoring import LEAST_TAIL, RATES, TAIL, TAIL_RATE, logit, peaks, thresholds, wilson
from wakeword.train import TriggerModel, TriggerOptions
from wakeword.train.examples import Mixer, MixOptions, Sounds

EARLY, LATE = 0.25, 0.75  # s before and after a word's end in which a step that is a hit begins; it ends 0.1 s later
MIN_EVENT_GAP_S = 1.5  # s; higher scores that are closer belong to one event
QUIET, FAR, TELEPHONE = "in quiet", "from afar", "by telephone"
ALONE: dict[str, Any] = {"talker": 0.0, "babble": 0.0}
NEAR: dict[str, Any] = ALONE | {"room": 0.0, "telephone": 0.0, "level": (-40.0, -6.0), "clip": 0.0}
CONDITIONS: dict[str, dict[str, Any]] = {  # each of the mixes with the phrase is in one of them
    QUIET: NEAR | {"noise": 0.0},
    "in noise at 10 dB": NEAR | {"noise": 1.0, "snr": (10.0, 10.0)},
    "in noise at 0 dB": NEAR | {"noise": 1.0, "snr": (0.0, 0.0)},
    FAR: ALONE | {"room": 1.0, "direct": (-8.0, 0.0), "noise": 0.0},
    "beside a talker at 5 dB": NEAR | {"noise": 0.0, "talker": 1.0, "talker_snr": (5.0, 5.0)},
    TELEPHONE: NEAR | {"noise": 0.0},
}
PASSES, ENOUGH = 2, 3600 * SAMPLE_RATE  # over the speech without the phrase; samples of which one pass is enough
STRANGERS = 3.0  # times as many false alarms of the RNN alone are reckoned with in speech of other corpora


@dataclass(frozen=True)
class ValidationSet:
    """What chooses the checkpoint and the thresholds: mixes with the phrase, and hours without it."""

    frames: Tensor  # (B, T, n_mels)
    ends: list[tuple[int, ...]]  # samples
    without: list[Tensor]  # (B, T, n_mels) each, streams in which the phrase is not said; passes over the same speech
    learnt: list[Tensor] = field(default_factory=list)  # ... of speech that the RNN learns from, for the phonemes

    @property
    def hours(self) -> float:
        return _hours(self.without)

    @property
    def conditions(self) -> list[str]:
        """Of each of the mixes with the phrase."""
        return _conditions(len(self.ends))


def _conditions(count: int) -> list[str]:
    return [list(CONDITIONS)[i % len(CONDITIONS)] for i in range(count)]


def hold_out(
    sounds: Sounds, model: TriggerOptions, count: int = 300, seed: int = 7, learnt: Sounds | None = None
) -> ValidationSet:
    """Mixes of held-out clips: ``count`` examples with the phrase, and the speech without it.

    The speech is whole utterances one after the other, as a radio would say them; the second pass over it has noise
    under it. ``learnt`` is what the RNN learns from: its speech is heard once, in noise.
    """
    frontend, spoken = LogMel(model.frontend), MixOptions(seconds=5, positive=0.4, near_miss=0, pause=0.8)
    mixers = {c: Mixer(sounds, replace(spoken, **changes)) for c, changes in CONDITIONS.items()}
    conditions = _conditions(count)
    mixes = [mixers[c].example(np.random.default_rng([seed, i])) for i, c in enumerate(conditions)]
    heard_as = [telephone(m.samples) if c == TELEPHONE else m.samples for m, c in zip(mixes, conditions)]
    frames = np.stack([frontend.warped(samples, 1.0) for samples in heard_as])
    passes = 1 if sum(map(len, sounds.speech)) > ENOUGH else PASSES
    heard = [(sounds, i > 0) for i in range(passes)] + ([(learnt, True)] if learnt else [])
    talk = [_talk(of, frontend, noisy, np.random.default_rng([seed + 1, i])) for i, (of, noisy) in enumerate(heard)]
    return ValidationSet(torch.from_numpy(frames), [m.ends for m in mixes], talk[:passes], talk[passes:])


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
    return torch.from_numpy(np.stack([frontend.warped(s, 1.0) for s in streams]))


@dataclass(frozen=True)
class Scores:
    """Of all that is held out: those of the RNN, smoothed as wakeword.detector does it, or what the phonemes say."""

    phrases: np.ndarray  # (B, n), of ValidationSet.frames
    without: list[np.ndarray]  # (B, n) each, of ValidationSet.without
    learnt: list[np.ndarray] = field(default_factory=list)  # ... of ValidationSet.learnt


def of_all(held: ValidationSet, scored: Callable[[Tensor], np.ndarray]) -> Scores:
    """What ``scored`` makes of all frames."""
    return Scores(scored(held.frames), [scored(w) for w in held.without], [scored(w) for w in held.learnt])


def score(model: TriggerModel, held: ValidationSet, smooth: int) -> Scores:
    model.eval()
    found = of_all(held, lambda frames: _smoothed(model, frames, smooth))
    model.train()
    return found


@torch.inference_mode()
def _smoothed(model: TriggerModel, frames: Tensor, smooth: int) -> np.ndarray:
    """(B, T, n_mels) -> (B, n)"""
    p = torch.sigmoid(model(frames)[0])
    return nn.functional.pad(p, (smooth - 1, 0)).unfold(1, smooth, 1).mean(-1).numpy()


class Phonemes(NamedTuple):
    """What hears the phrase's phonemes, and what it has heard in all that is held out."""

    fusion: Fusion
    heard: Scores

    @classmethod
    def of(cls, fusion: Fusion, held: ValidationSet) -> Phonemes:
        return cls(fusion, of_all(held, lambda frames: np.stack([fusion.hear(row) for row in frames.numpy()])))

    def fused(self, rnn: Scores) -> Scores:
        """With the RNN's. Speech that it has learnt from gets the scores of the same rank in speech that it has not."""

        def both(rows: np.ndarray, heard: np.ndarray) -> np.ndarray:
            return np.stack([self.fusion.fuse(*pair) for pair in zip(rows, heard)])

        unknown = np.sort(np.concatenate([rows.ravel() for rows in rnn.without]))
        learnt = [_of_the_same_rank(rows, unknown) for rows in rnn.learnt]
        without, known = map(both, rnn.without, self.heard.without), map(both, learnt, self.heard.learnt)
        return Scores(both(rnn.phrases, self.heard.phrases), [*without, *known])


def _of_the_same_rank(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Each score -> that of the same rank among others, which are sorted."""
    ranks = scores.ravel().argsort().argsort().reshape(scores.shape)
    places = (np.arange(len(others)) + 0.5) / len(others)
    return np.interp((ranks + 0.5) / scores.size, places, others).astype(np.float32)


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
    missed_in: dict[str, float] = field(default_factory=dict)  # condition -> share missed at the chosen rate
    hours: float = 0.0  # of different speech without the phrase

    @property
    def figures(self) -> dict[str, float]:
        told = {f"missed at {rate:g}/h": share for rate, share in self.missed.items()}
        told |= {f"missed {condition}": share for condition, share in self.missed_in.items()}
        return {name: round(share, 4) for name, share in told.items()}

    def interval(self, rate: float) -> tuple[float, float]:
        """The 95 % interval of the share missed at a rate."""
        return wilson(self.missed[rate], self.phrases)

    def most_alarms(self, rate: float) -> float:
        """False alarms an hour that the threshold for a rate gives at most, but for chances of 2.5 % (Poisson)."""
        expected = rate * self.hours
        return (expected + 2 * expected**0.5 + 3) / self.hours


def measure(
    rnn: Scores, held: ValidationSet, model: TriggerOptions, rate: float, phonemes: Phonemes | None = None
) -> Validation:
    """rate: false alarms an hour, of Validation.distance."""
    step, different = model.step_seconds, held.hours / len(held.without)
    if phonemes:
        scores, hours = phonemes.fused(rnn), held.hours + _hours(held.learnt)
        tail = max(LEAST_TAIL, round(TAIL_RATE * hours))
        found = thresholds(_events(scores, step), hours, RATES, tail, shape=True)
        different += _hours(held.learnt)
    else:
        scores, found = rnn, thresholds(_events(rnn, step), held.hours / STRANGERS, RATES, TAIL)
    best, where = _best(scores.phrases, held, step)
    missed = {rate: float((best < threshold).mean()) for rate, threshold in found.items()}
    heard_in = {c: best[where == c] for c in CONDITIONS}
    missed_in = {c: float((heard < found[rate]).mean()) for c, heard in heard_in.items() if len(heard)}
    distance = float(np.mean(logit(best)) - logit(np.array(found[rate])))
    return Validation(found, missed, distance, len(best), missed_in, different)


def _best(scores: np.ndarray, held: ValidationSet, step: float) -> tuple[np.ndarray, np.ndarray]:
    """The highest score (n,) at each phrase's end, and the condition (n,) in which it was said."""
    longest = held.frames.shape[1] / FRAMES_PER_SECOND - LATE
    found = [
        (row[max(0, round((end - EARLY) / step)) : round((end + LATE) / step) + 1].max(initial=0), condition)
        for row, ends, condition in zip(scores, held.ends, held.conditions)
        for end in (sample / SAMPLE_RATE for sample in ends)
        if end < longest
    ]
    return np.array([score for score, _ in found]), np.array([condition for _, condition in found])


def heard_at_ends(held: ValidationSet, fusion: Fusion, before: float = 2.0) -> np.ndarray:
    """How well the phonemes say the phrase, up to its end and from ``before`` s before, by held-out voices in quiet."""
    back, on = round(before * FRAMES_PER_SECOND), round(EARLY * FRAMES_PER_SECOND)
    found = []
    for frames, ends, condition in zip(held.frames.numpy(), held.ends, held.conditions):
        for end in (round(sample / SAMPLE_RATE * FRAMES_PER_SECOND) for sample in ends if condition == QUIET):
            found.append(fusion.heard(frames[max(0, end - back) : end + on]))
    return np.array(found)


def _hours(streams: list[Tensor]) -> float:
    return sum(s.shape[0] * s.shape[1] for s in streams) / FRAMES_PER_SECOND / 3600


def _events(scores: Scores, step: float) -> np.ndarray:
    """What could be false alarms, each with its highest score."""
    gap = round(MIN_EVENT_GAP_S / step)
    return np.concatenate([peaks(row, gap) for rows in scores.without for row in rows])
