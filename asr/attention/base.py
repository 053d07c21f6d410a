"""What every decoder with attention has in common, be the memory frames of speech or the symbols of a text.

The next symbol is read from a GRU and from a context vector, the sum of the memory's vectors weighted by how well each
suits the GRU's state before (Bahdanau et al. 2015).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from asr.attention.search import EOS


class Memory(NamedTuple):
    """What a decoder keeps of the encoder's output."""

    values: Tensor  # (B, S, memory)
    keys: Tensor  # (B, S, energy)
    inside: Tensor  # (B, S), False beyond the end


class State(NamedTuple):
    """Where a decoder stands: a value, so a search can go on from it twice."""

    hidden: Tensor  # (1, B, H)
    weights: Tensor  # (B, S) of the last symbol
    heard: Tensor  # (B, S), the sum of all weights so far

    def pick(self, rows: Tensor) -> State:
        """The states of some of the batch; rows (n,) are their numbers."""
        return State(self.hidden[:, rows], self.weights[rows], self.heard[rows])


class Decoder(nn.Module):
    """Memory -> the probability of each next symbol, and the part of the memory it rests on."""

    embedding: nn.Embedding  # of the symbol before
    gru: nn.Module  # [symbol before, context] -> hidden
    dropout: nn.Dropout

    def energies(self, memory: Memory, state: State) -> Tensor:
        """How well each part of the memory suits the state (B, S); the weights are its softmax."""
        raise NotImplementedError

    def log_probs(self, read: Tensor) -> Tensor:
        """What ``step`` gave (..., H + memory) -> ln probability of each next symbol, and in column EOS of the end."""
        raise NotImplementedError

    def look(self, memory: Memory, state: State) -> tuple[Tensor, Tensor]:
        """-> weights (B, S), context (B, memory)"""
        weights = self.energies(memory, state).float().masked_fill(~memory.inside, -torch.inf).softmax(-1)
        return weights, (weights[:, None] @ memory.values)[:, 0]

    def step(self, memory: Memory, state: State, before: Tensor) -> tuple[Tensor, State]:
        """The symbol before, embedded (B, embedding) -> what the next is read from (B, H + memory), state."""
        weights, context = self.look(memory, state)
        y, hidden = self.gru(torch.cat([before, context], -1)[:, None], state.hidden)
        return torch.cat([y[:, 0], context], -1), State(hidden, weights, state.heard + weights)

    def read(self, memory: Memory, state: State, before: Tensor) -> tuple[Tensor, Tensor]:
        """Teacher forcing: the symbols before (B, U) -> what ``log_probs`` reads (B, U, H + memory), weights."""
        reads, weights = [], []
        for symbol in self.dropout(self.embedding(before)).unbind(1):
            read, state = self.step(memory, state, symbol)
            reads.append(read)
            weights.append(state.weights)
        return torch.stack(reads, 1), torch.stack(weights, 1)


def shifted(texts: list[list[int]], device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """The symbols (B, U + 1) before each step and after it; -100 after a text's end."""
    rows = [torch.tensor([EOS, *text, EOS], device=device) for text in texts]
    before = nn.utils.rnn.pad_sequence([r[:-1] for r in rows], batch_first=True, padding_value=EOS)
    return before, nn.utils.rnn.pad_sequence([r[1:] for r in rows], batch_first=True, padding_value=-100)
