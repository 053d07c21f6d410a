"""Training of the acoustic model, from augmented speech to weights; its log."""

from __future__ import annotations

import csv
import io
import math
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asr.files import atomic_write_bytes
from asr.model.checkpoint import load_weights
from asr.model.network.ctc import CTCModel, ctc_loss, save_model, tensors
from asr.model.network.encoder import FULL
from asr.score import rate, word_errors
from asr.search.lexicon import Lexicon
from asr.text import Phonemes, collapse
from asr.training.config import TrainOptions, learning_rate
from asr.training.data import Audio, Utterance
from asr.training.examples import Augmented, Examples, RunProgress, batches, pad
from asr.training.fit import Muon, Plan, fit, pick_device, ranks, resume, save_state
from asr.training.precision import autocast


def train(
    model: CTCModel,
    examples: Examples,
    dev: tuple[list[Utterance], Audio],
    options: TrainOptions,
    folder: Path,
    device: str | None = None,
) -> None:
    """Run (or resume) training in ``folder``; the average of the best checkpoints is left as model.safetensors.

    device: "cpu", "cuda", "cuda:1"; None takes a GPU if there is one. Raises TrainingError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first, state = ranks()[0] == 0, folder / "state.safetensors"
    model.to(pick_device(device)).train()
    optimizer = Muon(model, options.learning_rate, options.weight_decay)
    progress = resume(state, model, optimizer, RunProgress())
    log, began, heard_before = RunLog(folder, progress.update, active=first), time.time(), progress.heard
    plan = Plan(
        options.updates,
        options.evaluate_every,
        lambda update: learning_rate(update, options) * progress.scale,
        options.clip,
        options.seed,
        state,
    )
    for means in fit(model, optimizer, examples.stream(progress), partial(losses, model, options), plan, progress):
        if not first:
            continue
        dev_loss, dev_wer = evaluate(model, *dev, examples.lexicon)
        log.add(
            update=progress.update,
            epoch=progress.epoch,
            **means,
            dev_loss=dev_loss,
            dev_wer=dev_wer,
            audio_hours=progress.heard / 3600,
            audio_per_second=(progress.heard - heard_before) / (time.time() - began),
        )
        keep_best(model, dev_wer, progress, options.keep, folder)
        adapt(progress, dev_loss, options.patience)
        save_state(state, model, optimizer, progress)
        remove_all_but_best(folder, progress)
    if first:
        average(model, [folder / name for _, name in progress.best])
        dev_loss, dev_wer = evaluate(model, *dev, examples.lexicon)
        card = {"dev_wer": dev_wer, "averaged": progress.best, "training": asdict(options)}
        save_model(model, folder / "model.safetensors", card)
        log.say(f"average of {len(progress.best)}: dev loss {dev_loss:.4f}, WER {100 * dev_wer:.2f} %")


def losses(model: CTCModel, options: TrainOptions, augmented: Augmented) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch, and its parts: on the letters ("loss"), on the phonemes, of an attention decoder.

    Of two views of each example one is heard whole, the other one at the latency: so a stream, too, learns to agree
    with what a file's context says.
    """
    batch, latency = augmented
    teacher = batch.teacher
    device = next(model.parameters()).device
    latencies = (FULL, latency) if options.consistency else (latency,)
    with autocast(device.type):
        on_letters, on_phonemes, on_attention, between, off = model.losses(
            batch.frames.to(device),
            batch.lengths.to(device),
            batch.letters,
            batch.phonemes,
            latencies,
            None if teacher is None else teacher.to(device),
        )
    loss = on_letters if on_phonemes is None else torch.lerp(on_letters, on_phonemes, options.phoneme_weight)
    if on_attention is not None:
        loss = torch.lerp(loss, on_attention, options.attention_weight)
    parts = {"loss": on_letters.item(), "phoneme_loss": math.nan if on_phonemes is None else on_phonemes.item()}
    if on_attention is not None:
        parts |= {"attention_loss": on_attention.item()}
    if between is not None:
        loss, parts = loss + options.consistency * between, parts | {"between_views": between.item()}
    if teacher is not None:
        loss = loss if off is None else loss + options.teacher_weight * off
        parts |= {"off_teacher": math.nan if off is None else off.item()}
    return loss, parts


@torch.inference_mode()
def evaluate(
    model: CTCModel,
    utterances: list[Utterance],
    audio: Audio,
    lexicon: Lexicon | None = None,
    seconds: float = 120,
) -> tuple[float, float]:
    """Greedy decoding of a dev set, on the model's device -> loss per frame, word error rate.

    Where phonemes are the units, those of the lexicon are decoded, and the rate is that of phonemes.
    """
    model.eval()
    by_phonemes = model.options.units == "phonemes"
    alphabet = Phonemes(model.options.phonemes) if by_phonemes else model.alphabet
    texts = [" ".join(lexicon.pronounce(u.text) or ()) if by_phonemes and lexicon else u.text for u in utterances]
    device = next(model.parameters()).device
    durations = np.array([u.duration for u in utterances])
    references, hypotheses, losses = [], [], []
    for batch in batches([[i] for i in range(len(utterances))], durations, seconds, np.random.default_rng(0)):
        frames, lengths = pad([model.frontend(audio[i]) for [i] in batch])
        targets = [alphabet.encode(texts[i]) for [i] in batch]
        with autocast(device.type):
            if by_phonemes:
                letters, phonemes, out_lengths = model.both(frames.to(device), lengths.to(device))
                log_probs = letters if phonemes is None else phonemes
            else:
                log_probs, out_lengths = model(frames.to(device), lengths.to(device))
        losses.append(ctc_loss(log_probs, out_lengths, targets).item())
        for row, n, [i] in zip(log_probs.argmax(-1).tolist(), out_lengths.tolist(), batch):
            references.append(texts[i])
            hypotheses.append(alphabet.decode(collapse(row[:n])))
    model.train()
    return float(np.mean(losses)), rate(*word_errors(references, hypotheses))


def adapt(progress: RunProgress, dev_loss: float, patience: int) -> None:
    """Halve the learning rate when the dev loss has stood on a plateau for ``patience`` evaluations."""
    progress.bad = 0 if dev_loss < progress.lowest else progress.bad + 1
    progress.lowest = min(dev_loss, progress.lowest)
    if progress.bad >= patience:
        progress.scale, progress.bad = progress.scale / 2, 0


def keep_best(model: CTCModel, wer: float, progress: RunProgress, keep: int, folder: Path) -> None:
    """Write a checkpoint, and enter it into the run's ``best`` if it is among so many."""
    name = f"update-{progress.update:06d}.safetensors"
    save_model(model, folder / name, {"dev_wer": wer})
    progress.best = sorted([*((w, n) for w, n in progress.best), (wer, name)])[:keep]


def remove_all_but_best(folder: Path, progress: RunProgress) -> None:
    """To be called when the state is saved: until then the one before may still want its checkpoints."""
    kept = {name for _, name in progress.best}
    for path in folder.glob("update-*.safetensors"):
        if path.name not in kept:
            path.unlink(missing_ok=True)


def average(model: CTCModel, paths: list[Path]) -> None:
    """Load the mean of several checkpoints' weights into the model."""
    states = [tensors(load_weights(p)[1]) for p in paths]
    mean = {k: sum(s[k] for s in states) / len(states) for k in states[0]}
    model.load_state_dict(model.state_dict() | mean)  # a teacher's head is in no checkpoint


class RunLog:
    """Appends rows to log.csv and redraws curves.png (where matplotlib is installed).

    A run that goes on from ``update`` writes the rows after it again: those that are there already are dropped.
    """

    def __init__(self, folder: Path, update: int = 0, active: bool = True):
        self.path, self.active = folder / "log.csv", active
        if active and self.path.exists():
            self._drop_after(update)
        self._board = _board(folder / "tensorboard", update) if active else None

    def add(self, **row: float) -> None:
        if not self.active:
            return
        header = self.path.read_text().split("\n", 1)[0].split(",") if self.path.exists() else []
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, header or row)
            if not header:
                writer.writeheader()
            writer.writerow({k: f"{v:.6g}" for k, v in row.items()})
        if self._board:
            for name in row.keys() - {"update"}:
                self._board.add_scalar(name, row[name], int(row["update"]))
            self._board.flush()
        self.say("  ".join(f"{k} {v:.4g}" for k, v in row.items()))
        draw_curves(self.path)

    def _drop_after(self, update: int) -> None:
        with self.path.open(newline="") as file:
            rows = list(csv.reader(file))
        known = [row for row in rows[1:] if len(row) == len(rows[0]) and float(row[0]) <= update]
        if not known:
            self.path.unlink()
        elif len(known) < len(rows) - 1:
            text = io.StringIO()
            csv.writer(text).writerows([rows[0], *known])
            atomic_write_bytes(self.path, text.getvalue().encode())

    def say(self, text: str) -> None:
        if self.active:
            print(text, flush=True)


def _board(folder: Path, update: int):
    """A TensorBoard writer that goes on after an update, or None where the package is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=update + 1)


def draw_curves(path: Path) -> None:
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    with path.open() as file:
        rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    updates = [r["update"] for r in rows]
    figure, axes = pyplot.subplots(3, 1, figsize=(8, 9), sharex=True, layout="constrained")
    for name in ("loss", "phoneme_loss", "dev_loss"):
        axes[0].plot(updates, [r[name] for r in rows], label=name.replace("_", " "))
    axes[0].set_ylabel("CTC loss per frame")
    axes[0].legend()
    axes[1].plot(updates, [100 * r["dev_wer"] for r in rows])
    axes[1].set_ylabel("dev WER, greedy (%)")
    axes[2].semilogy(updates, [r["learning_rate"] for r in rows], label="learning rate")
    axes[2].semilogy(updates, [r["gradient"] for r in rows], label="gradient norm")
    axes[2].legend()
    axes[2].set_xlabel("update")
    for a in axes:
        a.grid(alpha=0.3)
    figure.savefig(path.with_name("curves.png"), dpi=110)
    pyplot.close(figure)
