"""Training of a keyword classifier: clips of a second, changed every time; cross-entropy; the best epoch is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import nn
from torch.utils.data import Dataset

from asr.audio.features import SAMPLE_RATE, LogMel
from asr.files import atomic_write_bytes
from asr.training.augment import Augmenter, AugmentOptions, colour, loudness, room, speed
from asr.training.state import load_state, save_state
from recipes.speech_commands.model import CLIP, KeywordModel
from wakeword.train.mixing import Mixer, Sounds
from wakeword.train.training import BEST, STATE, loader

MASKS = AugmentOptions(time_masks=4, time_width=15, band_masks=1, band_width=8)  # of SpecAugment: one in time, one band


class Clip(Protocol):
    """A recording of one of the classes."""

    @property
    def label(self) -> str: ...

    def samples(self) -> np.ndarray:
        """(CLIP,) float32."""


@dataclass(frozen=True)
class KeywordTraining:
    """The settings of a classifier's training."""

    epochs: int = 30
    batch: int = 64  # clips
    learning_rate: float = 3e-3
    warmup: int = 200  # updates
    weight_decay: float = 1e-2
    clip: float = 1.0  # norm of the gradient, at most
    smoothing: float = 0.05  # of the labels
    shift: float = 0.1  # s, to either side
    speed: float = 0.12  # tempo and pitch by 1 +- this much
    warp: float = 0.12  # formants by 1 +- this much
    room: float = 0.2  # probability of a simulated room
    colour: float = 0.3  # probability of a microphone's response
    noise: float = 0.7  # probability of a background
    snr: tuple[float, float] = (0.0, 30.0)  # dB
    level: tuple[float, float] = (-45.0, -10.0)  # dBFS of the loud parts
    processes: int = 1
    seed: int = 1


class Examples(Dataset):
    """Example i of an epoch: log-mel frames and the number of the class; the same whenever it is asked for."""

    def __init__(
        self,
        clips: Sequence[Clip],
        model: KeywordModel,
        backgrounds: Sequence[np.ndarray],
        options: KeywordTraining,
        epoch: int | None,
    ):
        """epoch None: the clips as they are, in order."""
        self.clips, self.options, self.epoch = clips, options, epoch
        self.frontend, self.classes = LogMel(model.options.frontend), {c: i for i, c in enumerate(model.classes)}
        self.fill, self.mixer = model.mean.cpu().numpy(), Mixer(Sounds((), (), (), backgrounds))
        self.masks = Augmenter(MASKS, [])
        shuffled = np.random.default_rng([options.seed, epoch or 0]).permutation(len(clips))
        self.order = np.arange(len(clips)) if epoch is None else shuffled

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        """-> (T, n_mels) float32, class."""
        clip = self.clips[self.order[i]]
        if self.epoch is None:
            return self.frontend(clip.samples()), self.classes[clip.label]
        o, rng = self.options, np.random.default_rng([self.options.seed, self.epoch, i])
        frames = self.frontend.warped(self.another(clip.samples(), rng), rng.uniform(1 - o.warp, 1 + o.warp))
        return self.masks.frames(frames, self.fill, rng), self.classes[clip.label]

    def another(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(CLIP,) of the same word, by another voice, in another place."""
        o = self.options
        x = _moved(speed(x, rng.uniform(1 - o.speed, 1 + o.speed)), int(o.shift * SAMPLE_RATE), rng)
        if rng.random() < o.room:
            x = room(x, rng)
        if rng.random() < o.colour:
            x = colour(x, rng)
        if rng.random() < o.noise:
            x = x + self.mixer.noise(len(x), rng) * max(loudness(x), 1e-3) * 10 ** (-rng.uniform(*o.snr) / 20)
        x = x * (10 ** (rng.uniform(*o.level) / 20) / max(loudness(x), 1e-5))
        return np.clip(x, -1, 1).astype(np.float32)


def _moved(x: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """The middle second, moved to either side by at most so many samples."""
    start = (len(x) - CLIP) // 2 + int(rng.integers(-most, most + 1))
    return np.pad(x, CLIP)[CLIP + start :][:CLIP]


def train(
    model: KeywordModel,
    parts: Mapping[str, Sequence[Clip]],
    backgrounds: Sequence[np.ndarray],
    options: KeywordTraining,
    folder: Path,
    report: Callable[[str], None],
) -> float:
    """Run (or resume) training in ``folder`` -> accuracy on "validation" of the best epoch, whose weights are left."""
    folder.mkdir(parents=True, exist_ok=True)
    optimizer = torch.optim.AdamW(model.parameters(), options.learning_rate, weight_decay=options.weight_decay)
    progress: dict = {"epoch": 0, "best": -1.0}
    if (folder / STATE).exists():
        progress |= load_state(folder / STATE, model, optimizer)
        report(f"going on after epoch {progress['epoch']}")
    while progress["epoch"] < options.epochs:
        examples = Examples(parts["training"], model, backgrounds, options, progress["epoch"])
        loss = learn(model, optimizer, examples)
        held = parts["validation"]
        right = np.mean([clip.label == label for clip, label in zip(held, classify(model, held, options))])
        if right > progress["best"]:
            progress["best"] = float(right)
            atomic_write_bytes(folder / BEST, save(model.state_dict()))
        progress["epoch"] += 1
        save_state(folder / STATE, model, optimizer, progress)
        report(f"epoch {progress['epoch']} of {options.epochs}: loss {loss:.4f}, validation {100 * right:.2f} % right")
    model.load_state_dict(load_file(folder / BEST))
    return progress["best"]


def learn(model: KeywordModel, optimizer: torch.optim.Optimizer, examples: Examples) -> float:
    """One epoch -> its mean loss."""
    o, losses, device = examples.options, [], next(model.parameters()).device
    update = (examples.epoch or 0) * -(-len(examples) // o.batch)
    total = o.epochs * -(-len(examples) // o.batch)
    model.train()
    for frames, classes in loader(examples, o.batch, o.processes):
        torch.manual_seed(o.seed * 1_000_003 + update)  # dropout
        logits = model(frames.to(device))
        loss = nn.functional.cross_entropy(logits, classes.to(device), label_smoothing=o.smoothing)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), o.clip)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(update, total, o)
        optimizer.step()
        losses.append(loss.item())
        update += 1
    return float(np.mean(losses))


def learning_rate(update: int, total: int, options: KeywordTraining) -> float:
    """Linear warm-up, over a tenth of all updates at most; half a cosine down to nothing."""
    warm = min(1.0, (update + 1) / max(1, min(options.warmup, total // 10)))
    return options.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * update / total))


@torch.inference_mode()
def classify(model: KeywordModel, clips: Sequence[Clip], options: KeywordTraining = KeywordTraining()) -> list[str]:
    """The likeliest class of each clip."""
    model.eval()
    device = next(model.parameters()).device
    batches = loader(Examples(clips, model, (), options, None), options.batch, options.processes)
    return [model.classes[i] for frames, _ in batches for i in model(frames.to(device)).argmax(-1).tolist()]


def measure_bands(model: KeywordModel, clips: Sequence[Clip], options: KeywordTraining, count: int = 300) -> None:
    """Global mean and deviation of the mel bands, over training examples."""
    examples = Examples(clips, model, (), options, 0)
    frames = np.concatenate([examples[i][0] for i in range(min(count, len(clips)))])
    model.mean.copy_(torch.from_numpy(frames.mean(0)))
    model.deviation.copy_(torch.from_numpy(frames.std(0)))
