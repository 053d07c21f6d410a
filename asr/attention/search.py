"""Beam search with an attention decoder: the hypotheses of one input grow symbol by symbol until they end.

Each symbol makes a text less likely, so such a search likes to stop early: the score is ln probability divided by a
power of the number of symbols (length normalisation, Wu et al. 2016), and each place of the input that was looked at is
worth a bonus (coverage, Chorowski & Jaitly 2016). numpy only; the decoder may compute with what it likes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

EOS = 0  # the symbol before the first one of a text, and after its last
COVERED = 0.5  # sum of the weights at which a place has been looked at

Allowed = Callable[[tuple[int, ...]], Collection[int] | None]  # the symbols so far -> those that may be next, or all


@dataclass(frozen=True)
class SearchOptions:
    """How wide a search looks, and what its score adds to ln probability."""

    beam: int = 4  # hypotheses kept after every symbol; 1 is greedy
    length: float = 0.7  # power of the number of symbols, the end among them, that ln probability is divided by
    coverage: float = 0.0  # ln for every place looked at
    width: float = 8.0  # hypotheses whose score is so much below that of the best finished one are dropped


@dataclass(frozen=True)
class Written:
    """A text that a decoder has written, symbol by symbol."""

    symbols: tuple[int, ...]  # without the end
    ln_probability: float  # of the symbols, and of the end where there is one
    score: float
    looks: tuple[np.ndarray, ...]  # (S,) the weights of each symbol and of the end

    @property
    def map(self) -> np.ndarray:
        """Where it looked (symbols + 1, S)."""
        return np.stack(self.looks)


class Steps(Protocol):
    """A decoder at one input. States are its own, of N hypotheses."""

    places: int  # S: of the input, to look at

    def start(self) -> Any:
        """The state before the first symbol, of one hypothesis."""

    def step(self, state: Any, before: Sequence[int]) -> tuple[np.ndarray, np.ndarray, Any]:
        """The symbols before (N) -> ln probability of each next one (N, V), weights (N, S), state."""

    def pick(self, state: Any, rows: list[int]) -> Any:
        """The state of some of the hypotheses; a number may come twice."""


def search(
    decoder: Steps, most: int, options: SearchOptions = SearchOptions(), n_best: int = 1, allowed: Allowed | None = None
) -> list[Written]:
    """The likeliest texts of at most ``most`` symbols, best first; none where ``allowed`` lets no text end.

    It ends when no hypothesis can come among the n best finished ones, even if it came to look at all places and all
    further symbols were certain.
    """
    state, live, ended = decoder.start(), [Written((), 0.0, 0.0, ())], []
    heard = np.zeros((1, decoder.places), np.float32)  # (N, S), the sum of all weights of each hypothesis
    for count in range(most + 1):
        log_probs, weights, state = decoder.step(state, [h.symbols[-1] if h.symbols else EOS for h in live])
        heard = heard + weights
        totals = log_probs + np.array([h.ln_probability for h in live])[:, None]
        for row, h in enumerate(live):
            if (may := allowed(h.symbols) if allowed else None) is not None:
                kept, values = list(may), totals[row, list(may)]
                totals[row] = -np.inf
                totals[row, kept] = values
        if count == most:
            totals[:, EOS + 1 :] = -np.inf
        bonus = options.coverage * (heard > COVERED).sum(1)
        grown, rows = _grown(live, totals, (count + 1) ** options.length, bonus, weights, options.beam)
        ended = sorted([*ended, *(h for h in grown if h.symbols[-1] == EOS)], key=lambda h: -h.score)
        full = options.coverage * decoder.places
        going = [
            k for k, h in enumerate(grown) if _hopeful(h, (most + 1) ** options.length, full, ended, options, n_best)
        ]
        live, parents = [grown[k] for k in going], [rows[k] for k in going]
        if not live:
            break
        state, heard = decoder.pick(state, parents), heard[parents]
    return [Written(h.symbols[:-1], h.ln_probability, h.score, h.looks) for h in ended[:n_best]]


def _grown(
    live: list[Written], totals: np.ndarray, norm: float, bonus: np.ndarray, weights: np.ndarray, beam: int
) -> tuple[list[Written], list[int]]:
    """The best hypotheses with one symbol more, and the row each of them comes from."""
    scores = (totals / norm + bonus[:, None]).ravel()
    best = np.argpartition(-scores, beam - 1)[:beam] if beam < len(scores) else np.arange(len(scores))
    best = best[np.argsort(-scores[best], kind="stable")]
    best = best[scores[best] > -np.inf]
    rows, symbols = (part.tolist() for part in np.divmod(best, totals.shape[1]))
    return [
        Written(
            (*live[row].symbols, symbol),
            float(totals[row, symbol]),
            float(scores[at]),
            (*live[row].looks, weights[row]),
        )
        for at, row, symbol in zip(best, rows, symbols)
    ], rows


def _hopeful(h: Written, norm: float, full: float, ended: list[Written], options: SearchOptions, n_best: int) -> bool:
    """Can it still come among the n best? norm: of the longest text; full: the bonus for all places."""
    if h.symbols[-1] == EOS:
        return False
    overtakes = len(ended) < n_best or h.ln_probability / norm + full > ended[n_best - 1].score
    return overtakes and (not ended or h.score > ended[0].score - options.width)
