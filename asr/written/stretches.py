"""The words of numbers, units, money and calendars, and where in a text such words stand together.

Most words of a text cost one look into a set.
"""

from __future__ import annotations

from collections.abc import Sequence

ONES = "zero one two three four five six seven eight nine".split()
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
VALUES = {word: value for value, word in enumerate(ONES + TEENS)} | {word: 20 + 10 * i for i, word in enumerate(TENS)}
ZERO = ("zero", "oh", "o", "nought")
DIGITS = {word: str(value) for value, word in enumerate(ONES)} | {word: "0" for word in ZERO}

ORDINAL_ONES = "zeroth first second third fourth fifth sixth seventh eighth ninth".split()
ORDINAL_TEENS = (
    "tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth".split()
)
ORDINALS = {word: value for value, word in enumerate(ORDINAL_ONES + ORDINAL_TEENS)}
ORDINALS |= {word[:-1] + "ieth": value for word, value in VALUES.items() if value >= 20}
ORDINAL_OF = {VALUES[c]: next(o for o, v in ORDINALS.items() if v == VALUES[c]) for c in VALUES}
DECADES = {word[:-1] + "ies": value for word, value in VALUES.items() if value >= 20}
DECADES |= {f"{word}'s": value for word, value in VALUES.items() if value >= 20}
MONTHS = (
    "January February March April May June July August September October November December".split()
)  # as written; said in lower case
MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

# Written form: all that it may be called. Units of science and of machines are abbreviated.
ABBREVIATED = {
    "kg": "kilogram kilograms kilos kilogramme kilogrammes",
    "g": "gram grams gramme grammes",
    "mg": "milligram milligrams",
    "km": "kilometer kilometers kilometre kilometres",
    "m": "meter meters metre metres",
    "cm": "centimeter centimeters centimetre centimetres",
    "mm": "millimeter millimeters millimetre millimetres",
    "ml": "milliliter milliliters millilitre millilitres",
    "KB": "kilobyte kilobytes",
    "MB": "megabyte megabytes",
    "GB": "gigabyte gigabytes",
    "TB": "terabyte terabytes",
    "Hz": "hertz",
    "kHz": "kilohertz",
    "MHz": "megahertz",
    "GHz": "gigahertz",
    "W": "watt watts",
    "kW": "kilowatt kilowatts",
    "MW": "megawatt megawatts",
    "GW": "gigawatt gigawatts",
    "dB": "decibel decibels",
}
_LONGER = {  # of more than one word
    "kWh": "kilowatt hour, kilowatt hours",
    "mph": "mile per hour, miles per hour, miles an hour, mile an hour",
    "km/h": "kilometers per hour, kilometres per hour, kilometers an hour, kilometres an hour, kilometer per hour",
    "m/s": "meters per second, metres per second, meters a second, metres a second",
    "km²": "square kilometer, square kilometers, square kilometre, square kilometres",
    "m²": "square meter, square meters, square metre, square metres",
    "m³": "cubic meter, cubic meters, cubic metre, cubic metres",
    "°C": "degrees celsius, degree celsius, degrees centigrade, degree centigrade",
    "°F": "degrees fahrenheit, degree fahrenheit",
}
UNITS: dict[str, list[str]] = {short: names.split() for short, names in ABBREVIATED.items()}
UNITS |= {short: names.split(", ") for short, names in _LONGER.items()}
# These keep their names, and their numbers are written in figures even below ten.
NAMED_UNITS = frozenset(
    "miles feet inches yards acres hectares ounces pounds tons tonnes gallons pints degrees calories liters litres"
    " cents pence euros yen rupees pesos bucks volts amps pixels".split()
)
CURRENCIES = {"$": ("dollar", "dollars"), "€": ("euro", "euros"), "£": ("pound", "pounds"), "¥": ("yen", "yen")}
CENTS = {"$": ("cent", "cents"), "€": ("cent", "cents"), "£": ("pence", "penny", "p")}
PERCENT = ("percent", "per cent")
PUNCTUATION = {  # of addresses
    ".": ("dot", "point", "period"),
    "-": ("dash", "hyphen"),
    "_": ("underscore",),
    "@": ("at",),
    "/": ("slash", "forward slash"),
}
DOMAINS = frozenset("com org net edu gov info io uk de fr ca au us tv fm dev app ai eu".split())
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz")

CARDINAL_WORDS = frozenset([*VALUES, "hundred", *SCALES])
NUMBER_WORDS = CARDINAL_WORDS | frozenset(ORDINALS) | frozenset(DECADES) | {"hundredth", "thousandth", "millionth"}

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
        return _ordinal(words, at + 1) and (before in _MONTHS or not _MONTHS.isdisjoint(words[at + 2 : at + 5]))
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


def _may_end(words: Sequence[str], at: int) -> bool:
    return words[at] not in ("and", "to", "of", "the", "past", "after", "before", "till", "point", "per") and (
        words[at] != "a" or _letter(_word(words, at - 1), "a")
    )


def _worth(words: Sequence[str]) -> bool:
    """A number, letters in a row, or an address."""
    return any(word in NUMBER_WORDS or word == "dot" for word in words) or sum(word in LETTERS for word in words) > 1
