"""One process of benchmarks.training: python -m benchmarks.training_process JOB, alone or under torchrun.

Trains as `asr train` does and writes rank-N.json: when each update began, what it heard, how long each stage took.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as distributed
from torch import Tensor

import asr.model.network.ctc
from asr.audio.features import LogMel
from asr.model.network.ctc import CTCModel
from asr.training import acoustic, fit
from asr.training.augment import Augmenter
from asr.training.config import Stage, TrainOptions, read_config, read_lexicon, read_noises
from asr.training.corpora import usable
from asr.training.data import Audio, Utterance, read_manifest
from asr.training.muon import Muon
from benchmarks.stopwatch import Point, Stopwatch

DEV = 4  # utterances of an evaluation, which is not measured
STAGES = (
    Point("reading", Audio, "__getitem__"),
    Point("augmentation", Augmenter, "waveform"),
    Point("augmentation", Augmenter, "background"),
    Point("augmentation", Augmenter, "frames"),
    Point("log-mel", LogMel, "warped"),
    Point("batches", acoustic.Examples, "build"),
    Point("forwards", CTCModel, "losses"),
    Point("CTC loss", asr.model.network.ctc, "ctc_loss"),
    Point("backwards", torch.Tensor, "backward"),
    Point("exchange", fit, "average_gradients"),
    Point("optimiser", fit, "step"),
    Point("optimiser", Muon, "step"),
)


@dataclass(frozen=True)
class Work:
    """What is trained; paths are absolute."""

    manifest: str
    dev: str | None
    noise: str | None
    config: str  # TOML; of its model only what is not said here
    layers: int
    hidden: int
    updates: int
    every: int  # of the utterances take each N-th only
    cache: str  # folder of the decoded audio


@dataclass(frozen=True)
class Mark:
    """Where a process stands when an update begins, all from its start."""

    wall: float  # s
    cpu: float  # s
    heard: float  # s of audio, as augmented
    padded: float  # s of audio and padding
    stages: dict[str, float]  # CPU seconds of each


class Examples(acoustic.Examples):
    """Examples that keep a diary."""

    marks: list[Mark]
    watch: Stopwatch

    def build(self, batch: list[list[int]], rng: np.random.Generator) -> tuple[Tensor, Tensor, list, list]:
        before = self.marks[-1] if self.marks else Mark(0, 0, 0, 0, {})
        self.mark(before.heard, before.padded)
        built = super().build(batch, rng)
        frames, lengths, *_ = built
        heard, padded = before.heard + float(lengths.sum()) / 100, before.padded + frames[..., 0].numel() / 100
        self.marks[-1] = replace(self.marks[-1], heard=heard, padded=padded)
        return built

    def mark(self, heard: float, padded: float) -> None:
        self.marks.append(Mark(time.monotonic(), time.process_time(), heard, padded, dict(self.watch.spent)))


def main(job: Path) -> None:
    torch.set_num_threads(1)
    fit.start_distributed()
    examples, dev, options = prepare(Work(**json.loads(job.read_text())))
    examples.marks, examples.watch = [], Stopwatch()
    with examples.watch.running(STAGES):
        acoustic.train(examples.model, examples, dev, options, job.parent / "run", "cpu")
    rank = distributed.get_rank() if distributed.is_initialized() else 0
    found = {"parameters": sum(p.numel() for p in examples.model.parameters()), "marks": examples.marks}
    (job.parent / f"rank-{rank}.json").write_text(json.dumps(found, default=asdict))


def prepare(work: Work) -> tuple[Examples, tuple[list[Utterance], Audio], TrainOptions]:
    """-> the examples, those of the evaluation, the options of the training."""
    lexicon = read_lexicon(None)
    model, options, augment = read_config(Path(work.config), lexicon)
    stage = Stage(work.updates, options.stages[0].weights, options.stages[0].streaming)
    options = replace(options, stages=(stage,), evaluate_every=work.updates)
    torch.manual_seed(options.seed)
    network = CTCModel(replace(model, layers=work.layers, hidden=work.hidden))
    utterances, _ = usable(read_manifest(work.manifest)[:: work.every], work.manifest)
    dev = read_manifest(work.dev or work.manifest)[:DEV]
    noises = read_noises(Path(work.noise)) if work.noise else []
    audio, dev_audio = Audio(utterances, Path(work.cache)), Audio(dev, Path(work.cache))
    examples = Examples(utterances, audio, Augmenter(augment, noises), network, lexicon, options)
    acoustic.measure_mean(network, examples, count=min(50, len(utterances)))
    return examples, (dev, dev_audio), options


def totals(marks: list[dict], warm_up: int) -> dict:
    """From the update after the warm-up to the beginning of the last: the differences of two marks."""
    first, last = marks[warm_up], marks[-1]
    heard = {key: marks[-2][key] - marks[warm_up - 1][key] for key in ("heard", "padded")}
    stages = {name: spent - first["stages"].get(name, 0.0) for name, spent in last["stages"].items()}
    return {"wall": last["wall"] - first["wall"], "cpu": last["cpu"] - first["cpu"], "stages": stages} | heard


if __name__ == "__main__":
    main(Path(sys.argv[1]))
