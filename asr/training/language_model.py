"""Train the recurrent language model: batches of whole sentences, a state on disk to go on from."""

from __future__ import annotations

import csv
import io
import math
import os
import shutil
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asr.files import atomic_write_bytes
from asr.language.rnn_network import EOS, SPECIAL, LanguageOptions, RnnLanguageModel, perplexity, save
from asr.training.fit import Muon, Plan, Progress, Schedule, TrainingError, fit, resume, save_state
from asr.training.precision import autocast

HELD_OUT = 400  # sentences at most, to measure perplexity on while training
POOL = 64  # batches' worth of sentences that are sorted by length together


@dataclass(frozen=True)
class LanguageTraining:
    """The settings of a recurrent language model's training."""

    epochs: float = 4.0  # times through the text
    vocabulary: int = 20_000  # tokens, <eos> and <unk> among them
    batch_tokens: int = 2048
    learning_rate: float = 3e-3
    warmup: int = 100  # updates; a tenth of all in a short run
    decay: float = 0.4  # the last share of the updates, over which the learning rate falls to 0
    weight_decay: float = 1e-2
    clip: float = 1.0  # norm of the gradient, at most
    longest: int = 64  # tokens; the rest of a longer sentence is cut off
    evaluate_every: int = 100  # updates
    seed: int = 1


@dataclass
class TextProgress(Progress):
    """Where the training of a language model stands."""

    vocabulary: int = 0  # checksum of it: a run goes on with its own text only
    epoch: int = 0
    batch: int = 0  # the next one of the epoch
    best: float = math.inf  # perplexity
    rows: list[dict[str, float]] = field(default_factory=list)  # of the log


def train(
    model: RnnLanguageModel,
    lines: list[str],
    held_out: list[str],
    options: LanguageTraining,
    folder: Path,
    report: Callable[[str], None] = print,
) -> None:
    """Run (or resume) training in ``folder``; the best weights are left as model.safetensors. Raises TrainingError."""
    folder.mkdir(parents=True, exist_ok=True)
    state, words = folder / "state.safetensors", zlib.crc32("\n".join(model.vocabulary).encode())
    optimizer, sentences = Muon(model, options.learning_rate, options.weight_decay), Sentences(lines, model, options)
    progress = resume(state, model, optimizer, TextProgress(vocabulary=words))
    if progress.vocabulary != words:
        raise TrainingError(f"{state} belongs to a run on another text: remove its folder to begin anew")
    total = max(1, round(options.epochs * len(sentences.epoch(progress.epoch))))
    schedule = Schedule(
        options.learning_rate, min(options.warmup, total // 10), ((1 - options.decay) * total, total), floor=0.0
    )
    plan, began = Plan(total, options.evaluate_every, schedule, options.clip, options.seed, state), time.time()
    model.train()
    for means in fit(model, optimizer, sentences.stream(progress), partial(loss_of, model), plan, progress):
        row = {"update": progress.update, "of": total, "loss": means["loss"], "learning_rate": means["learning_rate"]}
        row |= {"perplexity": perplexity(model, held_out), "seconds": time.time() - began}
        progress.rows.append(row)
        if row["perplexity"] < progress.best:
            progress.best = row["perplexity"]
            card = {"held_out_perplexity": progress.best, "updates": progress.update, "training": asdict(options)}
            save(model, folder / "model.safetensors", card)
        write_log(folder / "log.csv", progress.rows)
        save_state(state, model, optimizer, progress)
        report("  ".join(f"{k} {v:.4g}" for k, v in row.items()))
        began = time.time()


def loss_of(model: RnnLanguageModel, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, float]]:
    with autocast():
        return model.loss(*batch), {}


def write_log(path: Path, rows: list[dict[str, float]]) -> None:
    """Write all rows of the run as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" for k, v in row.items()} for row in rows)
    atomic_write_bytes(path, text.getvalue().encode())


def train_on_text(
    lines: list[str],
    options: LanguageOptions,
    training: LanguageTraining,
    output: Path,
    report: Callable[[str], None] = print,
) -> None:
    """From sentences to a checkpoint; what a killed run goes on from lies beside it until it is done."""
    order = np.random.default_rng(training.seed).permutation(len(lines))
    held_out = [lines[i] for i in order[: min(HELD_OUT, len(lines) // 20)]] or lines
    lines = [lines[i] for i in order[len(held_out) :]] or lines
    words, others = vocabulary(lines, options.unit, training.vocabulary)
    torch.manual_seed(training.seed)
    model = RnnLanguageModel(replace(options, unlisted=others), words)
    folder = output.with_name(output.name + ".run")
    train(model, lines, held_out, training, folder, report)
    os.replace(folder / "model.safetensors", output)
    shutil.rmtree(folder)


def vocabulary(lines: list[str], unit: str, size: int) -> tuple[list[str], int]:
    """-> the most frequent tokens after <eos> and <unk>, `size` in all, and how many others there are."""
    counts = Counter(token for line in lines for token in (line.split() if unit == "word" else line))
    kept = [token for token, _ in counts.most_common() if token not in SPECIAL][: size - len(SPECIAL)]
    if not kept:
        raise TrainingError("there are no words to train a language model on")
    return [*SPECIAL, *kept], max(1, len(counts) - len(kept))


class Sentences:
    """All sentences as ids in one array, cut into batches anew for every epoch."""

    def __init__(self, lines: list[str], model: RnnLanguageModel, options: LanguageTraining):
        self.options = options
        rows = [np.array([EOS, *model.encode(line)[: options.longest], EOS], np.int32) for line in lines if line]
        self.lengths = np.array([len(row) for row in rows])
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.ids = np.concatenate(rows)

    def stream(self, progress: TextProgress) -> Iterator[tuple[Tensor, Tensor]]:
        """One batch after the other, beginning where the progress stands."""
        return map(self.batch, plans(self.epoch, progress))

    def epoch(self, number: int) -> list[np.ndarray]:
        """The sentences of each batch: of like length, in an order that depends on seed and epoch only."""
        rng = np.random.default_rng([self.options.seed, number])
        return length_batches(self.lengths, self.lengths, self.options.batch_tokens, rng)

    def batch(self, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """-> ids (B, T + 1) with <eos> at both ends, tokens to predict in each (B,)."""
        lengths = self.lengths[chosen]
        ids = np.full((len(chosen), lengths.max()), EOS, np.int64)
        for row, start, n in zip(ids, self.starts[chosen], lengths):
            row[:n] = self.ids[start : start + n]
        return torch.from_numpy(ids), torch.from_numpy(lengths - 1)


def plans(epoch: Callable[[int], list[np.ndarray]], progress: TextProgress) -> Iterator[np.ndarray]:
    """What each batch consists of, epoch after epoch, beginning where the progress stands."""
    plan = epoch(progress.epoch)
    while True:
        if progress.batch >= len(plan):
            progress.epoch, progress.batch = progress.epoch + 1, 0
            plan = epoch(progress.epoch)
        progress.batch += 1
        yield plan[progress.batch - 1]


def length_batches(
    lengths: np.ndarray, order_by: np.ndarray, tokens: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Cut texts of so many tokens into batches of about ``tokens``, each of texts that are alike in ``order_by``."""
    order, found = rng.permutation(len(lengths)), []
    size = max(1, int(POOL * tokens / lengths.mean()))
    for start in range(0, len(order), size):
        pool = order[start : start + size]
        pool = pool[np.argsort(order_by[pool], kind="stable")]
        full = np.cumsum(lengths[pool]) // tokens
        found += np.split(pool, np.flatnonzero(np.diff(full)) + 1)
    return [found[i] for i in rng.permutation(len(found))]
