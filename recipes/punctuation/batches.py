"""Batches of texts: stretches of documents, with made-up pauses and a recogniser's errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from asr.written.tagger import CHUNK, ENDS, MARKS, NONE, NOT_KNOWN, PAUSES, Vocabulary
from recipes.punctuation.text import UNKNOWN

SHARES = {"talk": 0.42, "books": 0.26, "dialogue": 0.1, "everyday": 0.06, "sentences": 0.05, "reference": 0.11}
SHAPES = ((96, 48, 0.6), (32, 144, 0.4))  # words in a text, texts in a batch, share of the batches
AT_AN_END = 0.8  # of the texts end where a sentence does
WITH_PAUSES = 0.5  # of the texts
WITH_ERRORS = 0.3
SUBSTITUTED, DELETED = 0.08, 0.02  # of the words of these
ALIKE = 6  # places in a list of like-sounding words between a word and the one heard for it
# How often a pause is of each known class after a word without a mark, with a comma, and at a sentence's end.
READER = np.array([[0.93, 0.045, 0.02, 0.004, 0.001], [0.35, 0.3, 0.22, 0.1, 0.03], [0.06, 0.14, 0.3, 0.35, 0.15]])
HALTING = np.array([[0.78, 0.1, 0.06, 0.04, 0.02], [0.4, 0.25, 0.18, 0.12, 0.05], [0.25, 0.2, 0.22, 0.2, 0.13]])


class Batch(NamedTuple):
    inputs: tuple[Tensor, ...]  # of TaggerNetwork
    mark: Tensor  # (T, B)
    case: Tensor
    opens: Tensor


@dataclass(frozen=True)
class Source:
    """The labelled words of a source, as recipes.punctuation.prepare left them."""

    word: np.ndarray
    mark: np.ndarray
    case: np.ndarray
    opens: np.ndarray
    begins: np.ndarray  # of documents

    @cached_property
    def starts(self) -> np.ndarray:
        """Where sentences begin."""
        return np.union1d(np.flatnonzero(np.isin(self.mark[:-1], ENDS)) + 1, self.begins)

    def document_end(self, place: int) -> int:
        after = np.searchsorted(self.begins, place, side="right")
        return int(self.begins[after]) if after < len(self.begins) else len(self.word)


def read(work: Path, name: str, part: str) -> Source:
    with np.load(work / f"{name}.{part}.npz") as found:
        return Source(**{key: found[key] for key in ("word", "mark", "case", "opens", "begins")})


def like_sounding(words: list[str], common: int) -> tuple[np.ndarray, np.ndarray]:
    """The commonest words by their consonants; the place of each word in that list, -1 of rare ones."""
    skeleton = str.maketrans("", "", "aeiouyhw'")
    order = np.array(sorted(range(min(common, len(words))), key=lambda i: (words[i].translate(skeleton), words[i])))
    places = np.full(len(words), -1)
    places[order] = np.arange(len(order))
    return order, places


class Texts:
    """words: all of the sources, by their number; common: numbers of the commonest, the likeliest first."""

    def __init__(self, sources: dict[str, Source], words: list[str], vocabulary: Vocabulary, common: np.ndarray):
        self.sources, self.words, self.vocabulary = sources, words, vocabulary
        by_rank, places = like_sounding([words[i] for i in common], len(common))
        self._alike = common[by_rank]
        self._places = np.full(len(words), -1)
        self._places[common] = places

    def stream(self, seed: int, first: int) -> Iterator[Batch]:
        """From update number ``first`` on; a batch depends on seed and number only."""
        while True:
            yield self.batch(np.random.default_rng([seed, first]))
            first += 1

    def batch(self, rng: np.random.Generator) -> Batch:
        steps, texts, _ = SHAPES[rng.choice(len(SHAPES), p=[share for *_, share in SHAPES])]
        names, weights = list(self.sources), [SHARES[name] for name in self.sources]
        chosen = rng.choice(len(names), texts, p=np.array(weights) / sum(weights))
        rows = [self._text(self.sources[names[k]], steps, rng) for k in chosen]
        return self.padded(rows, steps)

    def _text(self, source: Source, steps: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """word, pause, mark, case, opens of one text."""
        start = int(source.starts[rng.integers(len(source.starts))])
        most = steps if steps > 40 else int(rng.integers(3, steps + 1))
        end = min(start + most, source.document_end(start))
        if rng.random() < AT_AN_END:
            ends = start + 1 + np.flatnonzero(np.isin(source.mark[start:end], ENDS))
            end = int(ends[-1]) if len(ends) else end
        word, mark, case, opens = (a[start:end].copy() for a in (source.word, source.mark, source.case, source.opens))
        pause = pauses(mark, rng) if rng.random() < WITH_PAUSES else np.full(len(word), NOT_KNOWN)
        if rng.random() < WITH_ERRORS:
            wrong = (rng.random(len(word)) < SUBSTITUTED) & (self._places[word] >= 0)
            place = self._places[word[wrong]] + rng.integers(-ALIKE, ALIKE + 1, wrong.sum())
            word[wrong], case[wrong] = self._alike[np.clip(place, 0, len(self._alike) - 1)], UNKNOWN
            kept = rng.random(len(word)) >= DELETED
            for k in np.flatnonzero(~kept[1:]) + 1:
                mark[k - 1] = mark[k] if mark[k] > NONE else mark[k - 1]
            word, pause, mark, case, opens = (a[kept] for a in (word, pause, mark, case, opens))
        return word, pause, mark, case, opens

    def padded(self, rows: Sequence[tuple[np.ndarray, ...]], steps: int | None = None) -> Batch:
        longest = max(len(row[0]) for row in rows)
        steps = -(-(longest if steps is None else min(steps, longest)) // CHUNK) * CHUNK
        word, pause, mark, case, opens = (np.full((steps, len(rows)), fill) for fill in (-1, NOT_KNOWN, -1, -1, 0))
        for k, row in enumerate(rows):
            for whole, own in zip((word, pause, mark, case, opens), row):
                whole[: len(own), k] = own
        known = np.unique(word[word >= 0])
        places = np.where(word < 0, -1, np.searchsorted(known, word))
        spelled = [self.vocabulary.pieces(self.words[i]) for i in known]
        offsets = np.cumsum([0, *map(len, spelled)])[:-1]
        numbers = [self.vocabulary.number(self.words[i]) for i in known]
        flat = [row for pieces in spelled for row in pieces]
        inputs = tuple(torch.as_tensor(np.asarray(a)) for a in (numbers, flat, offsets, places, pause))
        answers = {"mark": mark, "case": case, "opens": opens.astype(bool)}
        return Batch(inputs, **{key: torch.as_tensor(a) for key, a in answers.items()})


def pauses(mark: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Made-up classes of the pauses after words, by somebody who reads or who thinks while talking."""
    chances = (READER if rng.random() < 0.5 else HALTING).cumsum(1)
    kind = np.clip(mark, 0, len(MARKS) - 2)  # the two ends of sentences alike
    drawn = 1 + (rng.random(len(mark))[:, None] > chances[kind][:, :-1]).sum(1)
    return np.minimum(drawn, PAUSES - 1)
