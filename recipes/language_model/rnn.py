"""Train the packaged recurrent language model on the texts that prepare.py wrote.

    python -m recipes.language_model.rnn WORK --run RUN --output asr/models/english-rnn.safetensors

A mixture of the registers, a line at a time; small ones come several times. Started again it goes on where it was; with
fewer --epochs the learning rate falls sooner.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from asr.commands.terminal import say
from asr.language.ngram import END, SPECIAL, NgramModel
from asr.language.ngram import load as load_ngram
from asr.language.rnn_network import ROWS, UNKNOWN, LanguageOptions, RnnLanguageModel, load, save
from asr.model.checkpoint import MODELS
from asr.training.language_model import LanguageTraining, train, vocabulary
from recipes.language_model.build import held_out, measured

SHARES = {"books": 0.4, "reference": 0.2, "talk": 0.14, "everyday": 0.16, "requests": 0.1}  # of the words
MOST_TIMES = 4  # that a line comes
WORDS = 36_000  # of the vocabulary
OPTIONS = LanguageOptions(bands=(2000, 8000, 20_000))
NOISE = 0.3  # of a random vector, by which new words differ when a run begins with another model
WATCHED = 80  # held-out lines of each register, while training
LICENCE = "Apache-2.0; what the text is under: english-rnn.md"


def main() -> None:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    parser.add_argument("work", type=Path, help="folder with REGISTER.txt and REGISTER.held.SET.txt")
    parser.add_argument("--run", type=Path, required=True, help="folder for the state and the log")
    parser.add_argument("--output", type=Path, required=True, help=".safetensors to write, fp16")
    parser.add_argument("--words", type=float, default=60e6, help="of the mixture (default: %(default).0f)")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--learning-rate", type=float, default=LanguageTraining.learning_rate)
    parser.add_argument("--start-from", type=Path, help="a recurrent model whose words and layer to begin with")
    parser.add_argument("--measure", type=Path, nargs="*", default=[], help="manifests, whose texts are measured on")
    args = parser.parse_args()

    torch.set_num_threads(1)
    ngram = load_ngram(MODELS / "english-lm.npz")
    training = LanguageTraining(epochs=args.epochs, learning_rate=args.learning_rate, vocabulary=WORDS)
    lines = mixture(args.work, args.words, random.Random(training.seed))
    words, _ = vocabulary(lines, "word", WORDS)
    torch.manual_seed(training.seed)
    model = RnnLanguageModel(replace(OPTIONS, unlisted=unlisted(words, ngram)), words)
    if args.start_from:
        take_over(model, load(args.start_from))
    watched = [line for name in SHARES for line in held_out(name, args.work)[0][:WATCHED]]
    train(model, lines, watched, training, args.run, say)

    model = load(args.run / "model.safetensors")
    results = {}
    for name, texts in measured(args.work, args.measure):
        results[name] = round(perplexity(model, ngram, texts, 1.0), 1)
        both = perplexity(model, ngram, texts, 0.5)
        say(f"{name}: perplexity {results[name]}, with the n-gram model half and half {both:.1f}")
    save(model, args.output, {"licence": LICENCE, "perplexity": results, "training": asdict(training)})


def mixture(work: Path, words: float, rng: random.Random) -> list[str]:
    """About so many words, of each register its share, or MOST_TIMES what there is of it."""
    found: list[str] = []
    for name, share in SHARES.items():
        lines = (work / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        there = sum(line.count(" ") + 1 for line in lines)
        times = min(share * words / there, MOST_TIMES)
        chosen = lines * int(times) + rng.sample(lines, int(times % 1 * len(lines)))
        say(f"{name}: {there} words, {times:.2f} times")
        found += chosen
    return found


def unlisted(words: Sequence[str], ngram: NgramModel) -> int:
    """How many words the n-gram model knows beside these: an unknown word is one of them."""
    return max(1, len(set(ngram.words[len(SPECIAL) :]) - set(words)))


@torch.no_grad()
def take_over(model: RnnLanguageModel, old: RnnLanguageModel) -> None:
    """Begin with another model's layer and words, which may be in other bands; new words begin near its <unk>."""
    model.layer.load_state_dict(old.layer.state_dict())
    model.narrow.load_state_dict(old.narrow.state_dict())
    ours, theirs = model.softmax, old.softmax
    for k, (new, given) in enumerate(zip(ours.maps, theirs.maps)):
        new.copy_(given)
        ours.later[k], ours.later_bias[k] = theirs.later[k], theirs.later_bias[k]
    ids = {word: i for i, word in enumerate(old.vocabulary)}
    there = torch.tensor([ids.get(word, UNKNOWN) for word in model.vocabulary])
    known = torch.tensor([word in ids for word in model.vocabulary])
    whole = theirs.embed(there) / theirs.size**0.5
    for k, (start, end) in enumerate(zip(ours.edges, ours.edges[1:])):
        vectors, here, bias = whole[start:end], known[start:end], theirs.bias[there[start:end]]
        vectors = vectors @ torch.linalg.pinv(ours.maps[k - 1].T) if k else vectors
        noise = NOISE * ours.vectors[k] * ~here[:, None]
        ours.vectors[k].copy_(vectors + noise)
        ours.bias[start:end] = torch.where(here, bias, bias[here].mean() if here.any() else bias.new_zeros(()))


def perplexity(model: RnnLanguageModel, ngram: NgramModel, lines: list[str], share: float) -> float:
    """Of the two mixed word by word, the recurrent one with this share, over the n-gram model's words."""
    spread = unlisted(model.vocabulary, ngram)
    parts = (lines[start : start + ROWS] for start in range(0, len(lines), ROWS))
    by_rnn = np.concatenate([x for part in parts for x in model.ln_probabilities(part, spread)])
    by_ngram = np.array([x for line in lines for x in scores(ngram, line)])
    return math.exp(-np.log(share * np.exp(by_rnn) + (1 - share) * np.exp(by_ngram)).mean())


def scores(ngram: NgramModel, line: str) -> Iterator[float]:
    """ln probability of each word, and of the end."""
    state = ngram.start()
    for word in [*line.split(), SPECIAL[END]]:
        score, state = ngram.score(state, word)
        yield score


if __name__ == "__main__":
    main()
