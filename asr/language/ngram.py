"""N-gram language models: scoring by backing off (Katz 1987), and a compact file that loads at once."""

from __future__ import annotations

import io
import json
import math
import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from asr.errors import Error
from asr.files import atomic_write_bytes

UNKNOWN, START, END = 0, 1, 2  # the ids of
SPECIAL = ("<unk>", "<s>", "</s>")
NEVER = -99.0 * math.log(10)  # ln probability of <s>, which is only ever given
FORMAT = "n-gram language model"
VERSION = 1
CACHED = 1 << 15  # word scores remembered

State = tuple[int, ...]


class NgramError(Error, ValueError):
    """A language model cannot be read or trained, with the reason in a sentence."""


@dataclass(frozen=True)
class Level:
    """All n-grams of one order, those with the same context (the first n - 1 words) side by side.

    An n-gram is known by its place here; as a context of the next level it keeps that number.
    """

    word: np.ndarray  # (N,) the last word of each n-gram, rising within a context
    first: np.ndarray  # (contexts + 1,) where the n-grams of each context begin
    log_prob: np.ndarray  # (N,) float32, ln
    backoff: np.ndarray  # (N,) float32, ln; what a word not seen after this n-gram costs


class NgramModel:
    """Scores words one by one. A state holds the last words: where each of their n-grams stands in its level.

    words: the vocabulary by id, starting with <unk>, <s> and </s>. levels: one for each order from 1.
    """

    def __init__(self, words: Sequence[str], levels: Sequence[Level]):
        self.words = list(words)
        self.levels = list(levels)
        self._ids = {word: i for i, word in enumerate(self.words)}
        self._tables = [(x.word.data, x.first.data, x.log_prob.data, x.backoff.data) for x in self.levels]
        self._sorted: list[str] = []  # the vocabulary in alphabetical order, made when first asked for
        self.score = lru_cache(CACHED)(self._score)
        self.best_completion = lru_cache(CACHED)(self._best_completion)

    @property
    def order(self) -> int:
        return len(self.levels)

    def __contains__(self, word: str) -> bool:
        return word in self._ids

    def number(self, word: str) -> int:
        """Of a word in the vocabulary; UNKNOWN of one that is not."""
        return self._ids.get(word, UNKNOWN)

    def start(self) -> State:
        """The state before the first word of a sentence."""
        return (START,)[: self.order - 1]

    def end(self, state: State) -> float:
        """ln probability that the sentence ends here."""
        return self.score(state, SPECIAL[END])[0]

    def _score(self, state: State, word: str) -> tuple[float, State]:
        """`score(state, word)`: ln probability of the word, and the state after it."""
        word_id = self.number(word)
        places = [word_id]  # of the n-grams that end in this word; -1 where there is none
        log_prob = self._tables[0][2][word_id]
        for n, context in enumerate(state, start=1):
            place = self._find(n, context, word_id) if context >= 0 else -1
            if place >= 0:
                log_prob = self._tables[n][2][place]
            elif context >= 0:
                log_prob += self._tables[n - 1][3][context]
            places.append(place)
        return log_prob, self._shortened(places[: self.order - 1])

    def _find(self, n: int, context: int, word: int) -> int:
        """Place of context + word among the (n + 1)-grams, or -1."""
        words, first, _, _ = self._tables[n]
        end = first[context + 1]
        place = bisect_left(words, word, first[context], end)
        return place if place < end and words[place] == word else -1

    def _shortened(self, places: list[int]) -> State:
        """The state without contexts that say nothing about the next word: equal futures, equal states."""
        while places:
            n, place = len(places), places[-1]
            first = self._tables[n][1]
            if place >= 0 and (first[place] < first[place + 1] or self._tables[n - 1][3][place] != 0.0):
                break
            places.pop()
        return tuple(places)

    def _best_completion(self, beginning: str) -> float | None:
        """`best_completion(beginning)`: ln probability, without context, of the likeliest word it begins."""
        if not self._sorted:
            order = sorted(range(len(SPECIAL), len(self.words)), key=self.words.__getitem__)
            self._sorted_log_probs = self.levels[0].log_prob[order]
            self._sorted = [self.words[i] for i in order]
        low = bisect_left(self._sorted, beginning)
        high = bisect_left(self._sorted, beginning + chr(0x10FFFF), low)
        return float(self._sorted_log_probs[low:high].max()) if low < high else None


def log_prob(model: NgramModel, line: str) -> float:
    """ln probability of a sentence, its end included."""
    state, total = model.start(), 0.0
    for word in line.split():
        score, state = model.score(state, word)
        total += score
    return total + model.end(state)


def perplexity(model: NgramModel, lines: Iterable[str]) -> float:
    """Perplexity a token; the ends of sentences count, and unknown words do as <unk>."""
    total, tokens = 0.0, 0
    for line in lines:
        total += log_prob(model, line)
        tokens += len(line.split()) + 1
    return math.exp(-total / tokens) if tokens else math.nan


def save(model: NgramModel, path: Path | str) -> None:
    """Write the compact file: compressed arrays, scores above unigrams in 8 bits."""
    header = {"format": FORMAT, "version": VERSION, "order": model.order}
    arrays = {"header": _bytes(json.dumps(header)), "words": _bytes("\n".join(model.words))}
    for n, level in enumerate(model.levels, start=1):
        wide = level.word.astype(np.uint32)
        arrays[f"word{n}"] = np.diff(wide, prepend=wide[:1] * 0).view(np.uint8).reshape(-1, 4).T
        arrays[f"children{n}"] = _smallest(np.diff(level.first))
        for name in ("log_prob", "backoff"):
            values = getattr(level, name)
            arrays[f"{name}{n}"], arrays[f"{name}_table{n}"] = _quantise(values) if n > 1 else (values, np.zeros(0))
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    atomic_write_bytes(Path(path), file.getvalue())


def load(path: Path | str) -> NgramModel:
    """Read what `save` wrote. Raises NgramError for anything else."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            header = json.loads(arrays["header"].tobytes())
            if header["format"] != FORMAT or header["version"] != VERSION:
                raise NgramError(
                    f"{path} is version {header['version']} of the {header['format']} format; "
                    f"this program reads version {VERSION}: train it anew with `asr lm train`"
                )
            levels = [_level(arrays, n) for n in range(1, header["order"] + 1)]
            return NgramModel(arrays["words"].tobytes().decode().split("\n"), levels)
    except FileNotFoundError:
        raise NgramError(f"there is no language model {path}") from None
    except NgramError:
        raise
    except (ValueError, KeyError, AttributeError, OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError):
        raise NgramError(f"{path} is damaged or not a language model of this program") from None


def _level(arrays: np.lib.npyio.NpzFile, n: int) -> Level:
    steps = np.ascontiguousarray(arrays[f"word{n}"].T).view(np.uint32)[:, 0]
    first = np.concatenate([[0], np.cumsum(arrays[f"children{n}"], dtype=np.int64)])
    scores = [arrays[f"{name}{n}"] for name in ("log_prob", "backoff")]
    if n > 1:
        scores = [arrays[f"{name}_table{n}"][s] for name, s in zip(("log_prob", "backoff"), scores)]
    return Level(np.cumsum(steps, dtype=np.uint32), first, *scores)


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)


def _smallest(counts: np.ndarray) -> np.ndarray:
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))


def _quantise(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """8-bit codes (N,) and their values (256,): means of equally filled bins; code 0 stands for exactly 0."""
    ranked = np.sort(values[values != 0.0])
    bins = np.array_split(ranked, 255)
    means = np.array([b.mean(dtype=np.float64) for b in bins if len(b)], np.float32)
    codes = 1 + np.searchsorted((means[1:] + means[:-1]) / 2, values)
    table = np.zeros(256, np.float32)
    table[1 : len(means) + 1] = means
    return np.where(values == 0.0, 0, codes).astype(np.uint8), table
