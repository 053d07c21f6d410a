"""What the written-form model reads and writes, as texts of symbols with spaces between.

It reads the order of dates wanted, two words, the stretch between marks, and two words. Words that it does not know
are numbered places, and what it writes for them is the word at that place: names need no spelling. It writes digits,
capitals, units, months, words, and ``_`` for a space; ``=`` alone means that the words stay.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from asr.written.lexicon import MONTHS, UNITS
from asr.written.stretches import CLOSED

KEEP, SPACE, FIRST, LAST = "=", "_", "<", ">"
CONTEXT = 2  # words on each side
PLACES = 9
_UNITS = "|".join(map(re.escape, sorted(UNITS, key=len, reverse=True)))
_SYMBOL = re.compile(
    rf"[ap]\.m\.|o'clock|(?<=[\dn] )(?:{_UNITS})(?![A-Za-z])|°[CF]|{'|'.join(MONTHS)}|(?<=\d)(?:st|nd|rd|th)\b"
    r"|[a-z']+|."
)


def source(words: Sequence[str], first: int, last: int, dates: str, known: Collection[str]) -> list[str]:
    """Symbols of ``words[first:last]`` and of the words around it, of which the model knows those of ``known``."""
    places = iter(range(1, PLACES + 1))
    inside = [word if word in CLOSED else f"<{next(places, 0)}>" for word in words[first:last]]
    before, after = words[max(0, first - CONTEXT) : first], words[last : last + CONTEXT]
    return [
        f"<{dates}>",
        *(_around(word, known) for word in before),
        FIRST,
        *inside,
        LAST,
        *(_around(word, known) for word in after),
    ]


def _around(word: str, known: Collection[str]) -> str:
    return word if word in known else "<s>" if word.endswith("s") else "<?>"


def _placed(words: Sequence[str]) -> dict[str, str]:
    """Place -> word."""
    unknown = [word for word in words if word not in CLOSED][:PLACES]
    return {f"<{i}>": word for i, word in enumerate(unknown, 1)}


def target(text: str, words: Sequence[str]) -> list[str]:
    """Symbols of the text of a stretch. Raises ValueError where it holds a word that the stretch lacks."""
    if text == " ".join(words):
        return [KEEP]
    places = {word: place for place, word in _placed(words).items()}
    out: list[str] = []
    at = 0
    for symbol in _SYMBOL.findall(text):
        if symbol == " ":
            out.append(SPACE)
        elif re.fullmatch(r"[a-z']{1,}", symbol) and symbol not in ("st", "nd", "rd", "th", "s", "o'clock", *UNITS):
            parts, at = _parts(symbol, words, at)
            out += [places.get(part, part) for part in parts]
        else:
            out.append(symbol)
    return out


def _parts(text: str, words: Sequence[str], at: int) -> tuple[list[str], int]:
    """Letters as the words of the stretch, from the ``at``-th on, that were written together."""
    for start in [*range(at, len(words)), *range(at)]:
        for end in range(start + 1, len(words) + 1):
            joined = "".join(words[start:end])
            if joined == text:
                return list(words[start:end]), end
            if not text.startswith(joined):
                break
    raise ValueError(f"{text} is not among the words")


def text_of(symbols: Sequence[str], words: Sequence[str]) -> str:
    """What was written for the stretch ``words``."""
    if list(symbols) == [KEEP]:
        return " ".join(words)
    places = _placed(words) | {SPACE: "_" if "underscore" in words else " "}
    return "".join(places.get(symbol, symbol) for symbol in symbols)
