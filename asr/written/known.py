"""What has one reading and needs no model: well-known codes, times with "past" and "to", long rows of digits."""

from __future__ import annotations

import re
from collections.abc import Sequence

from asr.written.stretches import DIGITS, VALUES

CODES = {  # of a letter beside a figure the model says: "k 9"
    "m p three": "MP3",
    "m p four": "MP4",
    "two d": "2D",
    "three d": "3D",
    "three g": "3G",
    "four g": "4G",
    "five g": "5G",
    "four k": "4K",
    "g seven": "G7",
    "g eight": "G8",
    "g twenty": "G20",
    "b two b": "B2B",
    "b two c": "B2C",
    "k two": "K2",
    "k nine": "K9",
    "m i five": "MI5",
    "m i six": "MI6",
    "c o two": "CO2",
    "h two o": "H2O",
    "w three c": "W3C",
    "h one n one": "H1N1",
    "f sixteen": "F16",
    "b fifty two": "B52",
}
# What bears a number: behind it "seven forty two" is no time of day.
NUMBERED = frozenset(
    "bus flight room route highway interstate gate train tram line channel page apartment suite platform number boeing "
    "extension locker model lot unit".split()
)
LONG = 12  # digits; telephone numbers are shorter, and are written in groups
_PAST = re.compile(
    r"(?:(?P<half>half)|(?P<quarter>(?:a )?quarter)|(?P<n>[a-z]+(?: (?!minutes?\b)[a-z]+)?)(?P<minutes> minutes?)?)"
    r" (?P<way>past|after|to|till|before) (?P<hour>[a-z]+)(?: (?P<half_day>[ap]) ?m)?"
)
_JOINED = re.compile(r"(?<!\S)(?:[b-hj-np-z] )*[A-Z]{2,}(?: [b-hj-np-z](?!\S))*(?!\S)")


def known(words: Sequence[str]) -> str | None:
    """The text of a stretch of words; None: the model is to be asked."""
    if len(words) >= LONG and DIGITS.keys() >= set(words):
        return "".join(DIGITS[word] for word in words)
    return CODES.get(" ".join(words)) or clock(words)


def clock(words: Sequence[str]) -> str | None:
    """The time that words such as "five minutes to three" say; "ten to twelve" may be a span as well."""
    match = _PAST.fullmatch(" ".join(words))
    hour = VALUES.get(match["hour"], 0) if match else 0
    if not match or not 1 <= hour <= 12:
        return None
    minutes = 30 if match["half"] else 15 if match["quarter"] else _below_hundred(match["n"])
    later = match["way"] in ("past", "after")
    plain = match["half"] or match["quarter"] or match["minutes"] or match["way"] == "past"
    if not plain or not 1 <= minutes <= 30 or minutes == 30 and match["way"] != "past":
        return None
    before = (hour - 2) % 12 + 1
    text = f"{hour}:{minutes:02d}" if later else f"{before}:{60 - minutes}"
    return f"{text} {match['half_day']}.m." if match["half_day"] else text


def _below_hundred(text: str) -> int:
    """The value of one or two words, 0 where they are no number."""
    first, _, second = text.partition(" ")
    if not second:
        return VALUES.get(first, 0)
    tens, ones = VALUES.get(first, 0), VALUES.get(second, 0)
    return tens + ones if tens >= 20 and 1 <= ones < 10 else 0


def joined(text: str) -> str:
    """Letters that were left alone beside others are of them: "s CHD" is SCHD. Not so a, i, o: these are words."""
    return _JOINED.sub(lambda match: match[0].replace(" ", "").upper(), text)
