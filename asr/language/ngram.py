"""N-gram language models: scoring by backing off (Katz 1987), and their compact file, which is mapped into memory."""

from __future__ import annotations

import json
import math
import zlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from asr.errors import UsageError
from asr.language.packed import EXACT, UNREADABLE, Level, PackedLevel, mapped, packed, store, text_array
from asr.native import search as native

UNKNOWN, START, END = 0, 1, 2  # the ids of
SPECIAL = ("<unk>", "<s>", "</s>")
NEVER = -99.0 * math.log(10)  # ln probability of <s>, which is only ever given
CACHED = 1 << 15  # word scores remembered
FORMAT = "n-gram language model"
VERSION = 3  # 2 has tables of 256
ARRAYS = {
    "records": np.uint8, "is_node": np.uint8, "ranks": np.uint32, "nodes": np.uint8, "prob_table": np.float32,
    "backoff_table": np.float32,
}  # fmt: skip
State = tuple[int, ...]


class _Shared(Mapping[str, int]):
    """The ids of words by way of an index of most of them: their places, and the id at each place."""

    def __init__(self, places: Mapping[str, int], ids: np.ndarray, others: dict[str, int]):
        self._places, self._ids, self._others = places, ids, others

    def __getitem__(self, word: str) -> int:
        found = int(self._ids[place]) if (place := self._places.get(word)) is not None else UNKNOWN
        return found if found != UNKNOWN else self._others[word]

    def __iter__(self) -> Iterator[str]:
        return (word for word in [*self._places, *self._others] if word in self)

    def __len__(self) -> int:
        return int((self._ids != UNKNOWN).sum()) + len(self._others)


class NgramModel:
    """Scores words one by one. A state holds the last words: where each of their n-grams stands in its level.

    words: the vocabulary by id, starting with <unk>, <s> and </s>. levels: one for each order from 1, plain or packed.
    """

    def __init__(self, words: Sequence[str], levels: Sequence[Level] | Sequence[PackedLevel]):
        self.words = list(words)
        self._given: list[Level | PackedLevel] = list(levels)
        self.score = lru_cache(CACHED)(self._score)
        self.best_completion = lru_cache(CACHED)(self._best_completion)

    @property
    def order(self) -> int:
        return len(self._given)

    @cached_property
    def levels(self) -> list[Level]:
        """All n-grams as plain arrays: much larger than packed."""
        plain = [level for level in self._given if isinstance(level, Level)]
        if len(plain) == self.order:
            return plain
        return [level.unpacked(below) for below, level in zip([None, *self.packed], self.packed)]

    @cached_property
    def packed(self) -> list[PackedLevel]:
        found = [level for level in self._given if isinstance(level, PackedLevel)]
        return found if len(found) == self.order else pack_levels(self.levels, small=False)

    @property
    def native(self) -> tuple[tuple, ...]:
        """The levels as native/search.cpp takes them."""
        return tuple(
            (x.records, x.is_node, x.ranks, x.nodes, x.prob_table, x.backoff_table, x.size, x.word_bits, x.start_bits)
            for x in self.packed
        )

    @cached_property
    def unigrams(self) -> Level:
        """Of each word by itself, as plain arrays."""
        first = self._given[0]
        return first if isinstance(first, Level) else first.unpacked(None)

    @property
    def sizes(self) -> list[int]:
        """How many n-grams there are of each order."""
        return [level.size if isinstance(level, PackedLevel) else len(level.word) for level in self._given]

    @cached_property
    def _ids(self) -> Mapping[str, int]:
        return dict(zip(self.words, range(len(self.words))))

    def __contains__(self, word: str) -> bool:
        return word in self._ids

    def number(self, word: str) -> int:
        """Of a word in the vocabulary; UNKNOWN of one that is not."""
        return self._ids.get(word, UNKNOWN)

    def numbers(self, words: Sequence[str], places: Mapping[str, int]) -> np.ndarray:
        """(words,) int64: `number` of each of some words; places: where among them each is.

        From now on words are looked up by way of these, and share their strings: 16 MB less with 128,000.
        """
        found, numbers = np.empty(len(self.words), np.int64), np.full(len(words), UNKNOWN, np.int64)
        self.words = list(self.words)
        if native is not None and isinstance(places, native.Index):
            places.find(self.words, found)
        else:
            found[:] = [places.get(word, -1) for word in self.words]
            self.words = [words[k] if k >= 0 else own for k, own in zip(found.tolist(), self.words)]
        numbers[found[found >= 0]] = np.flatnonzero(found >= 0)
        others = {self.words[i]: i for i in [UNKNOWN, *np.flatnonzero(found < 0).tolist()]}
        self._ids = _Shared(places, numbers, others)
        return numbers

    def start(self) -> State:
        """The state before the first word of a sentence."""
        return (START,)[: self.order - 1]

    def end(self, state: State) -> float:
        """ln probability that the sentence ends here."""
        return self.score(state, SPECIAL[END])[0]

    def _score(self, state: State, word: str) -> tuple[float, State]:
        """`score(state, word)`: ln probability of the word, and the state after it."""
        word_id, levels = self.number(word), self.packed
        places = [word_id]  # of the n-grams that end in this word; -1 where there is none
        log_prob = levels[0].log_prob(word_id)
        for n, context in enumerate(state, start=1):
            place = self._find(n, context, word_id) if context >= 0 else -1
            if place >= 0:
                log_prob = levels[n].log_prob(place)
            elif context >= 0:
                log_prob += levels[n - 1].backoff(context)
            places.append(place)
        return log_prob, self._shortened(places[: self.order - 1])

    def _find(self, n: int, context: int, word: int) -> int:
        """Place of context + word among the (n + 1)-grams, or -1."""
        level = self.packed[n]
        low, high = self.packed[n - 1].children(context)
        place = bisect_left(range(high), word, low, high, key=level.word)
        return place if place < high and level.word(place) == word else -1

    def _shortened(self, places: list[int]) -> State:
        """The state without contexts that say nothing about the next word: equal futures, equal states."""
        while places and (places[-1] < 0 or self.packed[len(places) - 1].node(places[-1]) < 0):
            places.pop()
        return tuple(places)

    @cached_property
    def _alphabetical(self) -> tuple[list[str], np.ndarray]:
        """The vocabulary in alphabetical order, and the words' ln probabilities without context."""
        order = sorted(range(len(SPECIAL), len(self.words)), key=self.words.__getitem__)
        return [self.words[i] for i in order], self.unigrams.log_prob[order]

    def _best_completion(self, beginning: str) -> float | None:
        """`best_completion(beginning)`: ln probability, without context, of the likeliest word it begins."""
        words, log_probs = self._alphabetical
        low = bisect_left(words, beginning)
        high = bisect_left(words, beginning + chr(0x10FFFF), low)
        return float(log_probs[low:high].max()) if low < high else None


def pack_levels(levels: Sequence[Level], small: bool) -> list[PackedLevel]:
    """small: scores above unigrams as numbers in a table."""
    ids = len(levels[0].word)
    above = [*(level.first for level in levels[1:]), None]
    first, *others = zip(levels, above)
    return [packed(*first, None, False), *(packed(level, after, ids, small) for level, after in others)]


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
    """Write the compact file, scores above unigrams as numbers in a table of 32."""
    exact = any(level.prob_bits == EXACT for level in model.packed[1:])
    levels = pack_levels(model.levels, small=True) if exact else model.packed
    about = [{"size": x.size, "word_bits": x.word_bits, "start_bits": x.start_bits} for x in levels]
    header = {"format": FORMAT, "version": VERSION, "levels": about}
    words = zlib.compress("\n".join(model.words).encode(), 9)
    arrays = {"header": text_array(json.dumps(header).encode()), "words": text_array(words)}
    for n, level in enumerate(levels, start=1):
        arrays |= {f"{name}{n}": getattr(level, name) for name in ARRAYS}
    store(Path(path), arrays)


def load(path: Path | str) -> NgramModel:
    """Map what `save` wrote. Raises UsageError for anything else."""
    try:
        arrays = mapped(path)
        header = json.loads(bytes(arrays["header"]))
        if header["format"] == FORMAT and header["version"] == 1:
            return _version_1(arrays, header["order"])
        if header["format"] != FORMAT or header["version"] not in (2, VERSION):
            version = f"version {header['version']} of the {header['format']} format"
            raise UsageError(f"{path} is {version}; this program reads versions up to {VERSION}: train it anew")
        words = zlib.decompress(bytes(arrays["words"])).decode().split("\n")
        levels = [_level(arrays, n, about) for n, about in enumerate(header["levels"], start=1)]
        if not levels or levels[0].size != len(words):
            raise ValueError
        return NgramModel(words, levels)
    except FileNotFoundError:
        raise UsageError(f"there is no language model {path}") from None
    except UsageError:
        raise
    except (*UNREADABLE, OSError, zlib.error):
        raise UsageError(f"{path} is damaged or not a language model of this program") from None


def _version_1(arrays: dict[str, np.ndarray], order: int) -> NgramModel:
    """The model of an older file: compressed, the words of a level as steps, its bytes by place value."""
    levels = []
    for n in range(1, order + 1):
        steps = np.ascontiguousarray(arrays[f"word{n}"].T).view(np.uint32)[:, 0]
        first = np.concatenate([[0], np.cumsum(arrays[f"children{n}"], dtype=np.int64)])
        scores = [arrays[f"{name}{n}"] for name in ("log_prob", "backoff")]
        if n > 1:
            scores = [arrays[f"{name}_table{n}"][s] for name, s in zip(("log_prob", "backoff"), scores)]
        levels.append(Level(np.cumsum(steps, dtype=np.uint32), first, *scores))
    return NgramModel(arrays["words"].tobytes().decode().split("\n"), levels)


def _level(arrays: dict[str, np.ndarray], n: int, about: dict[str, int]) -> PackedLevel:
    """Raises ValueError where the arrays are too short for what is said about them."""
    parts = {name: arrays[f"{name}{n}"] for name in ARRAYS}
    if any(parts[name].dtype != kind or parts[name].ndim != 1 for name, kind in ARRAYS.items()):
        raise ValueError
    if any(len(parts[name]) not in (0, 32, 256) for name in ("prob_table", "backoff_table")):
        raise ValueError
    level = PackedLevel(size=about["size"], word_bits=about["word_bits"], start_bits=about["start_bits"], **parts)
    if not level.whole:
        raise ValueError
    return level
