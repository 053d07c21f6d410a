"""The training loop, from manifest to weights, to be read from top to bottom.

One process, or several under torchrun: each rank takes its share of every group of batches and
gradients are averaged. A step depends only on the configuration and its number, so a run
that was killed goes on from its last checkpoint to the very same weights.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.distributed as distributed
from torch import Tensor

from asr.audio.features import FRAMES_PER_SECOND
from asr.model.checkpoint import save_model
from asr.model.interface import Latency
from asr.model.network.ctc import CTCModel, ctc_loss
from asr.score import rate, word_errors
from asr.search.lexicon import Lexicon
from asr.text import Phonemes, collapse
from asr.training.augment import Augmenter
from asr.training.corpus import Joined
from asr.training.data import Audio, Utterance, batches, chain, draw
from asr.training.log import RunLog
from asr.training.muon import Muon
from asr.training.schedule import Stage, TrainOptions, adapt, learning_rate, random_latency, stage_at
from asr.training.state import (
    TrainingError,
    average,
    count_nonfinite,
    keep_best,
    load_state,
    remove_all_but_best,
    save_state,
)


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
    ):
        self.utterances, self.audio, self.augmenter, self.model = utterances, audio, augmenter, model
        self.options, self.lexicon = options, lexicon
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

    def build(self, batch: list[list[int]], rng: np.random.Generator) -> tuple[Tensor, Tensor, list, list]:
        """-> frames (B, T, n_mels), lengths (B,), letters, phonemes of each example."""
        o, fill = self.augmenter.options, self.model.mean.cpu().numpy()
        frames, letters, phonemes = [], [], []
        for example in batch:
            if rng.random() < self.options.silent:
                seconds = sum(self.durations[i] for i in example)  # as long as what it is batched with, or a second
                samples, example = self.augmenter.background(max(1.0, seconds), rng), []
            else:
                samples = self.augmenter.waveform([self.audio[i] for i in example], rng)
            seen = self.model.frontend.warped(samples, rng.uniform(1 - o.warp, 1 + o.warp))
            frames.append(self.augmenter.frames(seen, fill, rng))
            space = [self.model.alphabet.index(" ")]
            letters.append([c for k, i in enumerate(example) for c in (space if k else []) + self.letters[i]])
            known = [ps for i in example if (ps := self.phonemes[i]) is not None]
            phonemes.append([p for ps in known for p in ps] if len(known) == len(example) else None)
        return *pad(frames), letters, phonemes


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
        with torch.autocast(device.type, dtype=torch.bfloat16):
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
    rank = distributed.get_rank() if distributed.is_initialized() else 0
    world = distributed.get_world_size() if distributed.is_initialized() else 1
    folder.mkdir(parents=True, exist_ok=True)
    model.to(pick_device(device)).train()
    optimizer = Muon(model, options.learning_rate, options.weight_decay)
    progress: dict = {"update": 0, "stage": 0, "epoch": 0, "batch": 0, "scale": 1.0, "bad": 0, "best": [], "heard": 0.0}
    if (folder / "state.safetensors").exists():
        progress |= load_state(folder / "state.safetensors", model, optimizer)
    log, total = RunLog(folder, progress["update"], active=rank == 0), sum(s.updates for s in options.stages)
    began, heard_before, refused, losses, plan = time.time(), progress["heard"], 0, [], []
    while (update := progress["update"]) < total:
        number, _ = stage_at(update, options)
        stage = options.stages[number]
        plan = next_plan(plan, examples, stage, number, progress, world)
        latency = random_latency(stage, np.random.default_rng([options.seed, update]))  # the same on every rank
        rng = np.random.default_rng([options.seed, update, rank])
        torch.manual_seed(options.seed * 1_000_003 + update * world + rank)  # dropout
        batch = examples.build(plan[progress["batch"] + rank], rng)

        batch_losses = backward(model, batch, latency, options)
        rate_now = learning_rate(update, options) * progress["scale"]
        norm = step(model, optimizer, rate_now, options.clip)
        refused = count_nonfinite(refused, norm, update, folder)

        losses.append((*batch_losses, norm))
        progress["heard"] += world * float(batch[1].sum()) / FRAMES_PER_SECOND
        progress["update"], progress["batch"] = update + 1, progress["batch"] + world
        if progress["update"] % options.evaluate_every == 0 or progress["update"] == total:
            if rank == 0:
                dev_loss, dev_wer = evaluate(model, *dev, examples.lexicon)
                letters_loss, phonemes_loss, attention_loss, mean_norm = (nan_mean(column) for column in zip(*losses))
                log.add(
                    update=update + 1,
                    epoch=progress["epoch"],
                    loss=letters_loss,
                    phoneme_loss=phonemes_loss,
                    dev_loss=dev_loss,
                    dev_wer=dev_wer,
                    learning_rate=rate_now,
                    gradient=mean_norm,
                    audio_hours=progress["heard"] / 3600,
                    audio_per_second=(progress["heard"] - heard_before) / (time.time() - began),
                    **({"attention_loss": attention_loss} if model.attention else {}),
                )
                keep_best(model, dev_wer, progress, options.keep, folder)
                adapt(progress, dev_loss, options.patience)
                save_state(folder / "state.safetensors", model, optimizer, progress)
                remove_all_but_best(folder, progress)
            progress, losses = broadcast_progress(progress), []
    if rank == 0:
        average(model, [folder / name for _, name in progress["best"]])
        dev_loss, dev_wer = evaluate(model, *dev, examples.lexicon)
        card = {"dev_wer": dev_wer, "averaged": progress["best"], "training": asdict(options)}
        save_model(model, folder / "model.safetensors", card)
        log.say(f"average of {len(progress['best'])}: dev loss {dev_loss:.4f}, WER {100 * dev_wer:.2f} %")


def pick_device(name: str | None) -> torch.device:
    """The device of that name; for None a GPU, where there is one: with several, each local process has its own."""
    if name is None and torch.cuda.is_available():
        name = f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % torch.cuda.device_count()}"
    try:
        return torch.empty(0, device=name or "cpu").device
    except (RuntimeError, AssertionError):
        raise TrainingError(f"no device {name!r} here: say cpu, or cuda where PyTorch finds a GPU") from None


def next_plan(plan: list, examples: Examples, stage: Stage, number: int, progress: dict, world: int) -> list:
    """The batches of the epoch. A new one begins with a stage, and when too few batches are left for all ranks."""
    plan = plan or examples.epoch(progress["epoch"], stage.weights, world)
    if progress["stage"] != number or progress["batch"] + world > len(plan):
        progress |= {"stage": number, "epoch": progress["epoch"] + 1, "batch": 0}
        plan = examples.epoch(progress["epoch"], stage.weights, world)
    if len(plan) < world:
        raise TrainingError(
            f"an epoch of stage {number + 1} has {len(plan)} batches for {world} processes: "
            "give more data, smaller batches, or weights above 0"
        )
    return plan


def backward(
    model: CTCModel,
    batch: tuple[Tensor, Tensor, list, list],
    latency: Latency | None,
    options: TrainOptions,
) -> tuple[float, float, float]:
    """Gradients of a batch -> its loss on the letters, on the phonemes, of attention (NaN where there is none)."""
    frames, lengths, letters, phonemes = batch
    device = next(model.parameters()).device
    with torch.autocast(device.type, dtype=torch.bfloat16):
        on_letters, on_phonemes, on_attention = model.losses(
            frames.to(device), lengths.to(device), letters, phonemes, latency
        )
    loss = on_letters if on_phonemes is None else torch.lerp(on_letters, on_phonemes, options.phoneme_weight)
    if on_attention is not None:
        loss = torch.lerp(loss, on_attention, options.attention_weight)
    (loss + 0.0 * sum(p.sum() for p in model.parameters())).backward()  # every rank has every gradient
    letters_loss, phonemes_loss, attention_loss = (
        math.nan if part is None else part.item() for part in (on_letters, on_phonemes, on_attention)
    )
    return letters_loss, phonemes_loss, attention_loss


def step(model: torch.nn.Module, optimizer: Muon, rate_now: float, clip: float) -> float:
    """One update by all processes' gradients, unless they are no numbers -> their norm before clipping."""
    average_gradients(model)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    if norm.isfinite():
        for group in optimizer.param_groups:
            group["lr"] = rate_now
        optimizer.step()
    optimizer.zero_grad()
    return float(norm)


def average_gradients(model: torch.nn.Module) -> None:
    if distributed.is_initialized():
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        distributed.all_reduce(flat)
        flat /= distributed.get_world_size()
        for g, part in zip(gradients, flat.split([g.numel() for g in gradients])):
            g.copy_(part.view_as(g))


def broadcast_progress(progress: dict) -> dict:
    """The first rank's progress, on every rank."""
    shared = [progress]
    if distributed.is_initialized():
        distributed.broadcast_object_list(shared)
    return shared[0]


def nan_mean(values: Iterable[float]) -> float:
    """The mean of those that are numbers; NaN if none is."""
    known = [v for v in values if not math.isnan(v)]
    return float(np.mean(known)) if known else math.nan


def start_distributed() -> None:
    """Join the other processes when torchrun started this one."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        store, rank, world = next(distributed.rendezvous("env://"))
        again = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")  # in the store are the addresses of those that died
        store = distributed.PrefixStore(f"start {again}", store)
        distributed.init_process_group("gloo", store=store, rank=rank, world_size=world)  # GPUs too: by way of the host
