"""CTC-CRF: CTC whose paths compete with all other phoneme sequences (Xiang & Ou, ICASSP 2019).

The loss of an utterance is ln of the denominator minus ln of the numerator. The numerator is P(s) times the
probability of all CTC paths that collapse to the spoken sequence s. The denominator is the sum of the same product
over all phoneme sequences. P is a trigram of phonemes. Plain CTC only raises the numerator; here the competing
sequences are pushed down as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asr.model.network.ctc import ctc_losses
from asr.native import training as native
from asr.training.precision import fast_dtype

DISCOUNT = 0.75  # of absolute discounting
TINY = 1e-30  # probabilities below this count as this


def phoneme_trigram(sentences: Sequence[Sequence[int]], symbols: int) -> np.ndarray:
    """Estimate P[a, b, c] = p(c | a b), an (N, N, N) float32 array, from phoneme sequences (1 .. symbols - 1).

    Symbol 0 stands for the begin and the end of a sentence. Interpolated absolute discounting (Ney et al. 1994).
    """
    counts = np.zeros((symbols,) * 3)
    for sentence in sentences:
        np.add.at(counts, _trigrams(sentence), 1)
    pairs = counts.sum(0)
    single = (pairs.sum(0) + 1) / (pairs.sum(0) + 1).sum()
    return _interpolated(counts, _interpolated(pairs, single)[None]).astype(np.float32)


def _trigrams(sentence: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    padded = np.array([0, 0, *sentence, 0])
    return padded[:-2], padded[1:-1], padded[2:]


def _interpolated(counts: np.ndarray, lower: np.ndarray) -> np.ndarray:
    total = counts.sum(-1, keepdims=True)
    discounted = np.maximum(counts - DISCOUNT, 0) / np.maximum(total, 1)
    left = np.where(total > 0, DISCOUNT * (counts > 0).sum(-1, keepdims=True) / np.maximum(total, 1), 1.0)
    return discounted + left * lower


class CtcCrf:
    """The loss with its trigram. It is called as `asr.model.network.ctc.ctc_loss` is."""

    def __init__(self, trigram: np.ndarray, ctc_share: float = 0.1):
        self.ctc_share = ctc_share
        self._trigram = torch.from_numpy(trigram).to(fast_dtype())
        self._log_trigram = np.log(trigram)

    def __call__(self, log_probs: Tensor, lengths: Tensor, targets: list[list[int]]) -> Tensor:
        """Return the loss a frame: (1 - ctc_share) CTC-CRF + ctc_share CTC.

        log_probs (B, T', N) natural log, lengths (B,) frames of each utterance, targets: the phonemes of each.
        An utterance with too few frames for its targets counts as 0.
        """
        ctc = ctc_losses(log_probs, lengths, targets)
        prior = torch.tensor([self._log_prior(target) for target in targets], device=log_probs.device)
        denominator = log_denominator(log_probs, lengths, self._trigram.to(log_probs.device))
        crf = ((denominator + ctc - prior) * (ctc > 0)).sum()
        return ((1 - self.ctc_share) * crf + self.ctc_share * ctc.sum()) / lengths.sum()

    def _log_prior(self, sentence: Sequence[int]) -> float:
        return float(self._log_trigram[_trigrams(sentence)].sum())


def log_denominator(log_probs: Tensor, lengths: Tensor, trigram: Tensor) -> Tensor:
    """ln of the sum over all phoneme sequences (B,), of log_probs (B, T', N), lengths (B,), trigram (N, N, N).

    On the CPU compiled code takes a tenth of the time (asr/native/ctc_crf.h).
    """
    compiled = native and log_probs.device.type == "cpu" and log_probs.shape[2] <= native.MAX_SYMBOLS
    return (_Compiled if compiled else _LogDenominator).apply(log_probs, lengths, trigram)


class _Compiled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, log_probs: Tensor, lengths: Tensor, trigram: Tensor) -> Tensor:
        probs, total = log_probs.detach().float().exp(), torch.empty(len(lengths))
        occupied = torch.empty_like(probs)
        given = probs, lengths.int(), trigram.float(), total, occupied
        native.log_denominator(probs.shape, *(x.contiguous().numpy() for x in given))
        ctx.save_for_backward(occupied)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (occupied,) = ctx.saved_tensors
        return occupied * gradient[:, None, None], None, None


class _LogDenominator(torch.autograd.Function):
    """Sums over all paths, forwards and, for the gradient, backwards.

    A state is the last two symbols i, j of the sequence, and whether a blank came after them. The sums are kept as
    probabilities (j, B, i) that are scaled to a total of 1 at every frame, so that one frame is one batched matrix
    product. The gradient is the probability of each symbol at each frame.
    """

    @staticmethod
    def forward(ctx: Any, log_probs: Tensor, lengths: Tensor, trigram: Tensor) -> Tensor:
        probs, (batch, frames, n) = log_probs.detach().float().exp(), log_probs.shape
        by_last = trigram.transpose(0, 1).contiguous()  # (j, i, k): p(k | i j)
        end = by_last[:, :, 0].float().clone()  # (j, i): p(end | i j)
        by_last[:, :, 0] = 0
        every = torch.arange(n, device=probs.device)
        repeat = by_last[every, :, every].float()  # (j, i): p(j | i j), possible only after a blank
        on_symbol, on_blank = probs.new_zeros(n, batch, n), probs.new_zeros(n, batch, n)
        on_blank[0, :, 0] = 1.0
        kept = probs.new_empty(frames, 2, n, batch, n)
        total, scale = probs.new_zeros(batch), probs.new_zeros(batch)
        for t in range(frames):
            now = probs[:, t]  # (B, k)
            both = on_symbol + on_blank
            entered = torch.bmm(both.to(by_last.dtype), by_last).float()  # (j, B, k)
            again = (on_symbol * repeat[:, None]).sum(-1)  # (j, B)
            entered.diagonal(dim1=0, dim2=2).sub_(again.T)
            on_blank = both * now[None, :, :1]
            on_symbol = (on_symbol + entered.permute(2, 1, 0)) * now.T[:, :, None]
            on_symbol[0] = 0
            mass = (on_symbol + on_blank).sum((0, 2)).clamp_min(TINY)
            inverse = (1 / mass)[None, :, None]
            on_symbol, on_blank, scale = on_symbol * inverse, on_blank * inverse, scale + mass.log()
            kept[t, 0], kept[t, 1] = on_symbol, on_blank
            ended = lengths == t + 1
            if ended.any():
                at_end = ((on_symbol + on_blank) * end[:, None]).sum((0, 2)).clamp_min(TINY).log() + scale
                total = torch.where(ended, at_end, total)
        ctx.save_for_backward(probs, lengths, by_last, end, repeat, kept)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        probs, lengths, by_last, end, repeat, kept = ctx.saved_tensors
        batch, frames, n = probs.shape
        occupied = torch.zeros_like(probs)
        to_previous = by_last.transpose(1, 2).contiguous()  # (j, k, i)
        last = end[:, None].expand(n, batch, n)
        after_symbol = after_blank = probs.new_zeros(n, batch, n)
        for t in reversed(range(frames)):
            if t + 1 < frames:
                now = probs[:, t + 1]
                symbol_next = after_symbol * now.T[:, :, None]  # (k, B, j)
                blank_next = after_blank * now[None, :, :1]
                leaving = symbol_next.permute(2, 1, 0)  # (j, B, k): the value of k after j
                entered = torch.bmm(leaving.to(by_last.dtype), to_previous).float()  # (j, B, i)
                again = leaving.diagonal(dim1=0, dim2=2).T[:, :, None] * repeat[:, None]  # (j, B, i)
                after_blank = blank_next + entered
                after_symbol = blank_next + symbol_next + entered - again
            ends = (lengths == t + 1)[None, :, None]
            if ends.any():
                after_symbol, after_blank = torch.where(ends, last, after_symbol), torch.where(ends, last, after_blank)
            symbol, blank = kept[t, 0] * after_symbol, kept[t, 1] * after_blank
            here = symbol.sum(2).T  # (B, j)
            here[:, 0] = blank.sum((0, 2))
            occupied[:, t] = here / here.sum(1, keepdim=True).clamp_min(TINY)
            inverse = 1 / (after_symbol + after_blank).amax((0, 2)).clamp_min(TINY)[None, :, None]
            after_symbol, after_blank = after_symbol * inverse, after_blank * inverse
        occupied *= (torch.arange(frames, device=probs.device) < lengths[:, None])[..., None]
        return occupied * gradient[:, None, None], None, None
