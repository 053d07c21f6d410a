"""The tagger as a torch network; asr.written.tagger is the same in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from asr.model.network.recurrent import GRU
from asr.written.tagger import AHEAD, CASES, CHUNK, LOWER, MARKS, PAUSES
from recipes.punctuation.text import UNKNOWN

CASE_WEIGHT = 0.5  # of the loss of capitals


@dataclass(frozen=True)
class TaggerOptions:
    """What rebuilds a tagger, beside its vocabulary."""

    size: int = 96  # of a word's vector
    rows: int = 16_384  # vectors of pieces of words
    hidden: int = 256  # of the forward layer
    ahead: int = 192  # of the layer that looks ahead
    above: int = 256  # of the forward layer on both
    dropout: float = 0.0  # in training, which reads hardly a text twice


class TaggerNetwork(nn.Module):
    """A forward and a looking-ahead GRU side by side, another forward one on both; what is heard of each is read."""

    def __init__(self, options: TaggerOptions, words: int):
        """words: those with a vector of their own."""
        super().__init__()
        self.options = options
        size, hidden, ahead, above = options.size, options.hidden, options.ahead, options.above
        self.words = nn.Embedding(words + 1, size)
        self.pieces = nn.EmbeddingBag(options.rows, size, mode="mean")
        self.pauses = nn.Embedding(PAUSES, size)
        self.end = nn.Parameter(torch.zeros(size))
        for table in (self.words, self.pieces, self.pauses):
            nn.init.normal_(table.weight, std=0.3)
        self.dropout = nn.Dropout(options.dropout)
        self.forwards = GRU(size, hidden)
        self.backwards = GRU(size, ahead)
        self.above = GRU(hidden + ahead, above)
        self.out = nn.Linear(hidden + ahead + above, len(MARKS) + CASES)

    def forward(self, known: Tensor, pieces: Tensor, offsets: Tensor, word: Tensor, pause: Tensor) -> Tensor:
        """Distinct words of the batch: their rows (W), pieces, offsets (W); texts (T, B) of them, -1 beyond the end.

        T is a multiple of CHUNK. -> logits (T, B, marks and cases)
        """
        vectors = torch.cat([self.words(known) + self.pieces(pieces, offsets), self.end[None]])
        x = vectors[word] + self.pauses(pause) * (word >= 0)[..., None]  # (T, B, size)
        x = self.dropout(x)
        steps, texts = word.shape
        padded = torch.cat([x, self.end.expand(AHEAD, texts, -1)])
        chunks = torch.arange(0, steps, CHUNK)[None] + torch.arange(CHUNK + AHEAD - 1, -1, -1)[:, None]
        seen = padded[chunks]  # (CHUNK + AHEAD, chunks, B, size), the last word first
        before = _over(self.forwards, x)
        after = _over(self.backwards, seen.flatten(1, 2))[AHEAD:].flip(0)  # (CHUNK, chunks * B, ahead)
        after = after.view(CHUNK, -1, texts, after.shape[-1]).transpose(0, 1).flatten(0, 1)
        both = self.dropout(torch.cat([before, after], -1))
        return self.out(self.dropout(torch.cat([both, _over(self.above, both)], -1)))


def _over(layer: GRU, x: Tensor) -> Tensor:
    """x (T, B, D) -> (T, B, H)"""
    return layer(x.transpose(0, 1))[0].transpose(0, 1)


def loss_of(logits: Tensor, mark: Tensor, case: Tensor, opens: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Of all words whose mark, or case, is known (not UNKNOWN). Where a sentence opens, a capital says nothing."""
    logits = logits.float()
    marks = nn.functional.cross_entropy(logits[..., : len(MARKS)].flatten(0, 1), mark.flatten(), ignore_index=UNKNOWN)
    chance = logits[..., len(MARKS) :].log_softmax(-1)
    either = torch.logsumexp(chance[..., :2], -1)  # small or capital
    told = chance.gather(-1, case.clamp(min=LOWER)[..., None])[..., 0]
    cases = -torch.where(opens & (case <= 1), either, told)[case != UNKNOWN].mean()
    return marks + CASE_WEIGHT * cases, {"marks": marks.item(), "cases": cases.item()}
