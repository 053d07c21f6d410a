"""The training loop, from manifest to weights, to be read from top to bottom.

One process, or several under torchrun: each rank takes its share of every group of batches and
gradients are averaged. A step depends only on the configuration and its number, so a run
that was killed goes on from its last checkpoint to the very same weights.
"""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.distributed as distributed
from safetensors.torch import load_file, save
from torch import Tensor

from asr.checkpoint import save_model, write_atomically
from asr.ctc import AcousticModel, ctc_loss
from asr.encoder import Latency
from asr.text import collapse
from asr.training.augment import Augmenter
from asr.training.data import Audio, Lexicon, Utterance, batches, chain, draw
from asr.training.log import RunLog
from asr.training.muon import Muon
from asr.training.scoring import rate, word_errors


class TrainingError(Exception):
    """One sentence: why training stopped, and where the last good state lies."""


@dataclass(frozen=True)
class Stage:
    """A part of the schedule: how many updates, on which mixture, at which latencies."""

    updates: int
    weights: dict[str, float] = field(default_factory=dict)  # of each corpus; 1 where it is not named
    streaming: float = 0.0  # share of updates at a random chunk and look-ahead instead of full context
    decay: bool = False  # let the learning rate fall to a hundredth by the stage's end


@dataclass(frozen=True)
class TrainOptions:
    stages: tuple[Stage, ...]
    batch_seconds: float = 160.0  # of padded audio, for each process
    learning_rate: float = 1e-3
    warmup: int = 300  # updates
    weight_decay: float = 1e-2
    clip: float = 1.0  # norm of the gradient, at most: the lecture's exploding gradients
    phoneme_weight: float = 0.3  # of the second head's loss
    chained: float = 0.25  # probability that an example grows by its neighbours
    chain_limit: float = 20.0  # seconds, of such an example
    silent: float = 0.02  # share of examples in which nothing is said
    patience: int = 6  # evaluations without progress before the learning rate is halved
    evaluate_every: int = 250  # updates
    keep: int = 5  # best checkpoints, averaged at the end
    seed: int = 1


class Examples:
    """Batches of augmented log-mel frames with their targets, drawn anew for every epoch."""

    def __init__(
        self,
        utterances: list[Utterance],
        audio: Audio,
        augmenter: Augmenter,
        model: AcousticModel,
        lexicon: Lexicon | None,
        options: TrainOptions,
    ):
        self.utterances, self.audio, self.augmenter, self.model = utterances, audio, augmenter, model
        self.options = options
        self.durations = np.array([u.duration for u in utterances])
        self.letters = [model.alphabet.encode(u.text) for u in utterances]
        spoken = [lexicon(u.text) if lexicon else None for u in utterances]
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
        o, fill = self.augmenter.options, self.model.mean.numpy()
        frames, letters, phonemes = [], [], []
        for example in batch:
            if rng.random() < self.options.silent:
                samples, example = self.augmenter.background(rng.uniform(1, 8), rng), []
            else:
                samples = self.augmenter.waveform([self.audio[i] for i in example], rng)
            seen = self.model.frontend.warped(samples, rng.uniform(1 - o.warp, 1 + o.warp))
            frames.append(self.augmenter.frames(seen, fill, rng))
            space = [self.model.alphabet.index(" ")]
            letters.append([c for k, i in enumerate(example) for c in (space if k else []) + self.letters[i]])
            parts = [self.phonemes[i] for i in example]
            phonemes.append(None if None in parts else [p for ps in parts for p in ps])
        return *pad(frames), letters, phonemes


def pad(frames: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Frames of several utterances -> (B, T, n_mels) and their lengths (B,)."""
    lengths = torch.tensor([len(f) for f in frames])
    padded = torch.zeros(len(frames), int(lengths.max()), frames[0].shape[1])
    for row, f in zip(padded, frames):
        row[: len(f)] = torch.from_numpy(f)
    return padded, lengths


def measure_mean(model: AcousticModel, examples: Examples, count: int = 200) -> None:
    """Global mean and deviation of the mel bands, over augmented training data."""
    rng = np.random.default_rng(examples.options.seed)
    picks = rng.integers(len(examples.utterances), size=count)
    seen = np.concatenate([model.frontend(examples.augmenter.waveform([examples.audio[i]], rng)) for i in picks])
    model.mean.copy_(torch.from_numpy(seen.mean(0)))
    model.deviation.copy_(torch.from_numpy(seen.std(0)))


def learning_rate(update: int, options: TrainOptions) -> float:
    """Linear warm-up, then constant; in a stage with decay, straight down to a hundredth."""
    peak = options.learning_rate * min(1.0, (update + 1) / max(1, options.warmup))
    number, start = stage_at(update, options)
    stage = options.stages[number]
    return peak * (1 - 0.99 * (update - start) / stage.updates) if stage.decay else peak


def stage_at(update: int, options: TrainOptions) -> tuple[int, int]:
    """-> the stage's number, and the update with which it began."""
    start = 0
    for number, stage in enumerate(options.stages):
        if update < start + stage.updates:
            break
        start += stage.updates
    return number, start


def random_latency(stage: Stage, rng: np.random.Generator) -> Latency | None:
    """None (the whole utterance), or a chunk of 0.3 to 1.3 s and a look-ahead of 0.16 to 0.5 s."""
    if rng.random() >= stage.streaming:
        return None
    return Latency(int(rng.choice([8, 16, 32])), int(rng.choice([4, 8, 12])))


@torch.inference_mode()
def evaluate(
    model: AcousticModel, utterances: list[Utterance], audio: Audio, seconds: float = 120
) -> tuple[float, float]:
    """Greedy decoding of a dev set -> loss per frame, word error rate."""
    model.eval()
    durations = np.array([u.duration for u in utterances])
    references, hypotheses, losses = [], [], []
    for batch in batches([[i] for i in range(len(utterances))], durations, seconds, np.random.default_rng(0)):
        frames, lengths = pad([model.frontend(audio[i]) for [i] in batch])
        targets = [model.alphabet.encode(utterances[i].text) for [i] in batch]
        with torch.autocast(frames.device.type, dtype=torch.bfloat16):
            log_probs, out_lengths = model(frames, lengths)
        losses.append(ctc_loss(log_probs, out_lengths, targets).item())
        for row, n, [i] in zip(log_probs.argmax(-1), out_lengths, batch):
            references.append(utterances[i].text)
            hypotheses.append(model.alphabet.decode(collapse(row[:n].tolist())))
    model.train()
    return float(np.mean(losses)), rate(*word_errors(references, hypotheses))


def average_gradients(model: torch.nn.Module) -> None:
    if distributed.is_initialized():
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        distributed.all_reduce(flat)
        flat /= distributed.get_world_size()
        for g, part in zip(gradients, flat.split([g.numel() for g in gradients])):
            g.copy_(part.view_as(g))


def train(
    model: AcousticModel, examples: Examples, dev: tuple[list[Utterance], Audio], options: TrainOptions, folder: Path
) -> None:
    """Run (or resume) training in ``folder``; the average of the best checkpoints is left as model.safetensors."""
    rank = distributed.get_rank() if distributed.is_initialized() else 0
    world = distributed.get_world_size() if distributed.is_initialized() else 1
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = Muon(model, options.learning_rate, options.weight_decay)
    progress = {"update": 0, "stage": 0, "epoch": 0, "batch": 0, "scale": 1.0, "bad": 0, "best": []}
    if (folder / "state.safetensors").exists():
        progress = load_state(folder / "state.safetensors", model, optimizer)
    log, total = RunLog(folder, active=rank == 0), sum(s.updates for s in options.stages)
    began, heard, refused, losses, plan = time.time(), 0.0, 0, [], []
    model.train()
    while (update := progress["update"]) < total:
        number, _ = stage_at(update, options)
        stage = options.stages[number]
        plan = plan or examples.epoch(progress["epoch"], stage.weights, world)
        if progress["stage"] != number or progress["batch"] + world > len(plan):
            progress |= {"stage": number, "epoch": progress["epoch"] + 1, "batch": 0}
            plan = examples.epoch(progress["epoch"], stage.weights, world)
        if len(plan) < world:
            raise TrainingError(
                f"an epoch of stage {number + 1} has {len(plan)} batches for {world} processes: "
                "give more data, smaller batches, or weights above 0"
            )
        latency = random_latency(stage, np.random.default_rng([options.seed, update]))  # the same on every rank
        rng = np.random.default_rng([options.seed, update, rank])
        torch.manual_seed(options.seed * 1_000_003 + update * world + rank)  # dropout
        frames, lengths, letters, phonemes = examples.build(plan[progress["batch"] + rank], rng)

        with torch.autocast(frames.device.type, dtype=torch.bfloat16):
            on_letters, on_phonemes = model.loss(frames, lengths, letters, phonemes, latency)
        weight = options.phoneme_weight
        loss = on_letters if on_phonemes is None else (1 - weight) * on_letters + weight * on_phonemes
        (loss + 0.0 * sum(p.sum() for p in model.parameters())).backward()  # every rank has every gradient
        average_gradients(model)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), options.clip)
        rate_now = learning_rate(update, options) * progress["scale"]
        if norm.isfinite():
            for group in optimizer.param_groups:
                group["lr"] = rate_now
            optimizer.step()
            refused = 0
        elif (refused := refused + 1) == 10:
            raise TrainingError(
                f"the loss was not a number ten times up to update {update}; "
                f"the last good state is {folder / 'state.safetensors'}: lower the learning rate"
            )
        optimizer.zero_grad()

        heard += world * float(lengths.sum()) / 100
        losses.append((on_letters.item(), on_phonemes.item() if on_phonemes is not None else math.nan, float(norm)))
        progress["update"], progress["batch"] = update + 1, progress["batch"] + world
        if progress["update"] % options.evaluate_every == 0 or progress["update"] == total:
            if rank == 0:
                dev_loss, dev_wer = evaluate(model, *dev)
                letters_loss, phonemes_loss, mean_norm = np.nanmean(losses, axis=0)
                log.add(
                    update=update + 1,
                    epoch=progress["epoch"],
                    loss=letters_loss,
                    phoneme_loss=phonemes_loss,
                    dev_loss=dev_loss,
                    dev_wer=dev_wer,
                    learning_rate=rate_now,
                    gradient=mean_norm,
                    audio_hours=heard / 3600,
                    audio_per_second=heard / (time.time() - began),
                )
                keep_best(model, dev_wer, progress, options.keep, folder)
                adapt(progress, dev_loss, options.patience)
                save_state(folder / "state.safetensors", model, optimizer, progress)
            if distributed.is_initialized():
                shared = [progress]
                distributed.broadcast_object_list(shared)
                progress = shared[0]
            losses = []
    if rank == 0:
        average(model, [folder / name for _, name in progress["best"]])
        dev_loss, dev_wer = evaluate(model, *dev)
        card = {"dev_wer": dev_wer, "averaged": progress["best"], "training": asdict(options)}
        save_model(model, folder / "model.safetensors", card)
        log.say(f"average of {len(progress['best'])}: dev loss {dev_loss:.4f}, WER {100 * dev_wer:.2f} %")


def adapt(progress: dict, dev_loss: float, patience: int) -> None:
    """Halve the learning rate when the dev loss has stood on a plateau for ``patience`` evaluations."""
    progress["bad"] = 0 if dev_loss < progress.get("lowest", math.inf) else progress["bad"] + 1
    progress["lowest"] = min(dev_loss, progress.get("lowest", math.inf))
    if progress["bad"] >= patience:
        progress["scale"], progress["bad"] = progress["scale"] / 2, 0


def keep_best(model: AcousticModel, wer: float, progress: dict, keep: int, folder: Path) -> None:
    name = f"update-{progress['update']:06d}.safetensors"
    save_model(model, folder / name, {"dev_wer": wer})
    progress["best"] = sorted([*progress["best"], [wer, name]])
    for _, dropped in progress["best"][keep:]:
        (folder / dropped).unlink(missing_ok=True)
    progress["best"] = progress["best"][:keep]


def average(model: AcousticModel, paths: list[Path]) -> None:
    """Load the mean of several checkpoints' weights into the model."""
    states = [load_file(p) for p in paths]
    model.load_state_dict({k: sum(s[k] for s in states) / len(states) for k in states[0]})


def save_state(path: Path, model: AcousticModel, optimizer: torch.optim.Optimizer, progress: dict) -> None:
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    for i, entry in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": torch.as_tensor(v) for k, v in entry.items()}
    write_atomically(path, save({k: v.contiguous() for k, v in tensors.items()}, {"progress": json.dumps(progress)}))


def load_state(path: Path, model: AcousticModel, optimizer: torch.optim.Optimizer) -> dict:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        tensors = {k: file.get_tensor(k) for k in file.keys()}
        progress = json.loads(file.metadata()["progress"])
    model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
    state: dict[int, dict] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, i, name = key.split(".")
            state.setdefault(int(i), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return progress


def start_distributed() -> None:
    """Join the other processes when torchrun started this one."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        distributed.init_process_group("gloo")
