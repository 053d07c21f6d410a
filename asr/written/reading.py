"""Reads a written text back: is it one of the ways to write the words that were said?

The text is cut at spaces into tokens; one to four of them make a piece (a date, a time, a sum of money, a number with
its unit, a word). Each piece has a grammar of all the ways to say it. The words said have to be those of the pieces,
one after another, and where figures meet number words the listener must not hear them as a single number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asr.written.lexicon import CARDINAL_WORDS
from asr.written.pieces import pieces as pieces_of
from asr.written.ways import may_part

MAX_TOKENS = 4  # of a piece


@dataclass(frozen=True)
class Piece:
    """``words[first:last]`` written as ``text``; kind: word, cardinal, ordinal, date, time, money, measure, ..."""

    text: str
    kind: str
    first: int
    last: int


def read(text: str, words: Sequence[str]) -> list[Piece] | None:
    """The pieces of the text, each with its words; None where the words are not a way to say the text."""
    words, tokens = tuple(words), text.split(" ")
    best: list[dict[int, tuple[int, list[Piece]]]] = [{} for _ in range(len(tokens) + 1)]  # end -> cost, pieces
    best[0][0] = (0, [])
    for t in range(len(tokens)):
        for at, (cost, pieces) in best[t].items():
            for length, kind, way in pieces_of(tuple(tokens[t : t + MAX_TOKENS])):
                for end in way(words, at):
                    piece = Piece(" ".join(tokens[t : t + length]), kind, at, end)
                    if end > at and _may_follow(words, pieces, piece):
                        new = cost + 1 + 100 * (kind == "word")
                        if end not in best[t + length] or new < best[t + length][end][0]:
                            best[t + length][end] = (new, [*pieces, piece])
    found = best[len(tokens)].get(len(words))
    return found[1] if found else None


def _may_follow(words: Sequence[str], before: list[Piece], piece: Piece) -> bool:
    if not before or (before[-1].kind == "word" and piece.kind == "word"):
        return True
    if _together(before[-1].text, piece.text):
        return False
    return may_part(words, piece.first)


def _together(before: str, after: str) -> bool:
    """May two numbers side by side be one: "twenty seven ninety six", "two thousand nineteen ninety"?"""
    bare = [text for text in (before, after) if text.isdigit() or text in CARDINAL_WORDS]
    return len(bare) == 2 and any(len(text) <= 2 or text in CARDINAL_WORDS for text in bare)
