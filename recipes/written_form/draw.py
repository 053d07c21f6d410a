"""Draws values of every kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from asr.written.stretches import MONTH_DAYS, NAMED_UNITS, UNITS
from recipes.written_form import say
from recipes.written_form.say import Item

LONGEST = 10**12
CODES = "MP3 MP4 4K 3D 2D 5G 4G 3G G20 G7 G8 B2B B2C U2 A4 K2 CO2 H2O W3C H1N1 F16 B52 MI6 MI5 K9".split()


def integer(rng: Random, most: int = LONGEST) -> int:
    """As many with few digits as with many; some round, some with zeros inside."""
    digits = rng.randint(1, len(str(most)) - 1)
    text = str(rng.randint(10 ** (digits - 1), 10**digits - 1))
    form = rng.random()
    if form < 0.3:
        keep = rng.randint(1, 3)
        text = text[:keep] + "0" * (len(text) - keep)
    elif form < 0.6:
        text = text[0] + "".join(c if rng.random() < 0.45 else "0" for c in text[1:])
    return int(text)


def fractional(rng: Random, whole: int = 1000) -> str:
    head = "0" if rng.random() < 0.25 else str(min(integer(rng, 10**4), whole * 10))
    tail = (
        "5"
        if rng.random() < 0.15
        else "".join(rng.choice("0123456789") for _ in range(rng.choice([1, 1, 1, 2, 2, 3, 4])))
    )
    return f"{head}.{tail}"


def amount(rng: Random, most: int = 10**4, fractions: float = 0.3) -> str:
    return fractional(rng) if rng.random() < fractions else str(integer(rng, most))


def some_year(rng: Random) -> int:
    return rng.choice(
        [rng.randint(1900, 2030), rng.randint(1900, 2030), rng.randint(1066, 2099), rng.randint(2000, 2030)]
    )


def date(rng: Random) -> Item:
    month = rng.randint(1, 12)
    return say.date(rng, month, rng.randint(1, MONTH_DAYS[month - 1]), some_year(rng) if rng.random() < 0.6 else None)


def time(rng: Random) -> Item:
    minute = rng.choice([0, 15, 30, 45, rng.randint(0, 59), rng.randint(0, 59), 5 * rng.randint(0, 11)])
    return say.time(rng, rng.randint(1, 12), minute, rng.choice(["", "a", "p"]))


def money(rng: Random) -> Item:
    sign = rng.choice("$$$$$€€££¥")
    form = rng.random()
    if form < 0.25:
        scale = rng.choice(["million", "million", "billion", "trillion"])
        text = amount(rng, 10**3, 0.5) if rng.random() < 0.85 else "1"
        return say.money(rng, sign, text, scale)
    if form < 0.6 and sign != "¥":
        return say.money(rng, sign, f"{integer(rng, 10**4)}.{rng.randint(0, 99):02d}")
    return say.money(rng, sign, str(integer(rng, 10**8)))


def measure(rng: Random) -> Item:
    unit = rng.choice([*UNITS, *sorted(NAMED_UNITS - {"pounds", "yen", "euros"})])
    text = amount(rng, 10**4)
    if unit in NAMED_UNITS and text in ("0", "1"):
        text = str(rng.randint(2, 9))
    return say.measure(rng, text, unit)


def telephone(rng: Random) -> Item:
    def group(size: int) -> str:
        return "".join(rng.choice("0123456789") for _ in range(size))

    form = rng.random()
    if form < 0.3:
        return say.telephone(rng, f"{rng.randint(2, 9)}{group(2)}-{group(4)}")
    if form < 0.75:
        area = (
            rng.choice(["800", f"{rng.randint(2, 9)}{group(2)}"])
            if rng.random() < 0.3
            else f"{rng.randint(2, 9)}{group(2)}"
        )
        return say.telephone(
            rng, ("1-" if rng.random() < 0.25 else "") + f"{area}-{rng.randint(2, 9)}{group(2)}-{group(4)}"
        )
    if form < 0.85:
        return say.telephone(rng, f"+{rng.randint(1, 9)}{group(rng.randint(9, 12))}")
    return say.telephone(rng, f"0{rng.randint(1, 9)}{group(rng.choice([8, 9, 9]))}")


def digits(rng: Random) -> Item:
    size = rng.choice([3, 4, 4, 5, 6, 6, 8, 9, 12, 14, 16])
    return say.digits(rng, "".join(rng.choice("0123456789") for _ in range(size)))


def code(rng: Random) -> Item:
    """Spelled names of three to six signs, and codes in which letters and digits take turns."""
    form = rng.random()
    if form < 0.35:
        return say.letters(rng, rng.choice(CODES))
    letters = "".join(rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(rng.randint(2, 5)))
    if form < 0.75 and set(letters) - set("AIO"):
        return say.letters(rng, letters)
    return say.letters(
        rng, letters[:3].replace("O", "P").replace("I", "J").replace("A", "B") + str(rng.randint(10, 9999))
    )


def fraction(rng: Random) -> Item:
    bottom = rng.choice([*range(10, 20), 20, 24, 32, 64])
    return say.fraction(rng, rng.randint(1, bottom - 1), bottom)


def spread(rng: Random) -> Item:
    """ "five to twenty", "two or three hundred"."""
    low, high = sorted([integer(rng, 10**3), integer(rng, 10**3)])
    low, high = max(low, 2), max(high, 3)
    joint = rng.choice(["to", "to", "and"])
    if joint == "and" and (low % 100 == 0 or low == high):
        joint = "to"
    a, b = say.cardinal(rng, low), say.cardinal(rng, high)
    return Item(f"{a.spoken} {joint} {b.spoken}", f"{a.said} {joint} {b.said}")


def counted(rng: Random) -> Item:
    """Numbers of things; two thousand to 2,029 as well, which are years elsewhere."""
    return say.cardinal(rng, max(2, rng.randint(2000, 2030) if rng.random() < 0.05 else integer(rng)))


def address(rng: Random, names: Sequence[str]) -> Item:
    def name() -> str:
        return rng.choice(names)

    domain = [
        *rng.choice([["gmail"], ["yahoo"], ["outlook"], [name()], [name()], [name()], [name(), "-", name()]]),
        ".",
    ]
    domain += rng.choice([["com"]] * 6 + [["org"], ["net"], ["edu"], ["io"], ["co", ".", "uk"], ["gov"], ["de"]])
    if domain[0] == "gmail":
        domain = ["g", "mail", *domain[1:]] if rng.random() < 0.5 else domain
    if rng.random() < 0.3:
        prefix = ["w", "w", "w", "."] if rng.random() < 0.5 else []
        return say.address(rng, [*prefix, *domain, *(["/", name()] if rng.random() < 0.3 else [])])
    local = rng.choice(
        [
            [name()],
            [name()],
            [name(), ".", name()],
            [name(), ".", name()],
            [name(), "_", name()],
            [rng.choice("bcdefghjklmnpqrstuvwxyz"), ".", name()],
            [name(), "-", name()],
            [name(), str(rng.randint(10, 99))],
            [name(), ".", name(), str(rng.randint(2, 99))],
        ]
    )
    return say.address(rng, [*local, "@", *domain])


KINDS: dict[str, Callable[[Random], Item]] = {
    "cardinal": counted,
    "decimal": lambda rng: say.decimal(rng, fractional(rng)),
    "scaled": lambda rng: say.scaled(rng, amount(rng, 10**3, 0.6), rng.choice(["million", "billion", "trillion"])),
    "ordinal": lambda rng: say.ordinal(rng, rng.randint(10, 199) if rng.random() < 0.8 else integer(rng, 10**6) + 9),
    "year": lambda rng: say.year(rng, some_year(rng)),
    "decade": lambda rng: say.decade(rng, rng.choice([18, 19, 19, 19, 17]) * 100 + 10 * rng.randint(2, 9)),
    "date": date,
    "month": lambda rng: say.month_year(rng, rng.randint(1, 12), some_year(rng)),
    "time": time,
    "money": money,
    "percent": lambda rng: say.percent(rng, amount(rng, 10**3, 0.4)),
    "measure": measure,
    "telephone": telephone,
    "digits": digits,
    "pairs": lambda rng: say.pairs(rng, f"{rng.choice([*range(1, 10), *range(11, 100)])}{rng.randint(10, 99)}"),
    "code": code,
    "fraction": fraction,
    "spread": spread,
}
