"""Reads a written text back: is it one of the ways to write the words that were said?

The text is cut at spaces into tokens; one to four of them make a piece (a date, a time, a sum of money, a number with
its unit, a word). Each kind of piece has a pattern, and a grammar of all the ways to say it. The words said have to be
those of the pieces, one after another, and where figures meet number words the listener must not hear them as a single
number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from asr.written.stretches import (
    CARDINAL_WORDS,
    CENTS,
    CURRENCIES,
    DECADES,
    MONTH_DAYS,
    MONTHS,
    ONES,
    PERCENT,
    PUNCTUATION,
    SCALES,
    UNITS,
    ZERO,
)
from asr.written.ways import (
    MAX_CARDINAL,
    Way,
    cardinal,
    digits,
    either,
    may_part,
    maybe,
    ordinal,
    past_and_to,
    said,
    then,
    year,
)

MAX_TOKENS = 4  # of a piece
MAX_DIGITS = 40


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
            for length, kind, way in _pieces(tuple(tokens[t : t + MAX_TOKENS])):
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


@lru_cache(20_000)
def _pieces(tokens: tuple[str, ...]) -> list[tuple[int, str, Way]]:
    """(tokens, kind, way) of all pieces that the tokens may begin with."""
    found = []
    for length in range(1, len(tokens) + 1):
        text = " ".join(tokens[:length])
        for kind, pattern, make in _KINDS:
            if (match := pattern.fullmatch(text)) and (way := make(match)):
                found.append((length, kind, way))
    return found


def _number(text: str) -> Way | None:
    """Of an integer, with commas at the thousands or without, or a decimal fraction."""
    whole, _, fraction = text.partition(".")
    value = whole.replace(",", "")
    if len(value) > 1 and value[0] == "0" or int(value) >= MAX_CARDINAL or len(fraction) > MAX_DIGITS:
        return None
    if not fraction:
        plain = "," not in whole and len(whole) >= 2
        return either(cardinal(int(value)), digits(value)) if plain else cardinal(int(value))
    head = either(cardinal(int(value)), *([said(*ZERO), then()] if value == "0" else []))
    small = [cardinal(int(fraction))] if len(fraction) == 2 and fraction[0] != "0" else []
    ways = [then(head, said("point"), either(digits(fraction, groups=False), *small))]
    if fraction == "5":
        ways.append(then(cardinal(int(value)), said("and a half")))
    return either(*ways)


def _signed(sign: str | None, number: str, scale: str | None = None) -> Way | None:
    way = _number(number)
    if way and scale:
        way = then(way, said(scale.strip()))
        if number == "1":
            way = either(way, said(f"a {scale.strip()}"))
    return then(said("minus", "negative"), way) if way and sign else way


def _decade(match: re.Match[str]) -> Way | None:
    high, low = divmod(int(match["decade"]), 100)
    names = [name for name, value in DECADES.items() if value == low]
    return then(cardinal(high), said(*names)) if names else None


def _date(match: re.Match[str]) -> Way | None:
    """In whatever order it was said."""
    month, day, written = MONTHS.index(match["month"]) + 1, int(match["day"]), match["year"]
    if not 1 <= day <= MONTH_DAYS[month - 1] or not _suffix_fits(day, match["suffix"]):
        return None
    name, number = said(match["month"].lower()), either(ordinal(day), cardinal(day))
    the = maybe(said("the"))
    orders = either(then(name, the, number), then(the, number, maybe(said("of")), name))
    return then(orders, year(int(written))) if written else orders


def _month(match: re.Match[str]) -> Way:
    return then(said(match["month"].lower()), year(int(match["year"])))


def _suffix_fits(n: int, suffix: str | None) -> bool:
    right = "th" if n // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return suffix in (None, "", right)


def _ordinal(match: re.Match[str]) -> Way | None:
    n = int(match["number"].replace(",", ""))
    return ordinal(n) if n < MAX_CARDINAL and _suffix_fits(n, match["suffix"]) else None


def _time(match: re.Match[str]) -> Way | None:
    hour, minute, half = int(match["hour"]), int(match["minute"] or 0), match["half"]
    if not 1 <= hour <= 12 or minute > 59:  # "fifteen fifty" is a year as well
        return None
    named = cardinal(hour)
    ways = [then(named, cardinal(minute))] if minute >= 10 else []
    if 0 < minute < 10:
        ways.append(then(named, said(*(f"{zero} {ONES[minute]}" for zero in ZERO))))
    if not minute:
        ways += [then(named, maybe(said("o'clock")))] if match["minute"] is None or not half else [named]
    ways += past_and_to(hour, minute)
    tail = said(f"{half[0]} m", f"{half[0]}m") if half else then()
    return then(either(*ways), tail)


def _money(match: re.Match[str]) -> Way | None:
    sign, number, scale = match["currency"], match["number"], match["scale"]
    one, many = CURRENCIES[sign]
    name = said(one, many) if number in ("1", "1.00") else said(many)
    ways = [then(way, name)] if (way := _signed(match["sign"], number, scale)) else []
    whole, _, cents = number.partition(".")
    if len(cents) == 2 and not scale and sign in CENTS and (way := _signed(match["sign"], whole)):
        unit = said(one) if whole == "1" else said(many)
        small = then(maybe(said("and")), cardinal(int(cents)), maybe(said(*CENTS[sign])))
        ways.append(then(way, unit, small if int(cents) else then()))
    return either(*ways) if ways else None


def _quantity(match: re.Match[str]) -> Way | None:
    """A number, perhaps with a sign, a scale and a unit."""
    parts = match.groupdict()
    way, names = _signed(parts.get("sign"), parts["number"], parts.get("scale")), _NAMES.get(parts.get("unit") or "")
    return then(way, said(*names)) if way and names else way


def _fraction(match: re.Match[str]) -> Way | None:
    top, bottom = int(match["top"]), int(match["bottom"])
    if not 1 <= top < bottom <= 1000 or bottom < 3:
        return None
    one = either(ordinal(bottom), said("quarter")) if bottom == 4 else ordinal(bottom)
    way = then(cardinal(top), one if top == 1 else _plural(bottom))
    return then(cardinal(int(match["whole"])), said("and"), way) if match["whole"] else way


def _plural(bottom: int) -> Way:
    """ "sevenths", "twenty fifths"."""

    def way(words: Sequence[str], at: int) -> set[int]:
        ends = set()
        for end in range(at, min(at + 5, len(words))):
            if words[end].endswith("s"):
                one = (*words[:end], words[end][:-1])
                ends |= {e for e in either(ordinal(bottom), quarter)(one, at) if e == end + 1}
        return ends

    quarter = said("quarter") if bottom == 4 else either()
    return way


def _phone(match: re.Match[str]) -> Way | None:
    text = match[0]
    number = re.sub(r"\D", "", text)
    if "-" in text and len(number) < 7:
        return None
    way = digits(number)
    return then(said("plus"), way) if text[0] == "+" else way


def _letters(match: re.Match[str]) -> Way:
    """Letters one by one, digits as numbers or one by one: "m p three", "b b c"."""
    parts: list[Way] = []
    for run in re.findall(r"[A-Z]|\d+", match[0]):
        if run.isdigit():
            parts.append(either(digits(run), cardinal(int(run))) if run[0] != "0" else digits(run))
        else:
            parts.append(said(run.lower(), "oh") if run == "O" else said(run.lower()))
    return then(*parts)


def _address(match: re.Match[str]) -> Way | None:
    """An e-mail or web address: its marks by name, its words as they are, or letter by letter."""
    parts: list[Way] = []
    for part in re.findall(r"[a-z']+|\d+|[.\-_@/]", match[0]):
        if part.isdigit():
            parts.append(
                digits(part) if part[0] == "0" or len(part) > 12 else either(digits(part), cardinal(int(part)))
            )
        else:
            parts.append(said(*PUNCTUATION[part]) if part in PUNCTUATION else _spelt(part))
    return then(*parts)


def _spelt(text: str) -> Way:
    """Words that make up the text when they are written together."""

    def way(words: Sequence[str], at: int) -> set[int]:
        done, places = 0, set()
        for end in range(at, len(words)):
            done += len(words[end])
            if not words[end] or text[done - len(words[end]) : done] != words[end]:
                break
            if done == len(text):
                places.add(end + 1)
        return places

    return way


_N = r"(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
_SIGN = r"(?P<sign>-)?"
_SCALE = rf"(?P<scale> (?:{'|'.join(SCALES)}))?"
_MONTH = rf"(?P<month>{'|'.join(MONTHS)})"
_DAY = r"(?P<day>\d{1,2})(?P<suffix>st|nd|rd|th)?"
_NAMES: dict[str, Sequence[str]] = {**UNITS, "%": PERCENT}
_UNIT = rf"(?P<unit>{'|'.join(map(re.escape, sorted(UNITS, key=len, reverse=True)))})"
_MAIL, _WEB = r"[a-z0-9'._\-]+@[a-z0-9.\-]+", r"[a-z0-9\-]+(?:\.[a-z0-9\-]+)+(?:/[a-z0-9\-]+)*"
_KINDS: list[tuple[str, re.Pattern[str], Callable[[re.Match[str]], Way | None]]] = [
    (kind, re.compile(pattern), make)
    for kind, pattern, make in [
        ("date", rf"{_MONTH} {_DAY}(?:, (?P<year>[1-2]\d{{3}}))?", _date),
        ("date", rf"{_DAY}(?: of)? {_MONTH}(?: (?P<year>[1-2]\d{{3}}))?", _date),
        ("date", rf"{_MONTH} (?P<year>[1-2]\d{{3}})", _month),
        ("year", r"(?P<year>[1-9]\d{2,3})", lambda match: year(int(match["year"]))),
        ("decade", r"(?P<decade>[1-2]\d\d0)s", _decade),
        ("time", r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?: (?P<half>[ap]\.m\.))?", _time),
        ("time", r"(?P<hour>\d{1,2})(?P<minute>) (?P<half>[ap]\.m\.)", _time),
        ("time", r"(?P<hour>\d{1,2})(?P<minute>)(?P<half>) o'clock", _time),
        ("money", rf"{_SIGN}(?P<currency>[$€£¥]){_N}{_SCALE}", _money),
        ("percent", rf"{_SIGN}{_N}(?P<unit>%)", _quantity),
        ("measure", rf"{_SIGN}{_N}{_SCALE} ?{_UNIT}", _quantity),
        ("cardinal", rf"{_SIGN}{_N}{_SCALE}", _quantity),
        ("ordinal", r"(?P<number>\d{1,3}(?:,\d{3})+|\d+)(?P<suffix>st|nd|rd|th)", _ordinal),
        ("fraction", r"(?:(?P<whole>\d+) )?(?P<top>\d+)/(?P<bottom>\d+)", _fraction),
        ("telephone", rf"\+?\d(?:[\d-]{{0,{MAX_DIGITS}}}\d)?", _phone),
        ("letters", r"[A-Z][A-Z0-9]+|\d[A-Z]|[A-Z]\d+", _letters),
        ("address", rf"(?=.*[a-z])(?:{_MAIL}|{_WEB})", _address),
        ("word", r"[A-Z]?[a-z']*(?:[a-z]|')|[A-Z]", lambda match: said(match[0].lower())),
    ]
]
