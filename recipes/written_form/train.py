"""``python -m recipes.written_form.train PAIRS OUT``: train the encoder-decoder on what ``prepare`` wrote."""

from __future__ import annotations

import argparse
import random
from collections import Counter
from itertools import chain
from pathlib import Path

import torch

from asr.attention.seq2seq import Seq2SeqOptions, Vocabulary
from recipes.seq2seq import Pair, Seq2SeqTraining, train
from recipes.translation.network import Seq2SeqNetwork

OPTIONS = Seq2SeqOptions(embedding=96, hidden=192, energy=96, dropout=0.1, smoothing=0.0, forget=0.0)
HELD_OUT = 500


def read_pairs(path: Path) -> list[Pair]:
    lines = path.read_text("utf-8").splitlines()
    return [(source, target) for source, _, target in (line.partition("\t") for line in lines)]


def symbols(texts: list[str]) -> Vocabulary:
    counts = Counter(chain.from_iterable(text.split() for text in texts))
    return Vocabulary([symbol for symbol, _ in counts.most_common()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--updates", type=int, default=6_000)
    parser.add_argument("--batch-symbols", type=int, default=3000)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    args = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(1)
    pairs, held_out = read_pairs(args.pairs / "pairs.tsv"), read_pairs(args.pairs / "held-out.tsv")
    random.Random(1).shuffle(held_out)
    network = Seq2SeqNetwork(OPTIONS, symbols([s for s, _ in pairs]), symbols([t for _, t in pairs]))
    print(f"{len(pairs)} pairs, {sum(p.numel() for p in network.parameters())} weights", flush=True)
    options = Seq2SeqTraining(
        updates=args.updates,
        batch_tokens=args.batch_symbols,
        learning_rate=args.learning_rate,
        evaluate_every=max(1, args.updates // 12),
        longest=60,
    )
    card = {"recipe": "recipes/written_form", "license": "Apache-2.0"}
    train(network, pairs, held_out[:HELD_OUT], options, args.out, lambda line: print(line, flush=True), card)


if __name__ == "__main__":
    main()
