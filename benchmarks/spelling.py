"""Digits spelled out, for engines that write "20" where the reference says "twenty"."""

from __future__ import annotations

import re

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
SCALES = {10**9: "billion", 10**6: "million", 1000: "thousand", 100: "hundred"}
ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth",
            "nine": "ninth", "twelve": "twelfth"}  # fmt: skip
CURRENCY = {"$": "dollars", "£": "pounds", "€": "euros"}
NUMBER = re.compile(r"([$£€]?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(st\b|nd\b|rd\b|th\b|s\b|%)?", re.IGNORECASE)


def cardinal(number: int, joint: str = "") -> str:
    """120 -> "one hundred twenty"; with " and": "one hundred and twenty"."""
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10] + (f" {ONES[number % 10]}" if number % 10 else "")
    unit = next(unit for unit in SCALES if number >= unit)
    rest = number % unit
    head = f"{cardinal(number // unit, joint)} {SCALES[unit]}"
    return head + f"{joint if rest < 100 else ''} {cardinal(rest, joint)}" * (rest > 0)


def digits(written: str, zero: str = "zero") -> str:
    return " ".join(zero if d == "0" else ONES[int(d)] for d in written)


def pairs(written: str) -> str:
    """1985 -> "nineteen eighty five", 1905 -> "nineteen oh five", 120 -> "one twenty"."""
    head, tail = written[:-2], written[-2:]
    if len(written) not in (3, 4) or head.endswith("0") or head.startswith("0"):
        return cardinal(int(written))
    if tail == "00":
        return f"{cardinal(int(head))} hundred"
    return f"{cardinal(int(head))} {digits(tail, 'oh') if tail[0] == '0' else cardinal(int(tail))}"


def ordinal(words: str) -> str:
    head, _, last = words.rpartition(" ")
    last = ORDINALS.get(last) or (last[:-1] + "ieth" if last.endswith("y") else last.removesuffix("t") + "th")
    return f"{head} {last}".strip()


def plural(words: str) -> str:
    return words[:-1] + "ies" if words.endswith("y") else words + ("es" if words.endswith("x") else "s")


STYLES = {
    "cardinal": lambda n: cardinal(int(n)),
    "cardinal with and": lambda n: cardinal(int(n), " and"),
    "pairs": pairs,
    "digits": digits,
    "digits, oh": lambda n: digits(n, "oh"),
}


def _spell(match: re.Match, style: str) -> str:
    currency, number, decimal, suffix = match.groups()
    number, suffix = number.replace(",", ""), (suffix or "").lower()
    words = STYLES[style](number) if len(number) <= 12 else digits(number)
    if decimal:
        words += f" point {digits(decimal[1:])}"
    if suffix in ("st", "nd", "rd", "th"):
        words = ordinal(words)
    elif suffix == "s":
        words = plural(words)
    extra = (["percent"] if suffix == "%" else []) + ([CURRENCY[currency]] if currency else [])
    return f" {' '.join([words, *extra])} "


def readings(text: str) -> list[str]:
    """The ways to say a text: itself where it holds no digits, else one for each style of number."""
    text = text.replace("&", " and ")
    if not re.search(r"\d", text):
        return [text]
    return list(dict.fromkeys(NUMBER.sub(lambda match: _spell(match, style), text) for style in STYLES))
