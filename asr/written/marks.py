"""The classes that the tagger chooses from: the mark after a word, and its capitals."""

from __future__ import annotations

NONE, COMMA, PERIOD, QUESTION = range(4)
MARKS = ("", ",", ".", "?")
ENDS = (PERIOD, QUESTION)  # a sentence ends with them
LOWER, CAPITAL, UPPER, MIXED = range(4)
CASES = 4


def in_case(word: str, case: int, mixed: dict[str, str]) -> str:
    """A word in small letters -> as it is written; mixed: the forms of words such as "iphone"."""
    stem, own = (word[:-2], "'s") if word.endswith("'s") else (word, "")
    if case == MIXED and stem in mixed:
        return mixed[stem] + own
    if case == UPPER and len(stem) > 1:
        return stem.upper() + own
    return capitalised(word) if case != LOWER else word


def capitalised(text: str) -> str:
    """The first letter a capital, where there is none; so is the one behind O' in names."""
    if not text.islower():
        return text
    if text.startswith("o'") and len(text) > 4:
        return "O'" + text[2:3].upper() + text[3:]
    return text[:1].upper() + text[1:]
