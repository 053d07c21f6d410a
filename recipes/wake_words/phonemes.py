"""Package the model of phonemes: a run of asr train with phonemes-crf.toml -> int8, with a card.

python -m recipes.wake_words.phonemes RUN/update-001000.safetensors [--mean OTHER]     # the mean of two checkpoints
"""

from __future__ import annotations

import argparse
from pathlib import Path

from asr.model.checkpoint import store_int8
from asr.model.network.ctc import load_network, save_model
from asr.training.acoustic import average
from wakeword.phonemes import WEIGHTS

CARD = {
    "name": "phonemes",
    "data": "taught.jsonl of recipes.wake_words.rest, AN4, Kokoro-82M; nobody of apart.jsonl or the held-out negatives",
    "licence": "Apache-2.0; the data under CC0, CC BY 4.0, BSD and public domain",
    "command": "recipes/wake_words/run.sh DATA WORK",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trained", type=Path)
    parser.add_argument("--mean", type=Path, metavar="OTHER", help="take the mean with this checkpoint's weights")
    options = parser.parse_args()
    model, card = load_network(options.trained)
    if options.mean:
        average(model, [options.trained, options.mean])
    save_model(model, WEIGHTS, card | CARD, half=True)
    store_int8(WEIGHTS)
    print(f"{WEIGHTS}: {WEIGHTS.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
