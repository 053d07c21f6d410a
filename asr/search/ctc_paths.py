"""Paths through CTC's outputs that spell given symbols (Graves et al. 2006): the likeliest path, how probable a text is
by all its paths, and how well the best path of a keyword fits that may begin at any frame.

The likeliest path is found in recordings of any length: scores go forward through all frames, and are kept before every
BLOCK of them only; the steps are found again block by block on the way back, where a path can have come from few
states. Memory so grows with T / BLOCK, not with T.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from asr.native import search as native
from asr.text import BLANK

BLOCK = 256  # frames whose steps are kept at a time


@dataclass(frozen=True)
class Lattice:
    """The states of a text, in the order that paths go through them: state 2k + 1 is symbol k, the even states are the
    blanks around the symbols. A path stays in a state, goes to the next one, or leaves out the blank between two
    symbols that are not the same.
    """

    columns: np.ndarray  # (S,) of the log-probabilities
    skip: np.ndarray  # (S,) 0 where the blank before a symbol may be left out, else -inf

    @classmethod
    def of(cls, symbols: Sequence[int], blanks: np.ndarray | int = BLANK) -> Lattice:
        """blanks (L + 1,): another column for some blank states."""
        columns = np.empty(2 * len(symbols) + 1, np.int64)
        columns[::2], columns[1::2] = blanks, symbols
        skip = np.full(len(columns), -np.inf, np.float32)
        skip[3::2] = np.where(columns[3::2] != columns[1:-2:2], 0.0, -np.inf)
        return cls(columns, skip)

    def forward(
        self,
        scores: np.ndarray,
        log_probs: np.ndarray,
        low: int = 0,
        combine: np.ufunc = np.maximum,
        steps: np.ndarray | None = None,
    ) -> Iterator[np.ndarray]:
        """The scores (ln) of the states low, low + 1, ... after each frame; the next frame overwrites them.

        scores: before the first frame of log_probs (T, V). combine: maximum for the best path, logaddexp for all.
        steps (T, len(scores)) int8 takes the number of states that the best path steps over to get to each: 0, 1 or 2.
        """
        here = slice(low, low + len(scores))
        columns, skip = self.columns[here], self.skip[here]
        padded = np.full(len(columns) + 2, -np.inf, scores.dtype)  # two states in front
        now = padded[2:]
        now[:] = scores
        for t, row in enumerate(log_probs):
            by_one, by_two = padded[1:-1], padded[:-2] + skip
            total = combine(now, by_one)
            if steps is not None:
                np.greater(by_one, now, out=steps[t], casting="unsafe")
                steps[t][by_two > total] = 2
            combine(total, by_two, out=total)
            np.add(total, row[columns], out=now)
            yield now

    def best(
        self,
        scores: np.ndarray,
        log_probs: np.ndarray,
        low: int = 0,
        steps: np.ndarray | None = None,
        after: np.ndarray | None = None,
    ) -> np.ndarray:
        """As ``forward`` by the best path -> the scores after the last frame, of log_probs (T, V); compiled in float32.

        after (T, len(scores)) takes the scores after each frame.
        """
        if native is not None and log_probs.dtype == np.float32:
            scores, rows, here = scores.copy(), np.ascontiguousarray(log_probs), slice(low, low + len(scores))
            native.best_paths(scores, rows, rows.shape[1], self.columns[here], self.skip[here], steps, after)
            return scores
        for t, now in enumerate(self.forward(scores, log_probs, low, steps=steps)):
            if after is not None:
                after[t] = now
            scores = now
        return scores.copy()


def ctc_scores(log_probs: np.ndarray, targets: list[list[int]]) -> np.ndarray:
    """ln probability (N,) of N texts, each the symbols of one; -inf where the frames do not suffice.

    log_probs (T, V), natural log. The compiled way scales probabilities at every frame: paths do not count while they
    are e^-708 times less likely than another start of their text. So the score of a text that is nowhere near what was
    said comes out too low.
    """
    if not len(log_probs):
        return np.array([-np.inf if target else 0.0 for target in targets])
    if native is None:
        return np.array([_ctc_score(Lattice.of(target), log_probs.astype(np.float64)) for target in targets])
    probabilities = np.exp(log_probs.astype(np.float64))
    symbols = np.array([symbol for target in targets for symbol in target], np.int32)
    first = np.cumsum([0, *map(len, targets)], dtype=np.int64)
    return np.array(native.ctc_scores(probabilities, probabilities.shape[1], symbols, first))


def _ctc_score(lattice: Lattice, log_probs: np.ndarray) -> float:
    start = np.full(len(lattice.columns), -np.inf)
    start[0] = 0.0  # as if the frame before the first had been the first blank
    for scores in lattice.forward(start, log_probs, combine=np.logaddexp):
        pass
    return float(np.logaddexp.reduce(scores[-2:]))


class Keyword:
    """A phrase by all the ways to say it, in symbols as the acoustic model's head numbers them.

    For every frame: the best path that says the symbols of a way and ends here, against the model's best path of any
    content over the same frames (a keyword-filler network: Rose & Paul 1990; with CTC: Hwang et al. 2015). The ways
    stand one after the other in a lattice, each after a state that costs nothing, by which it may be entered.
    """

    def __init__(self, ways: Sequence[Sequence[int]]):
        """Raises ValueError for a way without symbols, or with the blank among them."""
        if not ways or not all(ways) or any(BLANK in way for way in ways):
            raise ValueError("a keyword needs at least one symbol, and none of them the blank")
        self.ways = tuple(map(tuple, ways))
        blanks = [np.array([0] + [BLANK + 1] * len(way)) for way in ways]  # a column of zeros is to stand first
        lattices = [Lattice.of([symbol + 1 for symbol in way], row) for way, row in zip(ways, blanks)]
        self._lattice = Lattice(*(np.concatenate([getattr(x, n) for x in lattices]) for n in ("columns", "skip")))
        lengths = np.array([len(way) for way in ways])
        self._lengths, self._ends = lengths.astype(np.float32), np.cumsum(2 * lengths + 1) - 2

    @staticmethod
    def of(ways: Sequence[Sequence[str]], symbols: Sequence[str]) -> Keyword:
        """A phrase's ways in phonemes, of a head with ``symbols`` from number 1 on. ValueError for one it has not."""
        return Keyword([[symbols.index(phoneme) + 1 for phoneme in way] for way in ways])

    def start(self) -> np.ndarray:
        """The state: the log-score of the best path into each state of the lattice."""
        return np.where(self._lattice.columns == 0, np.float32(0), np.float32(-np.inf))

    def feed(self, log_probs: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """log_probs (T, V), state -> scores (T,) in 0..1, and the new state.

        A score is the geometric mean, over the symbols of the best way, of the ratio between its path and the best
        path: 1 where the model hears exactly the phrase. A path may enter the first symbol at any frame, at no cost.
        """
        frames, symbols = log_probs.shape
        relative, after = np.zeros((frames, symbols + 1), np.float32), np.empty((frames, len(state)), np.float32)
        np.subtract(log_probs, log_probs.max(-1, keepdims=True), out=relative[:, 1:])
        state = self._lattice.best(state, relative, after=after)
        return np.exp((after[:, self._ends] / self._lengths).max(-1)), state


@dataclass(frozen=True)
class Front:
    """Scores of the states from ``low`` on, after some frame: ln of the best path to each, less ``offset``."""

    low: int
    scores: np.ndarray
    offset: float = 0.0


def viterbi(
    log_probs: np.ndarray, symbols: list[int], blanks: np.ndarray | int = BLANK, width: float = np.inf
) -> tuple[np.ndarray, float]:
    """-> the state (see Lattice) at each frame (T,) and ln probability of the path; -inf where there is none.

    log_probs (T, V), natural log, at least a frame. blanks (L + 1,): another column for some blank states.
    width: states so much (ln) below the best are dropped between blocks; all are kept if no path is left.
    """
    lattice = Lattice.of(symbols, blanks)
    states = len(lattice.columns)
    blocks = [log_probs[t : t + BLOCK] for t in range(0, len(log_probs), BLOCK)]
    fronts = [Front(0, np.zeros(1, np.float32))]  # before the first frame: as if it had been the first blank
    for block in blocks[:-1]:
        front = fronts[-1]
        high = min(states, front.low + len(front.scores) + 2 * len(block))  # as far as a path can come
        fronts.append(_pruned(_advanced(lattice, _window(front, front.low, high), block), width))
    path, state, score = np.empty(len(log_probs), np.int64), states - 1, -np.inf
    for number in range(len(blocks) - 1, -1, -1):
        block, front = blocks[number], fronts[number]
        low = max(0, state - 2 * len(block) - 1)
        steps = np.empty((len(block), state + 1 - low), np.int8)
        after = _advanced(lattice, _window(front, low, state + 1), block, steps)
        if number == len(blocks) - 1:
            last, before = after.scores[-1], after.scores[-2] if states > 1 else -np.inf
            state -= int(before > last)
            score = float(max(last, before)) + after.offset
        for t in range(len(block) - 1, -1, -1):
            path[number * BLOCK + t] = state
            state -= int(steps[t, state - low])
    if score == -np.inf and width < np.inf:
        return viterbi(log_probs, symbols, blanks)
    return path, score


def _advanced(lattice: Lattice, front: Front, block: np.ndarray, steps: np.ndarray | None = None) -> Front:
    """The front after a block of log-probabilities; see Lattice.forward."""
    return Front(front.low, lattice.best(front.scores, block, front.low, steps), front.offset)


def _window(front: Front, low: int, high: int) -> Front:
    """The states low .. high - 1, those the front lacks at -inf."""
    scores = np.full(high - low, -np.inf, np.float32)
    first, last = max(low, front.low), min(high, front.low + len(front.scores))
    if first < last:
        scores[first - low : last - low] = front.scores[first - front.low : last - front.low]
    return Front(low, scores, front.offset)


def _pruned(front: Front, width: float) -> Front:
    """Without what lies far below the best at either side; the best at 0."""
    top = float(front.scores.max())
    if top == -np.inf:
        return front
    alive = np.flatnonzero(front.scores > max(top - width, np.finfo(np.float32).min))
    kept = front.scores[alive[0] : alive[-1] + 1] - np.float32(top)
    return Front(front.low + int(alive[0]), kept, front.offset + top)
