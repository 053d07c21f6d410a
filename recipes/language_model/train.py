"""Train the packaged n-gram language model from the project's text.

python -m recipes.language_model.train TEXT_FOLDER --without dev.jsonl --output asr/models/english-lm.npz
"""

from __future__ import annotations

import argparse
import lzma
import random
import re
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from asr.commands.terminal import say
from asr.language import arpa
from asr.language.kneser_ney import TrainingOptions, train
from asr.language.ngram import NgramModel, perplexity
from asr.language.ngram_file import load, save
from asr.text import normalise
from asr.training.data import ManifestError, read_manifest

FILES = ("sentences.txt", "dialogue.txt", "books.txt")
HELD_OUT = 0.01  # of the lines, for measuring perplexity
SEED = 20261121


@dataclass(frozen=True)
class Source:
    name: str
    licence: str
    lines: int
    note: str

    @property
    def usable(self) -> bool:
        """Not share-alike, and not a set that others measure on."""
        return "BY-SA" not in self.licence and "EVALUATION SET" not in self.note


def main() -> None:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    parser.add_argument("folder", type=Path, help="with SOURCES.md and the .txt.xz files")
    parser.add_argument("--without", type=Path, nargs="*", default=[], help="manifests, texts to leave out")
    parser.add_argument("--output", type=Path, required=True, help=".npz to write")
    parser.add_argument("--arpa", type=Path, help="write the same model as ARPA too")
    parser.add_argument("--order", type=int, default=4)
    parser.add_argument("--min-word", type=int, default=2, help="words seen less often become <unk>")
    parser.add_argument("--min-counts", type=int, nargs="*", default=[1, 1, 2, 2], help="rarer n-grams go")
    parser.add_argument("--ngrams", type=int, help="prune to about this many longer than a word")
    args = parser.parse_args()

    unseen = {path: manifest_texts(path) for path in args.without}
    lines, held_out = split(sentences(args.folder), {text for texts in unseen.values() for text in texts})
    say(f"{len(lines)} lines, {sum(len(x.split()) for x in lines)} words; {len(held_out)} lines held out")
    began = time.process_time()
    options = TrainingOptions(
        order=args.order, min_word=args.min_word, min_counts=tuple(args.min_counts), max_ngrams=args.ngrams
    )
    model = train(lines, options)
    save(model, args.output)
    say(f"trained in {time.process_time() - began:.0f} CPU s: {args.output.stat().st_size / 1e6:.2f} MB")
    for n, size in enumerate(model.sizes, start=1):
        say(f"{n}-grams: {size}")
    model = load(args.output)
    report(model, "held out", held_out)
    for path, texts in unseen.items():
        report(model, path.name, texts)
    if args.arpa:
        arpa.write(model, args.arpa)


def sources(folder: Path) -> dict[str, list[Source]]:
    """File name -> the sources it is made of, in the order of the file, from the tables of SOURCES.md."""
    found: dict[str, list[Source]] = {}
    for line in (folder / "SOURCES.md").read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"## (\S+\.txt):", line):
            current = found.setdefault(heading[1], [])
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if len(cells) == 8 and cells[4].isdigit():
            current.append(Source(cells[0], cells[2], int(cells[4]), cells[7]))
    return found


def sentences(folder: Path) -> Iterator[str]:
    """Normalised lines of all usable sources. Lines with digits are left out: how are they said?"""
    parts = sources(folder)
    for name in FILES:
        with lzma.open(folder / f"{name}.xz", "rt", encoding="utf-8", newline="\n") as file:
            lines = file.read().split("\n")[:-1]
        for line in usable(lines, parts[name], name):
            if not any(c.isdigit() for c in line):
                yield normalise(line.replace("&", " and "))


def usable(lines: list[str], parts: list[Source], name: str) -> Iterator[str]:
    """The lines of the usable sources, which follow each other in the file as in the table."""
    if all(p.usable for p in parts):
        yield from lines
        return
    if sum(p.lines for p in parts) != len(lines):
        sys.exit(f"{name} has {len(lines)} lines, not those of SOURCES.md: its sources cannot be told apart")
    start = 0
    for part in parts:
        if part.usable:
            yield from lines[start : start + part.lines]
        else:
            say(f"left out: {part.name}, {part.licence} {part.note}")
        start += part.lines


def split(lines: Iterable[str], unseen: set[str]) -> tuple[list[str], list[str]]:
    """Distinct lines that are not in `unseen`: for training, and held out."""
    lines = [x for x in dict.fromkeys(lines) if x and x not in unseen]
    random.Random(SEED).shuffle(lines)
    count = int(len(lines) * HELD_OUT)
    return lines[count:], lines[:count]


def manifest_texts(path: Path) -> list[str]:
    try:
        return [utterance.text for utterance in read_manifest(path)]
    except ManifestError as error:
        sys.exit(str(error))


def report(model: NgramModel, name: str, lines: list[str]) -> None:
    words = [w for line in lines for w in line.split()]
    unknown = sum(w not in model for w in words) / len(words)
    say(f"{name}: perplexity {perplexity(model, lines):.1f}, {unknown:.2%} of {len(words)} words unknown")


if __name__ == "__main__":
    main()
