"""Turn a run's model.safetensors into the packaged model: fp16, with a card and the priors of its outputs.

python -m recipes.english.package RUN/model.safetensors TRAIN.jsonl asr/models/english.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from asr import audio
from asr.checkpoint import load_model, save_model
from asr.ctc import AcousticModel
from asr.training.data import Utterance, read_manifest

CLIPS = 240  # of the training speech, as many of each corpus as there are


@torch.inference_mode()
def log_priors(model: AcousticModel, utterances: list[Utterance]) -> dict[str, list[float]]:
    """ln of the mean output of each head over training speech: what the model expects before it hears anything."""
    sums: dict[str, np.ndarray] = {}
    for u in utterances:
        frames = torch.from_numpy(model.frontend(audio.load(str(u.path))))[None]
        letters, phonemes, _ = model.both(frames, torch.tensor([frames.shape[1]]))
        for name, head in (("letters", letters), ("phonemes", phonemes)):
            if head is not None:
                sums[name] = sums.get(name, 0.0) + head[0].exp().sum(0).numpy()
    return {name: [round(float(x), 4) for x in np.log(s / s.sum())] for name, s in sums.items()}


def spread(utterances: list[Utterance], count: int) -> list[Utterance]:
    """``count`` utterances at random, every corpus equally likely."""
    rng = np.random.default_rng(0)
    sizes = {c: sum(u.corpus == c for u in utterances) for c in {u.corpus for u in utterances}}
    chance = np.array([1 / sizes[u.corpus] for u in utterances])
    return [utterances[i] for i in rng.choice(len(utterances), count, p=chance / chance.sum())]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained", type=Path)
    parser.add_argument("speech", type=Path, help="manifest of training speech")
    parser.add_argument("packaged", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, card = load_model(options.trained)
    card |= {
        "name": options.packaged.stem,
        "data": "see english.md: Common Voice, speechocean762, LibriSpeech, Kathleen, LJSpeech, AN4, synthetic voices",
        "licence": "Apache-2.0; the data under CC0, CC BY 4.0, BSD and public domain",
        "command": "recipes/english/run.sh DATA WORK",
        "log_priors": log_priors(model, spread(read_manifest(options.speech), CLIPS)),
    }
    save_model(model, options.packaged, card, half=True)
    print(f"{options.packaged}: {options.packaged.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
