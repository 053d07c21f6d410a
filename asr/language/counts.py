"""Counts of n-grams that are too many for memory: sorted runs in a work folder, merged level by level.

What is finished there stays: the same call again, after a kill, goes on with it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from asr.language.ngram import START
from asr.language.numbered_text import (
    PIECE,
    Unused,
    Vocabulary,
    choose,
    claim,
    note_of,
    number_words,
    renumber,
    write,
    write_json,
)


@dataclass(frozen=True)
class CountedLevel:
    """The distinct n-grams of one order in files, sorted by context, then word; places are int32, from 0."""

    context: np.ndarray  # (N,) place of the first n - 1 words in the level below
    word: np.ndarray  # (N,) id of the last word
    suffix: np.ndarray  # (N,) place of the last n - 1 words in the level below
    count: np.ndarray  # (N,) how often it is in the text


@dataclass(frozen=True)
class Counts:
    """Of all orders: the vocabulary by id, each word's count, the longer n-grams by order from 2."""

    words: list[str]
    count: np.ndarray  # (V,) int64, of each word; of <s> and </s> the sentences
    levels: list[CountedLevel]
    tokens: int  # in the text, sentence beginnings and ends included
    unused: Unused
    foreign: int = 0  # tokens of lines with too many unknown words, left out as well


def count(
    lines: Iterable[str],
    order: int,
    vocabulary: Vocabulary,
    work: Path,
    prepare: Callable[[str], str] = str,
    piece: int = PIECE,
) -> Counts:
    """Count all n-grams up to an order. work: a folder for this text and these settings alone, made when missing.

    prepare: done to every line first. Raises UsageError if there are no words, or the folder belongs to other settings.
    """
    pieces = number_words(lines, work, prepare, piece)
    claim(work / "settings.json", {"order": order, **_settings(vocabulary)})
    words, new_id = choose(work, pieces, vocabulary)
    foreign = renumber(work, pieces, new_id, vocabulary.max_unknown)
    size, tokens = len(words), 0
    counted = np.zeros(size, np.int64)
    for k in range(pieces):
        ids = np.load(work / f"tokens-{k}.npy", mmap_mode="r")
        counted += np.bincount(ids, minlength=size)
        tokens += len(ids)
    levels = []
    for n in range(2, order + 1):
        levels.append(_count_level(work, pieces, n, size, last=n == order))
    unused = sum((Unused(**json.loads(note_of(work, k).read_text())) for k in range(pieces)), Unused())
    return Counts(words, counted, levels, tokens, unused, foreign)


def _settings(vocabulary: Vocabulary) -> dict:
    words = vocabulary.words
    same = None if words is None else [len(words), zlib.crc32("\n".join(words).encode())]
    return {**asdict(vocabulary), "words": same}


def _count_level(work: Path, pieces: int, n: int, size: int, last: bool) -> CountedLevel:
    """The n-grams of one order, from the places of those one shorter; and their own places, unless it is the last."""
    folder = work / f"level-{n}"
    done = work / f"level-{n}.json"
    if not done.exists():
        folder.mkdir(exist_ok=True)
        for k in range(pieces):
            if not (folder / f"run-{k}.json").exists():
                _write_run(work, folder, k, n, size)
        write_json(done, _merge(folder, pieces, size))
        for k in range(pieces):
            (folder / f"count-{k}.npy").unlink()
            (folder / f"suffix-{k}.npy").unlink()
    if not last:
        _write_places(work, folder, pieces, n)
    total = json.loads(done.read_text())
    names = ("context", "word", "suffix", "count")
    return CountedLevel(*(_mapped(folder / f"{name}.bin", np.int32, total) for name in names))


def _write_run(work: Path, folder: Path, k: int, n: int, size: int) -> None:
    """The distinct n-grams of a piece, sorted by their keys: place of the context x `size` + word."""
    tokens = np.load(work / f"tokens-{k}.npy")
    places = tokens if n == 2 else np.load(work / f"places-{n - 1}-{k}.npy")
    ends = 1 + np.flatnonzero((places[:-1] >= 0) & (tokens[1:] != START))
    keys = places[ends - 1].astype(np.int64)
    keys *= size
    keys += tokens[ends]
    order = np.argsort(keys)
    keys = keys[order]
    new = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    at = np.flatnonzero(new)
    write(folder / f"keys-{k}.npy", keys[at])
    write(folder / f"count-{k}.npy", np.diff(at, append=len(keys)).astype(np.int32))
    write(folder / f"suffix-{k}.npy", places[ends[order[at]]].astype(np.int32))
    inverse = np.full(len(tokens), -1, np.int32)  # of each token: which of the run's n-grams ends there
    inverse[ends[order]] = np.cumsum(new) - 1
    write(folder / f"inverse-{k}.npy", inverse)
    write_json(folder / f"run-{k}.json", len(at))


def _merge(folder: Path, pieces: int, size: int, block: int = PIECE) -> int:
    """One sorted list of all runs, in files context, word, suffix, count and keys; returns its length."""
    runs = [
        [np.load(folder / f"{name}-{k}.npy", mmap_mode="r") for name in ("keys", "count", "suffix")]
        for k in range(pieces)
    ]
    total = 0
    names = ("context", "word", "suffix", "count", "keys")
    files = {name: open(folder / f"{name}.bin", "wb") for name in names}
    at = [0] * len(runs)
    for bound in _bounds([run[0] for run in runs], block):
        ends = [len(r[0]) if bound is None else int(np.searchsorted(r[0], bound)) for r in runs]
        columns = [np.concatenate([r[c][a:b] for r, a, b in zip(runs, at, ends)]) for c in range(3)]
        at = ends
        if not len(columns[0]):
            continue
        order = np.argsort(columns[0])
        keys, counts, suffix = (column[order] for column in columns)
        new = np.ones(len(keys), bool)
        np.not_equal(keys[1:], keys[:-1], out=new[1:])
        first = np.flatnonzero(new)
        keys = keys[first]
        (keys // size).astype(np.int32).tofile(files["context"])
        (keys % size).astype(np.int32).tofile(files["word"])
        suffix[first].tofile(files["suffix"])
        np.add.reduceat(counts, first).astype(np.int32).tofile(files["count"])
        keys.tofile(files["keys"])
        total += len(keys)
    for file in files.values():
        file.close()
    return total


def _bounds(runs: Sequence[np.ndarray], block: int) -> list[int | None]:
    """Keys that cut the runs into parts of about `block` n-grams together; None: the end."""
    step = max(1, block // (8 * len(runs)))
    sample = np.sort(np.concatenate([run[step - 1 :: step] for run in runs]))
    return [*dict.fromkeys(sample[7::8].tolist()), None]


def _write_places(work: Path, folder: Path, pieces: int, n: int) -> None:
    """Of each token the place of the n-gram that ends in it, -1 where none does."""
    keys = _mapped(folder / "keys.bin", np.int64, (folder / "keys.bin").stat().st_size // 8)
    for k in range(pieces):
        path = work / f"places-{n}-{k}.npy"
        if path.exists():
            continue
        of_run = np.append(np.searchsorted(keys, np.load(folder / f"keys-{k}.npy")), -1).astype(np.int32)
        write(path, of_run[np.load(folder / f"inverse-{k}.npy")])


def _mapped(path: Path, kind: type, length: int) -> np.ndarray:
    return np.memmap(path, kind, "r", shape=(length,)) if length else np.zeros(0, kind)
