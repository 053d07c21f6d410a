"""Numbers and the like in real text: sentences as words and items, said in some way and written in the house's way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random

from asr.text import normalise
from asr.written.stretches import AFTER_NUMBER, MONTH_DAYS, MONTHS, NAMED_UNITS, ORDINALS, SCALES, UNITS, VALUES
from recipes.written_form import say
from recipes.written_form.say import Item

Sentence = list[tuple[str, Item | str]]  # kind ("" for plain words), what is there
_MONTH = "|".join(MONTHS)
_N = r"(?<![\d.,:/-])(?P<n>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
_SCALE = r"(?P<scale>million|billion|trillion)"
_SHORT = {name: short for short, names in UNITS.items() for name in names}
_SHORT |= {f"degrees {scale}": f"°{scale[0]}" for scale in ("Celsius", "Fahrenheit")}
_UNIT = (
    "|".join(sorted([*UNITS, *_SHORT, *NAMED_UNITS], key=len, reverse=True)).replace("°C", "° ?C").replace("°F", "° ?F")
)
_NUMBER_WORD = "|".join(sorted([*VALUES, *ORDINALS, "hundred", *SCALES], key=len, reverse=True))
_SAID_SO = (  # capitals that are read as words
    "NASA NATO OPEC UNESCO AIDS OK IT IN ON NO OF TO AND THE FOR ROM RAM GIF SQL AM PM OR SO WE MY BY AT IS AS IF UP GO"
    " DO AN ACT NOT ALL"
).split()
_HALF = r"(?: ?(?P<half>[apAP])\.?[mM]\b\.?)?"
_DAY = r"\b(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_OF = r"(?:,? (?P<year>1\d{3}|20\d\d))?\b"
_MAIL = r"[A-Za-z][\w.-]*@[\w.-]+\.(?:com|org|net|edu|io|uk|gov)"
_SITE = r"(?:www\.)?[A-Za-z]{2,}\.(?:com|org|net|io|gov|dev|fm|co\.uk)"
_PATTERNS: dict[str, str] = {
    "address": rf"(?<![\w.@])(?P<address>{_MAIL}|{_SITE})\b",
    "initials": r"(?<!\w)(?P<initials>(?:[A-Z]\. ?)?[A-Z]\. ?(?:[A-Z]\.)+)",
    "telephone": r"(?<![\d-])(?P<phone>(?:1-)?\d{3}-\d{3}-\d{4}|\d{3}-\d{4})\b(?!-)",
    "money": rf"(?P<sign>[$€£]) ?{_N}(?:[ -]{_SCALE})?(?![\d%])",
    "percent": rf"{_N} ?(?:%|percent\b|per cent\b)(?![ -]age)",
    "time": r"(?<![\d:.])(?P<hour>\d{1,2})"
    rf"(?:[:.](?P<minute>[0-5]\d)(?![\d:.]){_HALF}| ?(?P<only>[apAP])\.?[mM]\b\.?)",
    "date": rf"\b(?P<month>{_MONTH}) {_DAY}{_OF}(?![,.:]?\d|-)",
    "day": rf"(?:\b[Tt]he )?{_DAY}(?: of)? (?P<month>{_MONTH}){_OF}",
    "month": rf"\b(?P<month>{_MONTH}),? (?P<year>1\d{{3}}|20\d\d)\b(?![,.]\d|-)",
    "decade": r"\b(?P<decade>1[5-9][2-9]0|20[2-9]0)'?s\b",
    "ordinal": r"(?<![\d,.])(?P<n>\d{1,3})(?:st|nd|rd|th)\b",
    "measure": rf"{_N}[ -]?(?P<unit>{_UNIT})(?![A-Za-z²³])",
    "scaled": rf"{_N}[ -]{_SCALE}\b",
    "year": r"(?<![\d.,:/$-])(?P<year>1[0-9]\d\d|20[0-4]\d)(?![\d:/%-]|[.,]\d|-\d)\b",
    "decimal": r"(?<![\d.,:/-])(?P<n>\d+\.\d+)(?![.,:/-]?\d|\w)",
    "cardinal": r"(?<![\d.,:/-])(?P<n>\d{1,3}(?:,\d{3})+|\d{1,3})(?![.,:/-]?\d|\w|%)",
    "letters": r"\b(?P<letters>[A-Z]{2,4})\b(?![.'’]?[A-Za-z])",
    "words": rf"\b(?P<a>[Aa] )?(?P<words>(?:{_NUMBER_WORD})(?:(?:[ -]| and )(?:{_NUMBER_WORD}))*)\b(?![-'’])",
}
_ALL = [(kind, re.compile(pattern, re.I if kind == "words" else 0)) for kind, pattern in _PATTERNS.items()]


def mine(line: str, rng: Random) -> Sentence | None:
    """None where something is left that cannot be said for sure."""
    if re.search(r"\b(half|quarter) (past|to)\b", line, re.I):
        return None  # a time in words
    left: list[tuple[str, Item | str]] = [("", line)]
    for kind, pattern in _ALL:
        new: list[tuple[str, Item | str]] = []
        for old, part in left:
            new += [(old, part)] if old or isinstance(part, Item) else _cut(part, kind, pattern, rng)
        left = new
    words: Sentence = [(kind, part if isinstance(part, Item) else normalise(part)) for kind, part in left]
    if any(kind == "bad" for kind, _ in left) or any(
        isinstance(part, str) and re.search(r"[\d@€£$%°²³½¼¾&+=/<>\[\]{}|~^]|\b[IVX]{2,}\b", part) for _, part in left
    ):
        return None
    return [(kind, part) for kind, part in words if part]


def _cut(text: str, kind: str, pattern: re.Pattern[str], rng: Random) -> Iterator[tuple[str, Item | str]]:
    at = 0
    for match in pattern.finditer(text):
        yield "", text[at : match.start()]
        item = _item(kind, match, rng, text[match.end() :])
        if item is None:
            yield "bad", match[0]
        else:
            yield (kind if isinstance(item, Item) else "plain"), item
        at = match.end()
    yield "", text[at:]


def _item(kind: str, match: re.Match[str], rng: Random, rest: str) -> Item | str | None:
    """What the match is, plain words where nothing is to be written, None where it is not clear."""
    n = (match.groupdict().get("n") or "").replace(",", "")
    if n and (len(n) > 12 or (n[0] == "0" and n[1:2] not in ("", "."))):
        return None
    return _MAKERS[kind](match, n, rng, rest)


def _time(match: re.Match[str], n: str, rng: Random, rest: str) -> Item | None:
    hour, half = int(match["hour"]), (match["half"] or match["only"] or "").lower()
    if not 1 <= hour <= 12 or not half and ("." in match[0][:3] or not match["minute"]):
        return None
    return say.time(rng, hour, int(match["minute"] or 0), half)


def _date(match: re.Match[str], n: str, rng: Random, rest: str) -> Item | None:
    month, day = MONTHS.index(match["month"]) + 1, int(match["day"])
    if not 1 <= day <= MONTH_DAYS[month - 1]:
        return None
    return say.date(
        rng, month, day, int(match["year"]) if match["year"] else None, not match[0][0].isalpha() or match[0][0] in "tT"
    )


def _cardinal(match: re.Match[str], n: str, rng: Random, rest: str) -> Item | str:
    return "one" if n == "1" else say.cardinal(rng, int(n))


def _measure(match: re.Match[str], n: str, rng: Random, rest: str) -> Item | str:
    unit = match["unit"].replace("° ", "°")
    if n in ("0", "1") and unit in NAMED_UNITS:
        return ("one " if n == "1" else "zero ") + unit
    return say.measure(rng, n, _SHORT.get(unit, unit))


def _letters(match: re.Match[str], n: str, rng: Random, rest: str) -> Item | str | None:
    text = re.sub(r"[^A-Z]", "", match[0])
    if text in _SAID_SO or re.fullmatch(r"[IVX]+", text):
        return match[0]
    return say.letters(rng, text) if len(text) < 4 or not re.search("[AEIOU]", text) else match[0]


def _address(match: re.Match[str], n: str, rng: Random, rest: str) -> Item | None:
    parts = [p.lower() for p in re.findall(r"[A-Za-z]+|\d+|[._@/-]", match[0])]
    spelt = [list(p) if p == "www" else [p] for p in parts]
    return say.address(rng, [p for some in spelt for p in some])


def _words(match: re.Match[str], n: str, rng: Random, rest: str) -> Item | str | None:
    """Numbers that the text has in words: figures too, but for one, first to ninth, a hundred and what is unclear."""
    words = re.sub("-", " ", match["words"].lower()).split()
    text = " ".join([*([match["a"].strip().lower()] if match["a"] else []), *words])
    after = re.match(r"[ -]?([a-z']+)", rest.lower())
    if after and (
        after[1] in AFTER_NUMBER or re.match(r"[ -]?(and a (half|quarter)|point \w|past\b|of a\b|to \w)", rest.lower())
    ):
        return text if words in (["one"], ["second"]) else None
    if len(words) == 1 and (words[0] in ("one", *SCALES, "hundred") or ORDINALS.get(words[0], 99) < 10):
        return text
    value = value_of((["one"] if match["a"] and words[0] in ("hundred", *SCALES) else []) + words)
    if value is None or match["a"] and words[0] not in ("hundred", *SCALES):
        return f"{match['a'] or ''}{words[0]}" if len(words) == 1 and value is not None and words[0] in VALUES else None
    number, is_ordinal = value
    written = f"{number:,}"
    if words[-1] in SCALES and number >= 10**6 and number // SCALES[words[-1]] < 1000:
        written = f"{number // SCALES[words[-1]]:,} {words[-1]}"
    return Item(text, f"{written}{say.suffix(number)}" if is_ordinal else written)


def value_of(words: list[str]) -> tuple[int, bool] | None:
    """(value, is it an ordinal) of number words in their usual order; None where they are no single number."""
    total, group, last, scale = 0, 0, 10**18, 10**18
    for i, word in enumerate(words):
        size = VALUES.get(word, ORDINALS.get(word, -1))
        if word == "and":
            if not i or words[i - 1] not in ("hundred", *SCALES):
                return None
        elif size >= 0:
            room = 100 if last >= 100 else 10 if last >= 20 and last < 100 else 0
            if size >= room or (size == 0 and len(words) > 1) or (word in ORDINALS and i < len(words) - 1):
                return None
            group, last = group + size, size
        elif word == "hundred" and 0 < group < 100:
            group, last = group * 100, 100
        elif word in SCALES and 0 < group < 1000 and SCALES[word] < scale:
            total, group, last, scale = total + group * SCALES[word], 0, 1000, SCALES[word]
        else:
            return None
    return total + group, words[-1] in ORDINALS


_MAKERS: dict[str, Callable[[re.Match[str], str, Random, str], Item | str | None]] = {
    "address": _address,
    "initials": _letters,
    "telephone": lambda m, n, rng, rest: say.telephone(rng, m["phone"]),
    "money": lambda m, n, rng, rest: (
        say.money(rng, m["sign"], n, m["scale"] or "") if m["scale"] or len(n.partition(".")[2]) in (0, 2) else None
    ),
    "percent": lambda m, n, rng, rest: say.percent(rng, n),
    "time": _time,
    "date": _date,
    "day": _date,
    "month": lambda m, n, rng, rest: say.month_year(rng, MONTHS.index(m["month"]) + 1, int(m["year"])),
    "decade": lambda m, n, rng, rest: say.decade(rng, int(m["decade"])),
    "ordinal": lambda m, n, rng, rest: (
        say.ordinal(rng, int(n)) if int(n) > 9 else say.words(say.num2words(int(n), to="ordinal"))
    ),
    "measure": _measure,
    "scaled": lambda m, n, rng, rest: say.scaled(rng, n, m["scale"]),
    "year": lambda m, n, rng, rest: say.year(rng, int(m["year"])),
    "decimal": lambda m, n, rng, rest: Item(say.say_number(rng, n), say.commas(n)),
    "cardinal": _cardinal,
    "letters": _letters,
    "words": _words,
}
