"""Train an encoder-decoder on pairs of texts: batches by length, a state on disk to go on from."""

from __future__ import annotations

import json
import math
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asr.attention.search import EOS
from asr.attention.seq2seq import Vocabulary
from asr.training.fit import Muon, Plan, Schedule, TrainingError, fit, resume, save_state
from asr.training.language_model import TextProgress, length_batches, plans, write_log
from asr.training.precision import autocast
from recipes.translation.network import Seq2SeqNetwork

Pair = tuple[str, str]  # source, target
Batch = tuple[Tensor, Tensor, list[list[int]]]  # source ids (B, S), S of each, target ids


@dataclass(frozen=True)
class Seq2SeqTraining:
    """The settings of an encoder-decoder's training."""

    updates: int = 2000
    batch_tokens: int = 4096  # of sources and targets together
    learning_rate: float = 3e-3
    warmup: int = 100  # updates; a tenth of all in a short run
    decay: float = 0.5  # the last share of the updates, over which the learning rate falls to 0
    weight_decay: float = 1e-2
    clip: float = 1.0  # norm of the gradient, at most
    longest: int = 100  # symbols; pairs with a longer text are left out
    evaluate_every: int = 200  # updates
    seed: int = 1


def train(
    network: Seq2SeqNetwork,
    pairs: Sequence[Pair],
    held_out: Sequence[Pair],
    options: Seq2SeqTraining,
    folder: Path,
    report: Callable[[str], None] = print,
    card: dict | None = None,
) -> None:
    """Run (or resume) training in ``folder``; the best weights are left as model.safetensors. Raises TrainingError.

    The best are those with the least loss on ``held_out``; card: what their file tells beside the training's figures.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state, o = folder / "state.safetensors", options
    data, dev = Pairs(pairs, network, options), Pairs(held_out, network, options)
    optimizer = Muon(network, o.learning_rate, o.weight_decay)
    whose = zlib.crc32(json.dumps([network.source.symbols, network.target.symbols, asdict(network.options)]).encode())
    progress = resume(state, network, optimizer, TextProgress(vocabulary=whose))
    if progress.vocabulary != whose:
        raise TrainingError(f"{state} belongs to a run of another model or text: remove its folder to begin anew")
    schedule = Schedule(
        o.learning_rate, min(o.warmup, o.updates // 10), ((1 - o.decay) * o.updates, o.updates), floor=0.0
    )
    plan, began = Plan(o.updates, o.evaluate_every, schedule, o.clip, o.seed, state), time.time()
    network.train()
    for means in fit(network, optimizer, data.stream(progress), partial(loss_of, network), plan, progress):
        row = {"update": progress.update, "of": o.updates, "loss": means["loss"], "gradient": means["gradient"]}
        row |= {"held_out_loss": mean_loss(network, dev), "seconds": time.time() - began}
        progress.rows.append(row)
        if row["held_out_loss"] < progress.best:
            progress.best = row["held_out_loss"]
            figures = {"held_out_loss": progress.best, "updates": progress.update, "training": asdict(options)}
            network.save(folder / "model.safetensors", (card or {}) | figures)
        write_log(folder / "log.csv", progress.rows)
        save_state(state, network, optimizer, progress)
        report("  ".join(f"{k} {v:.4g}" for k, v in row.items()))
        began = time.time()


def loss_of(network: Seq2SeqNetwork, batch: Batch) -> tuple[Tensor, dict[str, float]]:
    with autocast():
        return network.loss(*batch), {}


@torch.no_grad()
def mean_loss(network: Seq2SeqNetwork, data: Pairs) -> float:
    """-ln probability of a target symbol, the ends among them."""
    training, total, symbols = network.training, 0.0, 0
    network.eval()
    for chosen in data.epoch(0):
        ids, lengths, targets = data.batch(chosen)
        count = sum(len(t) + 1 for t in targets)
        total, symbols = total + count * float(network.loss(ids, lengths, targets)), symbols + count
    network.train(training)
    return total / symbols if symbols else math.nan


class Pairs:
    """Pairs of texts as numbers, cut into batches anew for every epoch. Raises TrainingError where none is left."""

    def __init__(self, pairs: Sequence[Pair], network: Seq2SeqNetwork, options: Seq2SeqTraining):
        self.options = options
        both = [(_ids(network.source, a), _ids(network.target, b)) for a, b in pairs]
        kept = [(a, b) for a, b in both if max(len(a), len(b)) <= options.longest]
        if not kept:
            raise TrainingError("there are no pairs of texts to train on, or all are too long")
        self.sources, self.targets = ([np.array(ids, np.int32) for ids in side] for side in zip(*kept))
        self.read, self.written = (np.array([len(t) + 1 for t in side]) for side in (self.sources, self.targets))

    def stream(self, progress: TextProgress) -> Iterator[Batch]:
        """One batch after the other, beginning where the progress stands."""
        return map(self.batch, plans(self.epoch, progress))

    def epoch(self, number: int) -> list[np.ndarray]:
        """The pairs of each batch: alike in length, in an order that depends on seed and epoch only."""
        rng = np.random.default_rng([self.options.seed, number])
        order = self.written * (self.options.longest + 2) + self.read  # by the target, then by the source
        return length_batches(self.read + self.written, order, self.options.batch_tokens, rng)

    def batch(self, chosen: np.ndarray) -> Batch:
        """-> source ids (B, S) with EOS at the end, S of each (B,), target ids."""
        lengths = self.read[chosen]
        ids = np.full((len(chosen), lengths.max()), EOS, np.int64)
        for row, i in zip(ids, chosen):
            row[: len(self.sources[i])] = self.sources[i]
        return torch.from_numpy(ids), torch.from_numpy(lengths), [self.targets[i].tolist() for i in chosen]


def _ids(vocabulary: Vocabulary, text: str) -> list[int]:
    return vocabulary.ids(vocabulary.split(text))
