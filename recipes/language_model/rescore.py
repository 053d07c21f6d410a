"""What the recurrent language model gains on n-best lists: weights from one half of a manifest, results on the other.

    python -m recipes.language_model.rescore DEV.jsonl --every 2 --lists nbest.json

The recogniser decodes once; the lists with their scores are kept in the file given by --lists.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.files import atomic_write_bytes
from asr.language.ngram import load as load_ngram
from asr.language.ngram import log_prob
from asr.language.rnn import PACKAGED, load
from asr.model.onnx import load_model
from asr.score import interval, rate, word_errors
from asr.search.decoder import Decoder, DecoderOptions
from asr.search.options import Weights as SearchWeights
from asr.training.data import read_manifest
from asr.training.run import all_posteriors

RNN = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8)  # weights to choose from: of the RNN's ln probability,
NGRAM = (0.0, -0.2, -0.4, -0.6)  # of the n-gram's, which the search has counted already,
WORDS = (0.0, 0.5, 1.0)  # and for each word
Weights = tuple[float, float, float]


@dataclass(frozen=True)
class List:
    """The candidates for one utterance, the search's best first."""

    wrong: np.ndarray  # (N,) words wrong in each
    scores: np.ndarray  # (N,) of the search
    features: np.ndarray  # (N, 3) ln probability by the RNN and the n-gram, words
    words: int  # in the reference

    def best(self, weights: Weights) -> int:
        return int(np.argmax(self.scores + self.features @ np.array(weights)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of the utterances take each N-th only")
    parser.add_argument("--lists", type=Path, required=True, help="file for the n-best lists")
    parser.add_argument("--rnn", type=Path, default=PACKAGED)
    parser.add_argument("--candidates", type=int, default=16)
    options = parser.parse_args()
    if not options.lists.exists():
        atomic_write_bytes(options.lists, json.dumps(decode(options.manifest, options.every)).encode())
    lists = features(json.loads(options.lists.read_text()), options.rnn, options.candidates)
    print(f"search {wer(lists, (0, 0, 0))}, best of the candidates {wer(lists, None)}")
    chosen: list[tuple[List, int]] = []
    for tuned, tested in ((lists[::2], lists[1::2]), (lists[1::2], lists[::2])):
        weights = min(itertools.product(RNN, NGRAM, WORDS), key=lambda w: errors(tuned, w))
        before, after = wer(tested, (0, 0, 0)), wer(tested, weights)
        print(f"rnn {weights[0]}, n-gram {weights[1]}, word {weights[2]}: the other half {before} -> {after}")
        chosen += [(x, x.best(weights)) for x in tested]
    wrong, total = (np.array(x) for x in zip(*((x.wrong[i], x.words) for x, i in chosen)))
    low, high = interval(wrong, total)
    print(f"both halves, each with the other's weights: {rate(wrong, total):.1%} ({low:.1%} - {high:.1%})")


def decode(manifest: Path, every: int) -> list[dict]:
    utterances = read_manifest(manifest)[::every]
    model, card = load_model()
    decoder = Decoder(model, card, DecoderOptions(candidates=50, n_best=50, weights=SearchWeights(rnn=0.0)))
    posteriors = all_posteriors(model, utterances)
    return [{"text": u.text, "found": [(h.text, h.score) for h in decoder(*x)]} for u, x in zip(utterances, posteriors)]


def features(rows: list[dict], rnn: Path, candidates: int) -> list[List]:
    model, ngram, found, spent = load(rnn), load_ngram(PACKAGED.with_name("english-lm.npz")), [], []
    for row in rows:
        texts, scores = zip(*row["found"][:candidates])
        began = time.process_time()
        by_rnn = model.ln_probability(list(texts))
        spent.append(time.process_time() - began)
        columns = [by_rnn, [log_prob(ngram, t) for t in texts], [len(t.split()) for t in texts]]
        wrong, total = word_errors([row["text"]] * len(texts), list(texts))
        found.append(List(wrong, np.array(scores), np.array(columns, float).T, int(total[0])))
    print(f"the RNN took {1000 * np.mean(spent):.1f} CPU ms an utterance, for at most {candidates} candidates")
    return found


def errors(lists: list[List], weights: Weights | None) -> int:
    """None: of the candidates with the fewest errors."""
    return sum(x.wrong.min() if weights is None else x.wrong[x.best(weights)] for x in lists)


def wer(lists: list[List], weights: Weights | None) -> str:
    return f"{errors(lists, weights) / sum(x.words for x in lists):.2%}"


if __name__ == "__main__":
    main()
