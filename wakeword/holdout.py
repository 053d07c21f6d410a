"""Held-out voices, speakers and backgrounds: they choose the checkpoint and the thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from asr.frontend import SAMPLE_RATE, LogMel
from asr.training.augment import loudness
from wakeword.mixing import Mixer, MixOptions, Sounds
from wakeword.model import TriggerModel, TriggerOptions
from wakeword.pronunciation import ways
from wakeword.second_look import FRAMES_PER_SECOND, LookOptions, SecondLook
from wakeword.thresholds import LOOKED_TAIL, RATES, TAIL, logit, peaks, thresholds

EARLY, LATE = 0.25, 0.75  # s before and after a word's end in which a detection is a hit
GAP = 1.5  # s; higher scores that are closer belong to one event
LOOKS = 60.0  # an hour
STRANGERS = 3.0  # times as many false alarms of the RNN alone are reckoned with in speech of other corpora


@dataclass(frozen=True)
class HeldOut:
    """What chooses the checkpoint and the thresholds: mixes with the phrase, and hours without it."""

    frames: Tensor  # (B, T, n_mels)
    ends: list[tuple[int, ...]]  # samples
    without: list[Tensor]  # (B, T, n_mels) each, streams in which the phrase is not said

    @property
    def hours(self) -> float:
        return sum(w.shape[0] * w.shape[1] for w in self.without) / FRAMES_PER_SECOND / 3600


def hold_out(sounds: Sounds, model: TriggerOptions, count: int = 300, passes: int = 3, seed: int = 7) -> HeldOut:
    """Mixes of held-out clips: ``count`` examples with the phrase, ``passes`` over the speech without it.

    The speech is whole utterances one after the other, as a radio would say them; every pass but the first has
    noise under it.
    """
    frontend = LogMel(model.frontend)
    spoken = Mixer(sounds, MixOptions(seconds=5, positive=0.4, near_miss=0, pause=0.8))
    mixes = [spoken.example(np.random.default_rng([seed, i])) for i in range(count)]
    frames = np.stack([frontend(m.samples) for m in mixes])
    without = [_talk(sounds, frontend, noisy=i > 0, rng=np.random.default_rng([seed + 1, i])) for i in range(passes)]
    return HeldOut(torch.from_numpy(frames), [m.ends for m in mixes], without)


def _talk(sounds: Sounds, frontend: LogMel, noisy: bool, rng: np.random.Generator) -> Tensor:
    """All of the speech once, cut into streams of a minute -> frames (B, T, n_mels)."""
    parts = []
    for i in rng.permutation(len(sounds.speech)):
        clip = sounds.speech[i]
        parts += [clip * (10 ** (rng.uniform(-40, -12) / 20) / max(loudness(clip), 1e-4))]
        parts += [np.zeros(int(rng.exponential(0.5) * SAMPLE_RATE), np.float32)]
    talk, n = np.concatenate(parts), 60 * SAMPLE_RATE
    if noisy:
        background = np.concatenate([Mixer(sounds).noise(n, rng) for _ in range(-(-len(talk) // n))])
        talk = talk + background[: len(talk)] * 10 ** (rng.uniform(-55, -35) / 20)
    streams = np.resize(np.clip(talk, -1, 1), -(-len(talk) // n) * n).reshape(-1, n).astype(np.float32)
    return torch.from_numpy(np.stack([frontend(s) for s in streams]))


@torch.inference_mode()
def score(model: TriggerModel, frames: Tensor, smooth: int, look: SecondLook | None = None) -> np.ndarray:
    """(B, T, n_mels) -> smoothed scores (B, n), as wakeword.detector gives them."""
    p = torch.sigmoid(model(frames)[0])
    padded = nn.functional.pad(p, (smooth - 1, 0))
    scores = padded.unfold(1, smooth, 1).mean(-1).numpy()
    if look is None:
        return scores
    ends = model.options.stride * np.arange(scores.shape[1]) + model.options.kernel
    return np.stack([look.scores(row, of, ends) for row, of in zip(scores, frames.numpy())])


@dataclass(frozen=True)
class Measured:
    """A model on held-out voices and backgrounds.

    Held-out speech is of the same corpora and recordings as what was learnt from, so a threshold for N false alarms an
    hour is set where it gives N / STRANGERS; with a second look it fits strangers as it is (recipes/wake_words).
    """

    thresholds: dict[float, float]  # false alarms an hour -> threshold
    missed: dict[float, float]  # ... -> share of the phrases missed at that threshold
    distance: float  # mean logit of the hits' best scores above the threshold of the chosen rate

    @property
    def figures(self) -> dict[str, float]:
        return {f"missed at {rate:g}/h": round(share, 4) for rate, share in self.missed.items()}


def measure(model: TriggerModel, held: HeldOut, smooth: int, rate: float, look: SecondLook | None = None) -> Measured:
    model.eval()
    step = model.options.step_seconds
    events = _events(model, held, smooth, look)
    hours, tail = (held.hours, LOOKED_TAIL) if look else (held.hours / STRANGERS, TAIL)
    found = thresholds(events, hours, RATES, tail)
    best = np.array(
        [
            row[max(0, round((end / SAMPLE_RATE - EARLY) / step)) : round((end / SAMPLE_RATE + LATE) / step) + 1].max(
                initial=0
            )
            for row, ends in zip(score(model, held.frames, smooth, look), held.ends)
            for end in ends
            if end / SAMPLE_RATE + LATE < held.frames.shape[1] / FRAMES_PER_SECOND
        ]
    )
    missed = {rate: float((best < threshold).mean()) for rate, threshold in found.items()}
    model.train()
    return Measured(found, missed, float(np.mean(logit(best)) - logit(np.array(found[rate]))))


def look_for(phrase: str, model: TriggerModel, held: HeldOut, smooth: int) -> LookOptions:
    """The second look that is taken LOOKS times an hour, in speech without the phrase."""
    events = np.sort(_events(model.eval(), held, smooth))[::-1]
    return LookOptions(tuple(ways(phrase)), float(events[min(len(events) - 1, round(LOOKS * held.hours))]))


def phonemes_heard(held: HeldOut, look: SecondLook) -> np.ndarray:
    """What a second look hears at the end of each phrase of held-out voices: 0..1."""
    ends = [
        (of, round(end / SAMPLE_RATE * FRAMES_PER_SECOND))
        for of, ends in zip(held.frames.numpy(), held.ends)
        for end in ends
    ]
    return np.array(
        [look.heard(of[max(0, end - look.frames) : end + round(EARLY * FRAMES_PER_SECOND)]) for of, end in ends]
    )


def _events(model: TriggerModel, held: HeldOut, smooth: int, look: SecondLook | None = None) -> np.ndarray:
    """What could be false alarms, each with its highest score."""
    gap = round(GAP / model.options.step_seconds)
    rows = (row for streams in held.without for row in score(model, streams, smooth, look))
    return np.concatenate([peaks(row, gap) for row in rows])
