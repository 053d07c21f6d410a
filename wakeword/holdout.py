"""Held-out voices, speakers and backgrounds: they choose the checkpoint and the thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from asr.frontend import SAMPLE_RATE, LogMel
from wakeword.mixing import Mixer, MixOptions, Sounds
from wakeword.model import TriggerModel, TriggerOptions
from wakeword.thresholds import logit, peaks, thresholds

RATES = (0.1, 0.5, 1.0, 3.0)  # false alarms an hour for which a detector knows a threshold
EARLY, LATE = 0.25, 0.75  # s before and after a word's end in which a detection is a hit
FRAMES_PER_SECOND = 100


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
    """Mixes of held-out clips: ``count`` examples with the phrase, ``passes`` over the speech without it."""
    frontend = LogMel(model.frontend)
    spoken = Mixer(sounds, MixOptions(seconds=5, positive=0.4, near_miss=0, pause=0.8))
    mixes = [spoken.example(np.random.default_rng([seed, i])) for i in range(count)]
    frames = np.stack([frontend(m.samples) for m in mixes])
    hours = sum(len(s) for s in sounds.speech) / SAMPLE_RATE / 3600 * passes
    quiet = Mixer(sounds, MixOptions(seconds=30, positive=0, near_miss=0, room=0.3, colour=0.3, noise=0.5, babble=0.1))
    streams = max(1, round(hours * 3600 / 30))
    without = [
        np.stack([frontend(quiet.example(np.random.default_rng([seed + 1, i])).samples) for i in part])
        for part in np.array_split(np.arange(streams), max(1, streams // 40))
    ]
    return HeldOut(torch.from_numpy(frames), [m.ends for m in mixes], [torch.from_numpy(w) for w in without])


@torch.inference_mode()
def score(model: TriggerModel, frames: Tensor, smooth: int) -> np.ndarray:
    """(B, T, n_mels) -> smoothed scores (B, n), as wakeword.detector gives them."""
    p = torch.sigmoid(model(frames)[0])
    padded = nn.functional.pad(p, (smooth - 1, 0))
    return padded.unfold(1, smooth, 1).mean(-1).numpy()


@dataclass(frozen=True)
class Measured:
    """A model on held-out voices and backgrounds."""

    thresholds: dict[float, float]  # false alarms an hour -> threshold
    missed: dict[float, float]  # ... -> share of the phrases missed at that threshold
    distance: float  # mean logit of the hits' best scores above the threshold of the chosen rate

    @property
    def figures(self) -> dict[str, float]:
        return {f"missed at {rate:g}/h": round(share, 4) for rate, share in self.missed.items()}


def measure(model: TriggerModel, held: HeldOut, smooth: int, rate: float) -> Measured:
    model.eval()
    step = model.options.step_seconds
    gap = round(1.5 / step)
    events = np.concatenate([peaks(row, gap) for streams in held.without for row in score(model, streams, smooth)])
    found = thresholds(events, held.hours, RATES)
    best = np.array(
        [
            row[max(0, round((end / SAMPLE_RATE - EARLY) / step)) : round((end / SAMPLE_RATE + LATE) / step) + 1].max(
                initial=0
            )
            for row, ends in zip(score(model, held.frames, smooth), held.ends)
            for end in ends
            if end / SAMPLE_RATE + LATE < held.frames.shape[1] / FRAMES_PER_SECOND
        ]
    )
    missed = {rate: float((best < threshold).mean()) for rate, threshold in found.items()}
    model.train()
    return Measured(found, missed, float(np.mean(logit(best)) - logit(np.array(found[rate]))))
