"""Train an encoder-decoder from French to English.

    python -m recipes.translation.train DATA/text/fra-eng.txt.xz WORK --attention additive

WORK/additive/model.safetensors is the model; a run that was stopped goes on from where it stood.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from asr.attention.seq2seq import KINDS, Seq2SeqOptions
from asr.errors import Error
from recipes.seq2seq import Seq2SeqTraining, train
from recipes.translation.data import read_pairs, split
from recipes.translation.network import Seq2SeqNetwork, subwords

PIECES = 3000  # of each language
SIZE, ENERGY, DROPOUT = 192, 96, 0.1  # of symbols' vectors and of each GRU; of the network that compares
UPDATES, BATCH_TOKENS = 6000, 2048  # four times through the pairs
CARD = {
    "name": "French to English, a teaching example",
    "licence": "Apache-2.0",
    "data": "sentence pairs of tatoeba.org through manythings.org, CC BY 2.0 France",
    "command": "python -m recipes.translation.train",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", help="lines of English, a tab, French; .xz or not")
    parser.add_argument("work", type=Path, help="folder for the models")
    parser.add_argument("--attention", choices=KINDS, default="additive")
    parser.add_argument("--updates", type=int, default=UPDATES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        parts = split(read_pairs(options.pairs))
        french, english = (subwords([pair[side] for pair in parts.train], PIECES) for side in (0, 1))
        torch.manual_seed(1)
        sizes = Seq2SeqOptions(options.attention, SIZE, SIZE, energy=ENERGY, dropout=DROPOUT)
        network = Seq2SeqNetwork(sizes, french, english)
        print(f"{len(parts.train)} pairs, {sum(p.numel() for p in network.parameters()) / 1e6:.2f} million weights")
        settings = Seq2SeqTraining(options.updates, BATCH_TOKENS, evaluate_every=250)
        train(network, parts.train, parts.dev[:500], settings, options.work / options.attention, report, CARD)
    except (Error, OSError) as error:
        sys.exit(f"train: {error}")


def report(line: str) -> None:
    """Print a line of the log, and what it took so far."""
    print(f"{line}  cpu_minutes {time.process_time() / 60:.1f}", flush=True)


if __name__ == "__main__":
    main()
