"""The tagger of marks and capitals at work, in numpy: words and pauses in, classes out, fed in any portions.

Every word is judged by all words before it and the next ones: words are settled in chunks of CHUNK, whose last word
sees AHEAD more, so that none waits for more than eight. What is fed word by word gives what a whole text gives.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from asr.model.checkpoint import MODELS, CheckpointError, damaged, read_weights
from asr.numpy_gru import gru

UNLISTED = 0  # the row of words that are not in the list
CACHED = 100_000  # words whose pieces are remembered
NONE, COMMA, PERIOD, QUESTION = range(4)
MARKS = ("", ",", ".", "?")
ENDS = (PERIOD, QUESTION)  # a sentence ends with them
LOWER, CAPITAL, UPPER, MIXED = range(4)
CASES = 4
FORMAT = "asr-punctuation"
PACKAGED = MODELS / "punctuation.safetensors"
CHUNK = 4  # words that are settled together
AHEAD = 5  # words that the last one of them sees beyond itself
PAUSE_EDGES = (0.1, 0.3, 0.6, 1.2)  # s
NOT_KNOWN = 0  # the class of a pause; then come those up to each edge, and those above
PAUSES = len(PAUSE_EDGES) + 2


class Vocabulary:
    """Words as numbers: a row of its own for each common word, and rows for pieces of its spelling, which any word has.

    words: those with a row of their own, from row 1 on; rows: how many the pieces share. The pieces are the beginnings
    and ends of two to four letters and all runs of three (Bojanowski et al. 2017), hashed to a fixed number of rows.
    So a name that training has never seen still looks like a name.
    """

    def __init__(self, words: Sequence[str], rows: int):
        self.words, self.rows = list(words), rows
        self._numbers = {word: number for number, word in enumerate(self.words, start=1)}
        self.pieces = lru_cache(CACHED)(self._pieces)

    def number(self, word: str) -> int:
        return self._numbers.get(word, UNLISTED)

    def __getstate__(self) -> dict:
        """For pickle: all but what is remembered."""
        return {name: value for name, value in vars(self).items() if name != "pieces"}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state, pieces=lru_cache(CACHED)(self._pieces))

    def _pieces(self, word: str) -> tuple[int, ...]:
        """The rows of a word's pieces, at least one."""
        whole = f"<{word}>"
        found = {whole[i : i + 3] for i in range(len(whole) - 2)} | {whole}
        for length in (2, 4, 5):
            found |= {whole[:length], whole[-length:]}
        return tuple(sorted(zlib.crc32(piece.encode()) % self.rows for piece in found))


def in_case(word: str, case: int, mixed: dict[str, str]) -> str:
    """A word in small letters -> as it is written; mixed: the forms of words such as "iphone"."""
    stem, own = (word[:-2], "'s") if word.endswith("'s") else (word, "")
    if case == MIXED and stem in mixed:
        return mixed[stem] + own
    if case == UPPER and len(stem) > 1:
        return stem.upper() + own
    return capitalised(word) if case != LOWER else word


def capitalised(text: str) -> str:
    """The first letter a capital, where there is none; so is the one behind O' in names."""
    if not text.islower():
        return text
    if text.startswith("o'") and len(text) > 4:
        return "O'" + text[2:3].upper() + text[3:]
    return text[:1].upper() + text[1:]


def pause_class(seconds: float | None) -> int:
    """A pause after a word; None: not known."""
    return NOT_KNOWN if seconds is None else 1 + int(np.searchsorted(PAUSE_EDGES, seconds, side="right"))


class State(NamedTuple):
    """What is left of a text up to a chunk's beginning, and the words that are not settled yet."""

    below: np.ndarray  # (hidden,)
    above: np.ndarray  # (above,)
    waiting: np.ndarray  # (n, size)


class Tagger:
    """weights: of recipes.punctuation.network; tables of vectors are int8 with a scale for each row."""

    def __init__(self, weights: dict[str, np.ndarray], vocabulary: Vocabulary, mixed: dict[str, str]):
        self.vocabulary, self.mixed = vocabulary, mixed
        self._tables = {k: v for k, v in weights.items() if k.startswith(("words", "pieces"))}
        w = {k: v.astype(np.float32) for k, v in weights.items() if not k.startswith(("words", "pieces"))}
        self._end, self._pauses = w["end"], w["pauses.weight"]
        self._layers = {
            name: (
                np.ascontiguousarray(w[f"{name}.weight_ih_l0"].T), w[f"{name}.bias_ih_l0"],
                np.ascontiguousarray(w[f"{name}.weight_hh_l0"].T), w[f"{name}.bias_hh_l0"],
            )
            for name in ("forwards", "backwards", "above")
        }  # fmt: skip
        self._out, self._bias = w["out.weight"].T, w["out.bias"]

    def start(self) -> State:
        """Of a text of which nothing has been seen."""
        below, above = (np.zeros(len(self._layers[name][2]), np.float32) for name in ("forwards", "above"))
        return State(below, above, np.zeros((0, len(self._end)), np.float32))

    def feed(
        self, words: Sequence[str], pauses: Sequence[float | None], state: State, last: bool = False
    ) -> tuple[np.ndarray, State]:
        """Words in small letters, the pause after each -> log-odds of marks and cases of those settled, and the rest.

        last: nothing comes for now, so all are settled. -> (n, marks and cases), of the next n words since the start.
        """
        vectors = [
            self._vector(word) + self._pauses[pause_class(pause)] for word, pause in zip(words, pauses, strict=True)
        ]
        x = np.concatenate([state.waiting, *(v[None] for v in vectors)])
        settled = len(x) if last else max(0, (len(x) - AHEAD) // CHUNK * CHUNK)
        if not settled:
            return np.zeros((0, len(self._bias)), np.float32), state._replace(waiting=x)
        before = self._run("forwards", x[:settled, None], state.below[None])
        both = np.concatenate([before[:, 0], self._backwards(x, settled)], 1)
        above = self._run("above", both[:, None], state.above[None])
        logits = np.concatenate([both, above[:, 0]], 1) @ self._out + self._bias
        return logits, State(before[-1, 0], above[-1, 0], x[settled:])

    def _backwards(self, x: np.ndarray, settled: int) -> np.ndarray:
        """Vectors (n, size) -> (settled, ahead): each chunk is read from its last word ahead to its first one."""
        chunks = -(-settled // CHUNK)
        ends = np.broadcast_to(self._end, (max(0, chunks * CHUNK + AHEAD - len(x)), len(self._end)))
        x = np.concatenate([x, ends])
        steps = np.arange(CHUNK + AHEAD - 1, -1, -1)[:, None] + np.arange(0, chunks * CHUNK, CHUNK)
        size = len(self._layers["backwards"][2])
        seen = self._run("backwards", x, np.zeros((chunks, size), np.float32), steps)
        return seen[: AHEAD - 1 : -1].transpose(1, 0, 2).reshape(-1, size)[:settled]

    def _run(self, name: str, x: np.ndarray, h: np.ndarray, steps: np.ndarray | None = None) -> np.ndarray:
        w_x, b_x, w_h, b_h = self._layers[name]
        given = x @ w_x + b_x
        return gru(given if steps is None else given[steps], h, w_h, b_h)

    def _vector(self, word: str) -> np.ndarray:
        """Of a word: its own, and the mean of its pieces."""
        own = self._rows("words", [self.vocabulary.number(word)])[0]
        return own + self._rows("pieces", self.vocabulary.pieces(word)).mean(0)

    def _rows(self, table: str, rows: Sequence[int]) -> np.ndarray:
        chosen = list(rows)
        return self._tables[f"{table}.weight"][chosen] * self._tables[f"{table}.scale"][chosen].astype(np.float32)


def load(path: Path = PACKAGED) -> Tagger:
    """Raises asr.model.checkpoint.CheckpointError."""
    if not path.is_file():
        raise CheckpointError(f"there is no model of punctuation {path}")
    weights, head = read_weights(path, FORMAT, "model of punctuation")
    try:
        options = json.loads(head["options"])
        words = bytes(weights.pop("list")).decode().split()
        return Tagger(weights, Vocabulary(words, options["rows"]), json.loads(head["mixed"]))
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from None


def classes(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, marks and cases) -> the likeliest mark (n,), and case (n,)"""
    return logits[:, : len(MARKS)].argmax(1), logits[:, len(MARKS) :].argmax(1)
