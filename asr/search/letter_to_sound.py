"""How words that no lexicon has may be pronounced: as two words it has, or by rules from letters to phonemes.

The rules are those every reader of English knows (a small part of Elovitz et al. 1976); they give several
pronunciations where the vowels leave a choice, and the search takes the one that was said.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from itertools import islice, product

MAX_PRONUNCIATIONS = 6  # pronunciations of a word
MIN_PART_LETTERS = 3  # letters of a word within a compound: "snow" + "boy"
VOWELS = "aeiouy"

_RULES = {  # letters: phonemes, with / between alternatives, the usual one first
    "tion": "SH AH N", "sion": "ZH AH N/SH AH N", "eigh": "EY", "ough": "AO/OW", "augh": "AO", "tch": "CH",
    "igh": "AY", "sch": "SH/S K", "chr": "K R", "dge": "JH", "eau": "OW", "ing": "IH NG", "air": "EH R",
    "ear": "IH R/EH R", "eer": "IH R", "our": "AO R/AW ER", "ai": "EY/AY", "ay": "EY", "au": "AO/AW", "aw": "AO",
    "ee": "IY", "ea": "IY/EH", "ei": "AY/EY", "ey": "IY/EY", "eu": "UW/OY", "ew": "UW", "ie": "IY/AY",
    "oa": "OW", "oi": "OY", "oy": "OY", "oo": "UW/UH", "ou": "AW/UW", "ow": "OW/AW", "ue": "UW", "ui": "UW/IH",
    "aa": "AA", "oe": "OW", "ar": "AA R", "or": "AO R", "er": "ER", "ir": "ER/IH R", "ur": "ER/UH R", "ch": "CH/K",
    "sh": "SH", "th": "TH", "ph": "F", "wh": "W", "gh": "G", "ck": "K", "ng": "NG", "qu": "K W", "kn": "N",
    "wr": "R", "sc": "S K", "x": "K S", "a": "AE/AA/EY", "b": "B", "c": "K", "d": "D", "e": "EH/IY", "f": "F",
    "g": "G", "h": "HH", "i": "IH/IY/AY", "j": "JH", "k": "K", "l": "L", "m": "M", "n": "N", "o": "OW/AA", "p": "P",
    "q": "K", "r": "R", "s": "S", "t": "T", "u": "UW/AH", "v": "V", "w": "W", "y": "IY/AY", "z": "Z",
}  # fmt: skip
_LONG_VOWELS = {"a": "EY", "e": "IY", "i": "AY", "o": "OW", "u": "UW", "y": "AY"}  # before a consonant and a last e
_MAX_RULE_LETTERS = max(map(len, _RULES))


def guess(word: str, lexicon: Mapping[str, Sequence[str]]) -> list[str]:
    """Pronunciations ("P EH R") of a lower-case word, likeliest first. lexicon: those of the words it has."""
    found = [f"{a} {b}" for first, last in compounds(word, lexicon)[:1] for a in lexicon[first] for b in lexicon[last]]
    ways = [way.split("/") for way in _by_rules(word.replace("'", ""))]
    found += (" ".join(said) for said in islice(product(*ways), MAX_PRONUNCIATIONS))
    return list(dict.fromkeys(" ".join(said.split()) for said in found))[:MAX_PRONUNCIATIONS]


def compounds(word: str, lexicon: Container[str]) -> list[tuple[str, str]]:
    """Ways to see a word as two of the lexicon's, the most even first: "snowboy" -> ("snow", "boy")."""
    cuts = range(MIN_PART_LETTERS, len(word) - MIN_PART_LETTERS + 1)
    pairs = [(word[:i], word[i:]) for i in cuts if word[:i] in lexicon and word[i:] in lexicon]
    return sorted(pairs, key=lambda pair: abs(len(pair[0]) - len(pair[1])))


def _by_rules(word: str) -> list[str]:
    """The rule of each piece of the word; of a doubled consonant, one."""
    ways, at = [], 0
    while at < len(word):
        rest = word[at:]
        if rest[0] == word[at - 1 : at] and rest[0] not in VOWELS:
            at += 1
            continue
        if len(rest) == 3 and rest[0] in _LONG_VOWELS and rest[1] not in VOWELS + "rwx" and rest[2] == "e":
            ways += [_LONG_VOWELS[rest[0]], "JH" if rest[1] == "g" else "S" if rest[1] == "c" else _RULES[rest[1]]]
            break
        if rest == "e" and ways and any(c in VOWELS for c in word[:at]):
            break
        piece = next(rest[:n] for n in range(_MAX_RULE_LETTERS, 0, -1) if rest[:n] in _RULES)
        soft = rest[1:2] in ("e", "i", "y") and rest[1:2] != ""
        said = {"c": "S", "g": "G/JH"}.get(piece) if soft else None
        ways.append(said or _RULES[piece])
        at += len(piece)
    return ways
