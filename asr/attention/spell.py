"""The search of listen, attend and spell: the audio's length caps the text's, and there is a letter at least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asr.attention.base import State
from asr.attention.decoder import AttentionDecoder
from asr.attention.search import SearchOptions, Written, search


@dataclass(frozen=True)
class SpellOptions(SearchOptions):
    """As SearchOptions, with what suits letters."""

    beam: int = 8
    length: float = 0.0
    coverage: float = 0.1
    letters_per_frame: float = 1.0  # at most, of 40 ms


@torch.no_grad()
def spell(
    decoder: AttentionDecoder, hidden: Tensor, options: SpellOptions = SpellOptions(), n_best: int = 1
) -> list[Written]:
    """hidden (T, size), the encoder's frames of one utterance -> the likeliest texts, best first, of a letter at least.

    It is asked where there is speech, and would else stop before the first letter at times.
    """
    if not len(hidden):
        return []
    letters, most = range(1, len(decoder.alphabet)), max(1, int(options.letters_per_frame * len(hidden)))
    return search(_Heard(decoder, hidden), most, options, n_best, lambda so_far: None if so_far else letters)


class _Heard:
    """The decoder at the frames of one utterance (asr.attention.search.Steps)."""

    def __init__(self, decoder: AttentionDecoder, hidden: Tensor):
        self.decoder, self.places = decoder, len(hidden)
        self.memory = decoder.remember(hidden[None], torch.tensor([len(hidden)], device=hidden.device))

    def start(self) -> State:
        return self.decoder.start(self.memory, 1)

    def step(self, state: State, before: Sequence[int]) -> tuple[np.ndarray, np.ndarray, State]:
        symbols = torch.tensor(before, device=self.memory.values.device)
        read, state = self.decoder.step(self.memory, state, self.decoder.embedding(symbols))
        return self.decoder.log_probs(read).cpu().numpy(), state.weights.cpu().numpy(), state

    def pick(self, state: State, rows: list[int]) -> State:
        return state.pick(torch.tensor(rows))
