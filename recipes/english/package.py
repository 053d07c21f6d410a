"""Turn a run's model.safetensors into the packaged model: fp16, with a card and the priors of its outputs.

python -m recipes.english.package RUN/model.safetensors TRAIN.jsonl asr/models/english.safetensors

With `--int8` its large matrices are int8, half the size again (recipes.int8 does that to a file that is there).
With `--mean OTHER` the weights are the mean of two models, of which one went on from the other (Wortsman et al. 2022).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from asr.attention.joint import load_joint
from asr.model.checkpoint import store_int8
from asr.model.network.ctc import save_model
from asr.training.acoustic import average
from asr.training.data import read_manifest, read_samples
from asr.training.run import log_priors, spread

CLIPS = 240  # of the training speech, as many of each corpus as there are


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained", type=Path)
    parser.add_argument("speech", type=Path, help="manifest of training speech")
    parser.add_argument("packaged", type=Path)
    parser.add_argument("--mean", type=Path, metavar="OTHER", help="take the mean with this model's weights")
    parser.add_argument("--int8", action="store_true", help="store large matrices as int8, with a scale for each row")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, card = load_joint(options.trained)
    if options.mean:
        average(model, [options.trained, options.mean])
    speech = read_manifest(options.speech)
    chosen = (read_samples(speech[i]) for i in spread(speech, CLIPS))
    card |= {
        "name": options.packaged.stem,
        "data": "see english.md: Common Voice, LibriSpeech, speechocean762, MInDS-14, RoboTutor, Flight of the Amazon "
        "Queen, CMU Arctic, VCTK, Kathleen, LJSpeech, AN4, synthetic voices",
        "licence": "Apache-2.0; the data under CC0, CC BY 4.0, terms like BSD, public domain, and the game's own",
        "command": "recipes/english/run.sh DATA WORK",
        "log_priors": log_priors(model, chosen),
    }
    save_model(model, options.packaged, card, half=True)
    if options.int8:
        store_int8(options.packaged)
    print(f"{options.packaged}: {options.packaged.stat().st_size / 1e6:.1f} MB")
    print("its searches have default weights: now run recipes.english.tune, then recipes.english.confidence")


if __name__ == "__main__":
    main()
