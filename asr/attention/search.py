"""Beam search with the attention decoder: hypotheses of one utterance grow letter by letter until they end.

Left alone such a search stops early or says a phrase twice. Two things hold it: every frame that has been looked at
is worth a bonus (coverage, Chorowski & Jaitly 2016), and the audio's length caps the text's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asr.attention.decoder import EOS, AttentionDecoder, Memory, State

COVERED = 0.5  # sum of the weights at which a frame has been looked at


@dataclass(frozen=True)
class SpellOptions:
    """How wide the decoder's own beam search looks, and what its score adds to ln probability."""

    beam: int = 8  # hypotheses kept after every letter; 1 is greedy
    coverage: float = 0.1  # ln for every frame looked at
    letters_per_frame: float = 1.0  # at most, of 40 ms
    width: float = 8.0  # hypotheses this much (ln) below the best finished one are dropped


@dataclass(frozen=True)
class Spelling:
    """A text that the decoder has read, letter by letter."""

    letters: tuple[int, ...]
    ln_probability: float  # of the letters, and of the end where there is one
    score: float  # the same, and the bonus for coverage
    looks: tuple[Tensor, ...]  # (T,) the weights of each letter and of the end

    @property
    def map(self) -> Tensor:
        """Where it looked (letters + 1, T)."""
        return torch.stack(self.looks)


@torch.no_grad()
def spell(
    decoder: AttentionDecoder, hidden: Tensor, options: SpellOptions = SpellOptions(), n_best: int = 1
) -> list[Spelling]:
    """hidden (T, size), the encoder's frames of one utterance -> the likeliest texts, best first, of a letter at least.

    It ends when no hypothesis can come among the n best finished ones, even if it came to look at all frames.
    """
    if not len(hidden):
        return []
    memory = decoder.remember(hidden[None], torch.tensor([len(hidden)], device=hidden.device))
    most = max(1, int(options.letters_per_frame * len(hidden)))
    state, live, ended = decoder.start(memory, 1), [Spelling((), 0.0, 0.0, ())], []
    for count in range(most + 1):
        log_probs, state = _next(decoder, memory, state, live)
        if count == most:
            log_probs[:, EOS + 1 :] = -torch.inf
        elif count == 0:  # it is asked where there is speech, and else stops before the first letter at times
            log_probs[:, EOS] = -torch.inf
        bonus = options.coverage * (state.heard > COVERED).sum(1)  # (N,)
        missing = options.coverage * len(hidden) - bonus
        grown, rows = _grown(live, log_probs, bonus, state.weights, options.beam)
        ended = sorted([*ended, *(h for h in grown if h.letters[-1] == EOS)], key=lambda h: -h.score)
        going = [k for k, row in enumerate(rows) if _hopeful(grown[k], float(missing[row]), ended, options, n_best)]
        live, state = [grown[k] for k in going], state.pick(torch.tensor([rows[k] for k in going], dtype=torch.long))
        if not live:
            break
    return [Spelling(h.letters[:-1], h.ln_probability, h.score, h.looks) for h in ended[:n_best]]


def _next(decoder: AttentionDecoder, memory: Memory, state: State, live: list[Spelling]) -> tuple[Tensor, State]:
    """ln probability of each hypothesis with each next letter (N, V), state."""
    before = torch.tensor([h.letters[-1] if h.letters else EOS for h in live], device=memory.frames.device)
    read, state = decoder.step(memory, state, decoder.embedding(before))
    so_far = torch.tensor([h.ln_probability for h in live], device=memory.frames.device)
    return decoder.log_probs(read) + so_far[:, None], state


def _grown(
    live: list[Spelling], log_probs: Tensor, bonus: Tensor, weights: Tensor, beam: int
) -> tuple[list[Spelling], list[int]]:
    """The best hypotheses with one letter more, and the row each of them comes from."""
    best, at = (log_probs + bonus[:, None]).flatten().topk(min(beam, log_probs.numel()))
    rows, letters = (at // log_probs.shape[1]).tolist(), (at % log_probs.shape[1]).tolist()
    found = zip(rows, letters, log_probs.flatten()[at].tolist(), best.tolist())
    return [
        Spelling((*live[row].letters, letter), ln_p, score, (*live[row].looks, weights[row]))
        for row, letter, ln_p, score in found
    ], rows


def _hopeful(h: Spelling, missing: float, ended: list[Spelling], options: SpellOptions, n_best: int) -> bool:
    """Can it still come among the n best? missing: the bonus for the frames nobody looked at yet."""
    if h.letters[-1] == EOS or h.score == -torch.inf:
        return False
    overtakes = len(ended) < n_best or h.score + missing > ended[n_best - 1].score
    return overtakes and (not ended or h.score > ended[0].score - options.width)
