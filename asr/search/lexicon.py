"""A pronunciation lexicon: words and how they are said, as a file and as a prefix tree."""

from __future__ import annotations

import lzma
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path

from asr.errors import Error
from asr.model.checkpoint import MODELS

Pronunciation = tuple[str, str]  # a word, and its phonemes with spaces between: ("pear", "P EH R")
LEXICON = MODELS / "english-lexicon.txt.xz"  # packaged, or not
MAX_PHONEMES = 255  # phonemes of a word
ROOT = -1  # the symbol that the root is reached by


class LexiconError(Error, ValueError):
    """A lexicon cannot be used, with the reason in a sentence."""


def read_lexicon(path: Path | str) -> list[Pronunciation]:
    """Lines word<TAB>phonemes of a text file, .xz or plain; # begins a comment line. Raises LexiconError."""
    opened = lzma.open if str(path).endswith(".xz") else open
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        raise LexiconError(f"there is no lexicon {path}") from None
    except (OSError, lzma.LZMAError, EOFError, UnicodeDecodeError):
        raise LexiconError(f"{path} is damaged or not a lexicon: expected text, word<TAB>phonemes") from None
    pairs = [line.split("\t") for line in lines if line and line[0] != "#"]
    if any(len(pair) != 2 for pair in pairs):
        raise LexiconError(f"{path} is not a lexicon: every line must be word<TAB>phonemes")
    return [(word, said) for word, said in pairs]


class Node:
    """A node of the prefix tree: pronunciations low..high of the sorted list, alike up to `depth`."""

    __slots__ = ("low", "high", "depth", "symbol", "number", "words", "children")

    def __init__(self, low: int, high: int, depth: int, symbol: int):
        self.low, self.high, self.depth, self.symbol = low, high, depth, symbol
        self.number = hash((low, depth))  # 64 bits that stand for the node
        self.words: list[str] = []  # those pronounced exactly so
        self.children: dict[int, Node] | None = None  # by symbol; made when first asked for


class PronunciationTree:
    """All pronunciations as a prefix tree, whose nodes are made when the search first comes there.

    words: of the sorted pronunciations, each beginning as its node says. said: the same, a character a phoneme:
    that of its number, from 1.
    """

    def __init__(self, phonemes: Sequence[str], pronunciations: Iterable[Pronunciation]):
        letter = {p: chr(i) for i, p in enumerate(phonemes, start=1)}
        try:
            spelt = [("".join([letter[p] for p in said.split()]), word) for word, said in pronunciations]
        except KeyError as missing:
            raise LexiconError(f"the lexicon has the phoneme {missing}, the acoustic model has not") from None
        spelt = sorted({pair for pair in spelt if 0 < len(pair[0]) <= MAX_PHONEMES})
        if not spelt:
            raise LexiconError("the lexicon has no words: give at least one pronunciation")
        self.said = [said for said, _ in spelt]
        self.words = [word for _, word in spelt]
        self.root = Node(0, len(spelt), 0, ROOT)

    def children(self, node: Node) -> dict[int, Node]:
        if node.children is None:
            node.children = {child.symbol: child for child in self._expand(node)}
        return node.children

    def _expand(self, node: Node) -> Iterable[Node]:
        said, depth, low = self.said, node.depth, node.low + len(node.words)
        while low < node.high:
            beginning = said[low][: depth + 1]
            high = bisect_left(said, beginning[:-1] + chr(ord(beginning[-1]) + 1), low, node.high)
            child = Node(low, high, depth + 1, ord(beginning[-1]))
            child.words = self.words[low : bisect_left(said, beginning + chr(1), low, high)]
            yield child
            low = high
