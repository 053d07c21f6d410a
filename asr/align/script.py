"""The text that a recording is aligned with: its words as they are written, and as they are said."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from asr.errors import Error
from asr.text import normalise

SAID = "&@#%°"  # signs that are read as words, and so must be written as words
LISTED = 3  # words named in a message


class ScriptError(Error, ValueError):
    """The text cannot be aligned; the message is one sentence for the user."""


@dataclass(frozen=True)
class Token:
    written: str  # "Well-known,"
    said: tuple[str, ...]  # "well", "known"


def tokens(text: str) -> list[Token]:
    """The words of a text; punctuation that stands alone is left out. Raises ScriptError."""
    found, wrong = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        for written in line.split():
            if not _sayable(written):
                wrong.append(f'"{written}" in line {number}')
            elif said := normalise(written).split():
                found.append(Token(written, tuple(said)))
    if wrong:
        more = f" and {len(wrong) - LISTED} more" if len(wrong) > LISTED else ""
        raise ScriptError(
            f"the text has what cannot be aligned: {', '.join(wrong[:LISTED])}{more}; "
            'write it in letters a to z as it is said, for example "twenty" for "20" and "and" for "&"'
        )
    if not found:
        raise ScriptError("the text has no words: there is nothing to align")
    return found


def _sayable(written: str) -> bool:
    """No digit, no sign that is read as a word, no letter of another alphabet: normalising would lose it."""
    return not any(
        c in SAID or unicodedata.category(c) in ("Sc", "Sm") or unicodedata.category(c)[0] == "N" or _foreign(c)
        for c in unicodedata.normalize("NFKD", written)
    )


def _foreign(character: str) -> bool:
    """A letter beyond a-z; ʼ counts as an apostrophe."""
    return character.isalpha() and not normalise(character) and character != "ʼ"
