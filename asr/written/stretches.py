"""Where among words something may be that is written in figures. Most words cost one look into a set."""

from __future__ import annotations

from collections.abc import Sequence

from asr.written.lexicon import (
    CARDINAL_WORDS,
    CURRENCIES,
    DECADES,
    DIGITS,
    DOMAINS,
    LETTERS,
    MONTHS,
    NAMED_UNITS,
    NUMBER_WORDS,
    ORDINALS,
    SCALES,
    UNITS,
    VALUES,
)

LONGEST = 48  # words of a stretch; longer ones stay as they are
MARKS = frozenset(["dot", "dash", "hyphen", "underscore"])
SMALL = frozenset(word for word, value in (VALUES | ORDINALS).items() if value < 10) | DECADES.keys()
_MONTHS = frozenset(month.lower() for month in MONTHS)
AFTER_NUMBER = (
    {word for names in UNITS.values() for name in names for word in name.split()}
    | {name for names in CURRENCIES.values() for name in names}
    | {f"{ordinal}s" for ordinal in ORDINALS}
    | NAMED_UNITS
    | set("percent per cent penny o'clock am pm quarters".split())
)
_ALONE = frozenset(LETTERS - {"a", "i", "o"})  # letters that are no words
JOINTS = frozenset(
    "a and to past after before of till the minutes minute half quarter point minus negative plus double triple oh"
    " nought dot dash hyphen underscore slash at mail".split()
)
CLOSED = NUMBER_WORDS | LETTERS | JOINTS | AFTER_NUMBER | _MONTHS  # all words of stretches, but for names in addresses
_TRIGGERS = NUMBER_WORDS | LETTERS | {"dot", "half", "quarter", "oh"}


def stretches(words: Sequence[str]) -> list[tuple[int, int]]:
    """(first, last) of stretches of words to look at, in order, without overlap."""
    found: list[tuple[int, int]] = []
    done = 0
    for i, word in enumerate(words):
        if i < done or word not in _TRIGGERS:
            continue
        stretch = _address(words, i) if word == "dot" else _run(words, i, done)
        if stretch:
            done = stretch[1]
        if stretch and _worth(words[slice(*stretch)]):
            while found and found[-1][1] > stretch[0]:
                found.pop()
            if done - stretch[0] <= LONGEST:
                found.append(stretch)
    return found


def _address(words: Sequence[str], dot: int) -> tuple[int, int] | None:
    """Around "dot": "john dot smith at example dot com"."""
    last = _words_after(words, dot + 1)
    while last + 1 < len(words) and words[last] in MARKS | {"slash"}:
        last = _words_after(words, last + 1)
    if not any(word in DOMAINS and words[i] == "dot" for i, word in enumerate(words[dot + 1 : last], dot)):
        return None
    first = _words_before(words, dot)
    if first > 1 and words[first - 1] == "at":
        first = _words_before(words, first - 1)
    return (first, last) if first < dot else None


def _words_after(words: Sequence[str], first: int) -> int:
    """The end of a word, or of a row of letters and digits."""
    last = first + 1
    while last < len(words) and _spelt(words[last - 1], words[last]):
        last += 1
    return min(last, len(words))


def _words_before(words: Sequence[str], end: int) -> int:
    """The first of the words that are joined by marks, or are letters or digits, and end before ``end``."""
    first = end - 1
    while first > 0 and (
        words[first - 1] in MARKS and first > 1 or words[first] in MARKS or _spelt(words[first - 1], words[first])
    ):
        first -= 1
    return max(first, 0)


def _spelt(before: str, word: str) -> bool:
    """Do two words belong to one name: letters, digits, or a number behind a name?"""
    if before in _ALONE or before in VALUES:
        return word in LETTERS or word in VALUES or (before, word) == ("g", "mail")
    return word in VALUES and before not in ("at", "is", "a", "and", "to")


def _run(words: Sequence[str], at: int, done: int) -> tuple[int, int] | None:
    """The run of parts around word ``at``, its edges trimmed."""
    first = at
    while first > done and _part(words, first - 1) and (first == at or _part(words, first)):
        first -= 1
    last = at
    while last < len(words) and (_part(words, last) or (last > first and words[last] in AFTER_NUMBER)):
        last += 1
    while last > first and not _may_end(words, last - 1):
        last -= 1
    return (first, last) if last > at else None


def _word(words: Sequence[str], at: int) -> str:
    return words[at] if 0 <= at < len(words) else ""


def _part(words: Sequence[str], at: int) -> bool:
    """Is this word of a number, or does it join words of numbers?"""
    word, before, after = words[at], _word(words, at - 1), _word(words, at + 1)
    if word in NUMBER_WORDS:
        return True
    if word in ("oh", "nought") or word in LETTERS and word != "a":
        return _letter(before, word) or _letter(after, word) or {before, after} & {"double", "triple", "point"} != set()
    if word in _MONTHS:
        of_day = before in NUMBER_WORDS and before != "one" or before == "of" and _word(words, at - 2) in NUMBER_WORDS
        return of_day or after in NUMBER_WORDS or (after == "the" and _ordinal(words, at + 2))
    return _joins(words, at, word, before, after)


def _letter(other: str, word: str) -> bool:
    """Is a letter one of a row of letters and digits?"""
    return other in _ALONE or other in DIGITS or (other in LETTERS and word in _ALONE)


def _joins(words: Sequence[str], at: int, word: str, before: str, after: str) -> bool:
    numbers = CARDINAL_WORDS
    if word == "a":
        joined = after in ("hundred", "half", *SCALES) and (before == "and" or after != "half")
        return joined or _letter(before, word) or _letter(after, word) or (after == "quarter" and _clock(words, at + 2))
    if word in ("and", "to"):
        earlier = before in numbers | AFTER_NUMBER or before in ("quarter", "half", "minutes")
        return earlier and (after in NUMBER_WORDS or after == "a" or (word == "and" and after == "point"))
    if word in ("past", "after", "before", "of", "till"):
        of_month = word == "of" and before in ORDINALS and after in _MONTHS
        return of_month or (before in numbers | {"quarter", "half", "minutes"} and _clock(words, at) and word != "of")
    if word == "the":
        return _ordinal(words, at + 1) and (before in _MONTHS or _month_near(words, at + 2))
    if word in ("minutes", "minute"):
        return before in numbers and _clock(words, at + 1)
    if word in ("half", "quarter"):
        return before == "a" or _clock(words, at + 1)
    if word in ("point", "minus", "negative", "plus", "double", "triple"):
        return after in DIGITS or after in VALUES or (word == "plus" and after in ("double", "triple"))
    return word in AFTER_NUMBER and (before in numbers or before in AFTER_NUMBER and _word(words, at - 2) in numbers)


def _clock(words: Sequence[str], at: int) -> bool:
    """ "past seven"?"""
    return _word(words, at) in ("past", "to", "after", "before", "till") and _word(words, at + 1) in VALUES


def _ordinal(words: Sequence[str], at: int) -> bool:
    """ "third", "twenty third"?"""
    return _word(words, at) in ORDINALS or (_word(words, at) in VALUES and _word(words, at + 1) in ORDINALS)


def _month_near(words: Sequence[str], at: int) -> bool:
    """ "(third) of may", "(twenty) third of may"?"""
    return not _MONTHS.isdisjoint(words[at : at + 3])


def _may_end(words: Sequence[str], at: int) -> bool:
    return words[at] not in ("and", "to", "of", "the", "past", "after", "before", "till", "point", "per") and (
        words[at] != "a" or _letter(_word(words, at - 1), "a")
    )


def _worth(words: Sequence[str]) -> bool:
    """A number, letters in a row, or an address."""
    return any(word in NUMBER_WORDS or word == "dot" for word in words) or sum(word in LETTERS for word in words) > 1
