"""Written lines as they are said: figures, money, dates, units and titles in words, then letters alone."""

from __future__ import annotations

import re

from recipes.language_model.numbers import cardinal, digits, ordinal, pairs, plural

CURRENCY = {"$": "dollar", "£": "pound", "€": "euro"}
UNITS = {
    "km": "kilometers", "kg": "kilograms", "cm": "centimeters", "mm": "millimeters", "mi": "miles", "ft": "feet",
    "lb": "pounds", "lbs": "pounds", "mph": "miles per hour", "km/h": "kilometers per hour", "m": "meters",
    "hz": "hertz", "khz": "kilohertz", "mhz": "megahertz", "ghz": "gigahertz", "kw": "kilowatts", "mw": "megawatts",
    "gb": "gigabytes", "mb": "megabytes", "in": "in", "°c": "degrees celsius", "°f": "degrees fahrenheit",
    "°": "degrees", "%": "percent",
}  # fmt: skip
TITLES = {"Mr": "mister", "Mrs": "missus", "Dr": "doctor", "Prof": "professor", "St": "saint", "Capt": "captain"}
MONTHS = "January February March April May June July August September October November December".split()
_MONTH = "|".join(MONTHS)
_TITLE = re.compile(r"\b(Mr|Mrs|Dr|Prof|St|Capt)\b\.?(?= ?[A-Z])|\b(Mr|Mrs)\b\.?")
_DAY = re.compile(
    rf"\b({_MONTH}) (\d{{1,2}})(?:st|nd|rd|th)?\b(?!:)|\b(\d{{1,2}})(?:st|nd|rd|th)? (?:of )?({_MONTH})\b"
)
_MONEY = re.compile(r"([$£€]) ?(\d[\d,]*(?:\.\d+)?)(?: ?(thousand|million|billion|trillion))?", re.I)
_UNIT = re.compile(r"(\d) ?(km/h|km|kg|cm|mm|mi|ft|lbs?|mph|[kmg]?hz|kw|mw|gb|mb|°[cf]?|%)(?![a-z])", re.I)
_CLOCK = re.compile(r"\b(\d{1,2}):(\d\d)\b(?!:)")
_NUMBER = re.compile(r"(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(st\b|nd\b|rd\b|th\b|'?s\b)?", re.I)
_HARD = re.compile(r"\d/\d|\d:\d\d:\d|\d\.\d+\.\d|[=<>^{}\\|]|\d{13}")


def spell(line: str) -> str | None:
    """The line with its figures in words; None where it cannot be told how they are said."""
    line = _TITLE.sub(lambda m: TITLES[m[1] or m[2]], line) if "." in line or "M" in line or "D" in line else line
    if "&" in line:
        line = line.replace("&", " and ")
    if any(c.isdigit() for c in line):
        if not line.isascii():
            line = line.translate(_PLAIN)
        if _HARD.search(line):
            return None
        line = _DAY.sub(_day, line)
        line = _MONEY.sub(_money, line)
        line = _UNIT.sub(lambda m: f"{m[1]} {UNITS[m[2].lower()]}", line)
        line = _CLOCK.sub(_time, line)
        line = _NUMBER.sub(_number, line)
        if any(c.isdigit() for c in line):
            return None
    return line


_PLAIN = str.maketrans({"½": " and a half", "²": " squared", "³": " cubed"})


def _day(match: re.Match) -> str:
    day = int(match[2] or match[3])
    if not 1 <= day <= 31:
        return match[0]
    said = ordinal(cardinal(day))
    return f"{match[1]} {said}" if match[1] else f"{said} of {match[4]}"


def _money(match: re.Match) -> str:
    sign, amount, scale = CURRENCY[match[1]], match[2].rstrip(","), match[3]
    if scale:
        return f"{amount} {scale} {sign}s"
    whole, _, cents = amount.partition(".")
    if len(cents) == 2:
        return f"{whole} {sign}s and {cents} {'pence' if sign == 'pound' else 'cents'} "
    return f"{amount} {sign}{'' if amount == '1' else 's'} "


def _time(match: re.Match) -> str:
    hour, minute = int(match[1]), match[2]
    said = "" if minute == "00" else digits(minute, "oh") if minute[0] == "0" else cardinal(int(minute))
    return f"{cardinal(hour)} {said}"


def _number(match: re.Match) -> str:
    written, decimal, suffix = match[1], match[2], (match[3] or "").lower()
    plain = written.replace(",", "")
    if len(plain) > 12 or plain[0] == "0" and len(plain) > 1:
        words = digits(plain)
    elif plain == written and len(plain) == 4 and 1100 <= int(plain) < 2100 and not decimal:
        words = cardinal(int(plain)) if 2000 <= int(plain) < 2010 or plain == "2000" else pairs(plain)
    else:
        words = cardinal(int(plain))
    if decimal:
        words += f" point {digits(decimal[1:])}"
    if suffix in ("st", "nd", "rd", "th"):
        words = ordinal(words)
    elif suffix:
        words = plural(words)
    return f" {words} "
