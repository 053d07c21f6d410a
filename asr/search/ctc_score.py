"""CTC's forward algorithm: how probable texts are, whatever path they take (Graves et al. 2006)."""

from __future__ import annotations

import numpy as np

from asr.native import search as native
from asr.text import BLANK


def ctc_scores(log_probs: np.ndarray, targets: list[list[int]]) -> np.ndarray:
    """ln probability (N,) of N texts, each the symbols of one; -inf where the frames do not suffice.

    log_probs (T, V), natural log. All texts go forward together, as probabilities that are scaled at every frame: paths
    do not count while they are e^-708 times less likely than another start of their text. So the score of a text that
    is nowhere near what was said comes out too low.
    """
    if not len(log_probs):
        return np.array([-np.inf if target else 0.0 for target in targets])
    probabilities = np.exp(log_probs.astype(np.float64))
    return (_scores if native is None else _compiled_scores)(probabilities, targets)


def _compiled_scores(probabilities: np.ndarray, targets: list[list[int]]) -> np.ndarray:
    symbols = np.array([symbol for target in targets for symbol in target], np.int32)
    first = np.cumsum([0, *map(len, targets)], dtype=np.int64)
    return np.array(native.ctc_scores(probabilities, probabilities.shape[1], symbols, first))


def _scores(probabilities: np.ndarray, targets: list[list[int]]) -> np.ndarray:
    columns, jump = _trellis(targets)  # (N, S)
    probabilities = np.pad(probabilities, ((0, 0), (0, 1)))  # a last column that never is
    alpha, scale = np.zeros((len(targets), columns.shape[1] + 2)), np.zeros(len(targets))  # two states in front
    alpha[:, 1] = 1.0  # before the first frame
    for row in probabilities:
        new = alpha[:, 2:] + alpha[:, 1:-1]
        new += alpha[:, :-2] * jump
        new *= row[columns]
        most = new.max(1)
        most[most == 0] = 1.0
        scale += np.log(most)
        np.divide(new, most[:, None], out=alpha[:, 2:])
        alpha[:, :2] = 0.0
    with np.errstate(divide="ignore"):
        return scale + np.log([_ending(a[2:], len(t)) for a, t in zip(alpha, targets)])


def _trellis(targets: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """The column of each state, -1 after shorter texts, and 1 where the blank before a symbol may be left out."""
    columns = np.full((len(targets), 2 * max(map(len, targets), default=0) + 1), -1)
    for row, target in zip(columns, targets):
        row[: 2 * len(target) + 1] = BLANK
        row[1 : 2 * len(target) : 2] = target
    jump = np.zeros(columns.shape)
    jump[:, 1:2] = 1.0  # a text may begin with its first symbol
    jump[:, 3::2] = columns[:, 3::2] != columns[:, 1:-2:2]
    return columns, jump


def _ending(alpha: np.ndarray, symbols: int) -> float:
    """States (S,) -> what ends in the last symbol, or the blank after it."""
    return alpha[max(0, 2 * symbols - 1) : 2 * symbols + 1].sum()
