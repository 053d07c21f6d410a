"""Texts with case and punctuation -> labelled words, source by source; whole documents are held out.

    python -m recipes.punctuation.prepare TEXTS OLDER --counts counts.tsv --without dev.jsonl --work WORK

TEXTS holds changelog.txt, simple-wikipedia.txt and, if wanted, white-house.txt and gutenberg.txt, a sentence a line;
counts.tsv says where episodes, speeches and books begin: set, repository, id, lines, words. Books of an author who is
held out must not be among them. OLDER is the older text with its SOURCES.md.
"""

from __future__ import annotations

import argparse
import json
import lzma
import random
import re
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from asr.commands.terminal import say
from asr.files import each_line
from asr.text import normalise
from asr.written.tagger import MIXED
from recipes.language_model.older_text import manifest_texts, source_lines, sources
from recipes.punctuation.text import case_of, documents

SOURCES = ("talk", "books", "dialogue", "everyday", "sentences", "reference")
BLOCK = 2000  # lines that are held out together, where documents cannot be told apart
REFERENCE = 600_000  # lines of the encyclopaedia
TOGETHER = 3  # sentences of no document that are put behind each other, at most
COLUMNS = {"word": "i", "mark": "b", "case": "b", "opens": "b", "begins": "q"}  # and their types
Group = tuple[str, Iterable[str]]  # train, dev or test, and the lines of a document


def main() -> None:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    parser.add_argument("texts", type=Path)
    parser.add_argument("older", type=Path)
    parser.add_argument("--counts", type=Path, required=True)
    parser.add_argument("--without", type=Path, nargs="*", default=[], help="manifests, whose texts are left out")
    parser.add_argument("--work", type=Path, required=True, help="folder for SOURCE.SPLIT.npz, words.txt, mixed.json")
    args = parser.parse_args()

    args.work.mkdir(parents=True, exist_ok=True)
    unseen = {normalise(text) for path in args.without for text in manifest_texts(path)}
    numbers: dict[str, int] = {}
    mixed: dict[str, Counter[str]] = {}
    for name in SOURCES:
        write(args.work, name, groups(name, args.texts, args.older, args.counts, unseen), numbers, mixed)
    (args.work / "words.txt").write_text("".join(f"{word}\n" for word in numbers), encoding="utf-8")
    (args.work / "mixed.json").write_text(json.dumps(mixed))


def groups(name: str, texts: Path, older: Path, counts: Path, unseen: set[str]) -> Iterator[Group]:
    if name == "talk":
        for number, episode in files_of(texts, "changelog", counts):
            yield split(int(number[:6], 16), 40), episode
        for _, speech in files_of(texts, "white-house", counts):
            yield "train", speech
    elif name == "books":
        text = source_lines(older, "books.txt")
        for book in sources(older)["books.txt"]:
            author = book.name.split("/")[1].split("_")[0]
            yield split(zlib.crc32(author.encode()), 10), islice(text, book.lines)
        for _, more in files_of(texts, "gutenberg", counts):
            yield "train", more
    elif name == "dialogue":  # the other sources' commas are erratic, or there are none
        sgd = sources(older)["dialogue.txt"][0]
        yield from blocks(islice(source_lines(older, "dialogue.txt", share_alike=True), sgd.lines), 20)
    elif name == "reference":
        with (texts / "simple-wikipedia.txt").open(encoding="utf-8", newline="\n") as lines:
            yield from blocks(islice(lines, REFERENCE), 50)
    else:
        yield from loose(name, older, unseen)


def files_of(texts: Path, name: str, counts: Path) -> Iterator[tuple[str, list[str]]]:
    """Number and lines of each file that a set was made of; none where the set is not there."""
    if not (texts / f"{name}.txt").is_file():
        return
    with (texts / f"{name}.txt").open(encoding="utf-8", newline="\n") as lines:
        for row in each_line(str(counts)):
            of, _, number, count = row.split("\t")[:4]
            if of == name:
                yield number, list(islice(lines, int(count)))


def split(number: int, one_of: int) -> str:
    return {0: "test", 1: "dev"}.get(number % one_of, "train")


def blocks(lines: Iterator[str], one_of: int) -> Iterator[Group]:
    number = 0
    while block := list(islice(lines, BLOCK)):
        yield split(number, one_of), block
        number += 1


def loose(name: str, older: Path, unseen: set[str]) -> Iterator[Group]:
    """Sentences of no document, a few behind each other."""
    if name == "everyday":
        with lzma.open(older / "fra-eng.txt.xz", "rt", encoding="utf-8") as file:
            lines = list(dict.fromkeys(line.split("\t")[0] for line in file))
    else:
        lines = list(dict.fromkeys(source_lines(older, "sentences.txt")))
    rng = random.Random(1)
    rng.shuffle(lines)
    parts: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
    for line in lines:
        if normalise(line) not in unseen:
            parts[split(zlib.crc32(line.encode()), 100)].append(line)
    for part, found in parts.items():
        rest = iter(found)
        while group := list(islice(rest, rng.randint(1, TOGETHER))):
            yield part, group


def write(
    work: Path, name: str, found: Iterator[Group], numbers: dict[str, int], mixed: dict[str, Counter[str]]
) -> None:
    """The arrays of a source: word (N), mark (N), case (N), opens (N), and where documents begin."""
    columns = {part: {key: array(kind) for key, kind in COLUMNS.items()} for part in ("train", "dev", "test")}
    for part, lines in found:
        words, marks, cases, opening, begins = columns[part].values()
        for document in documents(iter(lines)):
            begins.append(len(words))
            for word, written, mark, opens in document:
                case = case_of(written)
                words.append(numbers.setdefault(word, len(numbers)))
                marks.append(mark)
                cases.append(case)
                opening.append(opens)
                if case == MIXED and part == "train":
                    mixed.setdefault(re.sub("'s$", "", word), Counter())[re.sub("'s$", "", written)] += 1
    for part, arrays in columns.items():
        found_arrays: dict[str, Any] = {key: np.array(column) for key, column in arrays.items()}
        np.savez(work / f"{name}.{part}.npz", **found_arrays)
        say(f"{name} {part}: {len(arrays['word'])} words, {len(arrays['begins'])} stretches")


if __name__ == "__main__":
    main()
