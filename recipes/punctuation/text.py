"""Written lines to the words a recogniser would give, each with its case and the mark after it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from asr.text import normalise
from asr.written.tagger import CAPITAL, COMMA, LOWER, MIXED, NONE, PERIOD, QUESTION, UPPER
from recipes.language_model.spoken import spell

TITLES = {"Mr": "Mister", "Mrs": "Missus", "Dr": "Doctor", "Prof": "Professor", "St": "Saint", "Capt": "Captain"}
_TITLE = re.compile(r"\b(Mr|Mrs|Dr|Prof|St|Capt)\b\.?(?= ?[A-Z])")
_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|['’](?=[^\W\d_]))*")
_OPENS = re.compile(r"[\"“‘]\s*$|[\s(]'\s*$")
UNKNOWN = -1  # the line breaks off without a mark


class Labelled(NamedTuple):
    """A word as it is said, what is written of it, and the mark after it."""

    word: str
    written: str
    mark: int  # UNKNOWN at the end of a line without one
    opens: bool  # a sentence or a quotation begins with it: its capital says nothing about the word


def labelled(line: str) -> list[Labelled] | None:
    """The words of a line; None where it cannot be told how they are said, or there is nothing to learn from."""
    line = spell(_TITLE.sub(lambda m: TITLES[m[1]], line)) or ""
    matches = list(_WORD.finditer(line))
    if not matches or len(matches) > 3 and line.isupper():
        return None
    found: list[Labelled] = []
    opens = True
    for number, match in enumerate(matches):
        following = matches[number + 1] if number + 1 < len(matches) else None
        gap = line[match.end() : following.start() if following else len(line)]
        mark = mark_of(gap, match[0], following[0] if following else None)
        written = match[0].replace("’", "'")
        word = written.lower() if written.isascii() else normalise(written)
        if not word or " " in word:
            return None
        found.append(Labelled(word, written, mark, opens))
        opens = mark in (PERIOD, QUESTION) or bool(_OPENS.search(gap))
    return found


def mark_of(gap: str, word: str, following: str | None) -> int:
    """What stands between two words, or behind the last one -> the mark; those that are not ours become the nearest.

    "!" and ";" end a sentence, colons and dashes are commas, as is usual for spoken text (of "!" and "..." before a
    small letter, too). The points of abbreviations and initials are no marks.
    """
    if following is None:
        if "?" in gap:
            return QUESTION
        return PERIOD if any(c in gap for c in ".!…;") else UNKNOWN
    if gap == " ":
        return NONE
    if not any(c.isspace() for c in gap):
        return COMMA if "—" in gap or "--" in gap else NONE
    if "?" in gap:
        return QUESTION
    if ";" in gap:
        return PERIOD
    if any(c in gap for c in ".!…"):
        if following[0].isupper():
            return NONE if len(word) == 1 and word != "I" and "." in gap else PERIOD
        return COMMA if "!" in gap or "…" in gap or ".." in gap else NONE
    return COMMA if any(c in gap for c in ",:—–") or "--" in gap or " - " in gap else NONE


def case_of(written: str) -> int:
    """The class of a word's capitals; a single capital letter is CAPITAL."""
    if written.islower():
        return LOWER
    if written[0].isupper() and (len(written) == 1 or written[1:].islower()):
        return CAPITAL
    stem = written.removesuffix("'s")
    return UPPER if stem.isupper() and len(stem) > 1 else MIXED


def documents(lines: Iterator[str]) -> Iterator[list[Labelled]]:
    """Lines in order -> stretches of words that follow each other; a line that cannot be read ends one."""
    found: list[Labelled] = []
    for line in lines:
        words = labelled(line)
        if words is None:
            if found:
                yield found
            found = []
        else:
            found += words
    if found:
        yield found
