"""The likeliest CTC path that spells given symbols, for recordings of any length.

Scores go forward through all frames, and are kept before every BLOCK of them only; the steps are found again block
by block on the way back, where a path can have come from few states. Memory so grows with T / BLOCK, not with T.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asr.text import BLANK

BLOCK = 256  # frames whose steps are kept at a time


@dataclass(frozen=True)
class Front:
    """Scores of the states from ``low`` on, after some frame: ln of the best path to each, less ``offset``."""

    low: int
    scores: np.ndarray
    offset: float = 0.0


@dataclass(frozen=True)
class Trellis:
    """State 2k + 1 is symbol k; the even states are the blanks around the symbols."""

    columns: np.ndarray  # (S,) of the log-probabilities
    skip: np.ndarray  # (S,) 0 where the blank before a symbol may be left out, else -inf

    @classmethod
    def of(cls, symbols: np.ndarray, blanks: np.ndarray | int) -> Trellis:
        columns = np.empty(2 * len(symbols) + 1, np.intp)
        columns[::2], columns[1::2] = blanks, symbols
        skip = np.full(len(columns), -np.inf, np.float32)
        skip[3::2] = np.where(symbols[1:] != symbols[:-1], 0.0, -np.inf)
        return cls(columns, skip)

    def advance(self, front: Front, block: np.ndarray, steps: np.ndarray | None = None) -> Front:
        """Over the frames of ``block`` (K, V), for the states of ``front``.

        steps (K, len(front.scores)) int8 takes the number of states stepped over to get to each: 0, 1 or 2.
        """
        here = slice(front.low, front.low + len(front.scores))
        columns, skip = self.columns[here], self.skip[here]
        best = np.full(len(columns) + 2, -np.inf, np.float32)  # two sentinels in front
        now = best[2:]
        now[:] = front.scores
        for t, row in enumerate(block):
            by_one, by_two = best[1:-1], best[:-2] + skip
            winner = np.maximum(now, by_one)
            if steps is not None:
                np.greater(by_one, now, out=steps[t], casting="unsafe")
                steps[t][by_two > winner] = 2
            np.maximum(winner, by_two, out=winner)
            np.add(winner, row[columns], out=now)
        return Front(front.low, now, front.offset)


def viterbi(
    log_probs: np.ndarray, symbols: list[int], blanks: np.ndarray | int = BLANK, width: float = np.inf
) -> tuple[np.ndarray, float]:
    """-> the state (see Trellis) at each frame (T,) and ln probability of the path; -inf where there is none.

    log_probs (T, V), natural log, at least a frame. blanks (L + 1,): another column for some blank states.
    width: states so much (ln) below the best are dropped between blocks; all are kept if no path is left.
    """
    trellis = Trellis.of(np.asarray(symbols, np.intp), blanks)
    states = len(trellis.columns)
    blocks = [log_probs[t : t + BLOCK] for t in range(0, len(log_probs), BLOCK)]
    fronts = [Front(0, np.zeros(1, np.float32))]  # before the first frame: as if it had been the first blank
    for block in blocks[:-1]:
        after = trellis.advance(_window(fronts[-1], fronts[-1].low, _reach(fronts[-1], block, states)), block)
        fronts.append(_pruned(after, width))
    path, state, score = np.empty(len(log_probs), np.int64), states - 1, -np.inf
    for number in range(len(blocks) - 1, -1, -1):
        block, front = blocks[number], fronts[number]
        low = max(0, state - 2 * len(block) - 1)
        steps = np.empty((len(block), state + 1 - low), np.int8)
        after = trellis.advance(_window(front, low, state + 1), block, steps)
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


def _reach(front: Front, block: np.ndarray, states: int) -> int:
    """The state after the last that a path from the front can come to."""
    return min(states, front.low + len(front.scores) + 2 * len(block))


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
