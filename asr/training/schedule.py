"""The schedule of a training: stages, learning rate, latencies. What an update does depends on its number only."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from asr.model.interface import Latency
from asr.training.fit import Schedule


@dataclass(frozen=True)
class Stage:
    """A part of the schedule: how many updates, on which mixture, at which latencies."""

    updates: int
    weights: dict[str, float] = field(default_factory=dict)  # of each corpus; 1 where it is not named
    streaming: float = 0.0  # share of updates at a random chunk and look-ahead instead of full context
    decay: bool = False  # let the learning rate fall to a hundredth by the stage's end


@dataclass(frozen=True)
class TrainOptions:
    """The loop's settings; what an update does follows from these and its number."""

    stages: tuple[Stage, ...]
    batch_seconds: float = 160.0  # of padded audio, for each process
    learning_rate: float = 1e-3
    warmup: int = 300  # updates
    weight_decay: float = 1e-2
    clip: float = 1.0  # norm of the gradient, at most: the lecture's exploding gradients
    phoneme_weight: float = 0.3  # of the second head's loss
    attention_weight: float = 0.3  # of the attention decoder's loss, where there is one, against those of CTC
    chained: float = 0.25  # probability that an example grows by its neighbours
    chain_limit: float = 20.0  # seconds, of such an example
    silent: float = 0.02  # share of examples in which nothing is said
    patience: int = 6  # evaluations without progress before the learning rate is halved
    evaluate_every: int = 250  # updates
    crf: bool = False  # train the phonemes by CTC-CRF instead of CTC, see asr.training.ctc_crf
    ctc_share: float = 0.1  # of CTC beside CTC-CRF
    keep: int = 5  # best checkpoints, averaged at the end
    seed: int = 1

    @property
    def updates(self) -> int:
        """Of all stages."""
        return sum(stage.updates for stage in self.stages)


def learning_rate(update: int, options: TrainOptions) -> float:
    """Linear warm-up, then constant; in a stage with decay, straight down to a hundredth."""
    number, start = stage_at(update, options)
    stage = options.stages[number]
    fall = (start, start + stage.updates) if stage.decay else None
    return Schedule(options.learning_rate, options.warmup, fall)(update)


def stage_at(update: int, options: TrainOptions) -> tuple[int, int]:
    """-> the stage's number, and the update with which it began."""
    start = 0
    for number, stage in enumerate(options.stages):
        if update < start + stage.updates:
            break
        start += stage.updates
    return number, start


def random_latency(stage: Stage, rng: np.random.Generator) -> Latency | None:
    """None (the whole utterance), or a chunk of 0.08 to 0.64 s and a look-ahead of 0.12 to 0.48 s."""
    if rng.random() >= stage.streaming:
        return None
    return Latency(int(rng.choice([2, 4, 8, 16])), int(rng.choice([3, 6, 8, 12])))
