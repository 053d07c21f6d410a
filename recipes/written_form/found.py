"""Sentences found in real text: ``python -m recipes.written_form.found TEXTS OLDER`` looks them up in their sources.

found.tsv: a source, TAB, a sentence as it stands there, with each number as {written=said=house}: as it is written
there, how it was said by hand, and how the house writes what was said, where that differs from the source.
TEXTS holds factbook.txt, economics.txt and fed-speeches.txt, OLDER fra-eng.txt.xz.
"""

from __future__ import annotations

import argparse
import lzma
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from asr.files import each_line
from asr.text import normalise

FOUND = Path(__file__).with_name("found.tsv")
_NUMBER = re.compile(r"\{([^{}=]+)=([^{}=]+)(?:=([^{}=]+))?\}")


class Found(NamedTuple):
    """A sentence; ``words``: as it is said, ``expected``: these with their numbers as the house writes them."""

    source: str
    sentence: str
    words: list[str]
    expected: str


def sentences(path: Path = FOUND) -> Iterator[Found]:
    for line in each_line(str(path)):
        source, _, marked = line.partition("\t")
        parts = _NUMBER.split(marked)  # plain, written, said, house, plain, ...
        plain, numbers = list(map(normalise, parts[::4])), list(zip(parts[1::4], parts[2::4], parts[3::4]))
        said = [said for _, said, _ in numbers]
        house = [house or written for written, _, house in numbers]
        words, expected = (" ".join(filter(None, _woven(plain, inside))) for inside in (said, house))
        yield Found(source, _NUMBER.sub(r"\1", marked), words.split(), expected)


def _woven(plain: list[str], inside: list[str]) -> list[str]:
    return [part for pair in zip(plain, [*inside, ""]) for part in pair]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path)
    parser.add_argument("older", type=Path)
    args = parser.parse_args()
    wanted = list(sentences())
    for source in dict.fromkeys(found.source for found in wanted):
        own = {found.sentence for found in wanted if found.source == source}
        if source == "tatoeba":
            with lzma.open(args.older / "fra-eng.txt.xz", "rt", encoding="utf-8") as pairs:
                there = {line.split("\t")[0] for line in pairs}
        else:
            there = set(each_line(str(args.texts / f"{source}.txt")))
        print(f"{source}: {len(own & there)} of {len(own)} sentences stand there", *sorted(own - there), sep="\n   ")


if __name__ == "__main__":
    main()
