"""A text as numbers, in pieces in a work folder, so that texts larger than memory can be counted.

What is finished there stays: the same call again, after a kill, goes on with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from asr.errors import UsageError
from asr.files import UNUSABLE, atomic_write
from asr.language.ngram import END, SPECIAL, START, UNKNOWN

PIECE = 1 << 24  # tokens counted at a time; most of the memory goes with it
BATCH = 1 << 14  # lines looked up at a time
FORMAT = 1  # of the files in the work folder
_BREAK = "\0"  # stands for the end of a line among its words


@dataclass(frozen=True)
class Vocabulary:
    """Which words are counted; the others become <unk>."""

    min_word: int = 1  # words seen less often are not
    max_words: int | None = None  # of those left only this many, the most frequent
    words: tuple[str, ...] | None = None  # these and no others, whatever the two above say
    max_unknown: float = 1.0  # lines with a larger share of other words are left out


@dataclass(frozen=True)
class Unused:
    """What of a text could not be counted, because its preparation left nothing of a line."""

    read: int = 0  # lines, also those that could be
    lines: int = 0
    words: int = 0

    def __add__(self, other: Unused) -> Unused:
        return Unused(self.read + other.read, self.lines + other.lines, self.words + other.words)


class _Numbers(dict):
    """Words numbered as they come."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self) - 1  # <unk>, <s>, </s>, the break: 4 keys, 3 numbers
        return number


def claim(note: Path, settings: dict) -> None:
    note.parent.mkdir(parents=True, exist_ok=True)
    if not note.exists():
        write_json(note, settings)
    elif json.loads(note.read_text()) != settings:
        raise UsageError(f"{note.parent} holds counts made with other settings: name another folder, or remove it")


def number_words(lines: Iterable[str], work: Path, prepare: Callable[[str], str] = str, piece: int = PIECE) -> int:
    """Write the text in pieces of words numbered as they come; returns how many pieces. See `count`."""
    claim(work / "text.json", {"format": FORMAT, "piece": piece})
    if (work / "pieces.json").exists():
        return json.loads((work / "pieces.json").read_text())
    numbers = _Numbers({SPECIAL[UNKNOWN]: 0, SPECIAL[START]: 0, SPECIAL[END]: 0, _BREAK: END})
    lines, k = iter(lines), 0
    while True:
        note = note_of(work, k)
        if note.exists():
            for word in _lines(work / f"new-words-{k}.txt"):
                numbers[word]
            next(islice(lines, *[json.loads(note.read_text())["read"]] * 2), None)
        else:
            before = len(numbers)
            tokens, unused = _numbered(lines, numbers, prepare, piece)
            if not unused.read:
                break
            write(work / f"numbered-{k}.npy", tokens)
            with atomic_write(work / f"new-words-{k}.txt") as part:
                part.write_text("".join(f"{word}\n" for word in islice(numbers, before, None)), encoding="utf-8")
            write_json(note, asdict(unused))
        k += 1
    if len(numbers) == len(SPECIAL) + 1:
        raise UsageError(UNUSABLE)
    write_json(work / "pieces.json", k)
    return k


def frequencies(work: Path, pieces: int) -> tuple[list[str], np.ndarray]:
    """Every word of a numbered text, as it first came, and how often it does."""
    words = [word for k in range(pieces) for word in _lines(work / f"new-words-{k}.txt")]
    counts = np.zeros(len(SPECIAL) + len(words), np.int64)
    for k in range(pieces):
        counts += np.bincount(np.load(work / f"numbered-{k}.npy"), minlength=len(counts))
    return words, counts[len(SPECIAL) :]


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def _numbered(
    lines: Iterator[str], numbers: _Numbers, prepare: Callable[[str], str], piece: int
) -> tuple[np.ndarray, Unused]:
    """About `piece` tokens of the next lines, each line ended by END; and what of the lines gave none."""
    found, total, unused = [], 0, Unused()
    while total < piece and (batch := list(islice(lines, BATCH))):
        texts = [prepare(line).replace(_BREAK, " ").strip() for line in batch]
        empty = [line for line, text in zip(batch, texts) if not text]
        unused += Unused(len(batch), len(empty), sum(len(line.split()) for line in empty))
        if len(empty) < len(batch):
            words = f" {_BREAK} ".join([*filter(None, texts), ""]).split()
            found.append(np.fromiter(map(numbers.__getitem__, words), np.int32, len(words)))
            total += len(words)
    return np.concatenate([*found, np.zeros(0, np.int32)]), unused


def note_of(work: Path, k: int) -> Path:
    return work / f"numbered-{k}.json"


def choose(work: Path, pieces: int, options: Vocabulary) -> tuple[list[str], np.ndarray]:
    """The vocabulary, most frequent first or as given; and the id of each number."""
    words, counts = frequencies(work, pieces)
    new_id = np.full(len(SPECIAL) + len(words), UNKNOWN, np.int32)
    new_id[END] = END
    if options.words is not None:
        wanted = {word: i for i, word in enumerate(options.words, start=len(SPECIAL))}
        new_id[len(SPECIAL) :] = [wanted.get(word, UNKNOWN) for word in words]
        return [*SPECIAL, *options.words], new_id
    ranked = np.argsort(-counts, kind="stable")[: options.max_words]
    kept = ranked[counts[ranked] >= options.min_word]
    new_id[len(SPECIAL) + kept] = np.arange(len(SPECIAL), len(SPECIAL) + len(kept))
    return [*SPECIAL, *(words[i] for i in kept)], new_id


def renumber(work: Path, pieces: int, new_id: np.ndarray, max_unknown: float) -> int:
    """Write the pieces anew in ids of the vocabulary, <s> before each sentence; returns how many tokens fell away."""
    foreign = 0
    for k in range(pieces):
        path = work / f"tokens-{k}.npy"
        if path.exists():
            foreign += json.loads((work / f"foreign-{k}.json").read_text())
            continue
        ids = new_id[np.load(work / f"numbered-{k}.npy")]
        ends = np.flatnonzero(ids == END)
        lengths = np.diff(ends, prepend=-1)
        unknown = np.diff(np.cumsum(ids == UNKNOWN)[ends], prepend=0)
        good = unknown <= max_unknown * (lengths - 1)
        kept = np.repeat(good, lengths)
        lengths = lengths[good]
        inner = ids[kept]
        starts = np.cumsum(lengths) - lengths + np.arange(len(lengths))
        tokens = np.empty(len(inner) + len(lengths), np.int32)
        is_start = np.zeros(len(tokens), bool)
        is_start[starts] = True
        tokens[is_start], tokens[~is_start] = START, inner
        foreign += len(ids) - len(inner)
        write_json(work / f"foreign-{k}.json", len(ids) - len(inner))
        write(path, tokens)
    return foreign


def write(path: Path, array: np.ndarray) -> None:
    with atomic_write(path) as part, part.open("wb") as file:
        np.save(file, array)


def write_json(path: Path, value: object) -> None:
    with atomic_write(path) as part:
        part.write_text(json.dumps(value))
