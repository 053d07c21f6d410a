"""Numbers in words."""

from __future__ import annotations

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()
SCALES = {10**9: "billion", 10**6: "million", 1000: "thousand", 100: "hundred"}
ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth",
            "nine": "ninth", "twelve": "twelfth"}  # fmt: skip


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
