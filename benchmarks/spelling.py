"""Digits spelled out, for engines that write "20" where the reference says "twenty"."""

from __future__ import annotations

import re

from recipes.language_model.numbers import cardinal, digits, ordinal, pairs, plural

CURRENCY = {"$": "dollars", "£": "pounds", "€": "euros"}
NUMBER = re.compile(r"([$£€]?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(st\b|nd\b|rd\b|th\b|s\b|%)?", re.IGNORECASE)


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
