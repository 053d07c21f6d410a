"""Sentence pairs, and a split in which no sentence of one part occurs in another on either side.

Sentences have many translations: all pairs that are linked by a sentence they share, whatever its case and
punctuation, go into the same part, and what is linked to very many stays in training.
"""

from __future__ import annotations

import random
import unicodedata
from dataclasses import dataclass

from asr.errors import Error
from asr.files import each_line

MOST_LINKED = 20  # pairs of a group that may leave training
DEV_PAIRS, TEST_PAIRS = 1500, 5000

Pair = tuple[str, str]  # French, English


@dataclass(frozen=True)
class Parts:
    """The pairs of each part, in an order that depends on the pairs only."""

    train: list[Pair]
    dev: list[Pair]
    test: list[Pair]


def tidy(text: str) -> str:
    """Composed letters, plain apostrophes, single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).replace("’", "'").split())


def read_pairs(path: str) -> list[Pair]:
    """A file of lines "English TAB French", .xz or not. Raises Error."""
    pairs = []
    for line in each_line(path):
        parts = line.split("\t")
        if len(parts) < 2:
            raise Error(f"{path}: a line should be English, a tab, French: {line[:60]!r}")
        pairs.append((tidy(parts[1]), tidy(parts[0])))
    return list(dict.fromkeys(pair for pair in pairs if all(pair)))


def split(pairs: list[Pair], dev: int = DEV_PAIRS, test: int = TEST_PAIRS, seed: int = 1) -> Parts:
    """Whole groups of linked pairs at random to test, then dev; the rest is for training."""
    groups = linked(pairs)
    random.Random(seed).shuffle(groups)
    parts: dict[str, list[Pair]] = {"test": [], "dev": [], "train": []}
    for group in groups:
        small = len(group) <= MOST_LINKED
        name = (
            "test" if small and len(parts["test"]) < test else "dev" if small and len(parts["dev"]) < dev else "train"
        )
        parts[name] += [pairs[i] for i in group]
    return Parts(**parts)


def linked(pairs: list[Pair]) -> list[list[int]]:
    """The numbers of the pairs that share a sentence, be it by way of others."""
    parent = list(range(len(pairs)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    first: dict[tuple[int, str], int] = {}
    for i, pair in enumerate(pairs):
        for side, text in enumerate(pair):
            parent[root(i)] = root(first.setdefault((side, same(text)), i))
    groups: dict[int, list[int]] = {}
    for i in range(len(pairs)):
        groups.setdefault(root(i), []).append(i)
    return list(groups.values())


def same(text: str) -> str:
    """What is left of a sentence without case and punctuation."""
    return "".join(c for c in text.casefold() if c.isalnum()) or text


def references(pairs: list[Pair]) -> dict[str, list[str]]:
    """Each French sentence, and all its translations among the pairs."""
    found: dict[str, list[str]] = {}
    for french, english in pairs:
        found.setdefault(french, []).append(english)
    return found
