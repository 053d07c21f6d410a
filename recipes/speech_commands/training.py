"""Training of a keyword classifier: clips of a second, changed every time; cross-entropy; the best epoch is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.utils.data import Dataset

from asr.audio.features import SAMPLE_RATE, LogMel
from asr.files import atomic_write_bytes
from asr.training.augment import Augmenter, AugmentOptions, speed
from asr.training.fit import Plan, Progress, Schedule, fit, resume, save_state
from recipes.speech_commands.model import CLIP, KeywordModel
from wakeword.train.training import BEST, STATE, loader


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
    sound: AugmentOptions = AugmentOptions(
        room=0.2, colour=0.3, noise=0.7, snr=(0.0, 30.0), made=0.3, clip=0.0,
        time_masks=4, time_width=15, band_masks=1, band_width=8,
    )  # fmt: skip
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
        self.fill, self.augmenter = model.mean.cpu().numpy(), Augmenter(options.sound, backgrounds)
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
        warp = o.sound.warp
        frames = self.frontend.warped(self.another(clip.samples(), rng), rng.uniform(1 - warp, 1 + warp))
        return self.augmenter.frames(frames, self.fill, rng), self.classes[clip.label]

    def another(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(CLIP,) of the same word, by another voice, in another place."""
        o = self.options
        faster = speed(x, rng.uniform(1 - o.sound.speed, 1 + o.sound.speed))
        return self.augmenter(_moved(faster, int(o.shift * SAMPLE_RATE), rng), rng)


def _moved(x: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """The middle second, moved to either side by at most so many samples."""
    start = (len(x) - CLIP) // 2 + int(rng.integers(-most, most + 1))
    return np.pad(x, CLIP)[CLIP + start :][:CLIP]


@dataclass
class KeywordProgress(Progress):
    """Where the training of a classifier stands."""

    best: float = -1.0  # share of "validation" that is right


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
    progress = resume(folder / STATE, model, optimizer, KeywordProgress())
    epoch = -(-len(parts["training"]) // options.batch)  # updates
    total = options.epochs * epoch
    if progress.update:
        report(f"going on after epoch {progress.update // epoch}")
    schedule = Schedule(options.learning_rate, min(options.warmup, total // 10), (0, total), floor=0.0, cosine=True)
    plan = Plan(total, epoch, schedule, options.clip, options.seed, folder / STATE)
    batches = epochs(model, parts["training"], backgrounds, options, progress.update // epoch)
    model.train()
    for means in fit(model, optimizer, batches, partial(loss_of, model, options), plan, progress):
        held = parts["validation"]
        right = float(np.mean([clip.label == label for clip, label in zip(held, classify(model, held, options))]))
        if right > progress.best:
            progress.best = right
            atomic_write_bytes(folder / BEST, save(model.state_dict()))
        save_state(folder / STATE, model, optimizer, progress)
        number, loss = progress.update // epoch, means["loss"]
        report(f"epoch {number} of {options.epochs}: loss {loss:.4f}, validation {100 * right:.2f} % right")
        model.train()
    model.load_state_dict(load_file(folder / BEST))
    return progress.best


def epochs(
    model: KeywordModel, clips: Sequence[Clip], backgrounds: Sequence[np.ndarray], options: KeywordTraining, first: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches (frames, classes) of one epoch after the other."""
    for epoch in count(first):
        yield from loader(Examples(clips, model, backgrounds, options, epoch), options.batch, options.processes)


def loss_of(
    model: KeywordModel, options: KeywordTraining, batch: tuple[Tensor, Tensor]
) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy with smoothed labels."""
    frames, classes = batch
    device = next(model.parameters()).device
    logits = model(frames.to(device))
    return nn.functional.cross_entropy(logits, classes.to(device), label_smoothing=options.smoothing), {}


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
