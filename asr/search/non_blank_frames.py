"""The frames that a search has to look at, and the symbols worth trying in them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from asr.text import BLANK

if TYPE_CHECKING:
    from asr.search.base import SearchOptions


def non_blank_frames(log_probs: np.ndarray, o: SearchOptions) -> Iterator[tuple[float, list[tuple[int, float]]]]:
    """Of each frame: ln of the blank, and the symbols worth trying with their probabilities, best first.

    A frame that is surely blank has no symbols.
    """
    busy = log_probs[:, BLANK] < math.log(o.sure_blank)
    worth = (log_probs > math.log(max(o.least_symbol, 1e-300))) & busy[:, None]
    worth[:, BLANK] = False
    at, symbol = np.nonzero(worth)
    value = log_probs[at, symbol]
    order = np.lexsort((-value, at))
    pairs = list(zip(symbol[order].tolist(), np.exp(value[order].astype(np.float64)).tolist()))
    ends = np.cumsum(worth.sum(1)).tolist()
    start = 0
    for blank, end in zip(log_probs[:, BLANK].tolist(), ends):
        yield blank, pairs[start : min(end, start + o.symbols)]
        start = end
