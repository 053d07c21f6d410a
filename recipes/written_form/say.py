"""Values of every kind: drawn at random, said in one of many ways, and written in the house's way.

Cardinals, ordinals and years are spelled by num2words, so that the reader in ``asr/written``, which is our own, is
held against a second opinion: a pair that it does not read is an error in one of them, and stops the recipe.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

from num2words import num2words

from asr.written.stretches import CURRENCIES, MONTHS, ONES, SCALES, UNITS


@dataclass(frozen=True)
class Item:
    """What was said, and how it is written: dates in three orders, all else the same in each."""

    spoken: str
    said: str
    us: str = ""
    uk: str = ""

    def written(self, dates: str) -> str:
        return getattr(self, dates) or self.said


@cache
def below_hundred(n: int) -> str:
    return words(num2words(n))


def words(text: str) -> str:
    return re.sub(r"[-,]+", " ", text).replace("  ", " ")


def commas(text: str) -> str:
    whole, dot, fraction = text.partition(".")
    return f"{int(whole):,}{dot}{fraction}" if whole[:1] != "0" or whole == "0" else text


def say_cardinal(rng: Random, n: int) -> str:
    spoken = below_hundred(n) if n < 100 else words(num2words(n))
    if rng.random() < 0.6:
        spoken = spoken.replace(" and ", " ")
    if 1100 <= n < 10000 and n % 1000 >= 100 and n % 100 == 0 and rng.random() < 0.4:
        spoken = f"{below_hundred(n // 100)} hundred"
    return "a" + spoken[3:] if spoken.startswith("one hundred ") and rng.random() < 0.2 else spoken


def say_ordinal(rng: Random, n: int) -> str:
    spoken = words(num2words(n, to="ordinal"))
    return spoken.replace(" and ", " ") if rng.random() < 0.5 else spoken


def zero(rng: Random) -> str:
    return rng.choice(["oh"] * 6 + ["o"] * 2 + ["zero"])


def say_year(rng: Random, n: int) -> str:
    high, low = divmod(n, 100)
    if n % 1000 < 10 and (n < 2010 or rng.random() < 0.9) or 2000 <= n < 2030 and rng.random() < 0.4 or n < 1010:
        return say_cardinal(rng, n)
    tail = "hundred" if not low else f"{zero(rng)} {ONES[low]}" if low < 10 else below_hundred(low)
    if low and rng.random() < 0.03:
        tail = f"hundred {rng.choice(['and ', ''])}{below_hundred(low)}"
    return f"{below_hundred(high)} {tail}" if high % 10 or "hundred" not in tail else say_cardinal(rng, n)


def say_digits(rng: Random, text: str, oh: float = 0.5) -> str:
    name = rng.choice(["oh", "oh", "o"]) if rng.random() < oh else "zero"
    double = rng.random() < 0.4
    out, i = [], 0
    while i < len(text):
        run = len(text) - len(text[i:].lstrip(text[i]))
        take = min(run - i if run > i else 1, 3) if double else 1
        out += [*["double", "triple"][take - 2 : take - 1], name if text[i] == "0" else ONES[int(text[i])]]
        i += take
    return " ".join(out)


def say_number(rng: Random, text: str) -> str:
    """A number in plain figures, with a fraction or without."""
    whole, _, fraction = text.partition(".")
    if not fraction:
        return say_cardinal(rng, int(whole))
    if fraction == "5" and rng.random() < 0.25 and whole != "0":
        return f"{say_cardinal(rng, int(whole))} and a half"
    head = (
        say_cardinal(rng, int(whole)) if whole != "0" else rng.choice(["zero ", "zero ", "", "oh ", "nought "]).strip()
    )
    if len(fraction) == 2 and fraction[0] != "0" and rng.random() < 0.15:
        return f"{head} point {words(num2words(int(fraction)))}".strip()
    name = zero(rng)
    return f"{head} point {' '.join(name if d == '0' else ONES[int(d)] for d in fraction)}".strip()


def cardinal(rng: Random, n: int) -> Item:
    return Item(say_cardinal(rng, n), whole_scaled(n))


def whole_scaled(n: int) -> str:
    """Whole millions and billions keep these words."""
    for scale in ("trillion", "billion", "million"):
        count, rest = divmod(n, SCALES[scale])
        if count and not rest and count < 1000:
            return f"{count} {scale}"
    return f"{n:,}"


def decimal(rng: Random, text: str) -> Item:
    sign = rng.random() < 0.06
    spoken = say_number(rng, text)
    return Item(f"{rng.choice(['minus', 'negative'])} {spoken}" if sign else spoken, "-" * sign + commas(text))


def scaled(rng: Random, text: str, scale: str) -> Item:
    return Item(f"{say_number(rng, text)} {scale}", f"{commas(text)} {scale}")


def ordinal(rng: Random, n: int) -> Item:
    return Item(say_ordinal(rng, n), num2words(n, to="ordinal_num") if n < 1000 else f"{n:,}{suffix(n)}")


def suffix(n: int) -> str:
    return "th" if n // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")


def year(rng: Random, n: int) -> Item:
    return Item(say_year(rng, n), str(n))


def decade(rng: Random, n: int) -> Item:
    tens = below_hundred(n % 100)
    return Item(f"{below_hundred(n // 100)} {tens[:-1]}ies", f"{n}s")


def date(rng: Random, month: int, day: int, of: int | None, day_first: bool | None = None) -> Item:
    """The day of a month, with the year or without; ``day_first``: as it is written where it was found."""
    name, first = MONTHS[month - 1], rng.random() < 0.4 if day_first is None else day_first
    suffixed = rng.random() < (0.9 if not first else 0.95)
    spoken_day = say_ordinal(rng, day) if suffixed else say_cardinal(rng, day)
    written_day = f"{day}{suffix(day)}" if suffixed else str(day)
    spoken_year, year_us, year_uk = (f" {say_year(rng, of)}", f", {of}", f" {of}") if of else ("", "", "")
    us, uk = f"{name} {day}{year_us}", f"{day} {name}{year_uk}"
    low = name.lower()
    if not first:
        the = "the " if suffixed and rng.random() < 0.07 else ""
        said = f"{name} {the}{written_day}{year_us}" if the else f"{name} {written_day}{year_us}"
        if the:
            said = f"{name} {written_day}{year_us}"
        return Item(f"{low} {the}{spoken_day}{spoken_year}", said, us, uk)
    if suffixed and rng.random() < 0.8:
        return Item(f"the {spoken_day} of {low}{spoken_year}", f"the {written_day} of {name}{year_uk}", us, uk)
    return Item(f"{spoken_day} {low}{spoken_year}", f"{written_day} {name}{year_uk}", us, uk)


def month_year(rng: Random, month: int, of: int) -> Item:
    return Item(f"{MONTHS[month - 1].lower()} {say_year(rng, of)}", f"{MONTHS[month - 1]} {of}")


def time(rng: Random, hour: int, minute: int, half: str) -> Item:
    """``half``: "a", "p" or "" where it was not said."""
    tail, mark = (f" {half} m", f" {half}.m.") if half else ("", "")
    if half and rng.random() < 0.25:
        tail = f" {half}m"
    name, later = below_hundred(hour), below_hundred(hour % 12 + 1)
    plain = f"{hour}:{minute:02d}{mark}"
    if not minute:
        return Item(name + tail, f"{hour}{mark}") if half else Item(f"{name} o'clock", f"{hour} o'clock")
    if rng.random() < 0.2 and hour <= 12:
        if minute in (15, 30, 45):
            quarter = rng.choice(["quarter", "quarter", "a quarter"])
            spoken = {15: f"{quarter} past {name}", 30: f"half past {name}", 45: f"{quarter} to {later}"}[minute]
            return Item(spoken + tail, plain)
        if minute % 5 == 0 or rng.random() < 0.2:
            unit = " minutes" if minute % 5 or rng.random() < 0.1 else ""
            left = below_hundred(minute if minute <= 30 else 60 - minute)
            past = rng.choice(["past", "past", "after"]) if minute <= 30 else rng.choice(["to", "to", "to", "before"])
            return Item(f"{left}{unit} {past} {name if minute <= 30 else later}{tail}", plain)
    tens = f"{zero(rng)} {ONES[minute]}" if minute < 10 else below_hundred(minute)
    return Item(f"{name} {tens}{tail}", plain)


def money(rng: Random, sign: str, text: str, scale: str = "") -> Item:
    one, many = CURRENCIES[sign]
    whole, _, cents = text.partition(".")
    if scale:
        article = text == "1" and rng.random() < 0.5
        return Item(f"{'a' if article else say_number(rng, text)} {scale} {many}", f"{sign}{text} {scale}")
    if not cents or sign == "¥":
        spoken = f"{say_cardinal(rng, int(whole))} {one if whole == '1' else many}"
        if sign != "£":
            return Item(spoken, f"{sign}{whole_scaled(int(whole))}")
        return Item(spoken, spoken if whole == "1" else f"{int(whole):,} pounds")  # of money, or of weight?
    spoken = f"{say_cardinal(rng, int(whole))} {one if whole == '1' else many}"
    if int(cents):
        unit = ("pence" if sign == "£" else "cents") if int(cents) > 1 else ("penny" if sign == "£" else "cent")
        named = rng.random() < 0.75 or int(cents) < 10
        spoken += (
            f"{rng.choice([' and ', ' '])}{below_hundred(int(cents))} {unit}"
            if named
            else f" {below_hundred(int(cents))}"
        )
    return Item(spoken, f"{sign}{int(whole):,}.{cents}" if int(cents) else f"{sign}{int(whole):,}")


def percent(rng: Random, text: str) -> Item:
    return Item(f"{say_number(rng, text)} {rng.choice(['percent'] * 5 + ['per cent'])}", f"{commas(text)}%")


def measure(rng: Random, text: str, unit: str) -> Item:
    names = UNITS.get(unit)
    if not names:  # it keeps its name
        return Item(f"{say_number(rng, text)} {unit}", f"{commas(text)} {unit}")
    sign = unit in ("°C", "°F") and rng.random() < 0.25
    several = [
        name for name in names if not re.search(r"^[a-z ]*(gram|meter|metre|litre|liter|watt|hour|mile|byte)\b", name)
    ]
    name = rng.choice(several or names) if text != "1" else names[0]
    spoken = f"{'minus ' if sign else ''}{say_number(rng, text)} {name}"
    return Item(spoken, f"{'-' * sign}{commas(text)}{'' if unit[0] == '°' else ' '}{unit}")


def telephone(rng: Random, text: str) -> Item:
    """Its groups digit by digit, some in pairs, "eight hundred" among them."""
    parts = []
    for group in text.lstrip("+").split("-"):
        if len(group) == 3 and group[1:] == "00" and group[0] != "0" and rng.random() < 0.6:
            parts.append(f"{ONES[int(group[0])]} hundred")
        elif len(group) == 4 and group[0] != "0" and group[2] != "0" and rng.random() < 0.12 and group[1] != "0":
            parts.append(f"{below_hundred(int(group[:2]))} {below_hundred(int(group[2:]))}")
        else:
            parts.append(say_digits(rng, group))
    return Item(("plus " if text[0] == "+" else "") + " ".join(parts), text)


def digits(rng: Random, text: str) -> Item:
    return Item(say_digits(rng, text), text)


def pairs(rng: Random, text: str) -> Item:
    """ "three sixty five", "twelve fifty": numbers of rooms, flights and streets."""
    head = below_hundred(int(text[:-2]))
    return Item(f"{head} {below_hundred(int(text[-2:]))}", text)


def fraction(rng: Random, top: int, bottom: int) -> Item:
    return Item(f"{below_hundred(top)} {say_ordinal(rng, bottom)}{'s' if top > 1 else ''}", f"{top}/{bottom}")


def letters(rng: Random, text: str) -> Item:
    """ "b b c", "m p three"."""
    return Item(" ".join(ONES[int(c)] if c.isdigit() else c.lower() for c in text), text)


MARKS: dict[str, Callable[[Random], str]] = {
    ".": lambda rng: "dot",
    "-": lambda rng: rng.choice(["dash", "hyphen"]),
    "_": lambda rng: "underscore",
    "@": lambda rng: "at",
    "/": lambda rng: "slash",
}


def address(rng: Random, parts: list[str]) -> Item:
    """Parts: words, single letters, numbers, marks."""
    spoken = [
        MARKS[part](rng)
        if part in MARKS
        else words(num2words(int(part)))
        if part.isdigit() and part[0] != "0"
        else part
        for part in parts
    ]
    return Item(" ".join(spoken), "".join(parts))
