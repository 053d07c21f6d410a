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
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asr.files import atomic_write_bytes
from asr.language.rnn_network import EOS, SPECIAL, LanguageOptions, RnnLanguageModel, perplexity, save
from asr.training.loop import nan_mean, step
from asr.training.muon import Muon
from asr.training.state import TrainingError, count_nonfinite, load_state, save_state

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


def vocabulary(lines: list[str], unit: str, size: int) -> tuple[list[str], int]:
    """-> the most frequent tokens after <eos> and <unk>, `size` in all, and how many others there are."""
    counts = Counter(token for line in lines for token in (line.split() if unit == "word" else line))
    kept = [token for token, _ in counts.most_common() if token not in SPECIAL][: size - len(SPECIAL)]
    if not kept:
        raise TrainingError("there are no words to train a language model on")
    return [*SPECIAL, *kept], max(1, len(counts) - len(kept))


class Sentences:
    """All sentences as ids in one array, cut into batches anew for every epoch."""

    def __init__(self, lines: list[str], model: RnnLanguageModel, longest: int):
        rows = [np.array([EOS, *model.encode(line)[:longest], EOS], np.int32) for line in lines if line]
        self.lengths = np.array([len(row) for row in rows])
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.ids = np.concatenate(rows)

    def epoch(self, number: int, tokens: int, seed: int) -> list[np.ndarray]:
        """The sentences of each batch: of like length, in an order that depends on seed and epoch only."""
        rng = np.random.default_rng([seed, number])
        order, found = rng.permutation(len(self.lengths)), []
        size = max(1, int(POOL * tokens / self.lengths.mean()))
        for start in range(0, len(order), size):
            pool = order[start : start + size]
            pool = pool[np.argsort(self.lengths[pool], kind="stable")]
            full = np.cumsum(self.lengths[pool]) // tokens
            found += np.split(pool, np.flatnonzero(np.diff(full)) + 1)
        return [found[i] for i in rng.permutation(len(found))]

    def batch(self, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """-> ids (B, T + 1) with <eos> at both ends, tokens to predict in each (B,)."""
        lengths = self.lengths[chosen]
        ids = np.full((len(chosen), lengths.max()), EOS, np.int64)
        for row, start, n in zip(ids, self.starts[chosen], lengths):
            row[:n] = self.ids[start : start + n]
        return torch.from_numpy(ids), torch.from_numpy(lengths - 1)


def learning_rate(update: int, updates: int, options: LanguageTraining) -> float:
    """Linear warm-up, constant, linear fall to 0."""
    warm = (update + 1) / max(1, min(options.warmup, updates // 10))
    return options.learning_rate * min(1.0, warm, (updates - update) / max(1, options.decay * updates))


def train(
    model: RnnLanguageModel,
    lines: list[str],
    held_out: list[str],
    options: LanguageTraining,
    folder: Path,
    tell: Callable[[str], None] = print,
) -> None:
    """Run (or resume) training in ``folder``; the best weights are left as model.safetensors. Raises TrainingError."""
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = Muon(model, options.learning_rate, options.weight_decay)
    sentences = Sentences(lines, model, options.longest)
    progress = _progress(folder / "state.safetensors", model, optimizer)
    plan = sentences.epoch(progress["epoch"], options.batch_tokens, options.seed)
    total = max(1, round(options.epochs * len(plan)))
    losses, refused, began = [], 0, time.time()
    model.train()
    while (update := progress["update"]) < total:
        if progress["batch"] >= len(plan):
            progress |= {"epoch": progress["epoch"] + 1, "batch": 0}
            plan = sentences.epoch(progress["epoch"], options.batch_tokens, options.seed)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model.loss(*sentences.batch(plan[progress["batch"]]))
        loss.backward()
        rate = learning_rate(update, total, options)
        refused = count_nonfinite(refused, step(model, optimizer, rate, options.clip), update, folder)
        losses.append(loss.item())
        progress["update"], progress["batch"] = update + 1, progress["batch"] + 1
        if (update + 1) % options.evaluate_every == 0 or update + 1 == total:
            row = {"update": update + 1, "of": total, "loss": nan_mean(losses), "learning_rate": rate}
            row |= {"perplexity": perplexity(model, held_out), "seconds": time.time() - began}
            _keep(model, optimizer, progress, row, options, folder)
            tell("  ".join(f"{k} {v:.4g}" for k, v in row.items()))
            losses, began = [], time.time()


def _progress(path: Path, model: RnnLanguageModel, optimizer: Muon) -> dict:
    """Of the run that left its state there, or of one that begins."""
    words = zlib.crc32("\n".join(model.vocabulary).encode())
    progress = {"update": 0, "epoch": 0, "batch": 0, "best": math.inf, "rows": [], "vocabulary": words}
    if path.exists():
        progress |= load_state(path, model, optimizer)
        if progress["vocabulary"] != words:
            raise TrainingError(f"{path} belongs to a run on another text: remove its folder to begin anew")
    return progress


def _keep(
    model: RnnLanguageModel, optimizer: Muon, progress: dict, row: dict, options: LanguageTraining, folder: Path
) -> None:
    """The best weights, the log and the state."""
    progress["rows"].append(row)
    if row["perplexity"] < progress["best"]:
        progress["best"] = row["perplexity"]
        card = {"held_out_perplexity": row["perplexity"], "updates": row["update"], "training": asdict(options)}
        save(model, folder / "model.safetensors", card)
    text = io.StringIO()
    writer = csv.DictWriter(text, row)
    writer.writeheader()
    writer.writerows({k: f"{v:.6g}" for k, v in r.items()} for r in progress["rows"])
    atomic_write_bytes(folder / "log.csv", text.getvalue().encode())
    save_state(folder / "state.safetensors", model, optimizer, progress)


def train_on_text(
    lines: list[str],
    options: LanguageOptions,
    training: LanguageTraining,
    output: Path,
    tell: Callable[[str], None] = print,
) -> None:
    """From sentences to a checkpoint; what a killed run goes on from lies beside it until it is done."""
    order = np.random.default_rng(training.seed).permutation(len(lines))
    held_out = [lines[i] for i in order[: min(HELD_OUT, len(lines) // 20)]] or lines
    lines = [lines[i] for i in order[len(held_out) :]] or lines
    words, others = vocabulary(lines, options.unit, training.vocabulary)
    torch.manual_seed(training.seed)
    model = RnnLanguageModel(replace(options, unlisted=others), words)
    folder = output.with_name(output.name + ".run")
    train(model, lines, held_out, training, folder, tell)
    os.replace(folder / "model.safetensors", output)
    shutil.rmtree(folder)
