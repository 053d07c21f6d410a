"""All the ways to say a number, as grammars over words.

A way takes words and a place among them and gives the places at which what it stands for may have ended. Ways are
joined as the parts of a sentence are: one after another, one or another, or maybe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from asr.written.stretches import (
    DIGITS,
    ONES,
    ORDINAL_OF,
    ORDINALS,
    SCALES,
    TEENS,
    TENS,
    VALUES,
    ZERO,
)

Way = Callable[[Sequence[str], int], set[int]]
MAX_CARDINAL = 10**15
_SMALL = frozenset(ONES[1:])
_SMALL_ORDINALS = frozenset(word for word, value in ORDINALS.items() if 0 < value < 10)
_BELOW_HUNDRED = frozenset(VALUES) | frozenset(ORDINALS)
_BIG = frozenset(["hundred", *SCALES])


def said(*phrases: str) -> Way:
    """One of these phrases."""
    split = [tuple(phrase.split()) for phrase in phrases]

    def way(words: Sequence[str], at: int) -> set[int]:
        return {at + len(p) for p in split if tuple(words[at : at + len(p)]) == p}

    return way


def then(*ways: Way) -> Way:
    """One after another."""

    def way(words: Sequence[str], at: int) -> set[int]:
        places = {at}
        for part in ways:
            places = {end for place in places for end in part(words, place)}
        return places

    return way


def either(*ways: Way) -> Way:
    return lambda words, at: {end for way in ways for end in way(words, at)}


def maybe(way: Way) -> Way:
    return lambda words, at: {at} | way(words, at)


_AND = maybe(said("and"))


@lru_cache(4096)
def cardinal(n: int) -> Way:
    """ "one hundred and five", "a hundred five"; of 1,100 to 9,900 also "eleven hundred"."""
    return _grouped(n, _below_hundred)


@lru_cache(4096)
def ordinal(n: int) -> Way:
    """ "one hundred and fifth"."""
    return _grouped(n, _ordinal_below_hundred, "th")


def _below_hundred(n: int) -> Way:
    if n < 20:
        return said((ONES + TEENS)[n])
    return said(TENS[n // 10 - 2] + (f" {ONES[n % 10]}" if n % 10 else ""))


def _ordinal_below_hundred(n: int) -> Way:
    return said(ORDINAL_OF[n] if n in ORDINAL_OF else f"{TENS[n // 10 - 2]} {ORDINAL_OF[n % 10]}")


def _grouped(n: int, last: Callable[[int], Way], suffix: str = "") -> Way:
    if n < 100:
        return last(n)
    ways = []
    sizes = [(name, size) for name, size in [("hundred", 100), *SCALES.items()] if size <= n]
    name, size = sizes[-1]
    ways.append(_counted(n, name, size, last, suffix))
    if 1000 < n < 10000 and n // 100 % 10:
        ways.append(_counted(n, "hundred", 100, last, suffix))
    return either(*ways)


def _counted(n: int, name: str, size: int, last: Callable[[int], Way], suffix: str) -> Way:
    count, rest = divmod(n, size)
    head = either(cardinal(count), said("a")) if count == 1 else cardinal(count)
    if not rest:
        return then(head, said(name + suffix))
    return then(head, said(name), _AND if rest < 100 else then(), _grouped(rest, last, suffix))


@lru_cache(4096)
def year(n: int) -> Way:
    """ "nineteen eighty four", "nineteen oh five", "nineteen hundred", and as a number."""
    high, low = divmod(n, 100)
    ways = [cardinal(n)]
    if 10 <= high < 22 and (high % 10 or low):
        tail = said("hundred") if not low else said(*(f"{zero} {ONES[low]}" for zero in ZERO)) if low < 10 else None
        ways.append(then(cardinal(high), tail or cardinal(low)))
    return either(*ways)


def past_and_to(hour: int, minute: int) -> list[Way]:
    """ "half past seven", "quarter to nine", "ten minutes past"."""
    ways = []
    after = cardinal(hour)
    before = cardinal(hour % 12 + 1)
    minutes = maybe(said("minutes", "minute"))
    if 1 <= minute <= 30:
        ways.append(then(cardinal(minute), minutes, said("past", "after"), after))
    if minute > 30:
        ways.append(then(cardinal(60 - minute), minutes, said("to", "before", "till", "of"), before))
    if minute == 30:
        ways.append(then(said("half past"), after))
    if minute == 15:
        ways.append(then(said("quarter past", "a quarter past", "quarter after", "a quarter after"), after))
    if minute == 45:
        ways.append(then(maybe(said("a")), said("quarter"), said("to", "of", "till", "before"), before))
    return ways


def digits(text: str, groups: bool = True) -> Way:
    """Digit by digit, with "double" and "triple"; ``groups``: also "twelve thirty four" and "eight hundred".

    Not "seventy six seventy seven" as 7677: these may be the pages 76 and 77. Nor "two three", which may be two or
    three, nor "eighty twenty", nor "twenty four seven"; nor groups in five and six digits.
    """
    in_a_row = groups and len(text) in (2, 3) and (text in "0123456789" or text in "9876543210")
    pages = len(text) == 4 and int(text[:2]) + 1 == int(text[2:])
    shares = len(text) == 4 and int(text[:2]) + int(text[2:]) == 100
    groups = groups and not pages and not shares and len(text) not in (5, 6)

    def way(words: Sequence[str], at: int) -> set[int]:
        reached: list[set[int]] = [set() for _ in range(len(text) + 1)]
        reached[0] = {at}
        for k in range(len(text)):
            for place in reached[k]:
                if k and place > at and not may_part(words, place, digits_may=True):
                    continue
                for taken, end in _some_digits(text, k, words, place, groups and (k > 0 or len(text) != 3)):
                    reached[k + taken].add(end)
        cut = groups and len(text) < 4 and text[-1] == "0"  # "six o d i" begins with six
        found = {end for end in reached[len(text)] if not (cut and words[end - 1] == "o")}
        return {end for end in found if not (in_a_row and DIGITS.keys() >= set(words[at:end]))}

    return way


def _some_digits(text: str, k: int, words: Sequence[str], at: int, groups: bool) -> list[tuple[int, int]]:
    """(digits, end): what the next words may stand for from the k-th digit on."""
    if at >= len(words):
        return []
    found = [(1, at + 1)] if DIGITS.get(words[at]) == text[k] else []
    for name, times in (("double", 2), ("triple", 3)):
        same = text[k : k + times] == text[k] * times
        if words[at] == name and same and at + 1 < len(words) and DIGITS.get(words[at + 1]) == text[k]:
            found.append((times, at + 2))
    if groups and text[k] != "0":
        if len(text) >= k + 2:
            found += [(2, end) for end in cardinal(int(text[k : k + 2]))(words, at)]
        for zeros, name in ((2, "hundred"), (3, "thousand")):
            if text[k + 1 : k + 1 + zeros] == "0" * zeros:
                found += [(1 + zeros, end) for end in said(f"{ONES[int(text[k])]} {name}")(words, at)]
    return found


def may_part(words: Sequence[str], at: int, digits_may: bool = False) -> bool:
    """May one number end before word ``at`` and another begin there? Not where one would hear a single number."""
    if not 0 < at < len(words):
        return True
    before, after = words[at - 1], words[at]
    if after == "and" and before in _BIG and at + 1 < len(words):
        after = words[at + 1]
        return after not in _BELOW_HUNDRED or (at + 2 < len(words) and words[at + 2] in _BIG)
    if after == "point" and before in _BELOW_HUNDRED | _BIG and at + 1 < len(words):
        return words[at + 1] not in DIGITS
    if after in _BIG:
        return before not in _BELOW_HUNDRED | _BIG
    if before in TENS:
        return after not in _SMALL and after not in _SMALL_ORDINALS
    if before in _BIG:
        return after not in _BELOW_HUNDRED or digits_may
    return digits_may or not (before in DIGITS and after in DIGITS)
