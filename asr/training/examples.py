"""What the acoustic model learns from: utterances drawn by weight, chained, batched by duration, augmented, framed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from asr.audio.features import FRAMES_PER_SECOND
from asr.model.interface import Latency
from asr.model.network.ctc import CTCModel
from asr.search.lexicon import Lexicon
from asr.training.augment import Augmenter
from asr.training.config import Stage, TrainOptions, random_latency, stage_at
from asr.training.data import Audio, Joined, Utterance
from asr.training.fit import Progress, TrainingError, ranks
from asr.training.teacher import Placed, Teacher


class Targeted(NamedTuple):
    """A batch of frames and what is to be heard in them."""

    frames: Tensor  # (B, T, n_mels)
    lengths: Tensor  # (B,) frames
    letters: list[list[int]]
    phonemes: list[list[int] | None]  # None: not known
    teacher: Tensor | None = None  # what a teacher made of it (B, T', size), NaN where that is not known


Augmented = tuple[Targeted, Latency | None]  # a batch, and the latency at which it, or its second view, is heard


@dataclass
class RunProgress(Progress):
    """Where the training of an acoustic model stands."""

    stage: int = 0
    epoch: int = 0
    batch: int = 0  # the next one of the epoch
    heard: float = 0.0  # s of augmented audio
    scale: float = 1.0  # of the learning rate: halved on every plateau
    bad: int = 0  # evaluations since the dev loss was lowest
    lowest: float = math.inf  # dev loss
    best: list[tuple[float, str]] = field(default_factory=list)  # dev error rate and file of the best checkpoints


def draw(utterances: list[Utterance], weights: dict[str, float], rng: np.random.Generator) -> list[int]:
    """Indices of one epoch: an utterance of a corpus with weight 2.5 stands in it two or three times."""
    wanted = np.array([weights.get(u.corpus, 1.0) for u in utterances])
    copies = np.floor(wanted + rng.random(len(wanted))).astype(int)
    return rng.permutation(np.repeat(np.arange(len(utterances)), copies)).tolist()


def chain(
    indices: list[int], durations: np.ndarray, share: float, limit: float, rng: np.random.Generator
) -> list[list[int]]:
    """Join neighbours into examples of up to ``limit`` seconds, so that the model knows long audio and pauses."""
    examples: list[list[int]] = []
    room = 0.0
    for i in indices:
        if durations[i] < room:
            examples[-1].append(i)
            room -= durations[i] + 1
        else:
            examples.append([i])
            room = rng.uniform(0, limit) - durations[i] if rng.random() < share else 0.0
    return examples


def batches(
    examples: list[list[int]], durations: np.ndarray, seconds: float, rng: np.random.Generator, together: int = 1
) -> Iterator[list[list[int]]]:
    """Examples of like length together, at most ``seconds`` of padded audio a batch, in random order.

    ``together`` batches of like length follow each other, so that as many processes take equally long.
    """
    if not examples:
        return
    length = np.array([sum(durations[i] for i in e) for e in examples])
    order = np.argsort(length * rng.uniform(0.95, 1.05, len(length)))
    groups: list[list[int]] = [[]]
    longest = 0.0
    for k in order:
        longest = max(longest, length[k])
        if groups[-1] and longest * (len(groups[-1]) + 1) > seconds:
            groups.append([])
            longest = length[k]
        groups[-1].append(k)
    whole = len(groups) // together  # what does not fill a group of batches comes last
    for g in [*rng.permutation(whole), whole]:
        for group in groups[g * together : (g + 1) * together]:
            yield [examples[k] for k in group]


class Examples:
    """Batches of augmented log-mel frames with their targets, drawn anew for every epoch."""

    def __init__(
        self,
        utterances: list[Utterance],
        audio: Audio | Joined,
        augmenter: Augmenter,
        model: CTCModel,
        lexicon: Lexicon | None,
        options: TrainOptions,
        teacher: Teacher | None = None,
    ):
        self.utterances, self.audio, self.augmenter, self.model = utterances, audio, augmenter, model
        self.options, self.lexicon, self.teacher = options, lexicon, teacher
        self.durations = np.array([u.duration for u in utterances])
        self.letters = [model.alphabet.encode(u.text) for u in utterances]
        spoken = [lexicon.pronounce(u.text) if lexicon else None for u in utterances]
        index = {p: i for i, p in enumerate(model.options.phonemes, start=1)}
        self.phonemes = [[index[p] for p in ps] if ps is not None and index else None for ps in spoken]

    def epoch(self, number: int, weights: dict[str, float], world: int = 1) -> list[list[list[int]]]:
        """The batches of an epoch as lists of chained utterance indices; the same on all ``world`` ranks."""
        o, rng = self.options, np.random.default_rng([self.options.seed, number])
        drawn = draw(self.utterances, weights, rng)
        examples = chain(drawn, self.durations, o.chained, o.chain_limit, rng)
        return list(batches(examples, self.durations, o.batch_seconds, rng, world))

    def stream(self, progress: RunProgress) -> Iterator[Augmented]:
        """One batch after the other, beginning where the progress stands; each depends on its update's number only."""
        plan: list[list[list[int]]] = []
        (rank, world), seed = ranks(), self.options.seed
        while True:
            number, _ = stage_at(progress.update, self.options)
            stage = self.options.stages[number]
            plan = self.next_plan(plan, stage, number, progress, world)
            latency = random_latency(stage, np.random.default_rng([seed, progress.update]))  # the same on every rank
            rng = np.random.default_rng([seed, progress.update, rank])
            batch = self.build(plan[progress.batch + rank], rng)
            progress.heard += world * float(batch.lengths.sum()) / FRAMES_PER_SECOND
            progress.batch += world
            yield batch, latency

    def next_plan(self, plan: list, stage: Stage, number: int, progress: RunProgress, world: int) -> list:
        """The batches of the epoch. A new one begins with a stage, and when too few batches are left for all ranks."""
        plan = plan or self.epoch(progress.epoch, stage.weights, world)
        if progress.stage != number or progress.batch + world > len(plan):
            progress.stage, progress.epoch, progress.batch = number, progress.epoch + 1, 0
            plan = self.epoch(progress.epoch, stage.weights, world)
        if len(plan) < world:
            raise TrainingError(
                f"an epoch of stage {number + 1} has {len(plan)} batches for {world} processes: "
                "give more data, smaller batches, or weights above 0"
            )
        return plan

    def build(self, batch: list[list[int]], rng: np.random.Generator) -> Targeted:
        """-> frames (B, T, n_mels), lengths (B,), letters, phonemes of each example; 2B where two views are wanted.

        The views differ in surroundings, warp and masks, not in speed and pauses: they last equally long.
        """
        frames, letters, phonemes, heard = [], [], [], []
        for example in batch:
            placed: list[tuple[int, float]] = []
            if rng.random() < self.options.silent:
                seconds = sum(self.durations[i] for i in example)  # as long as what it is batched with, or a second
                example, view = [], partial(self.augmenter.background, max(1.0, seconds))
            else:
                spoken, placed = self.augmenter.spoken([self.audio[i] for i in example], rng)
                view = partial(self.augmenter.heard, spoken)
            frames.append([self.seen(view(rng), rng) for _ in range(2 if self.options.consistency else 1)])
            heard.append([Placed(self.utterances[i].name, *where) for i, where in zip(example, placed)])
            space = [self.model.alphabet.index(" ")]
            letters.append([c for k, i in enumerate(example) for c in (space if k else []) + self.letters[i]])
            known = [ps for i in example if (ps := self.phonemes[i]) is not None]
            phonemes.append([p for ps in known for p in ps] if len(known) == len(example) else None)
        views = [*zip(*frames)]
        padded, lengths = pad([f for view in views for f in view])
        steps, targets = -(-padded.shape[1] // self.model.options.stride), None
        if self.teacher:
            targets = torch.from_numpy(
                np.stack([self.teacher.targets(e, steps, self.model.options) for e in heard] * len(views))
            )
        return Targeted(padded, lengths, letters * len(views), phonemes * len(views), targets)

    def seen(self, samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Samples (n,) -> frames (T, n_mels), warped and masked."""
        o, fill = self.augmenter.options, self.model.mean.cpu().numpy()
        warped = self.model.frontend.warped(samples, rng.uniform(1 - o.warp, 1 + o.warp))
        return self.augmenter.frames(warped, fill, rng)


def pad(frames: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Frames of several utterances -> (B, T, n_mels) and their lengths (B,)."""
    lengths = torch.tensor([len(f) for f in frames])
    padded = torch.zeros(len(frames), int(lengths.max()), frames[0].shape[1])
    for row, f in zip(padded, frames):
        row[: len(f)] = torch.from_numpy(f)
    return padded, lengths


def measure_mean(model: CTCModel, examples: Examples, count: int = 200) -> None:
    """Global mean and deviation of the mel bands, over augmented training data."""
    rng = np.random.default_rng(examples.options.seed)
    picks = rng.integers(len(examples.utterances), size=count)
    seen = np.concatenate([model.frontend(examples.augmenter.waveform([examples.audio[i]], rng)) for i in picks])
    model.mean.copy_(torch.from_numpy(seen.mean(0)))
    model.deviation.copy_(torch.from_numpy(seen.std(0)))
