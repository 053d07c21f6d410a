"""Train the speech detector of asr/audio/vad.py: fifteen CPU minutes on one core.

    python -m recipes.vad.train DATA OUT.safetensors [--speech MANIFEST ...]

DATA holds noise.jsonl, speech/train.jsonl and synthetic/kokoro.jsonl; --speech adds manifests.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from asr.audio.features import LogMel, LogMelOptions
from asr.audio.vad import STEP
from asr.files import atomic_write_bytes
from asr.training.fit import Plan, Progress, Schedule, fit
from recipes.vad.mixing import UNSURE, Corpus, mix, noise_files, read

SECONDS = 20.0  # of one mix
LICENCES = (
    "speech: speechocean762, LibriSpeech, MInDS-14, RoboTutor CC BY 4.0; kathleen, Common Voice CC0; LJSpeech public "
    "domain; Kokoro-82M Apache-2.0; others as in docs/data.md. "
    "noise: ESC-10 CC BY 3.0, Speech Commands backgrounds CC BY 4.0, others as in noise.jsonl"
)


class Detector(nn.Module):
    mean: Tensor  # (n_mels,)
    std: Tensor

    def __init__(self, size: int, mean: Tensor, std: Tensor):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.project = nn.Linear(STEP * len(mean), size)
        self.gru = nn.GRU(size, size, batch_first=True)
        self.out = nn.Linear(size, 1)

    def forward(self, frames: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """frames (B, T, n_mels), h (1, B, H) -> logits (B, T // STEP), h."""
        x = ((frames - self.mean) / self.std).unflatten(1, (-1, STEP)).flatten(2)
        y, h = self.gru(torch.relu(self.project(x)), h)
        return self.out(y).squeeze(-1), h

    def tensors(self) -> dict[str, Tensor]:
        """The weights as asr.audio.vad reads them: normalisation in the first layer, matrices (in, out)."""
        weight = self.project.weight / self.std.repeat(STEP)
        named: dict[str, Any] = {
            "project.weight": weight.T,
            "project.bias": self.project.bias - weight @ self.mean.repeat(STEP),
            "gru.w_x": self.gru.weight_ih_l0.T,
            "gru.b_x": self.gru.bias_ih_l0,
            "gru.w_h": self.gru.weight_hh_l0.T,
            "gru.b_h": self.gru.bias_hh_l0,
            "out.weight": self.out.weight[0],
            "out.bias": self.out.bias,
        }
        return {name: tensor.detach().contiguous() for name, tensor in named.items()}


def mixes(count: int, seed: int, corpora: list[Corpus], recorded: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """-> frames (count, T, n_mels) float16 and labels (count, T // STEP); mix i depends on (seed, i) only."""
    front_end, frames, labels = LogMel(), [], []
    for i in range(count):
        samples, marks = mix(np.random.default_rng([seed, i]), SECONDS, corpora, recorded)
        frames.append(front_end(samples).astype(np.float16))
        labels.append(marks)
    return np.stack(frames), np.stack(labels)


def train(frames: np.ndarray, labels: np.ndarray, size: int, epochs: int, batch: int, seed: int) -> Detector:
    """The last hundred mixes are kept apart; their loss is printed after every epoch."""
    torch.manual_seed(seed)
    some = torch.from_numpy(frames[::20].astype(np.float32)).flatten(0, 1)
    model, held = Detector(size, some.mean(0), some.std(0)), len(frames) - 100
    optimizer, epoch = torch.optim.AdamW(model.parameters(), weight_decay=0.01), held // batch
    schedule = Schedule(4e-3, epochs * epoch // 10, (epochs * epoch // 10, epochs * epoch), floor=0.0, cosine=True)
    test = torch.from_numpy(frames[held:].astype(np.float32)), torch.from_numpy(labels[held:])
    plan, progress = Plan(epochs * epoch, epoch, schedule, seed=seed), Progress()
    batches = shuffled(frames[:held], labels[:held], batch, np.random.default_rng(seed))
    for means in fit(model, optimizer, batches, CarriedLoss(model), plan, progress):
        with torch.no_grad():
            apart = loss_of(model(test[0])[0], test[1])
        print(f"epoch {progress.update // epoch}: loss {means['loss']:.4f}, kept apart {apart:.4f}")
    return model


def shuffled(
    frames: np.ndarray, labels: np.ndarray, batch: int, rng: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of one epoch after the other; what fills no whole batch is left out."""
    while True:
        for index in rng.permutation(len(frames))[: len(frames) // batch * batch].reshape(-1, batch):
            yield torch.from_numpy(frames[index].astype(np.float32)), torch.from_numpy(labels[index])


class CarriedLoss:
    """The loss of each batch. Streams last for hours: half of the mixes begin where another one ended."""

    def __init__(self, model: Detector):
        self._model = model
        self._hidden: Tensor | None = None

    def __call__(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, float]]:
        frames, labels = batch
        carried = None if self._hidden is None else self._hidden.detach() * (torch.rand(1, len(frames), 1) < 0.5)
        logits, self._hidden = self._model(frames, carried)
        return loss_of(logits, labels), {}


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy over the steps of which it is sure whether somebody speaks."""
    sure = labels != UNSURE
    return nn.functional.binary_cross_entropy_with_logits(logits[sure], labels[sure].float())


def write(model: Detector, path: Path, training: dict) -> None:
    """Weights and everything needed to rebuild the detector; the file appears whole or not at all."""
    size = model.out.in_features
    card = {
        "format": 1,
        "architecture": f"{STEP} frames -> dense {size} ReLU -> GRU {size} -> sigmoid",
        "front_end": LogMelOptions().asdict(),
        "training": training,
        "data_licences": LICENCES,
    }
    atomic_write_bytes(path, save(model.tensors(), {"vad": json.dumps(card)}))


def main() -> None:
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--speech", type=Path, nargs="*", default=[], help="manifests of more clean speech")
    parser.add_argument("--mixes", type=int, default=7000, help="of 20 s each")
    parser.add_argument("--epochs", type=int, default=18)
    parser.add_argument("--size", type=int, default=64, help="units of the dense layer and of the GRU")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    torch.set_num_threads(1)
    began = time.process_time()
    data = options.data
    manifests = [data / "speech/train.jsonl", data / "synthetic/kokoro.jsonl", *options.speech]
    corpora = [Corpus.of(manifest) for manifest in manifests]
    recorded = [read(path) for path in noise_files(data, held_out=False)]
    frames, labels = mixes(options.mixes, options.seed, corpora, recorded)
    seconds, share = time.process_time() - began, np.mean(labels == 1)
    print(f"{options.mixes} mixes after {seconds:.0f} CPU s; speech {share:.0%}")
    model = train(frames, labels, options.size, options.epochs, batch=32, seed=options.seed)
    training = {k: v for k, v in vars(options).items() if k in ("mixes", "epochs", "size", "seed")}
    write(model, options.out, training | {"speech": [f"{m.parent.name}/{m.name}" for m in manifests]})
    print(f"{options.out}: {time.process_time() - began:.0f} CPU s")


if __name__ == "__main__":
    main()
