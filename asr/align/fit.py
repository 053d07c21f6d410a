"""One head's log-probabilities and the symbols of words: where the best path puts them, and how well they fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asr.align.viterbi import viterbi
from asr.errors import Error
from asr.text import BLANK

WIDTH = 1000.0  # ln; see viterbi. A wrong letter costs about 5, and a passage that the text lacks some hundred


class AlignError(Error, ValueError):
    """The text cannot be laid over this audio."""


@dataclass(frozen=True)
class SymbolAlignment:
    """Of each word, by the symbols it was given."""

    extents: np.ndarray  # (W, 2) the frames [from, to) of its symbols
    peaks: np.ndarray  # (W,) mean of ln of its symbols' peak posteriors
    lost: np.ndarray  # (W,) nats a symbol by which the path falls short of each frame's likeliest symbol, at most 0
    pace: np.ndarray  # (W,) ln of its frames a symbol


def align_symbols(
    log_probs: np.ndarray,
    words: Sequence[Sequence[int]],
    separator: Sequence[int] = (),
    elsewhere: float = np.inf,
    inside: Sequence[int] | int = BLANK,
) -> SymbolAlignment:
    """The words' symbols, ``separator`` between them, on the best path over log_probs (T, V), natural log.

    elsewhere: nats a frame below the likeliest symbol, at which speech between the words may belong to none.
    inside: the column of the blank in each word, where the words are spelt in the symbols of several heads.
    Raises AlignError when there are more symbols than frames, or the audio rules them out.
    """
    symbols = [x for word in words for x in (*separator, *word)][len(separator) :]
    _check_room(symbols, len(log_probs))
    sizes = np.array([len(word) for word in words])
    first = np.cumsum(sizes + len(separator)) - sizes - len(separator)
    blanks = np.full(len(symbols) + 1, BLANK)
    blanks[np.repeat(first, sizes) + _counted(sizes)] = np.repeat(np.broadcast_to(inside, len(words)), sizes)
    columns = log_probs
    if elsewhere < np.inf:
        free = np.maximum(log_probs[:, BLANK], log_probs.max(1) - elsewhere)
        columns = np.column_stack([log_probs, free])
        blanks[first] = blanks[first + sizes] = log_probs.shape[1]
    path, score = viterbi(columns, symbols, blanks, WIDTH)
    if not score > -np.inf:
        raise AlignError("the audio rules this text out: no alignment has a probability above zero")
    states = np.insert(blanks, np.arange(1, len(blanks)), symbols)  # their columns
    on_path = columns[np.arange(len(path)), states[path]]
    return _measured(path, on_path, on_path - log_probs.max(1), first, sizes)


def _counted(sizes: np.ndarray) -> np.ndarray:
    """0 .. n - 1 for each size n."""
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


def _check_room(symbols: list[int], frames: int) -> None:
    needed = len(symbols) + sum(a == b for a, b in zip(symbols, symbols[1:]))
    if needed > frames:
        raise AlignError(
            f"the text needs at least {needed} frames and the audio has {frames}: it is too long to have been said here"
        )


def _measured(
    path: np.ndarray, on_path: np.ndarray, short: np.ndarray, first: np.ndarray, sizes: np.ndarray
) -> SymbolAlignment:
    """From the states of the path, its ln probability at each frame, and by how much that falls short."""
    at = np.flatnonzero(path % 2)
    number = path[at] // 2
    begins = np.searchsorted(number, np.arange(first[-1] + sizes[-1]))  # all symbols are there, in order
    peaks = np.maximum.reduceat(on_path[at], begins)
    ends = np.append(begins[1:], len(at)) - 1
    extents = np.stack([at[begins[first]], at[ends[first + sizes - 1]] + 1], 1)
    return SymbolAlignment(
        extents,
        _sums(peaks, np.stack([first, first + sizes], 1)) / sizes,
        _sums(short, extents) / sizes,
        np.log(np.diff(extents)[:, 0] / sizes),
    )


def _sums(values: np.ndarray, extents: np.ndarray) -> np.ndarray:
    """Of the values [from, to), one after the other and none of them empty."""
    return np.add.reduceat(np.append(values, 0.0), extents.ravel())[::2]
