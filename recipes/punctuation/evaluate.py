"""How well marks and capitals are put into the reference words of held-out documents.

    python -m recipes.punctuation.evaluate WORK [--part dev] [--model FILE]

F1 of commas, full stops and question marks together, and of capitals; with 95 % intervals over pieces of 500 words.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from asr.commands.terminal import say, table
from asr.written.tagger import CAPITAL, COMMA, ENDS, LOWER, MARKS, NONE, PACKAGED, Tagger, classes, load
from recipes.punctuation.batches import SHARES, Source, read
from recipes.punctuation.text import UNKNOWN

PIECE = 500  # words
DRAWS = 2000  # of the bootstrap
Counts = np.ndarray  # right, said, wanted: (pieces, 3)


def main() -> None:
    style = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=style)
    parser.add_argument("work", type=Path)
    parser.add_argument("--part", default="test", choices=("dev", "test"))
    parser.add_argument("--model", type=Path, default=PACKAGED)
    parser.add_argument("--words", type=int, default=60_000, help="of a source at most (default: 60000)")
    args = parser.parse_args()

    tagger, words = load(args.model), (args.work / "words.txt").read_text("utf-8").split("\n")
    rows: list[tuple[str, ...]] = [
        ("text", "words", "marks F1", "comma", "full stop", "question", "capitals F1", "ms a word")
    ]
    for name in SHARES:
        source = first(read(args.work, name, args.part), args.words)
        began = time.process_time()
        mark, case = tagged(tagger, source, words)
        spent = 1000 * (time.process_time() - began) / len(mark)
        counts = [marks_right(source, mark, kind) for kind in range(1, len(MARKS))]
        scores = [np.sum(counts, 0), *counts, capitals_right(source, case)]
        rows.append((name, str(len(mark)), *map(f1, scores), f"{spent:.2f}"))
    say(table(rows))


def first(source: Source, words: int) -> Source:
    """The documents up to so many words."""
    end = source.document_end(words) if words < len(source.word) else len(source.word)
    opens, begins = source.opens.astype(bool)[:end], source.begins[source.begins < end]
    return Source(source.word[:end], source.mark[:end], source.case[:end], opens, begins)


def tagged(tagger: Tagger, source: Source, words: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """-> the marks and cases found, of every document as a whole."""
    marks, cases = [], []
    for start, end in zip(source.begins, [*source.begins[1:], len(source.word)]):
        said = [words[i] for i in source.word[start:end]]
        logits, _ = tagger.feed(said, [None] * len(said), tagger.start(), last=True)
        mark, case = classes(logits)
        begins = np.concatenate([[True], np.isin(mark[:-1], ENDS)])
        marks.append(mark)
        cases.append(np.where(begins & (case == LOWER), CAPITAL, case))
    return np.concatenate(marks), np.concatenate(cases)


def marks_right(source: Source, found: np.ndarray, kind: int) -> Counts:
    known = source.mark != UNKNOWN
    return pieces((found == kind) & (source.mark == kind), (found == kind) & known, source.mark == kind)


def capitals_right(source: Source, found: np.ndarray) -> Counts:
    """Of words that are not in small letters. What opens a quotation after a comma is not counted."""
    before = np.concatenate([[NONE], source.mark[:-1]])
    known = ~(source.opens & np.isin(before, (NONE, COMMA)) & (np.arange(len(before)) > 0))
    known |= np.isin(np.arange(len(before)), source.begins)
    wanted, said = (source.case != LOWER) & known, (found != LOWER) & known
    return pieces(wanted & (found == source.case), said, wanted)


def pieces(right: np.ndarray, said: np.ndarray, wanted: np.ndarray) -> Counts:
    starts = np.arange(0, len(right), PIECE)
    return np.stack([np.add.reduceat(a.astype(int), starts) for a in (right, said, wanted)], 1)


def f1(counts: Counts) -> str:
    """With its interval."""
    draws = np.random.default_rng(1).integers(len(counts), size=(DRAWS, len(counts)))
    low, high = np.quantile(_f1(counts[draws].sum(1)), (0.025, 0.975))
    return f"{_f1(counts.sum(0)):.3f} ({low:.3f} to {high:.3f})"


def _f1(totals: np.ndarray) -> np.ndarray:
    right, said, wanted = np.moveaxis(totals, -1, 0)
    return 2 * right / np.maximum(1, said + wanted)


if __name__ == "__main__":
    main()
